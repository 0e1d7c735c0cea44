"""``chatstore import`` and ``chatstore export``."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

from chatstore.api_keys import TENANT as KEYS
from chatstore.backup import has_all_tenants
from chatstore.cli.files import refuse_empty, replacing
from chatstore.cli.output import Commands, add_json, add_source, for_json, readable, write_json, write_line
from chatstore.exporting import export_threads
from chatstore.importing import (
    BadThread,
    Conversation,
    Outcome,
    Status,
    import_conversations,
    read_threads,
)
from chatstore.opening import connect
from chatstore.settings import Settings
from chatstore.sources.opening import is_source, open_source
from chatstore.store import ChatStore
from chatstore.urls import shown

__all__ = ["add_export", "add_import"]

_IMPORT = """\
Adds the conversations of a file, or of one of LlamaIndex's stores, to a store or a running service. SOURCE
is a file, plain or gzip, or - for standard input. It holds JSON Lines of threads, an export, a
SimpleChatStore file of LlamaIndex, OpenAI-style messages, an export of ChatGPT or Claude, ShareGPT, or a
dump of LangChain's, Pydantic AI's or the Assistants API's messages. These are read in place and never
changed: llama-index+sqlite:///old.db, llama-index+postgresql://…, llama-index+dynamodb://TABLE,
llama-index+redis://… and llama-index+azure-tables://. A second run adds nothing, and a run after a kill
continues. A thread with other messages than its source's, or with more, is reported and left alone. Of a
damaged thread, everything that can be read is added, and the rest is reported."""
_EXPORT = """\
Writes every thread of a tenant with its messages as JSON Lines, for other systems and for import. It is not
a backup: import gives messages new ids and times, and API keys are not in it. Use backup for that."""
_NAMED = 10


def add_import(commands: Commands) -> None:
    """Add the command ``import``."""
    parser = commands.add_parser("import", description=_IMPORT, help="add conversations from a file")
    parser.add_argument("source", metavar="SOURCE")
    add_source(parser, "--to")
    parser.add_argument(
        "--on-error",
        choices=("skip", "stop"),
        default="skip",
        help="whether a bad thread is skipped or ends the import (default: skip)",
    )
    add_json(parser)
    parser.set_defaults(run=_import)


def add_export(commands: Commands) -> None:
    """Add the command ``export``."""
    parser = commands.add_parser("export", description=_EXPORT, help="write all threads to a file")
    add_source(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="written whole or not at all (default: stdout)"
    )
    parser.add_argument("--allow-empty", action="store_true", help="replace FILE even without any threads")
    parser.set_defaults(run=_export)


def _import(arguments: argparse.Namespace) -> int:
    threads: Counter[Status] = Counter()
    messages = damaged = digest = 0
    with (
        connect(arguments.store, tenant=arguments.tenant) as store,
        _opened(arguments.source) as (conversations, advance),
    ):
        for outcome in import_conversations(store, conversations):
            threads[outcome.status] += 1
            messages += outcome.messages
            damaged += bool(outcome.damage)
            digest += outcome.digest or 0
            _report(outcome, arguments)
            advance()
            if outcome.status is Status.BAD and arguments.on_error == "stop":
                break
    checksum = f"{digest % 2**256:064x}"
    if arguments.json:
        counts: dict[str, object] = {status.value: threads[status] for status in Status}
        write_json(counts | {"damaged": damaged, "messages": messages, "checksum": checksum})
    else:
        shown_counts = ", ".join(f"{threads[status]:,} {status.value}" for status in Status)
        write_line(f"threads: {shown_counts}, {damaged:,} damaged; messages added: {messages:,}")
        write_line(f"sha256 of the threads that source and store agree on: {checksum}")
    return 1 if threads[Status.BAD] or threads[Status.CHANGED] or damaged else 0


def _report(outcome: Outcome, arguments: argparse.Namespace) -> None:
    if arguments.json:
        write_json(
            {
                "where": outcome.where,
                "status": outcome.status.value,
                "thread": outcome.thread_id,
                "messages": outcome.messages,
                "reason": outcome.reason,
                "damage": list(outcome.damage),
            }
        )
        return
    told = [outcome.status.value, *([] if outcome.reason is None else [outcome.reason])]
    named = "" if outcome.thread_id is None else f" (thread {outcome.thread_id!r})"
    for what in [*([": ".join(told)] if len(told) > 1 else []), *(f"damaged: {x}" for x in outcome.damage)]:
        text = f"{_shown(arguments.source)}, {outcome.where}: {what}{named}"
        sys.stderr.write(readable(text, lines=False) + "\n")


def _shown(source: str) -> str:
    return shown(source) if is_source(source) else source


@contextmanager
def _opened(source: str) -> Iterator[tuple[Iterable[Conversation | BadThread], Callable[[], None]]]:
    """The conversations of a source, and a function to call after each, which shows how far it is."""
    if is_source(source):
        with open_source(source) as found, _counting(found.total) as advance:
            yield found.conversations, advance
    else:
        with _reading(source) as file, _progress(file) as advance:
            yield read_threads(file), advance


def _reading(file: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb")


@contextmanager
def _progress(source: BinaryIO) -> Iterator[Callable[[], None]]:
    """A function to call as `source` is read, which shows how far; on a terminal only."""
    if not sys.stderr.isatty() or not source.seekable():
        yield lambda: None
        return
    from chatstore.cli.terminal import progress

    with progress("importing", os.fstat(source.fileno()).st_size) as show:
        yield lambda: show(source.tell())


@contextmanager
def _counting(total: int | None) -> Iterator[Callable[[], None]]:
    """Show the progress of an import by threads, of `total`, on a terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from chatstore.cli.terminal import progress

    numbers = itertools.count(1)
    with progress("importing", total, bytes_=False) as show:
        yield lambda: show(next(numbers))


def _export(arguments: argparse.Namespace) -> int:
    threads = messages = 0
    with connect(arguments.store, tenant=arguments.tenant) as store:
        store.must_exist()
        to_stdout = nullcontext(for_json(sys.stdout.buffer))
        with to_stdout if arguments.out is None else replacing(arguments.out) as out:
            for exported in export_threads(store, out):
                threads += 1
                messages += exported.messages
            out.flush()
            if arguments.out is not None and not threads:
                refuse_empty(arguments.out, allowed=arguments.allow_empty)
        others = [] if _is_named(arguments.tenant) else _other_tenants(store)
    if arguments.out is not None:
        write_line(f"{threads:,} threads with {messages:,} messages are in {arguments.out}")
    if others:
        named = ", ".join(map(repr, others[:_NAMED])) + (" and others" if len(others) > _NAMED else "")
        text = f"only the tenant {store.tenant!r} was exported. Left out: {named}."
        advice = "Export each with --tenant, or write all of them with chatstore backup"
        sys.stderr.write(readable(f"{text} {advice}", lines=False) + "\n")
    return 1 if others else 0


def _is_named(tenant: str | None) -> bool:
    """Whether it was said which tenant is meant, here or in the settings."""
    return tenant is not None or Settings.from_environment().tenant != "default"


def _other_tenants(store: ChatStore) -> list[str]:
    """Tenants beside the store's own, as far as they can be known; some of many."""
    if not has_all_tenants(store):
        return []
    others = (one for one in store.iter_tenants() if one not in (store.tenant, KEYS))
    return list(itertools.islice((one for one in others if list(_first(store, one))), _NAMED + 1))


def _first(store: ChatStore, tenant: str) -> Iterator[object]:
    """A thread of a tenant, if it has one."""
    return itertools.islice(store.for_tenant(tenant).iter_threads(kind=None), 1)
