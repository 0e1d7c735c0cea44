"""What becomes of a test whose capability the backend does not declare: it must be refused."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from chatstore.contract import Capability
from chatstore.errors import Unsupported
from chatstore.store import ChatStore

__all__ = ["needs", "supported"]

Tested = TypeVar("Tested", bound=Callable[..., Any])


@contextlib.contextmanager
def supported(store: ChatStore, *capabilities: Capability) -> Iterator[None]:
    """What is inside works if the backend declares all of `capabilities`; else it raises Unsupported."""
    if store.backend.capabilities.issuperset(capabilities):
        yield
    else:
        with pytest.raises(Unsupported):
            yield


def needs(*capabilities: Capability) -> Callable[[Tested], Tested]:
    """Mark a capability as needed for a whole test, or for every test of a class."""

    def decorate(tested: Tested) -> Tested:
        if not isinstance(tested, type):
            return _checked(tested, capabilities)
        for name, member in list(vars(tested).items()):
            if name.startswith("test_"):
                setattr(tested, name, _checked(member, capabilities))
        return tested

    return decorate


def _checked(test: Tested, capabilities: tuple[Capability, ...]) -> Tested:
    # A test's own needs and its class's are one condition: two would each wait for the refusal.
    own: tuple[Capability, ...] = getattr(test, "needed", ())
    plain = getattr(test, "__wrapped__", test)

    @functools.wraps(plain)
    def check(*args: Any, **kwargs: Any) -> None:
        with supported(kwargs["store"], *own, *capabilities):
            plain(*args, **kwargs)

    check.needed = (*own, *capabilities)  # type: ignore[attr-defined]
    return check  # type: ignore[return-value]  # wraps keeps the signature that pytest reads
