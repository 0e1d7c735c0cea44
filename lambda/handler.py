"""AWS Lambda: hands every HTTP event to the service, which is built when the first one comes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mangum import Mangum


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers an event of an HTTP API, a REST API or a function URL."""
    return _adapter()(event, context)


@functools.cache
def _adapter() -> Mangum:
    from mangum import Mangum

    from chatstore.http.app import create_app

    # Everything that the service says is text, problems included: none of it needs base64.
    return Mangum(create_app(), lifespan="off", text_mime_types=["text/", "application/"])
