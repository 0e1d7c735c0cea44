"""``chatstore truncate`` and ``chatstore delete``."""

from __future__ import annotations

import argparse
import sys

from chatstore.cli.output import Commands, add_json, add_source, readable, write_json, write_line
from chatstore.errors import InvalidArgument, ThreadNotFound
from chatstore.opening import connect

__all__ = ["add_delete", "add_truncate"]


def add_truncate(commands: Commands) -> None:
    """Add the command ``truncate``."""
    text = "Takes away the end of a thread: all that follows a message, or that message too."
    parser = commands.add_parser("truncate", description=text, help="take away the end of a thread")
    parser.add_argument("thread", metavar="THREAD")
    place = parser.add_mutually_exclusive_group(required=True)
    named = "its id, or key: and its key"
    place.add_argument("--after", metavar="MESSAGE", help=f"the last message that stays: {named}")
    place.add_argument("--from-message", metavar="MESSAGE", help=f"the first message that goes: {named}")
    _add_rest(parser)
    parser.set_defaults(run=_truncate)


def add_delete(commands: Commands) -> None:
    """Add the command ``delete``."""
    text = "Removes a thread with all its messages, or one message of it."
    parser = commands.add_parser("delete", description=text, help="remove a thread or a message")
    parser.add_argument("thread", metavar="THREAD")
    parser.add_argument("--message", metavar="MESSAGE", help="only this message: its id, or key: and its key")
    _add_rest(parser)
    parser.set_defaults(run=_delete)


def _add_rest(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_json(parser)


def _truncate(arguments: argparse.Namespace) -> int:
    with connect(arguments.store, tenant=arguments.tenant) as store:
        store.must_exist()
        kept = arguments.after is not None
        place = arguments.after if kept else arguments.from_message
        what = f"all messages {'after' if kept else 'from'} {place!r} of the thread {arguments.thread!r}"
        store.get_message(arguments.thread, place)
        if not _agreed(arguments, what):
            return 1
        cut = store.truncate(arguments.thread, after=arguments.after, from_=arguments.from_message)
    if arguments.json:
        write_json({"thread_id": arguments.thread, "etag": cut.etag})
    else:
        write_line(f"removed {what}")
    return 0


def _delete(arguments: argparse.Namespace) -> int:
    thread, message = arguments.thread, arguments.message
    with connect(arguments.store, tenant=arguments.tenant) as store:
        store.must_exist()
        if message is None:
            store.get_thread(thread)
            what = f"the thread {thread!r} with all its messages"
        else:
            store.get_message(thread, message)
            what = f"the message {message!r} of the thread {thread!r}"
        if not _agreed(arguments, what):
            return 1
        if message is not None:
            store.delete_message(thread, message)
        elif not store.delete_thread(thread):
            raise ThreadNotFound(thread)
    if arguments.json:
        write_json({"thread_id": thread, "message": message})
    else:
        write_line(f"removed {what}")
    return 0


def _agreed(arguments: argparse.Namespace, what: str) -> bool:
    if arguments.yes:
        return True
    if not sys.stdin.isatty():
        raise InvalidArgument("there is no terminal to ask on whether to remove it: pass --yes")
    sys.stderr.write(readable(f"Remove {what}, for ever? Type yes: ", lines=False) + " ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in {"y", "yes"}:
        return True
    write_line("nothing was removed")
    return False
