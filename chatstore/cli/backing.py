"""``chatstore backup``, ``chatstore restore`` and ``chatstore copy``."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

from chatstore.backup import (
    Backup,
    Chosen,
    Kept,
    Outcome,
    Status,
    compare,
    has_all_tenants,
    kept_threads,
    remove_others,
    restore_threads,
    write_backup,
)
from chatstore.backup.estimating import estimate
from chatstore.backup.restoring import Pace
from chatstore.cli.files import refuse_empty, replacing
from chatstore.cli.output import Commands, add_json, positive, readable, write_json, write_line
from chatstore.contract import Capability
from chatstore.errors import ConfigurationError
from chatstore.opening import connect
from chatstore.store import ChatStore

__all__ = ["add_backup", "add_copy", "add_restore"]

_BACKUP = """\
Writes everything in a store to a file: every tenant, and the digests of API keys. From a service, it gets
only the caller's tenant, without keys. The file replaces an older one only when it is complete. With
--owner, it holds that owner's threads only, for a person who asks for their data."""
_RESTORE = """\
Restores a backup into any store: threads as they were, with ids, times and expiries. A second run adds
nothing, and a run after a kill continues. A thread that differs from the one in the store is reported and
left alone. At the end both sides are read and compared."""
_COPY = """\
Copies everything in a store directly into another one, as backup and restore would. A second run adds what
is missing. With --mirror, threads that differ are replaced by those of SOURCE, and threads that SOURCE does
not have are removed. Use --mirror to catch up with a store in use, and once more after it was stopped."""
_NO_KEYS = "a service does not back up or restore API keys: name the store behind it, or say --without-keys"


def add_backup(commands: Commands) -> None:
    """Add the command ``backup``."""
    parser = commands.add_parser("backup", description=_BACKUP, help="write everything in a store to a file")
    _add_url(parser, "--from")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="written whole or not at all")
    _add_chosen(parser)
    parser.add_argument("--owner", help="only the threads of this owner, and no API keys")
    parser.add_argument("--allow-empty", action="store_true", help="replace FILE even without any threads")
    add_json(parser)
    parser.set_defaults(run=_backup)


def add_restore(commands: Commands) -> None:
    """Add the command ``restore``."""
    parser = commands.add_parser("restore", description=_RESTORE, help="restore a backup into a store")
    parser.add_argument("file", type=Path, metavar="FILE")
    _add_url(parser, "--to")
    _add_chosen(parser)
    _add_rate(parser)
    parser.add_argument("--no-verify", action="store_true", help="do not compare both sides at the end")
    add_json(parser)
    parser.set_defaults(run=_restore)


def add_copy(commands: Commands) -> None:
    """Add the command ``copy``."""
    parser = commands.add_parser("copy", description=_COPY, help="copy everything in a store into another")
    parser.add_argument("source", metavar="SOURCE", help="a store or a service")
    parser.add_argument("target", metavar="TARGET", help="a store or a service")
    _add_chosen(parser)
    _add_rate(parser)
    parser.add_argument("--mirror", action="store_true", help="make TARGET equal to SOURCE")
    parser.add_argument("--verify", action="store_true", help="read both again at the end and compare them")
    parser.add_argument("--estimate", action="store_true", help="only estimate the cost, copy nothing")
    add_json(parser)
    parser.set_defaults(run=_copy)


def _add_url(parser: argparse.ArgumentParser, flag: str) -> None:
    parser.add_argument(
        flag, dest="store", metavar="URL", help="a store or a service (default: CHATSTORE_URL)"
    )


def _add_chosen(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tenant", help="only this tenant, and its API keys (default: every tenant)")
    parser.add_argument("--without-keys", action="store_true", help="leave API keys out")


def _add_rate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rate", type=positive, metavar="N", help="at most so many messages in a second")


def _chosen(arguments: argparse.Namespace) -> Chosen:
    return Chosen(arguments.tenant, getattr(arguments, "owner", None), not arguments.without_keys)


def _backup(arguments: argparse.Namespace) -> int:
    chosen = _chosen(arguments)
    with connect(arguments.store) as store:
        store.must_exist()
        with replacing(arguments.out) as out:
            done = write_backup(store, chosen, out)
            if not done.threads:
                refuse_empty(arguments.out, allowed=arguments.allow_empty)
        whole = has_all_tenants(store)
    if arguments.json:
        write_json({**done._asdict(), "all_tenants": whole and chosen.tenant is None})
    else:
        write_line(f"{done.threads:,} threads with {done.messages:,} messages are in {arguments.out}")
    if not whole and chosen.tenant is None:
        _tell("a service gives out its caller's tenant alone, and no API keys: for all, name its store")
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    backup, chosen = Backup(arguments.file), _chosen(arguments)
    written = backup.check()
    with connect(arguments.store) as store:
        _require(store)
        if chosen.keys and not has_all_tenants(store) and any(_keys(backup, chosen)):
            raise ConfigurationError(_NO_KEYS)
        outcomes = restore_threads(store, backup.threads(chosen), pace=_pace(arguments.rate))
        code = _report(outcomes, arguments)
        if not written.threads:
            _tell(f"{arguments.file} holds no threads")
        if arguments.no_verify:
            return code
        return max(code, _verify(store, backup.threads(chosen), arguments))


def _copy(arguments: argparse.Namespace) -> int:
    chosen = _chosen(arguments)
    with ExitStack() as stack:
        source, target = (stack.enter_context(connect(url)) for url in (arguments.source, arguments.target))
        source.must_exist()
        _require(target)
        if chosen.keys and has_all_tenants(source) and not has_all_tenants(target):
            raise ConfigurationError(_NO_KEYS)
        cost = estimate(source, target, chosen)
        if arguments.json:
            write_json({"estimate": cost.form()})
        else:
            write_line(cost.text())
        if arguments.estimate:
            return 0
        outcomes = restore_threads(
            target, kept_threads(source, chosen), mirror=arguments.mirror, pace=_pace(arguments.rate)
        )
        if arguments.mirror:
            outcomes = chain(outcomes, remove_others(target, source, chosen))
        code = _report(outcomes, arguments)
        if not arguments.verify:
            return code
        return max(code, _verify(target, kept_threads(source, chosen), arguments))


def _require(store: ChatStore) -> None:
    if Capability.RESTORE not in store.backend.capabilities:
        raise ConfigurationError(f"the {store.backend.name} backend cannot restore a backup")


def _keys(backup: Backup, chosen: Chosen) -> Iterator[Kept]:
    named = Chosen(chosen.tenant, chosen.owner, keys=False)
    return (kept for kept in backup.threads(chosen) if not named.takes(kept))


def _report(outcomes: Iterable[Outcome], arguments: argparse.Namespace) -> int:
    counts: Counter[Status] = Counter()
    messages = 0
    for outcome in outcomes:
        counts[outcome.status] += 1
        messages += outcome.messages
        if outcome.status is Status.CHANGED:
            named = f"thread {outcome.thread_id!r} of the tenant {outcome.tenant!r}"
            _tell(f"{named} was left alone: {outcome.reason}")
    if arguments.json:
        write_json({**{status.value: counts[status] for status in Status}, "messages": messages})
    else:
        told = [f"{counts[one]:,} {one.value}" for one in Status if counts[one]] or ["none"]
        write_line(f"threads: {', '.join(told)}; messages added: {messages:,}")
    return 1 if counts[Status.CHANGED] else 0


def _verify(store: ChatStore, kept: Iterable[Kept], arguments: argparse.Namespace) -> int:
    last = compare(store, kept)
    for tenant, thread in last.differing:
        _tell(f"thread {thread!r} of the tenant {tenant!r} is not the same on both sides")
    for tenant, thread in last.unlisted:
        _tell(f"thread {thread!r} of the tenant {tenant!r} is there, but no list has it: run this again")
    source, target = last.digests
    if arguments.json:
        write_json(
            {"equal": last.equal, "threads": last.threads, "messages": last.messages,
             "source_sha256": source, "target_sha256": target}
        )  # fmt: skip
    elif last.equal:
        write_line(f"both sides are the same: {last.threads:,} threads, {last.messages:,} messages, "
                   f"sha256 {source}")  # fmt: skip
    else:
        differing = len(last.differing) + len(last.unlisted)
        write_line(f"the two sides differ in {differing:,} threads: sha256 {source} and {target}")
    return 0 if last.equal else 1


def _pace(rate: int | None) -> Pace:
    """Waits so that no more than `rate` messages are written in a second, on the whole."""
    began, written = time.monotonic(), 0

    def pace(count: int) -> None:
        nonlocal written
        if rate is not None:
            time.sleep(max(0.0, began + written / rate - time.monotonic()))
            written += count

    return pace


def _tell(text: str) -> None:
    sys.stderr.write(readable(text, lines=False) + "\n")
