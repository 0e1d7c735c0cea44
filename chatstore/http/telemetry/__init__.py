"""What is measured of requests and sweeps, and where it goes. Imported only where telemetry is on.

What the log says of a request is what is measured of it. Nothing here fails a request or makes one wait, but
for AWS Lambda, where what there is has to be sent within the invocation.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from starlette.types import Scope

from chatstore.errors import ConfigurationError
from chatstore.extras import how_to_install
from chatstore.http.access import Facts, is_cold_start
from chatstore.http.retention import Run
from chatstore.http.telemetry.losses import Losses
from chatstore.http.telemetry.measurements import Sweep
from chatstore.metering import Watch
from chatstore.settings import cloud_platform, function_name, otel_variables

if TYPE_CHECKING:
    from chatstore.http.telemetry.prometheus import Prometheus

__all__ = ["Meter", "Telemetry", "telemetry_to"]


class Meter(Protocol):
    """Measures for one destination."""

    def begin(self, scope: Scope) -> object:
        """A request begins; what this gives is handed back at its end, in the same task."""

    def end(self, begun: object, facts: Facts) -> None:
        """It has ended."""

    def swept(self, sweep: Sweep) -> None:
        """A run of a sweep has ended."""


class Telemetry:
    """Tells every destination. An error of one of them is counted as a loss, and is nobody else's."""

    def __init__(
        self,
        meters: Sequence[Meter],
        losses: Losses,
        prometheus: Prometheus | None = None,
        *,
        has_providers: bool = False,
    ) -> None:
        self._meters = meters
        self._losses = losses
        self._has_providers = has_providers
        self._send: Callable[[], None] | None = None
        self.prometheus = prometheus
        """What this process tells whoever asks it."""

    def begin(self, scope: Scope) -> list[object]:
        """A request begins; what this gives is for `end`."""
        return [self._safely(meter.begin, scope) for meter in self._meters]

    def end(self, begun: list[object] | None, facts: Facts) -> None:
        """A request has ended."""
        for meter, one in zip(self._meters, begun or (), strict=True):
            self._safely(meter.end, one, facts)

    @contextmanager
    def sweep(self, run: Run) -> Iterator[None]:
        """Measures the run of a sweep that is made inside, whether it fails or not."""
        began, error = time.perf_counter(), None
        with Watch() as watch:
            try:
                yield
            except BaseException as failure:
                error = type(failure).__name__
                raise
            finally:
                swept = run.swept
                told = dict(watch.units), watch.retries, watch.conflicts, error, is_cold_start()
                sweep = Sweep(swept.removed, swept.more, time.perf_counter() - began, *told)
                for meter in self._meters:
                    self._safely(meter.swept, sweep)

    def start_sending(self) -> None:
        """Have OpenTelemetry's providers send what they get, if it goes there; once in a process.

        Raises ConfigurationError for a variable of OpenTelemetry's that cannot be used.
        """
        if not self._has_providers:
            return
        from chatstore.http.telemetry.sending import sending

        self._send = self._send or sending(self._losses)

    def send(self) -> None:
        """Send at once what waits, for who may be frozen afterwards."""
        if self._send is not None:
            self._safely(self._send)

    def _safely(self, call: Callable[..., object], *given: object) -> object:
        try:
            return call(*given)
        except Exception as error:  # noqa: BLE001 - what measures a request does not fail it
            self._losses.add("measurements", 1, type(error).__name__)
            return None


@functools.cache
def telemetry_to(destinations: str) -> Telemetry:
    """The process's telemetry to `destinations`, named with commas. Raises ConfigurationError."""
    losses = Losses()
    meters: list[Meter] = []
    prometheus = None
    for one in destinations.split(","):
        if one == "otlp":
            meters.append(_open_telemetry(losses))
        elif one == "emf":
            if (cloud_platform() or "").startswith("Azure"):
                raise ConfigurationError("CHATSTORE_TELEMETRY=emf is for AWS: on Azure use otlp")
            from chatstore.http.telemetry.embedded import Embedded

            named = otel_variables().get("OTEL_SERVICE_NAME")
            meters.append(Embedded(named or function_name() or "chatstore"))
        elif one == "prometheus":
            from chatstore.http.telemetry.prometheus import Prometheus

            prometheus = Prometheus(losses)
            meters.append(prometheus)
        else:
            raise ConfigurationError(f"telemetry goes to otlp, emf or prometheus, not {one!r}")
    return Telemetry(meters, losses, prometheus, has_providers="otlp" in destinations)


def _open_telemetry(losses: Losses) -> Meter:
    try:
        from chatstore.http.telemetry.open_telemetry import OpenTelemetry
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{error.name} is not installed: {how_to_install('telemetry')}, or take otlp out of "
            "CHATSTORE_TELEMETRY"
        ) from error
    return OpenTelemetry(losses)
