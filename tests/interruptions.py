"""Exceptions as a signal's handler raises them, at one point of a call after another."""

from __future__ import annotations

import contextlib
import dis
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import chatstore
from tests.conftest import SOAK

__all__ = ["Interrupted", "interrupted"]

_OURS = (str(Path(chatstore.__file__).parent), contextlib.__file__)
_LOOKING = ("CALL", "CALL_FUNCTION_EX", "CALL_KW", "RESUME")


class Interrupted(BaseException):
    """What the handler raises; nobody expects it."""


class _Points:
    """Counts where the interpreter looks for signals in frames of the project, and raises at one of them.

    It looks behind a call that succeeded, at a function's beginning and where a loop turns back, and nowhere
    else: there is none between what a block of `with` does last and its leaving.
    """

    def __init__(self, wanted: int, within: tuple[str, ...]) -> None:
        self.count = 0
        self._wanted = wanted
        self._within = _OURS + within
        self._last: dict[FrameType, tuple[str, int]] = {}

    def trace(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        # What is raised in a __del__ goes nowhere, and is only reported.
        if not frame.f_code.co_filename.startswith(self._within) or frame.f_code.co_name == "__del__":
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "exception" or event == "return":
            self._last.pop(frame, None)
        elif event == "opcode":
            name, offset = self._last.get(frame, ("", 0))
            self._last[frame] = _names(frame.f_code)[frame.f_lasti], frame.f_lasti
            if name in _LOOKING or ("JUMP_BACKWARD" in name and frame.f_lasti < offset):
                self.count += 1
                if self.count - 1 == self._wanted:
                    raise Interrupted
        return self.trace


@functools.cache
def _names(code: CodeType) -> dict[int, str]:
    return {one.offset: one.opname for one in dis.get_instructions(code)}


def interrupted(
    call: Callable[[], object], sample: int = 40, within: tuple[str, ...] = ()
) -> Iterator[BaseException | None]:
    """Raise in `call` at one point after another, and yield what came out, so that the caller can look.

    Points are some `sample` ones, spread over the call, all of them in a soak. Those in files `within` other
    folders count too. The last that is yielded is None, of a call that came to its end.
    """
    total = _run(call, -1, within)[1]
    step = 1 if SOAK else max(1, total // sample)
    for wanted in range(0, total, step):
        raised, _ = _run(call, wanted, within)
        yield raised
    yield _run(call, -1, within)[0]


def _run(
    call: Callable[[], object], wanted: int, within: tuple[str, ...]
) -> tuple[BaseException | None, int]:
    points, before, raised = _Points(wanted, within), sys.gettrace(), None
    sys.settrace(points.trace)
    try:
        call()
    except Interrupted as error:
        # With its traceback, and so with every frame, as a notebook keeps it.
        raised = error
    finally:
        sys.settrace(before)
    return raised, points.count
