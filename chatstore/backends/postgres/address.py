"""From a URL to what libpq connects with."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from chatstore.errors import ConfigurationError
from chatstore.urls import Url, shown

__all__ = ["OWN", "Address", "address_of"]

OWN = ("schema", "pool", "timeout", "reads", "prepared", "vacuum")
"""Options of ours; all others are libpq's."""

_CONNECT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect, as libpq reads it, and how it is named in errors."""

    conninfo: str
    place: str


def address_of(url: Url) -> Address:
    """Raises ConfigurationError for a parameter that libpq does not know."""
    parameters = {name: value for name, value in url.options.items() if name not in OWN}
    parameters.setdefault("connect_timeout", str(_CONNECT_SECONDS))
    parameters.setdefault("application_name", "chatstore")
    _, _, rest = url.text.partition("?")[0].partition("://")
    conninfo = f"postgresql://{rest}?{urlencode(parameters)}"
    try:
        conninfo_to_dict(conninfo)
    except psycopg.Error as error:
        raise ConfigurationError(
            f"{shown(url.text)!r} is not a URL that libpq reads; beside its parameters there are: "
            f"{', '.join(OWN)}"
        ) from error
    return Address(conninfo, shown(url.text))
