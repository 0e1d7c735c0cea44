"""What the handlers share: the settings and the store, which is opened when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from chatstore.http.admission import Admission
from chatstore.http.rates import Rates, per_minute
from chatstore.opening import aconnect
from chatstore.settings import Settings
from chatstore.store import AsyncChatStore

if TYPE_CHECKING:
    from chatstore.http.faces import Face
    from chatstore.http.routing import AnyRoute
    from chatstore.http.telemetry import Telemetry

__all__ = ["Service", "telemetry_of"]


def telemetry_of(settings: Settings) -> Telemetry | None:
    """What measures in this process; None where it is off. Raises ConfigurationError."""
    if settings.telemetry == "off":
        return None
    from chatstore.http.telemetry import telemetry_to

    return telemetry_to(settings.telemetry)


class Service:
    """A store, given or named by `settings`; `documents` keeps what is made once, by mount and media type.

    `rates` says how often a caller may ask, `admission` how much at once. What is in `forgetting` makes this
    process forget the keys of a tenant's owner, or of all its owners. `routes` are all that is served, and
    `faces` are those beside the native one.
    """

    def __init__(self, store: AsyncChatStore | None, settings: Settings | None) -> None:
        self.settings = Settings.from_environment() if settings is None else settings
        self.telemetry = telemetry_of(self.settings)
        self.rates = Rates(per_minute(self.settings))
        self.shared = self.settings.auth != "none"
        """Whether callers are told from one another, and share what there is."""
        self.admission = Admission(
            self.settings.max_concurrency, self.settings.max_memory_bytes, shared=self.shared
        )
        self.documents: dict[tuple[str, str], bytes] = {}
        self.routes: tuple[AnyRoute, ...] = ()
        self.faces: tuple[Face, ...] = ()
        self.forgetting: list[Callable[[str, str | None], None]] = []
        self._given = store
        self._opened: AsyncChatStore | None = None

    @property
    def store(self) -> AsyncChatStore:
        """The store; raises ConfigurationError where the settings name none that can be opened."""
        if self._given is not None:
            return self._given
        if self._opened is None:
            self._opened = aconnect(self.settings.url, tenant=self.settings.tenant)
        return self._opened

    def forget_keys(self, tenant: str, owner: str | None) -> None:
        """Ask the store anew for every key of a tenant's owner, or of the tenant."""
        for forget in self.forgetting:
            forget(tenant, owner)

    async def close(self) -> None:
        """Close the store if it was opened here."""
        if self._opened is not None:
            await self._opened.close()
