"""Real conversations, written by OpenAI's client, are the same at both faces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SOAK
from tests.openai.sdk import KINDS, Sdk

COUNT = 1500 if SOAK else 30


def shown(item: dict[str, Any]) -> dict[str, Any]:
    """An item as the message that it was sent as."""
    parts = item["content"]
    content = "".join(part["text"] for part in parts) if parts else None
    rest: dict[str, Any] = {key: item[key] for key in ("tool_calls", "tool_call_id") if key in item}
    return {"role": item["role"], "content": content, **rest}


@pytest.mark.real_data
@pytest.mark.parametrize("kind", KINDS if SOAK else KINDS[1:])
def test_real_conversations_read_back_equal_at_both_faces(sdk: Sdk, taskmaster: Path) -> None:
    with taskmaster.open() as lines:
        dialogues = [json.loads(line) for line, _ in zip(lines, range(COUNT), strict=False)]
    assert len(dialogues) == COUNT
    for start in range(0, COUNT, 30):
        some = dialogues[start : start + 30]
        names = [sdk.call("create", metadata=one["metadata"])["id"] for one in some]
        turns = {
            name: [one["messages"][at : at + 20] for at in range(0, len(one["messages"]), 20)]
            for name, one in zip(names, some, strict=True)
        }
        assert "ok" in sdk.job(do="turns", turns=list(turns.items()))
        for name, one in zip(names, some, strict=True):
            found = sdk.call("items.list", conversation_id=name, order="asc", limit=100, collect=True)
            assert [shown(item) for item in found] == one["messages"]
            native = sdk.raw("get", f"/threads/{name}/messages", limit=1000)["items"]
            assert [entry["message"] for entry in native] == one["messages"]
            assert sdk.raw("get", f"/threads/{name}")["metadata"] == one["metadata"]
