"""The tree in the errors' docstring is the tree of the classes."""

from __future__ import annotations

import pickle
import re

import pytest

import chatstore
from chatstore import errors
from chatstore.errors import ChatStoreError


def drawn() -> dict[str, str | None]:
    """Each name in the docstring's tree, and the one that it hangs from."""
    parents: dict[str, str | None] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ((?:[│ ]   )*(?:[├└]── )?)(\w+)", line)
        if found is None:
            continue
        depth = len(found[1])
        while path and path[-1][0] >= depth:
            path.pop()
        parents[found[2]] = path[-1][1] if path else None
        path.append((depth, found[2]))
    return parents


def classes() -> dict[str, type[ChatStoreError]]:
    found = {name: getattr(errors, name) for name in errors.__all__}
    assert all(issubclass(one, ChatStoreError) for one in found.values())
    return found


def test_every_class_hangs_where_it_is_drawn() -> None:
    hanging = {
        name: next((base.__name__ for base in one.__bases__ if issubclass(base, ChatStoreError)), None)
        for name, one in classes().items()
    }
    assert drawn() == hanging


def test_python_s_own_errors_catch_them_where_the_tree_says_so() -> None:
    tree = errors.__doc__ or ""
    for name, one in classes().items():
        line = next(
            line for line in tree.splitlines() if line.split() and line.split("── ")[-1].split()[:1] == [name]
        )
        assert issubclass(one, ValueError) == (
            "ValueError" in line or issubclass(one, errors.InvalidArgument)
        )
        assert issubclass(one, LookupError) == ("LookupError" in line or issubclass(one, errors.NotFound))


def test_all_are_public() -> None:
    for name, one in classes().items():
        assert getattr(chatstore, name) is one


@pytest.mark.parametrize(
    "error",
    [
        errors.ThreadNotFound("a\nb"),
        errors.MessageNotFound("t", "x"),
        errors.MessageNotFound("t", -1),
        errors.ThreadExists("t"),
        errors.Conflict("etag"),
        errors.Conflict(None),
        errors.RequestMismatch("r"),
        errors.CursorExpired(),
        errors.InvalidMessage("why"),
        errors.Unavailable("why"),
    ],
    ids=repr,
)
def test_an_error_crosses_from_process_to_process(error: ChatStoreError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_texts_name_what_is_meant() -> None:
    assert "'a b'" in str(errors.ThreadNotFound("a b"))
    assert "index -1" in str(errors.MessageNotFound("t", -1))
    assert "'x'" in str(errors.MessageNotFound("t", "x"))
    assert "nothing is there" in str(errors.Conflict(None))
    assert "'etag'" in str(errors.Conflict("etag"))
