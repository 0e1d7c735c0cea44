"""``chatstore threads``, ``chatstore show`` and ``chatstore tail``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice

from chatstore.cli.output import (
    Commands,
    add_json,
    add_source,
    positive,
    write_aside,
    write_entry,
    write_json,
)
from chatstore.codec import Json, encode
from chatstore.errors import CursorExpired
from chatstore.models import CHAT, Message, Page, Thread
from chatstore.opening import connect
from chatstore.store import MAX_LIMIT, ChatStore
from chatstore.thread_form import thread_form

__all__ = ["add_show", "add_tail", "add_threads"]

_STYLES = {"user": "bold cyan", "assistant": "bold green", "tool": "bold magenta"}
_STYLE_OF_OTHERS = "bold yellow"


def add_threads(commands: Commands) -> None:
    """Add the command ``threads``."""
    text = "Lists threads, the most recently active first, or the longest idle."
    parser = commands.add_parser("threads", description=text, help="list threads")
    add_source(parser)
    parser.add_argument("--owner", help="only the threads of this owner")
    parser.add_argument("--topic", metavar="PREFIX", help="only threads whose topic begins so")
    parser.add_argument("--kind", default=CHAT, help="only threads of this kind; '*' for all (default: chat)")
    parser.add_argument("--forked-from", metavar="THREAD", help="only forks of this thread")
    parser.add_argument("--oldest-first", action="store_true", help="the longest idle first")
    parser.add_argument(
        "--preview", action="store_true", help="with how many messages each has and how the newest begins"
    )
    parser.add_argument("--limit", type=positive, default=50, metavar="N", help="how many (default: 50)")
    add_json(parser)
    parser.set_defaults(run=_threads)


def add_show(commands: Commands) -> None:
    """Add the command ``show``."""
    text = "Shows the messages of a thread, the oldest first."
    parser = commands.add_parser("show", description=text, help="show a thread")
    parser.add_argument("thread", metavar="THREAD")
    add_source(parser)
    parser.add_argument("--last", type=positive, metavar="N", help="only the newest N messages")
    add_json(parser)
    parser.set_defaults(run=_show)


def add_tail(commands: Commands) -> None:
    """Add the command ``tail``."""
    text = "Shows the newest messages of a thread, and those that follow."
    parser = commands.add_parser("tail", description=text, help="show a thread's newest messages")
    parser.add_argument("thread", metavar="THREAD")
    add_source(parser)
    parser.add_argument("-n", type=positive, default=10, metavar="N", help="how many messages (default: 10)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with new messages, until Ctrl-C")
    parser.add_argument(
        "--interval",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="how often to look when following (default: 1)",
    )
    add_json(parser)
    parser.set_defaults(run=_tail)


def _threads(arguments: argparse.Namespace) -> int:
    with connect(arguments.store, tenant=arguments.tenant) as store:
        store.must_exist()
        found = store.iter_threads(
            owner=arguments.owner,
            topic_prefix=arguments.topic,
            kind=arguments.kind,
            forked_from=arguments.forked_from,
            oldest_first=arguments.oldest_first,
            preview=arguments.preview,
        )
        threads = islice(found, arguments.limit)
        if arguments.json:
            for thread in threads:
                write_json(thread_form(thread) | _previewed(thread))
        else:
            from chatstore.cli.terminal import write_table

            more = ("messages", "newest message") if arguments.preview else ()
            write_table(("thread", "topic", "owner", "last active", *more), map(_row, threads))
        if next(found, None) is not None:
            write_aside(f"these are the first {arguments.limit:,}, and there are more: --limit N shows N")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    with connect(arguments.store, tenant=arguments.tenant) as store:
        store.must_exist()
        store.get_thread(arguments.thread)
        if arguments.last is None:
            _write(store.iter_messages(arguments.thread), arguments)
        else:
            _write(_newest(store, arguments.thread, arguments.last)[0], arguments)
    return 0


def _tail(arguments: argparse.Namespace) -> int:
    with connect(arguments.store, tenant=arguments.tenant) as store:
        store.must_exist()
        for messages in _arriving(store, arguments):
            _write(messages, arguments)
    return 0


def _arriving(store: ChatStore, arguments: argparse.Namespace) -> Iterator[Iterable[Message]]:
    """The newest messages, then those added since, again and again; from the newest again after a replace."""
    end: str | None = None
    while True:
        if end is None:
            store.get_thread(arguments.thread)
            messages, end = _newest(store, arguments.thread, arguments.n)
            yield messages
        if not arguments.follow:
            return
        time.sleep(arguments.interval)
        try:
            page: Page[Message] = store.read(arguments.thread, after=end)
        except CursorExpired:
            end = None
            continue
        yield page
        end = page.end


def _newest(store: ChatStore, thread_id: str, count: int) -> tuple[list[Message], str | None]:
    """The newest `count` messages, however many pages they take, and the cursor of their end."""
    page = store.read(thread_id, last=min(count, MAX_LIMIT))
    messages, end = list(page), page.end
    while page.next is not None and len(messages) < count:
        page = store.read(thread_id, before=page.next, limit=min(count - len(messages), MAX_LIMIT))
        messages[:0] = page
    return messages, end


def _write(messages: Iterable[Message], arguments: argparse.Namespace) -> None:
    if arguments.json:
        for message in messages:
            write_entry(message)
        return
    from chatstore.cli.terminal import write_paragraph

    for message in messages:
        data = message.to_dict()
        role = data["role"]
        time_shown = "" if message.created_at is None else _moment(message.created_at)
        write_paragraph(role, _STYLES.get(role, _STYLE_OF_OTHERS), time_shown, "\n".join(_parts(data)))


def _parts(data: dict[str, Json]) -> Iterator[str]:
    """What a message says, in the common forms; its other fields where it is of none."""
    content = data.get("content", data.get("blocks"))
    calls = data.get("tool_calls")
    if content is None and not calls:
        yield encode({name: value for name, value in data.items() if name != "role"})
    for block in content if isinstance(content, list) else [] if content is None else [content]:
        text = block.get("text") if isinstance(block, dict) else block
        yield text if isinstance(text, str) else encode(block)
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            yield f"→ {function.get('name')}({function.get('arguments')})"
        else:
            yield f"→ {encode(call)}"


def _row(thread: Thread) -> tuple[str, ...]:
    previewed = _previewed(thread)
    count = "" if thread.message_count is None else f"{thread.message_count:,}"
    more = (count, thread.preview or "") if previewed else ()
    return thread.id, thread.topic or "", thread.owner or "", _moment(thread.active_at), *more


def _previewed(thread: Thread) -> dict[str, Json]:
    if thread.message_count is None:
        return {}
    return {"message_count": thread.message_count, "preview": thread.preview}


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
