"""From a URL to what connects: libpq's parameters, and who makes the connection where libpq does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from chatstore.errors import ConfigurationError
from chatstore.urls import Url, shown

__all__ = ["ENCODING", "OWN", "Address", "Dial", "address_of"]

OWN = (
    "schema",
    "pool",
    "timeout",
    "reads",
    "prepared",
    "vacuum",
    "login",
    "ip",
    "load_balance",
    "topology_keys",
)
"""Options of ours; all others are libpq's."""

ENCODING = "UTF8"
"""Of what goes and comes, whatever the database, the environment or a URL says."""

_CONNECT_SECONDS = 10

Dial: TypeAlias = Callable[[psycopg.abc.AdaptContext | None], "psycopg.Connection[Any]"]
"""Makes a connection in autocommit mode, with the adapters of what it is given. Blocks."""


@dataclass(frozen=True, slots=True, eq=False)
class Address:
    """Where to connect, as libpq reads it, and how it is named in errors; `dial` is who else connects.

    It is equal to itself alone.
    """

    conninfo: str
    place: str
    dial: Dial | None = None


def address_of(url: Url) -> Address:
    """Raises ConfigurationError for a parameter that libpq does not know."""
    parameters = {name: value for name, value in url.options.items() if name not in OWN}
    parameters.setdefault("connect_timeout", str(_CONNECT_SECONDS))
    parameters.setdefault("application_name", "chatstore")
    parameters["client_encoding"] = ENCODING
    _, _, rest = url.text.partition("?")[0].partition("://")
    # For libpq a plus is a plus, and no space.
    conninfo = f"postgresql://{rest}?{urlencode(parameters, quote_via=quote)}"
    try:
        conninfo_to_dict(conninfo)
    except psycopg.Error as error:
        raise ConfigurationError(
            f"{shown(url.text)!r} is not a URL that libpq reads; beside libpq's parameters there are the "
            f"options {', '.join(OWN)}"
        ) from error
    return Address(conninfo, shown(url.text))
