"""Keys of messages in the table itself: what leads to them, and that nothing of it is left behind."""

from __future__ import annotations

from datetime import timedelta

import pytest

import chatstore
from chatstore.engines.log import Row, erasing
from chatstore.engines.log.records import Header
from chatstore.store import ChatStore
from chatstore.testing import ManualClock
from tests.log.kept import LATER, Kept
from tests.log.memory_table import LogInMemory, MemoryTable


def say(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def claims(kept: Kept, thread: str = "t") -> int:
    return sum(sk.startswith("C#") for sk in kept.table.rows.get(f"T#default#{thread}", ()))


def begun(kept: Kept, **made: object) -> None:
    for name in ("one", "two", "three"):
        kept.store.append("t", say(name), key=name, **made)  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ["delete", "truncate", "expire", "replace"])
def test_a_claim_goes_with_its_message(kept: Kept, what: str) -> None:
    begun(kept)
    if what == "delete":
        kept.store.delete_message("t", "key:three")
    elif what == "truncate":
        kept.store.truncate("t", from_="key:three")
    elif what == "expire":
        kept.store.delete_message("t", "key:three")
        kept.store.append("t", say("brief"), key="three", expires_in=60)
    else:
        kept.store.replace_all("t", [say("1"), say("2")], key=["one", "two"])
    kept.clock.advance(LATER)
    kept.swept()
    assert claims(kept) == 2
    with pytest.raises(chatstore.MessageNotFound):
        kept.store.get_message("t", "key:three")
    again = kept.store.append("t", say("three again"), key="three").messages[0]
    assert kept.store.get_message("t", "key:three").id == again.id


def test_a_claim_of_what_was_cut_from_the_first_message_on_leads_nowhere(kept: Kept) -> None:
    begun(kept)
    kept.store.truncate("t", from_="key:one")
    with pytest.raises(chatstore.MessageNotFound):
        kept.store.get_message("t", "key:one")
    again = kept.store.append("t", say("one again"), key="one").messages[0]
    assert kept.store.get_message("t", "key:one").id == again.id


def test_claims_that_lead_to_messages_stay(kept: Kept) -> None:
    begun(kept)
    kept.store.insert("t", say("between"), before="key:two", key="between")
    kept.store.delete_message("t", "key:one")
    for _ in range(3):
        kept.clock.advance(LATER)
        kept.swept()
    assert claims(kept) == 3
    for name in ("two", "three", "between"):
        assert kept.store.get_message("t", f"key:{name}").content == name
        with pytest.raises(chatstore.MessageExists):
            kept.store.append("t", say("again"), key=name)
    for number in range(80):
        kept.store.replace_message("t", "key:between", say(f"edit {number}"))
    assert kept.store.get_message("t", "key:between").content == "edit 79"
    fork = kept.store.fork("t", "branch", through="key:between")
    assert kept.store.get_message(fork.id, "key:between").content == "edit 79"
    kept.store.append("branch", say("three"), key="three")


def test_nothing_of_a_key_is_left_of_an_ended_thread(kept: Kept) -> None:
    begun(kept)
    kept.store.delete_thread("t")
    for _ in range(3):
        kept.clock.advance(LATER)
        kept.swept()
    assert claims(kept) == 0


@pytest.mark.parametrize("deleted", [False, True])
def test_right_after_an_erasure_no_claim_is_left(kept: Kept, deleted: bool) -> None:
    begun(kept, owner="zoey")
    kept.store.replace_message("t", "key:one", say("1"))
    if deleted:
        kept.store.delete_thread("t")
    kept.store.erase(owner="zoey")
    assert claims(kept) == 0


def test_an_erasure_takes_the_claims_along_of_a_history_that_never_came_to_light(kept: Kept) -> None:
    begun(kept, owner="zoey")
    dying = Killed()
    dying.rows = kept.table.rows
    with pytest.raises(KeyboardInterrupt):
        ChatStore(LogInMemory(dying, kept.clock)).replace_all("t", [say("never")], key=["never"])
    assert claims(kept) == 4
    kept.store.erase(owner="zoey")
    assert claims(kept) == 0


def test_an_erasure_that_leaves_claims_is_found_out(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "_is_over", lambda *_: False)
    begun(kept, owner="zoey")
    kept.store.erase(owner="zoey")
    assert claims(kept) == 3


def test_an_erasure_leaves_the_claims_of_whom_the_thread_is_now(kept: Kept) -> None:
    begun(kept, owner="zoey")
    kept.store.delete_thread("t")
    begun(kept, owner="yuri")
    kept.store.erase(owner="zoey")
    assert claims(kept) == 3
    assert kept.store.get_message("t", "key:two").content == "two"
    with pytest.raises(chatstore.MessageExists):
        kept.store.append("t", say("again"), key="two")


class Killed(MemoryTable):
    """Its writer is killed in front of the slot that decides."""

    async def put_new(self, row: Row, **free: object) -> Row | None:
        if str(row["sk"]).startswith("E"):
            raise KeyboardInterrupt
        return await super().put_new(row)


@pytest.mark.parametrize("there", [False, True])
def test_a_claim_of_a_writer_that_was_killed_is_taken_over_and_swept(kept: Kept, there: bool) -> None:
    if there:
        kept.store.append("t", say("first"), owner="zoey")
    dying = Killed()
    dying.rows = kept.table.rows
    with pytest.raises(KeyboardInterrupt):
        ChatStore(LogInMemory(dying, kept.clock)).append("t", say("never"), key="one", owner="zoey")
    assert claims(kept) == 1
    if there:
        kept.store.append("t", say("later"), key="one")
        assert kept.store.get_message("t", "key:one").content == "later"
        kept.store.delete_message("t", "key:one")
    for _ in range(4):
        kept.clock.advance(LATER)
        kept.swept()
    assert claims(kept) == 0


def test_a_history_from_before_there_were_claims_is_read_for_its_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table, clock = MemoryTable(), ManualClock()
    with pytest.MonkeyPatch.context() as before:
        load, dump = Header._of, Header._form
        before.setattr(Header, "_form", lambda header: dump(header._replace(claimed=False)))
        before.setattr(Header, "_of", classmethod(lambda _, form: load(form)._replace(claimed=False)))
        old = ChatStore(LogInMemory(table, clock))
        for name in ("one", "two"):
            old.append("t", say(name), key=name)
        table.rows["T#default#t"] = {
            sk: row for sk, row in table.rows["T#default#t"].items() if not sk.startswith("C#")
        }
    store = ChatStore(LogInMemory(table, clock))
    for name in ("one", "two"):
        assert store.get_message("t", f"key:{name}").content == name
    with pytest.raises(chatstore.MessageExists):
        store.append("t", say("again"), key="one")
    no_key = store.append("t", say("no key")).messages[0].id
    table.query = None  # type: ignore[assignment, method-assign]
    store.append("t", say("none either"))
    del table.query
    store.append("t", say("three"), key="three")
    with pytest.raises(chatstore.MessageExists):
        store.append("t", say("again"), key="two", after="key:three")
    # What the same step cuts is in nobody's way.
    store.append("t", say("three again"), key="three", after=no_key)
    ids = [message.id for message in store.iter_messages("t")]
    for number in range(80):
        store.replace_message("t", "key:one", say(f"edit {number}"))
    # A copy of the history has claims.
    assert any(sk.startswith("C#") for sk in table.rows["T#default#t"])
    found = [store.get_message("t", f"key:{name}").id for name in ("one", "two", "three")]
    assert found == [ids[0], ids[1], ids[3]]


def test_an_expired_message_beside_the_one_that_has_its_key_now_is_copied_with_it(kept: Kept) -> None:
    kept.store.append("t", say("stays"), say("brief"), key=[None, "name"], expires_in=[None, 60])
    kept.clock.advance(timedelta(minutes=2))
    kept.store.append("t", say("now"), key="name")
    for number in range(80):
        kept.store.replace_message("t", "key:name", say(f"edit {number}"))
    assert kept.store.get_message("t", "key:name").content == "edit 79"


def test_what_a_page_begins_at_has_to_be_there(kept: Kept) -> None:
    begun(kept)
    [one, two, three] = [message.id or "" for message in kept.store.read("t")]
    kept.store.delete_message("t", two)
    for after, before in ((two, None), (None, two), (one, two), (two, three)):
        with pytest.raises(chatstore.MessageNotFound):
            kept.store.read("t", after=after, before=before)
    assert [message.id for message in kept.store.read("t", after=one)] == [three]
    assert [message.id for message in kept.store.read("t", before=three)] == [one]
    four = kept.store.append("t", say("four")).messages[0].id or ""
    kept.store.delete_message("t", four)
    # More than the page takes lies behind the place where it was.
    with pytest.raises(chatstore.MessageNotFound):
        kept.store.read("t", before=four, limit=1)
    kept.store.truncate("t", after=one)
    with pytest.raises(chatstore.MessageNotFound):
        kept.store.read("t", after=three)


def test_a_key_leads_to_what_was_put_between_others(kept: Kept) -> None:
    first = kept.store.append("t", say("a"), say("b"), key=["a", None]).messages[0]
    for name in ("c", "d"):
        kept.store.insert("t", say(name), after=first.id, key=name)
    kept.store.append("t", say("e"))
    assert [kept.store.get_message("t", f"key:{name}").content for name in "acd"] == ["a", "c", "d"]
