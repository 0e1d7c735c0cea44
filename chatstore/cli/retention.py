"""``chatstore sweep`` and ``chatstore erase``."""

from __future__ import annotations

import argparse
import sys
import time

from chatstore import api_keys as keys
from chatstore.blocking import run
from chatstore.cli.output import (
    Commands,
    add_json,
    add_source,
    audited,
    positive,
    readable,
    write_aside,
    write_json,
    write_line,
)
from chatstore.errors import InvalidArgument
from chatstore.models import Erased, Swept
from chatstore.opening import connect, is_service
from chatstore.store import AsyncChatStore
from chatstore.sweeping import sweep_steps

__all__ = ["add_erase", "add_sweep"]

_SWEEP = """\
Removes what has expired, of every tenant, until nothing is left, the time is over, or Ctrl-C. Each step is
complete by itself, so after a kill, run it again."""
_ERASE = """\
Removes every thread of an owner with its messages, the remembered results of requests about them, and the
owner's API keys. It reports how many of each it removed. With --all-owners, it erases a whole tenant. Only
a backup can bring the data back."""


def add_sweep(commands: Commands) -> None:
    """Add the command ``sweep``."""
    parser = commands.add_parser("sweep", description=_SWEEP, help="remove what has expired")
    parser.add_argument("--from", dest="store", metavar="URL", help="a store (default: CHATSTORE_URL)")
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="rows in a step (default: as many as take 0.25 s)"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="stop after so many seconds")
    add_json(parser)
    parser.set_defaults(run=_sweep)


def add_erase(commands: Commands) -> None:
    """Add the command ``erase``."""
    parser = commands.add_parser("erase", description=_ERASE, help="remove every trace of an owner")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--owner", help="whose threads")
    whose.add_argument("--all-owners", action="store_true", help="everything of the tenant that is named")
    add_source(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_json(parser)
    parser.set_defaults(run=_erase)


def _sweep(arguments: argparse.Namespace) -> int:
    total = Swept(0, 0, 0, more=True)
    done = False
    try:
        with connect(arguments.store) as store:
            store.must_exist()
            for total in sweep_steps(store, limit=arguments.limit, seconds=arguments.seconds):
                done = True
                if arguments.json:
                    write_json(_counts(total.threads, total.messages, total.requests) | {"more": total.more})
        done = True
    finally:
        # What was removed before a failure or Ctrl-C is said; where nothing could begin, nothing is.
        if done and not arguments.json:
            left = "; there is more" if total.more else ""
            write_line(f"removed {_text(total.threads, total.messages, total.requests)}{left}")
    return 0


def _erase(arguments: argparse.Namespace) -> int:
    if arguments.all_owners and arguments.tenant is None:
        raise InvalidArgument("--all-owners erases a tenant: name it with --tenant")
    with audited() as operator, connect(arguments.store, tenant=arguments.tenant) as store:
        store.must_exist()
        if not arguments.yes and not _confirmed(arguments.owner, store.tenant):
            write_line("nothing was removed")
            return 1
        whole = AsyncChatStore(store.backend, tenant=store.tenant, owns_backend=False)
        if is_service(arguments.store):  # which revokes the keys itself, and knows them no more
            erased = store.erase_tenant() if arguments.all_owners else store.erase(arguments.owner)
        else:
            erased = _erased(whole, arguments.owner, operator)
            if erased.keys:
                write_aside(
                    f"a running service may know a revoked key for {keys.KNOWN_SECONDS} s: what is written "
                    "until then is erased, too"
                )
                time.sleep(keys.KNOWN_SECONDS)
                erased += _erased(whole, arguments.owner, operator)
    if arguments.json:
        counts = _counts(erased.threads, erased.messages, erased.requests)
        write_json(counts | {"keys": erased.keys})
    else:
        text = _text(erased.threads, erased.messages, erased.requests)
        write_line(f"removed {text}, {erased.keys:,} API keys")
    return 0


def _erased(store: AsyncChatStore, owner: str | None, operator: str) -> Erased:
    if owner is None:
        return run(keys.erase_tenant(store, by=operator))
    return run(keys.erase(store, owner, by=operator))


def _confirmed(owner: str | None, tenant: str) -> bool:
    if not sys.stdin.isatty():
        raise InvalidArgument("there is no terminal to ask on whether to erase: pass --yes")
    whose = "" if owner is None else f" of the owner {owner!r}"
    named = f"every thread{whose} in the tenant {tenant!r}"
    sys.stderr.write(readable(f"Remove {named}, for ever? Type yes: ", lines=False) + " ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _counts(threads: int, messages: int, requests: int) -> dict[str, int | bool]:
    return {"threads": threads, "messages": messages, "requests": requests}


def _text(threads: int, messages: int, requests: int) -> str:
    return f"{threads:,} threads, {messages:,} messages, {requests:,} results of requests"
