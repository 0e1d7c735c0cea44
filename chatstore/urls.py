"""Storage URLs: ``scheme://…?option=value``, and which module opens which scheme.

A backend is named by a string and imported when it is first opened, so that importing chatstore
loads no driver and no SDK.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, TypeVar, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from chatstore.contract import Backend, Clock
from chatstore.errors import ConfigurationError
from chatstore.extras import how_to_install

__all__ = ["Url", "open_backend", "shown"]

Choice = TypeVar("Choice", bound=str)


class _Source(NamedTuple):
    opener: str
    extra: str | None = None


_SCHEMES = {
    "dynamodb": _Source("chatstore.backends.dynamodb:open_dynamodb", "dynamodb"),
    "aztables": _Source("chatstore.backends.azure_tables:open_azure_tables", "azure-tables"),
    "cosmos-table": _Source("chatstore.backends.azure_tables:open_azure_tables", "azure-tables"),
    "tablestore": _Source("chatstore.backends.tablestore:open_tablestore", "tablestore"),
    "postgresql": _Source("chatstore.backends.postgres:open_postgres", "postgres"),
    "postgres": _Source("chatstore.backends.postgres:open_postgres", "postgres"),
    "yugabytedb": _Source("chatstore.backends.postgres:open_postgres", "postgres"),
    "cockroachdb": _Source("chatstore.backends.postgres:open_postgres", "postgres"),
    "cloudsql-postgres": _Source("chatstore.backends.postgres:open_postgres", "cloud-sql"),
    "alloydb": _Source("chatstore.backends.postgres:open_postgres", "alloydb"),
    "memory": _Source("chatstore.backends.memory:open_memory"),
    "sqlite": _Source("chatstore.backends.sqlite:open_sqlite"),
    "redis": _Source("chatstore.backends.redis:open_redis", "redis"),
    "rediss": _Source("chatstore.backends.redis:open_redis", "redis"),
    "unix": _Source("chatstore.backends.redis:open_redis", "redis"),
    "redis+sentinel": _Source("chatstore.backends.redis:open_redis", "redis"),
    "redis+cluster": _Source("chatstore.backends.redis:open_redis", "redis"),
    "upstash": _Source("chatstore.backends.upstash:open_upstash", "upstash"),
    "http": _Source("chatstore.backends.service:open_service", "cli"),
    "https": _Source("chatstore.backends.service:open_service", "cli"),
}


class _Opener(Protocol):
    def __call__(self, url: Url, *, blocking: bool, clock: Clock) -> Backend: ...


@dataclass(frozen=True, slots=True)
class Url:
    """A storage URL taken apart. `path` and `options` are percent-decoded; `host` has its port."""

    text: str
    scheme: str
    host: str
    path: str
    options: dict[str, str]
    token: str | None = field(default=None, repr=False)
    """What a service is shown; it comes beside the text and is never a part of it."""

    @classmethod
    def parse(cls, text: str) -> Url:
        """Raises ConfigurationError for what is not ``scheme://…``."""
        scheme, separator, _ = text.partition("://")
        if not separator:
            raise ConfigurationError(
                f"{shown(text)!r} is not a storage URL: write one such as sqlite:///chat.db"
            )
        try:
            parts = urlsplit(text)
        except ValueError:
            # What it says may quote the password.
            raise ConfigurationError(f"{shown(text)!r} is not a storage URL") from None
        if parts.fragment:
            raise ConfigurationError(f"{shown(text)!r} has a # in it, which begins a fragment: write %23")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        return cls(text, scheme.lower(), parts.netloc, unquote(parts.path), options)

    def require_bare(self) -> None:
        """Raise ConfigurationError if anything follows the scheme."""
        if self.host or self.path or self.options:
            raise ConfigurationError(f"{self.scheme}:// takes no host, path or options")

    def allow(self, *options: str) -> None:
        """Raise ConfigurationError for an option that is not among `options`."""
        for name in self.options:
            if name not in options:
                known = ", ".join(options) or "none"
                raise ConfigurationError(f"{self.scheme}:// has no option {name!r}; it has: {known}")

    def choice(self, name: str, choices: tuple[Choice, ...]) -> Choice:
        """The option `name`, in any case: one of `choices`, of which the first is the default.

        Raises ConfigurationError for another value.
        """
        value = self.options.get(name, choices[0]).upper()
        if value not in choices:
            raise ConfigurationError(f"{name}={value} is not one of {', '.join(choices)}")
        return value

    def seconds(self, name: str, default: float) -> float:
        """The option `name` as a positive number of seconds. Raises ConfigurationError for anything else."""
        text = self.options.get(name, str(default))
        try:
            value = float(text)
        except ValueError:
            value = -1
        if not 0 < value < float("inf"):
            raise ConfigurationError(f"{name}={text} is not a positive number of seconds")
        return value


def shown(text: str) -> str:
    """What may be said of `text`, a URL or what was meant as one: no user, no password and no options."""
    secret, at, rest = text.rpartition("@")
    if at:
        scheme, separator, _ = secret.partition("://")
        text = f"{scheme}://…@{rest}" if separator else f"…@{rest}"
    return text.partition("?")[0]


def open_backend(text: str, *, blocking: bool, clock: Clock, token: str | None = None) -> Backend:
    """The backend that `text` names, for blocking callers or for an event loop; a service is shown `token`.

    Raises ConfigurationError for an unknown scheme, an unusable option or a missing package.
    """
    url = replace(Url.parse(text), token=token)
    source = _SCHEMES.get(url.scheme)
    if source is None:
        raise ConfigurationError(f"no backend for {url.scheme}://; there are: {', '.join(sorted(_SCHEMES))}")
    if token is not None and url.scheme not in {"http", "https"}:
        raise ConfigurationError(f"a token is for a running service, and {url.scheme}:// is not one")
    module, _, name = source.opener.partition(":")
    try:
        opener = cast("_Opener", getattr(importlib.import_module(module), name))
    except ImportError as error:
        raise ConfigurationError(
            f"{url.scheme}:// needs a package that is not installed ({error.name}): "
            f"{how_to_install(source.extra or 'all')}"
        ) from error
    return opener(url, blocking=blocking, clock=clock)
