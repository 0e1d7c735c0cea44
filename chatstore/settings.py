"""Settings from ``CHATSTORE_*`` environment variables: the only place that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

from chatstore.errors import ConfigurationError

__all__ = ["Settings", "cloud_platform", "easy_auth"]

_PLATFORMS = {
    "AWS_LAMBDA_FUNCTION_NAME": "AWS Lambda",
    "FUNCTIONS_WORKER_RUNTIME": "Azure Functions",
    "WEBSITE_INSTANCE_ID": "Azure App Service",
    "K_SERVICE": "Cloud Run",
}


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

    auth: str = "none"
    """How callers show who they are: ``none``, or some of ``api-key``, ``jwt``, ``platform``, with commas."""

    api_keys: str = ""
    """API keys beside the store's: a JSON list of {id, sha256, tenant, owner?, scopes, expires_at?}."""

    jwt_issuer: str = ""
    """Who issues the tokens: exactly their ``iss``."""

    jwt_audience: str = ""
    """Whom the tokens are for: one of their ``aud``."""

    jwt_jwks_url: str = ""
    """Where the issuer's keys are; found by OIDC discovery if empty."""

    jwt_algorithms: str = "RS256,ES256,EdDSA,PS256"
    """Which signatures count, with commas; asymmetric ones only."""

    jwt_tenant_claim: str = ""
    """Which claim names the tenant; if empty, every token is of `tenant`."""

    jwt_owner_claim: str = "sub"
    """Which claim names the owner; if empty, tokens see all threads of their tenant."""

    jwt_scope_claim: str = "scope"
    """Which claim holds the scopes."""

    jwt_leeway: int = 30
    """How many seconds the issuer's clock may be off, 60 at most."""

    cors_origins: str = ""
    """The origins whose web pages may use the service, with commas."""

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
            given[field.name] = _positive(name, text) if isinstance(field.default, int) else text
        return cls(**given)  # type: ignore[arg-type]  # each value was made to its field's type above


def _positive(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) < 1:
        raise ConfigurationError(f"{name} is a positive whole number, not {text!r}")
    return int(text)


def cloud_platform(environ: Mapping[str, str] | None = None) -> str | None:
    """The name of the cloud platform that this process runs on; None on an ordinary machine."""
    environ = os.environ if environ is None else environ
    return next((name for variable, name in _PLATFORMS.items() if variable in environ), None)


def easy_auth(environ: Mapping[str, str] | None = None) -> bool:
    """Whether Azure's Easy Auth stands in front of this process and vouches for its headers."""
    environ = os.environ if environ is None else environ
    return environ.get("WEBSITE_AUTH_ENABLED", "").lower() == "true"
