"""Azure Functions: hands every HTTP request to the service, which decides itself who may do what.

Every hour a timer removes what has expired.
"""

import gc
from dataclasses import replace

# A new instance loads hundreds of modules, of which nothing is garbage: not to look for it saves a tenth of
# that time. The service, once it has started, looks for it again.
gc.disable()

import azure.functions as func  # noqa: E402 - after garbage is left alone

from chatstore.http.app import create_app  # noqa: E402
from chatstore.settings import Settings  # noqa: E402
from chatstore.sweeping import sweep_stored  # noqa: E402

SWEEP_SECONDS = 60

app = func.AsgiFunctionApp(
    app=create_app(settings=replace(Settings.from_environment(), sweep_every=0)),
    http_auth_level=func.AuthLevel.ANONYMOUS,
)


@app.function_name("sweep")
@app.timer_trigger(arg_name="timer", schedule="0 17 * * * *")
def sweep(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the host passes it by this name
    """Removes what has expired, for a minute at most: what is left is the next hour's."""
    gc.enable()
    sweep_stored(SWEEP_SECONDS)
