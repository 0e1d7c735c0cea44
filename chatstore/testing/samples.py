"""What the tests write, and short ways to look at what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from chatstore.codec import MAX_DEPTH, Json
from chatstore.errors import ThreadNotFound
from chatstore.models import Message
from chatstore.store import ChatStore

__all__ = ["AWKWARD_MESSAGES", "THREAD_IDS", "contents", "json_text", "nested", "say", "state", "whole"]


def say(content: Json, role: str = "user") -> dict[str, Json]:
    """A message."""
    return {"role": role, "content": content}


def contents(messages: Iterable[Message]) -> list[Any]:
    """What they say, in order."""
    return [message.content for message in messages]


def whole(store: ChatStore, thread_id: str) -> list[Message]:
    """All of a thread's messages."""
    return list(store.iter_messages(thread_id))


def state(store: ChatStore, thread_id: str) -> object:
    """All that can be read of a thread, to compare with the same at another time."""
    page = store.read(thread_id, last=1000)
    try:
        return store.get_thread(thread_id), page.etag, page.items
    except ThreadNotFound:
        return None, page.etag, page.items


def json_text(value: Json) -> str:
    """JSON text in which 1, 1.0 and true differ, and the order of keys shows."""
    return json.dumps(value)


def nested(levels: int) -> Json:
    """Objects and arrays in turn, `levels` deep."""
    value: Json = {"end": None} if levels % 2 else ["end"]
    for level in range(1, levels):
        value = [value] if (levels - level) % 2 == 0 else {"in": value}
    return value


THREAD_IDS = (
    *("", " ", "a", "A", "a ", " a", "aa", "ab", "a\tb", "a\nb", "a\r\nb", "\n"),
    *("\0", "a\0", "a\0b", "\x01", "\x7f", "\x85", "\u2028", "\ufeff", "\uffff"),
    *(
        "/",
        "a/b",
        "a/b/",
        "/a",
        "..",
        "../a",
        ".",
        "a\\b",
        "\\",
        "a//b",
        "?",
        "#",
        "a?b#c",
        "&",
        "+",
        "a+b",
        "=",
    ),
    *(
        "%",
        "%2F",
        "a%2Fb",
        "%00",
        "%25",
        "_",
        "*",
        "[",
        "{}",
        "{a}",
        "$",
        "!",
        "!h",
        "~",
        "~H",
        "|",
        ":",
        ";",
        ",",
    ),
    *("'", '"', "''", "a'b", 'a"b', "'; drop table thread; --", "`", "<script>", "${a}", "{{a}}"),
    *("0", "-1", "1e9", "null", "true", "None", "b64:YQ", "default", "E1#0000000001", "T#a#b"),
    *(
        "\u00e9",
        "e\u0301",
        "\u00df",
        "\u1e9e",
        "ss",
        "\u0130",
        "i\u0307",
        "\u5b57",
        "\u202eabc",
        "\u0645\u0631\u062d\u0628\u0627",
        "\U0001f642",
    ),
    *("x" * 1024, "x" * 1023, "x" * 1023 + "y", "\u00e9" * 512, "\U0001f642" * 256, "/" * 1024, "\0" * 1024),
)
"""Thread ids that some storage or some gateway would rather not have; each names another thread."""

AWKWARD_MESSAGES: tuple[dict[str, Json], ...] = (
    say("hello"),
    say(""),
    say(None, "assistant"),
    {"role": "user"},
    {"content": "the role need not come first", "role": "user"},
    {"z": 1, "role": "user", "a": 2, "m": {"z": 1, "a": 2}},
    say([1, 1.0, True, 0, 0.0, -0.0, False, None, "1", "true", [], {}, [[]], ""]),
    say([1e22, 1e-7, 0.1, 1e308, 5e-324, 123456789.123456789, -1.5]),
    say([2**53, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**40]),
    say("\0 \x01 \x1f \x7f \x85 \u2028 \u2029 \ufeff \uffff \r\n \t \\ / \" '"),
    say("\u00e9 e\u0301 \u5b57 \u0645\u0631\u062d \u202e \U0001f642 \U0001f468\u200d\U0001f469 \U0010ffff"),
    say("<script>alert(1)</script> {{x}} ${x} %s %00 {0} '; drop table message; --"),
    {"role": "user", "": "an empty key", "\0": "NUL", "a.b": 1, "$set": 2, "\u00e9": 3, "'": 4, '"': 5},
    {"role": "user", "id": "mine", "position": "7", "created_at": "x", "etag": 1, "message": {"role": "x"}},
    {"role": "r" * 300},
    {"role": "\U0001f642", "content": "a role of its own"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": "\\u00e9"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "c", "content": '{"a":1}'},
    {"role": "user", "content": [{"type": "image", "data": "AAEC/w=="}, {"type": "text", "text": "x"}]},
    {"role": "user", "deep": nested(MAX_DEPTH - 1)},
    say("x" * 100_000),
    say("\U0001f642" * 30_000),
)
"""Messages that some storage or some codec would rather not have."""
