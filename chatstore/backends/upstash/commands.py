"""Commands as JSON: an array of texts, in which binary is carried as text."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any, Final

from chatstore.backends.redis.scripts import Script

__all__ = ["body", "carried"]

_NARROW: Final = """\
local narrow = {}
for code = 128, 255 do
  narrow[string.char(192 + math.floor(code / 64), 128 + code % 64)] = string.char(code)
end
for place = 1, #ARGV do
  ARGV[place] = (string.gsub(ARGV[place], '[\\194\\195][\\128-\\191]', narrow))
end
"""
"""Makes bytes again of arguments in which each byte was a character."""


def carried(script: Script, arguments: Sequence[bytes]) -> tuple[Script, list[str]]:
    """The script and the texts by which arguments are sent.

    What is no text is sent as a text with a character for each byte. A form of the script makes bytes of it
    again.
    """
    try:
        return script, [one.decode() for one in arguments]
    except UnicodeDecodeError:
        return _narrowing(script), [one.decode("latin-1") for one in arguments]


def body(command: Sequence[Any]) -> bytes:
    """A command as the API takes it."""
    return json.dumps(command, ensure_ascii=False, separators=(",", ":")).encode()


@functools.cache
def _narrowing(script: Script) -> Script:
    return Script.of(_NARROW + script.text)
