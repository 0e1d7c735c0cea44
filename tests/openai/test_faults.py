"""Networks lose and repeat what OpenAI's clients send, who repeat it themselves: each item is there once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import SOAK
from tests.openai.conftest import PLACES
from tests.openai.scenarios import said
from tests.openai.sdk import Sdk
from tests.openai.wire import FATES, Request, faulty, seeded

TURNS = 2000 if SOAK else 60
CONVERSATIONS = 10


def turn(conversation: int, number: int) -> list[dict[str, Any]]:
    """The items of a request. Some say what was said before, and mean it: these arrive as they are."""
    if number % 5 == 4:
        return [said("yes, as it is")]
    return [said(f"{conversation}:{number}:{part}", "assistant") for part in range(1 + number % 3)]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("place", PLACES if SOAK else PLACES[:1])
def test_each_item_is_there_once_and_in_order(
    sdk: Sdk, standing: Callable[[str], str], place: str, record_property: Callable[[str, object], None]
) -> None:
    direct = sdk._replace(base=standing(place))
    names = [direct.call("create")["id"] for _ in range(CONVERSATIONS)]
    turns = {
        name: [turn(index, number) for number in range(TURNS // CONVERSATIONS)]
        for index, name in enumerate(names)
    }
    with faulty(direct.base, seeded(sum(map(ord, sdk.kind)))) as (base, wire):
        assert direct._replace(base=base).job(do="turns", turns=list(turns.items())) == {"ok": TURNS}
    for name, requests in turns.items():
        sent = [item for items in requests for item in items]
        found = direct.call("items.list", conversation_id=name, order="asc", limit=100, collect=True)
        assert [one["content"][0]["text"] for one in found] == [one["content"] for one in sent]
    assert set(wire.met) == set(FATES)
    record_property("turns", TURNS)


def test_writers_at_one_conversation_add_each_of_their_items_once(
    sdk: Sdk, standing: Callable[[str], str]
) -> None:
    sdk = sdk._replace(base=standing("sqlite"))
    name = sdk.call("create")["id"]
    texts = [[f"{writer}:{number}" for number in range(TURNS // 10)] for writer in range(8)]
    writers = [(name, [[said(text)] for text in some]) for some in texts]
    with faulty(sdk.base, seeded(len(sdk.kind))) as (base, _wire):
        assert "ok" in sdk._replace(base=base).job(do="turns", turns=writers)
    listed = sdk.call("items.list", conversation_id=name, order="asc", limit=100, collect=True)
    found = [one["content"][0]["text"] for one in listed]
    for writer, some in enumerate(texts):
        assert [text for text in found if text.startswith(f"{writer}:")] == some


def test_a_repetition_of_what_never_arrived_is_added(sdk: Sdk) -> None:
    name = sdk.call("create", items=[said("yes"), said("no")])["id"]
    fates = iter(["502 before"])
    with faulty(sdk.base, lambda _: next(fates, "fine")) as (base, _wire):
        sdk._replace(base=base).call("items.create", conversation_id=name, items=[said("yes")])
    assert len(sdk.call("items.list", conversation_id=name, collect=True)) == 3


def test_what_two_say_at_once_is_there_twice(sdk: Sdk) -> None:
    name = sdk.call("create")["id"]
    for _ in range(3):
        sdk.call("items.create", conversation_id=name, items=[said("yes")])
    assert len(sdk.call("items.list", conversation_id=name, collect=True)) == 3


def test_deletions_are_repeated_without_an_error(sdk: Sdk) -> None:
    made = sdk.call("create")["id"]
    first, second = sdk.call("items.create", conversation_id=made, items=[said("a"), said("b")])["data"]

    def lost_at_first(request: Request) -> str:
        return "502 after" if request.tries == 0 else "fine"

    with faulty(sdk.base, lost_at_first) as (base, wire):
        asked = sdk._replace(base=base)
        asked.call("items.delete", conversation_id=made, item_id=second["id"])
        asked.raw("delete", f"/conversations/{made}/items", **{"from": first["id"]})
        assert asked.call("delete", conversation_id=made)["deleted"] is True
    assert wire.met["502 after"] == 3
