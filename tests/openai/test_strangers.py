"""Two users of one service: whatever the second calls, the first's conversations are not there for it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conftest import SOAK
from tests.openai.scenarios import said
from tests.openai.sdk import Sdk

WORD = "zyxwvut"
NOBODYS = "conv_" + "0" * 32
NOT_AN_ITEM = "msg_01a222d1-10ac-7fb0-9ad5-584f0d6b3eb7"

METHODS: dict[str, dict[str, Any]] = {
    "retrieve": {},
    "update": {"metadata": {"mine": "now"}},
    "delete": {},
    "items.create": {"items": [said("intruding")]},
    "items.list": {"order": "asc", "include": ["reasoning.encrypted_content"]},
    "items.retrieve": {"item_id": ...},
    "items.delete": {"item_id": ...},
}
"""The methods that name a conversation, with what goes with it; … is an item's id."""


def told_of(outcome: dict[str, Any], name: str) -> dict[str, Any]:
    """What an outcome tells beside the id that it was asked for, and that of the request."""
    told: dict[str, Any] = json.loads(json.dumps(outcome).replace(name, "NAME"))
    told.pop("request_id", None)
    return told


def test_a_second_user_never_meets_the_first(sdk: Sdk) -> None:
    ada, bob = sdk.of("ada"), sdk.of("bob")
    hers = ada.call("create", items=[said(WORD), said(f"{WORD} too")], metadata={WORD: WORD})["id"]
    items = [one["id"] for one in ada.call("items.list", conversation_id=hers, collect=True)]
    his = bob.call("create", items=[said("his own")])["id"]
    before = ada.raw("get", f"/threads/{hers}/messages"), ada.call("retrieve", conversation_id=hers)

    step = st.tuples(
        st.sampled_from(sorted(METHODS)),
        st.sampled_from([hers, his]),
        st.sampled_from([*items, NOT_AN_ITEM]),
        st.sampled_from(items),
    )

    def try_it(method: str, name: str, item: str, after: str) -> None:
        args = {key: item if value is ... else value for key, value in METHODS[method].items()}
        if method == "items.list" and name == his:
            args["after"] = after
        if name == his and method in ("delete", "items.create", "update"):
            return
        outcome = bob.outcome(method, {"conversation_id": name, **args})
        assert WORD not in json.dumps(outcome)
        if name == hers:
            nobodys = bob.outcome(method, {"conversation_id": NOBODYS, **args})
            assert "error" in outcome
            assert told_of(outcome, hers) == told_of(nobodys, NOBODYS)
        elif args.get("item_id") is not None or "after" in args:
            assert outcome["status_code"] == 404

    @settings(
        max_examples=300 if SOAK else 5,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(step, min_size=1, max_size=8))
    def play(steps: list[tuple[str, str, str, str]]) -> None:
        for one in steps:
            try_it(*one)

    for method in METHODS:
        try_it(method, hers, items[0], items[0])
    play()
    listed = bob.raw("get", "/conversations", limit=100)
    assert [one["id"] for one in listed["data"] if one["id"] in (hers, his)] == [his]
    assert WORD not in json.dumps(listed)
    for query in ({"after": items[0]}, {"from": items[0]}):
        cut = bob.job(do="call", method="delete", path=f"/conversations/{hers}/items", query=query)
        assert cut["status_code"] == 404
    owned = bob.job(do="call", method="get", path="/conversations", query={"owner": "ada"})
    assert (owned["error"], owned["status_code"]) == ("PermissionDeniedError", 403)
    posed = bob.outcome("create", {}, body={"owner": "ada"})
    assert (posed["error"], posed["status_code"]) == ("PermissionDeniedError", 403)
    assert (ada.raw("get", f"/threads/{hers}/messages"), ada.call("retrieve", conversation_id=hers)) == before
