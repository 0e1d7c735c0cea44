"""Calls of tools and their results, as the messages of the common APIs and frameworks write them.

OpenAI (``tool_calls``, ``function_call`` and the items of Responses), Anthropic, Bedrock, Gemini, Cohere,
Ollama, AG-UI, Vercel's AI SDK, LlamaIndex and Pydantic AI. A result names its call by an id, or by the tool's
name where there are no ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from chatstore.codec import Json

__all__ = ["Calls", "uses_tools"]

_ROLES_OF_RESULTS = {"tool", "function"}
_PARTS = ("content", "parts", "blocks")
_CALLS_INSIDE = ("toolUse", "functionCall", "function_call", "toolInvocation")
_RESULTS_INSIDE = ("toolResult", "functionResponse", "function_response")
_CALL_IDS = ("call_id", "tool_call_id", "toolCallId", "toolUseId", "id")
_RESULT_IDS = ("tool_use_id", *_CALL_IDS)
_NAMES = ("name", "tool_name", "toolName")


class _Use(NamedTuple):
    """A call or a result: what it is named by, as far as it says."""

    id: Json
    name: Json


class Calls:
    """The calls that messages have made, in the thread's order."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._open: Counter[str] = Counter()
        self._some = False

    def take(self, data: dict[str, Json]) -> bool:
        """Take a message's calls; False, and nothing is taken, where a result of it is of no call taken."""
        calls, results = _uses(data)
        ids = self._ids | {use.id for use in calls if use.id is not None}
        # Without ids, as many results of a tool are answers as there were calls of it.
        left = self._open + Counter(use.name for use in calls if use.name is not None)
        for use in results:
            if use.id is not None:
                found = use.id in ids
            elif use.name is not None:
                found = left[use.name] > 0
                left[use.name] -= 1
            else:
                found = self._some or bool(calls)
            if not found:
                return False
        self._ids, self._open, self._some = ids, left, self._some or bool(calls)
        return True


def uses_tools(data: dict[str, Json]) -> bool:
    """Whether a message calls a tool or answers a call."""
    return any(_uses(data))


def _uses(data: dict[str, Json]) -> tuple[list[_Use], list[_Use]]:
    """A message's calls and results."""
    further = data.get("additional_kwargs")
    around = [data, further] if isinstance(further, dict) else [data]
    calls: list[_Use] = []
    results: list[_Use] = []
    for piece in around:
        calls += _listed(piece)
        if "tool_call_id" in piece or "toolCallId" in piece:
            results.append(_use(piece, _CALL_IDS[1:3]))
    for piece in (*around, *_parts(data)):
        calls += [_use(inner, _CALL_IDS) for inner in _inside(piece, _CALLS_INSIDE)]
        results += [_use(inner, _RESULT_IDS) for inner in _inside(piece, _RESULTS_INSIDE)]
        kind = _kind(piece)
        if kind.endswith(("_result", "_output", "_return", "_response")) or kind == "retry_prompt":
            results.append(_use(piece, _RESULT_IDS))
        elif kind.endswith(("_use", "_call")) or kind.startswith("tool_") or kind == "dynamic_tool":
            calls.append(_use(piece, _CALL_IDS))
    results = [use for use in results if use != (None, None)]
    if not results and data["role"].lower() in _ROLES_OF_RESULTS:
        results = [next((use for use in (_use(piece, ()) for piece in around) if use.name), _Use(None, None))]
    return calls, results


def _listed(piece: dict[str, Json]) -> Iterator[_Use]:
    for name in ("tool_calls", "toolCalls", "toolInvocations"):
        calls = piece.get(name)
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                yield _use(call, _CALL_IDS)


def _parts(data: dict[str, Json]) -> Iterator[dict[str, Json]]:
    for name in _PARTS:
        parts = data.get(name)
        for part in parts if isinstance(parts, list) else (parts,):
            if isinstance(part, dict):
                yield part


def _inside(piece: dict[str, Json], names: tuple[str, ...]) -> Iterator[dict[str, Json]]:
    for name in names:
        inner = piece.get(name)
        if isinstance(inner, dict):
            yield inner


def _kind(piece: dict[str, Json]) -> str:
    kind = piece.get("type") or piece.get("block_type") or piece.get("part_kind")
    return kind.replace("-", "_") if isinstance(kind, str) else ""


def _use(piece: dict[str, Json], ids: tuple[str, ...]) -> _Use:
    function = piece.get("function")
    named = (piece, function) if isinstance(function, dict) else (piece,)
    return _Use(_text(piece, ids), next((name for one in named if (name := _text(one, _NAMES))), None))


def _text(piece: dict[str, Json], names: tuple[str, ...]) -> str | None:
    return next((text for name in names if isinstance(text := piece.get(name), str) and text), None)
