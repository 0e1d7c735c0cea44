"""What listings are told of a thread, before its header names them."""

from __future__ import annotations

from typing import Final

from chatstore.engines.fenced import layout
from chatstore.engines.fenced.changing import View
from chatstore.engines.fenced.header import State
from chatstore.engines.fenced.port import Op

__all__ = ["FORK", "is_mark", "listed", "records_listing", "untold"]


def is_mark(state: State, listing: str) -> bool:
    """Whether a listing's row only says that something may be left: it is not shown to who lists."""
    return state.deleted is not None or listing != state.listings[0]


FORK: Final = "o"
"""The property of a listing's row whose thread is a fork, or was to be one."""


def listed(state: State, partition: str, thread: str, listing: str, *, fork: bool = False) -> Op:
    """The row by which a listing finds a thread."""
    if is_mark(state, listing):
        return Op("touch", partition, {})
    told = {"a": f"{state.active:017d}", "i": thread}
    return Op("touch", partition, {**told, FORK: "fork"} if fork else told)


def untold(before: State | None, state: State) -> list[str]:
    """The listings that do not know of the thread, or not how active it is.

    Rows of a deleted thread may be about to be removed with its header: so all of them are told.
    """
    known = () if before is None or before.deleted is not None else before.listings
    told = [listing for listing in state.listings if listing not in known]
    moved = before is None or (before.active, before.listings[:1]) != (state.active, state.listings[:1])
    if state.deleted is None and moved and state.listings[0] not in told:
        told.append(state.listings[0])
    return told


def records_listing(view: View, state: State) -> str:
    """Whose a request's record is: the owner's of the thread, before or after, else the caller's."""
    for one in (view.state, state):
        if one is not None and one.owner is not None:
            return one.listings[0]
    return layout.listing(view.key.tenant, view.key.owner)
