"""``chatstore search``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice

from chatstore.cli.output import Commands, add_json, add_source, positive, write_aside, write_json
from chatstore.codec import Json
from chatstore.models import Found, rfc3339
from chatstore.opening import connect
from chatstore.store import ChatStore

__all__ = ["add_search"]

_PAGE = 100


def add_search(commands: Commands) -> None:
    """Add the command ``search``."""
    text = "Finds messages that have every word, the newest first. Searches threads of the kind chat alone."
    parser = commands.add_parser("search", description=text, help="find messages")
    parser.add_argument("text", metavar="WORDS", nargs="+")
    add_source(parser)
    parser.add_argument("--owner", help="only in the threads of this owner")
    parser.add_argument("--best-first", action="store_true", help="those that fit best first")
    parser.add_argument("--limit", type=positive, default=20, metavar="N", help="how many (default: 20)")
    add_json(parser)
    parser.set_defaults(run=_search)


def _search(arguments: argparse.Namespace) -> int:
    with connect(arguments.store, tenant=arguments.tenant) as store:
        store.must_exist()
        found = _found(store, arguments)
        shown = list(islice(found, arguments.limit))
        if arguments.json:
            for one in shown:
                write_json(_form(one))
        else:
            from chatstore.cli.terminal import write_table

            write_table(("thread", "message", "written", "role", "text"), map(_row, shown))
        if next(found, None) is not None:
            write_aside(f"these are the first {arguments.limit:,}, and there are more: --limit N shows N")
    return 0


def _found(store: ChatStore, arguments: argparse.Namespace) -> Iterator[Found]:
    cursor: str | None = None
    while True:
        page = store.search(
            " ".join(arguments.text),
            owner=arguments.owner,
            newest_first=not arguments.best_first,
            limit=min(_PAGE, arguments.limit + 1),
            cursor=cursor,
        )
        yield from page
        cursor = page.next
        if cursor is None:
            return


def _form(found: Found) -> dict[str, Json]:
    return {"thread_id": found.thread_id, "snippet": found.snippet, **found.message.to_entry()}


def _row(found: Found) -> tuple[str, ...]:
    message = found.message
    written = "" if message.created_at is None else rfc3339(message.created_at)
    return found.thread_id, message.id or "", written, message.role, found.snippet
