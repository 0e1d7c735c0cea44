"""Settings from ``CHATSTORE_*`` environment variables: the only place that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

from chatstore.errors import ConfigurationError

__all__ = ["Settings", "cloud_platform"]

_PLATFORMS = {
    "AWS_LAMBDA_FUNCTION_NAME": "AWS Lambda",
    "FUNCTIONS_WORKER_RUNTIME": "Azure Functions",
    "WEBSITE_INSTANCE_ID": "Azure App Service",
    "K_SERVICE": "Cloud Run",
}


_CHOICES = {"CHATSTORE_LOG": ("json", "text", "off"), "CHATSTORE_TELEMETRY": ("on", "off")}


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set from outside; each field is the variable ``CHATSTORE_`` + its name in capitals."""

    url: str = "sqlite:///chat.db"
    """Where threads are kept."""

    tenant: str = "default"
    """Whose threads the service serves, and the command line shows."""

    host: str = "127.0.0.1"
    """The address that ``chatstore serve`` listens on."""

    port: int = 8080
    """The port that ``chatstore serve`` listens on."""

    max_body_bytes: int = 4 * 1024 * 1024
    """The longest request body that the service reads."""

    max_messages: int = 1000
    """The most messages in one request to the service."""

    max_answer_bytes: int = 4 * 1024 * 1024
    """How much message text an answer holds before it becomes a shorter page with a cursor."""

    max_threads_per_owner: int = 0
    """How many threads an owner may have, about; 0 for any number."""

    max_concurrency: int = 256
    """How many requests the service works on at once; more are answered 503."""

    requests_per_minute: int | None = None
    """What one credential or address may ask of one instance; 0 for any number, None for the default."""

    request_seconds: float = 30
    """How long a request may take before it is answered 503."""

    body_seconds: float = 20
    """How long a client may take to send a request's head, and its body."""

    keep_alive_seconds: int = 5
    """How long ``chatstore serve`` keeps a connection without requests."""

    grace_seconds: int = 30
    """How long ``chatstore serve`` goes on with what it has accepted when it is told to stop."""

    log: str = "json"
    """What ``chatstore serve`` writes to stderr: ``json`` or ``text``, or ``off`` for errors alone."""

    telemetry: str = "off"
    """Whether spans and metrics go to OpenTelemetry: ``on`` or ``off``."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Settings from `environ`, the process's own by default. Raises ConfigurationError."""
        environ = os.environ if environ is None else environ
        given: dict[str, str | int] = {}
        for field in fields(cls):
            name = f"CHATSTORE_{field.name.upper()}"
            text = environ.get(name)
            if text is None:
                continue
            if isinstance(field.default, int):
                given[field.name] = _whole(name, text, 0 if field.default == 0 else 1)
            elif field.default is None:
                given[field.name] = _whole(name, text, 0)
            else:
                given[field.name] = _one_of(name, text) if name in _CHOICES else text
        return cls(**given)  # type: ignore[arg-type]  # each value was made to its field's type above


def _whole(name: str, text: str, least: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) < least:
        raise ConfigurationError(f"{name} is a whole number from {least} on, not {text!r}")
    return int(text)


def _one_of(name: str, text: str) -> str:
    if text not in _CHOICES[name]:
        raise ConfigurationError(f"{name} is one of {', '.join(_CHOICES[name])}, not {text!r}")
    return text


def cloud_platform(environ: Mapping[str, str] | None = None) -> str | None:
    """The name of the cloud platform that this process runs on; None on an ordinary machine."""
    environ = os.environ if environ is None else environ
    return next((name for variable, name in _PLATFORMS.items() if variable in environ), None)
