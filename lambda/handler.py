"""AWS Lambda: hands every HTTP event to the service, which is built when the first one comes.

A scheduled event of EventBridge removes what has expired, for as long as the function has time.
"""

from __future__ import annotations

import functools
import gc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatstore.http.aws import Function
    from chatstore.http.telemetry import Telemetry
    from chatstore.settings import Settings

_SECONDS_TO_SPARE = 10

# Until the first event is answered, hundreds of modules are loaded, of which nothing is garbage: looking for
# it takes a tenth of that time.
gc.disable()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers an event of an HTTP API, a REST API, a function URL or a load balancer, or a scheduled one."""
    from chatstore.http import logs

    named = getattr(context, "aws_request_id", None)  # there is none outside of Lambda
    logs.invocation.set({"aws_request_id": named} if named else {})
    try:
        _telemetry()  # whichever event comes first, the log is set up, and it is measured
        if event.get("detail-type") == "Scheduled Event":
            return logs.without_content("the sweep", lambda: _sweep(context))
        return _function()(event, context)
    finally:
        _send()
        if not gc.isenabled():
            gc.freeze()
            gc.enable()


def _sweep(context: Any) -> dict[str, Any]:
    from chatstore.http.retention import Run, measured
    from chatstore.sweeping import sweep_stored

    run = Run()
    with measured(_telemetry(), run):
        run.swept = sweep_stored(context.get_remaining_time_in_millis() / 1000 - _SECONDS_TO_SPARE)
    return {**run.swept.removed, "more": run.swept.more}


def _send() -> None:
    """Send what was measured: once frozen, an instance sends nothing, and may never go on."""
    telemetry = _telemetry() if _telemetry.cache_info().currsize else None
    if telemetry is not None:
        telemetry.send()


@functools.cache
def _telemetry() -> Telemetry | None:
    """What measures, whose sending is begun; None where it is off."""
    from chatstore.http.service import telemetry_of

    telemetry = telemetry_of(_settings())
    if telemetry is not None:
        telemetry.start_sending()
    return telemetry


@functools.cache
def _settings() -> Settings:
    """The settings, by which the log is set up."""
    from chatstore.http import logs
    from chatstore.http.aws import fitted
    from chatstore.settings import Settings

    settings = fitted(Settings.from_environment())
    logs.configure(settings.log)
    return settings


@functools.cache
def _function() -> Function:
    from chatstore.http.app import create_app
    from chatstore.http.aws import Function

    return Function(create_app(settings=_settings()))
