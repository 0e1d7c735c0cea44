"""A user with the rights that the page names can do all that the store does, and nothing beside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

import chatstore
from chatstore.errors import StorageError
from chatstore.testing.samples import contents, say
from tests.servers import ROOT

RULE = re.compile(r"^ACL SETUSER chats on >PASSWORD ~chatstore:\* (.+)$", re.MULTILINE)


@pytest.fixture(params=["newer_url", "valkey_url"])
def user(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a server, for a user with those rights on keys of a prefix."""
    found = RULE.search((ROOT / "docs" / "redis.md").read_text())
    assert found is not None
    prefix = f"chatstore:{tmp_path.name}:"
    url: str = request.getfixturevalue(request.param)
    with redis.Redis.from_url(url) as plain:
        plain.execute_command("ACL", "SETUSER", "chats", "on", ">pass", f"~{prefix}*", *found[1].split())
        where = url.removeprefix("redis://")
        yield f"redis://chats:{'pass'}@{where}?prefix={prefix}"
        plain.execute_command("ACL", "DELUSER", "chats")


def test_the_rights_on_the_page_are_enough(user: str, tmp_path: Path) -> None:
    with chatstore.connect(user) as store:
        store.ping()
        store.append("t", say("one"), say("two"), owner="zoe", request_id="r1", key=["first", "second"])
        first = store.read("t").items[0].id or ""
        store.replace_message("t", first, say("1"))
        store.insert("t", say("between"), index=1)
        store.update_thread("t", topic="numbers")
        store.fork("t", new_id="forked")
        store.replace_all("t", [say("x" * 700_000), say("anew")])
        store.pop("t")
        assert [one.id for one in store.list_threads(owner="zoe")] == ["forked", "t"]
        assert contents(store.read("forked")) == ["1", "between", "two"]
        store.delete_thread("t")
        store.sweep()
        assert store.erase("zoe").threads
    with (
        chatstore.connect(user.replace("prefix=chatstore:", "prefix=another:")) as store,
        pytest.raises(StorageError, match="does not permit"),
    ):
        store.append("t", say("one"))
