"""``chatstore keys``: who may use a service over this store."""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from chatstore.api_keys import Key, Keys
from chatstore.cli.output import Commands, add_json, audited, write_json, write_line
from chatstore.codec import Json
from chatstore.errors import ConfigurationError, InvalidArgument
from chatstore.models import rfc3339
from chatstore.opening import aconnect, is_service
from chatstore.settings import Settings

__all__ = ["add_keys", "duration"]

_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhdw])")
_UNITS = {
    "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1),
}  # fmt: skip
_ONCE = "This key is shown once, and kept nowhere: store it where secrets are kept."

Run = Callable[[argparse.Namespace, Keys], Awaitable[int]]


def add_keys(commands: Commands) -> None:
    """Add the command ``keys`` with its own three."""
    text = "API keys of a service over a store; the service needs CHATSTORE_AUTH=api-key."
    parser = commands.add_parser("keys", description=text, help="create, list and revoke API keys")
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    create = actions.add_parser("create", description="Makes a key and shows it once.", help="make a key")
    create.add_argument("--tenant", help="the tenant that it opens (default: CHATSTORE_TENANT, or default)")
    create.add_argument("--owner", help="confine it to the threads of one owner")
    create.add_argument(
        "--scopes", default="read,write", metavar="LIST", help="of read,write,admin (default: read,write)"
    )
    create.add_argument(
        "--expires-in", type=duration, metavar="TIME", help="such as 12h, 90d or 52w (default: never)"
    )
    create.add_argument("--note", help="what the key is for, at most 4,096 bytes")
    _finish(create, _create)
    _finish(actions.add_parser("list", description="Lists the keys, no secrets.", help="list keys"), _list)
    text = "Makes a key worthless, at running services within ten seconds."
    revoke = actions.add_parser("revoke", description=text, help="revoke a key")
    revoke.add_argument("id", metavar="ID")
    _finish(revoke, _revoke)


def _finish(parser: argparse.ArgumentParser, run: Run) -> None:
    parser.add_argument("--from", dest="store", metavar="URL", help="a store (default: CHATSTORE_URL)")
    add_json(parser)
    parser.set_defaults(run=lambda arguments: asyncio.run(_with_keys(arguments, run)))


async def _with_keys(arguments: argparse.Namespace, run: Run) -> int:
    with audited() as operator:
        async with _opened(arguments.store, operator) as keys:
            return await run(arguments, keys)


@asynccontextmanager
async def _opened(url: str | None, operator: str) -> AsyncIterator[Keys]:
    if is_service(url):
        raise ConfigurationError("keys are kept in a store: name the one behind the service, not the service")
    async with aconnect(url) as store:
        yield Keys(store, by=operator)


async def _create(arguments: argparse.Namespace, keys: Keys) -> int:
    tenant = Settings.from_environment().tenant if arguments.tenant is None else arguments.tenant
    scopes = [name.strip() for name in arguments.scopes.split(",")]
    key, text = await keys.create(
        tenant, scopes, owner=arguments.owner, ttl=arguments.expires_in, note=arguments.note
    )
    if arguments.json:
        write_json({"key": text, "sha256": key.sha256, **_form(key)})
    else:
        write_line(f"{text}\n\n{_ONCE}")
    return 0


async def _list(arguments: argparse.Namespace, keys: Keys) -> int:
    await keys.store.must_exist()
    found = [key async for key in keys.list()]
    if arguments.json:
        for key in found:
            write_json(_form(key))
        return 0
    from chatstore.cli.terminal import write_table

    write_table(("id", "tenant", "owner", "scopes", "created", "expires", "note"), map(_row, found))
    return 0


async def _revoke(arguments: argparse.Namespace, keys: Keys) -> int:
    await keys.store.must_exist()
    existed = await keys.revoke(arguments.id)
    if arguments.json:
        write_json({"id": arguments.id, "existed": existed})
    elif existed:
        write_line(f"key {arguments.id} is revoked")
    if not existed:
        raise InvalidArgument(f"there is no key {arguments.id!r}: `chatstore keys list` shows them")
    return 0


def _form(key: Key) -> dict[str, Json]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "owner": key.owner,
        "scopes": sorted(key.scopes),
        "created_at": None if key.created_at is None else rfc3339(key.created_at),
        "expires_at": None if key.expires_at is None else rfc3339(key.expires_at),
        "note": key.note,
    }


def _row(key: Key) -> tuple[str, ...]:
    form = _form(key)
    texts = (form["created_at"] or "", form["expires_at"] or "never", key.note or "")
    return key.id, key.tenant, key.owner or "everybody", ", ".join(sorted(key.scopes)), *texts


def duration(text: str) -> timedelta:
    """A time such as 12h, 90d or 52w on the command line."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is not a time such as 12h, 90d or 52w")
    return int(found[1]) * _UNITS[found[2]]
