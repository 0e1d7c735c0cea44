"""Google's connectors for Cloud SQL and AlloyDB: they find the instance, encrypt, and log in by IAM.

``cloudsql-postgres://USER@PROJECT:REGION:INSTANCE/DATABASE`` and
``alloydb://USER@PROJECT/REGION/CLUSTER/INSTANCE/DATABASE``. The connector makes a connection, which blocks.
From then on it is a connection like any other.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import psycopg
from psycopg import pq

from chatstore.backends.postgres.address import ENCODING, OWN, Address, address_of
from chatstore.errors import ConfigurationError
from chatstore.extras import how_to_install
from chatstore.urls import Url, shown

__all__ = ["CONNECTORS", "Connector", "connector_of"]

_SECONDS = 10
_TRIES = 3
_REFUSED = frozenset({400, 401, 403, 404})
"""Answers of Google's that another try does not change."""


class _Kind(NamedTuple):
    module: str
    extra: str
    form: str
    parts: int
    """How many parts of the path name the instance."""
    seconds: str
    """What the connector calls the time that connecting may take."""
    ips: tuple[str, ...]


CONNECTORS: Final[Mapping[str, _Kind]] = {
    "cloudsql-postgres": _Kind(
        "google.cloud.sql.connector",
        "cloud-sql",
        "cloudsql-postgres://USER@PROJECT:REGION:INSTANCE/DATABASE",
        0,
        "timeout",
        ("PUBLIC", "PRIVATE", "PSC"),
    ),
    "alloydb": _Kind(
        "google.cloud.alloydbconnector",
        "alloydb",
        "alloydb://USER@PROJECT/REGION/CLUSTER/INSTANCE/DATABASE",
        3,
        "connect_timeout",
        ("PRIVATE", "PUBLIC", "PSC"),
    ),
}


def connector_of(url: Url) -> Connector:
    """The connector to the instance that `url` names.

    Raises ConfigurationError for what names none, or where its package is not installed.
    """
    kind = CONNECTORS[url.scheme]
    user, _, first = url.host.rpartition("@")
    *rest, database = url.path.removeprefix("/").split("/")
    named = first if not kind.parts else "projects/{}/locations/{}/clusters/{}/instances/{}"
    if len(rest) != kind.parts or not all((first, *rest, database)) or (not rest and first.count(":") < 2):
        raise ConfigurationError(f"{shown(url.text)!r} names no instance and database: write {kind.form}")
    if ":" in user:
        raise ConfigurationError(
            f"{kind.form} holds no password: give it as PGPASSWORD, with ?login=password"
        )
    try:
        module = importlib.import_module(kind.module)
    except ImportError as error:
        raise ConfigurationError(
            f"{url.scheme}:// needs a package that is not installed ({error.name}): "
            f"{how_to_install(kind.extra)}"
        ) from error
    options = {name: value for name, value in url.options.items() if name not in OWN}
    # Whether libpq knows them is asked before they go through the connector.
    conninfo = address_of(Url("postgresql:///", "postgresql", "", "/", options)).conninfo
    options.setdefault("application_name", "chatstore")
    seconds = options.pop("connect_timeout", str(_SECONDS))
    given = {
        **options,
        "user": unquote(user) or _default_user(),
        "db": unquote(database),
        "client_encoding": ENCODING,
        kind.seconds: int(seconds) if seconds.isdecimal() else _SECONDS,
    }
    address = Address(conninfo, shown(url.text))
    make = partial(
        module.Connector,
        ip_type=url.choice("ip", kind.ips),
        enable_iam_auth=url.choice("login", ("IAM", "PASSWORD")) == "IAM",
        # In a function, nothing goes on between two calls that would refresh what it knows.
        refresh_strategy="LAZY",
    )
    return Connector(address, make, named.format(first, *rest), given)


class Connector:
    """Makes connections to one instance; what it knows of that is of one process."""

    def __init__(self, address: Address, make: Any, instance: str, given: Mapping[str, Any]) -> None:
        self.address = Address(address.conninfo, address.place, self.dial)
        self._make = make
        self._instance = instance
        self._given = given
        self._lock = threading.Lock()
        self._made: tuple[int, Any] | None = None

    def dial(self, context: psycopg.abc.AdaptContext | None = None) -> psycopg.Connection[Any]:
        """A connection. Raises OperationalError, and ConfigurationError where trying again does not help."""
        try:
            connection = self._tried(context)
        except psycopg.Error:
            raise
        except Exception as error:
            place, name = self.address.place, type(error).__name__
            if _lasts(error):
                raise ConfigurationError(
                    f"cannot connect to {place} ({name}): check the instance, its addresses, and the roles "
                    "that docs/postgres.md says the account needs"
                ) from error
            raise psycopg.OperationalError(f"{place} was not reached ({name})") from error
        return connection

    def _tried(self, context: psycopg.abc.AdaptContext | None) -> psycopg.Connection[Any]:
        """A connection, by the second or third try if one before it stood still.

        Between the connector's encryption and libpq a thread carries bytes. It may wait for the server's when
        it has taken a ticket of TLS 1.3 for them, and then libpq's own never leave.
        """
        for left in reversed(range(_TRIES)):
            try:
                connection: psycopg.Connection[Any] = self._connector().connect(
                    self._instance, "psycopg", autocommit=True, context=context, **self._given
                )
                return connection
            except psycopg.errors.ConnectionTimeout:
                if not left:
                    raise
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """Stop what runs beside the connections; another connection begins it again."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None and made[0] == os.getpid():
            made[1].close()

    def _connector(self) -> Any:
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                self._made = os.getpid(), self._make()
            return self._made[1]


def _lasts(error: Exception) -> bool:
    """Whether an error of the connector's has to be mended by somebody."""
    auth = importlib.import_module("google.auth.exceptions")
    status = getattr(error, "status", None) or getattr(error, "code", None)
    if isinstance(error, auth.TransportError):
        return False
    named = type(error).__name__
    return (
        isinstance(error, (auth.GoogleAuthError, ValueError, KeyError))
        or status in _REFUSED
        or "IPType" in named
    )


def _default_user() -> str:
    """Whom libpq would log in as: PGUSER, or who runs this."""
    [user] = [one.val for one in pq.Conninfo.get_defaults() if one.keyword == b"user"]
    return "" if user is None else user.decode()
