"""Azure Functions: hands every HTTP request to the service, which decides itself who may do what.

Every hour a timer removes what has expired.
"""

from dataclasses import replace

import azure.functions as func

from chatstore.http.app import create_app
from chatstore.settings import Settings
from chatstore.sweeping import sweep_stored

SWEEP_SECONDS = 60

app = func.AsgiFunctionApp(
    app=create_app(settings=replace(Settings.from_environment(), sweep_every=0)),
    http_auth_level=func.AuthLevel.ANONYMOUS,
)


@app.function_name("sweep")
@app.timer_trigger(arg_name="timer", schedule="0 17 * * * *")
def sweep(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the host passes it by this name
    """Removes what has expired, for a minute at most: what is left is the next hour's."""
    sweep_stored(SWEEP_SECONDS)
