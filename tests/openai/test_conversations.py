"""Real conversations, written by OpenAI's client, are the same at all three faces."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

from chatstore.http.app import create_app
from chatstore.settings import Settings
from tests.acs import sdk as acs
from tests.acs import tls
from tests.acs.client import Python
from tests.conftest import SOAK
from tests.http.serving import serving
from tests.openai.sdk import KINDS, Sdk, Speaker

COUNT = 1500 if SOAK else 12


class Faces(NamedTuple):
    """A user's two clients at a service that has all faces."""

    sdk: Sdk
    chat: acs.Sdk


@pytest.fixture(params=KINDS if SOAK else KINDS[1:])
def faces(
    request: pytest.FixtureRequest,
    speakers: dict[str, Speaker],
    tmp_path: Path,
    absent: Callable[[str, str], NoReturn],
) -> Iterator[Faces]:
    kind, certificate = request.param, tls.made(tmp_path)
    settings = {**acs.SETTINGS, "faces": "native,openai,acs"}
    app = create_app(settings=Settings(url=f"sqlite:///{tmp_path}/chat.db?synchronous=NORMAL", **settings))
    with ExitStack() as stack:
        plain, safe = stack.enter_context(serving(app)), stack.enter_context(tls.serving(app, certificate))
        if kind == "javascript":
            speaker: acs.Speaker = stack.enter_context(acs.javascript(certificate, absent))
        else:
            speaker = Python(kind, str(certificate))
            stack.callback(speaker.close)
        yield Faces(
            Sdk(speakers[kind], kind, plain, acs.token("ada")), acs.Sdk(speaker, kind, safe, user="ada")
        )


def shown(item: dict[str, Any]) -> dict[str, Any]:
    """An item as the message that it was sent as."""
    parts = item["content"]
    content = "".join(part["text"] for part in parts) if parts else None
    rest: dict[str, Any] = {key: item[key] for key in ("tool_calls", "tool_call_id") if key in item}
    return {"role": item["role"], "content": content, **rest}


def chatted(told: dict[str, Any]) -> dict[str, Any]:
    """A chat message as the message that it was sent as."""
    whole = (told.get("metadata") or {}).get("acs")
    sent: dict[str, Any] = (
        {"role": told["name"], "content": told["text"]} if whole is None else json.loads(whole)
    )
    assert told["text"] == (sent["content"] or "")
    return sent


@pytest.mark.real_data
@pytest.mark.timeout(1800)
def test_real_conversations_read_back_equal_at_all_faces(faces: Faces, taskmaster: Path) -> None:
    sdk, chat = faces
    with taskmaster.open() as lines:
        dialogues = [json.loads(line) for line, _ in zip(lines, range(COUNT), strict=False)]
    assert len(dialogues) == COUNT
    made = []
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
            assert [chatted(told) for told in chat("messages", name)[::-1]] == one["messages"]
        made += names
    assert sorted(one["id"] for one in chat("threads", size=100)) == sorted(made)
