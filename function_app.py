"""Azure Functions: hands every HTTP request to the service, which decides itself who may do what.

Every hour a timer removes what has expired.
"""

import gc
from dataclasses import replace
from typing import TYPE_CHECKING

# Until the first request is answered, hundreds of modules are loaded, of which nothing is garbage: looking
# for it takes a tenth of that time.
gc.disable()

import azure.functions as func  # noqa: E402 - after garbage is left alone

from chatstore.http import logs  # noqa: E402
from chatstore.http.app import create_app  # noqa: E402
from chatstore.http.retention import Run, measured  # noqa: E402
from chatstore.http.service import telemetry_of  # noqa: E402
from chatstore.settings import Settings  # noqa: E402
from chatstore.sweeping import sweep_stored  # noqa: E402

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

SWEEP_SECONDS = 570

settings = replace(Settings.from_environment(), sweep_every=0)
logs.configure_within(settings.log)
service = create_app(settings=settings)
telemetry = telemetry_of(settings)
if telemetry is not None:
    telemetry.start_sending()


async def answer(scope: "Scope", receive: "Receive", send: "Send") -> None:
    """The service; once it has answered, what is loaded stays and garbage is looked for."""
    try:
        await service(scope, receive, send)
    finally:
        if scope["type"] == "http" and not gc.isenabled():
            gc.freeze()
            gc.enable()


app = func.AsgiFunctionApp(app=answer, http_auth_level=func.AuthLevel.ANONYMOUS)


@app.function_name("sweep")
@app.timer_trigger(arg_name="timer", schedule="0 17 * * * *")
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:05:00")
def sweep(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the host passes it by this name
    """Removes what has expired, until half a minute before its time is up: the rest is the next hour's."""
    gc.enable()
    run = Run()
    with measured(telemetry, run):
        run.swept = logs.without_content("the sweep", lambda: sweep_stored(SWEEP_SECONDS))
