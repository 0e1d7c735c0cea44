"""Opens a source by its URL; its module is loaded when it is first named."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import NamedTuple, cast

from chatstore.errors import ConfigurationError
from chatstore.extras import how_to_install
from chatstore.importing import BadThread, Conversation
from chatstore.urls import Url

__all__ = ["Source", "is_source", "open_source"]


class Source(NamedTuple):
    """Conversations as they are read, and how many there are about, where that is known."""

    conversations: Iterable[Conversation | BadThread]
    total: int | None = None


class _Home(NamedTuple):
    module: str
    extra: str | None = None


_SCHEMES = {
    "llama-index+sqlite": _Home("llama_index_sqlite"),
    "llama-index+postgresql": _Home("llama_index_postgres", "postgres"),
    "llama-index+dynamodb": _Home("llama_index_dynamodb", "dynamodb"),
    "llama-index+redis": _Home("llama_index_redis", "redis"),
    "llama-index+rediss": _Home("llama_index_redis", "redis"),
    "llama-index+azure-tables": _Home("llama_index_azure", "azure-tables"),
}


def is_source(text: str) -> bool:
    """Whether `text` is the URL of another store rather than a file's name."""
    return text.partition("://")[0].lower() in _SCHEMES


def open_source(text: str) -> AbstractContextManager[Source]:
    """The source that `text` names, to be used in a ``with``.

    Raises ConfigurationError for an unusable URL or a missing package; what is read from it raises
    StorageError where the source fails.
    """
    url = Url.parse(text)
    home = _SCHEMES[url.scheme]
    try:
        module = importlib.import_module(f"chatstore.sources.{home.module}")
    except ImportError as error:
        raise ConfigurationError(
            f"{url.scheme}:// needs a package that is not installed ({error.name}): "
            f"{how_to_install(home.extra or 'all')}"
        ) from error
    return cast("Callable[[Url], AbstractContextManager[Source]]", module.open_source)(url)
