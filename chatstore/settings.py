"""Settings from ``CHATSTORE_*`` environment variables: the only place that reads the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta

from chatstore.errors import ConfigurationError
from chatstore.variables import value_of

__all__ = [
    "AzureAccess",
    "Settings",
    "cloud_platform",
    "credential",
    "easy_auth",
    "function_name",
    "otel_variables",
]

_PLATFORMS = {
    "AWS_LAMBDA_FUNCTION_NAME": "AWS Lambda",
    "FUNCTIONS_WORKER_RUNTIME": "Azure Functions",
    "WEBSITE_INSTANCE_ID": "Azure App Service",
    "K_SERVICE": "Cloud Run",
}

_TESTS = re.compile(r"CHATSTORE_(TEST_\w+|SOAK|SEED|HISTORIES)")
_SERVICE_LINK = re.compile(r"CHATSTORE_(SERVICE_(HOST|PORT\w*)|PORT_[0-9]+_(TCP|UDP|SCTP)\w*)")


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set from outside; each field is the variable ``CHATSTORE_`` + its name in capitals."""

    url: str = "sqlite:///chat.db"
    """Where threads are kept."""

    tenant: str = "default"
    """Whose threads the service serves, and the command line shows."""

    token: str = field(default="", repr=False)
    """What a running service is shown, by the library and the command line: an API key or a token."""

    host: str = "127.0.0.1"
    """The address that ``chatstore serve`` listens on."""

    port: int = 8080
    """The port that ``chatstore serve`` listens on."""

    max_body_bytes: int = 4 * 1024 * 1024
    """The longest request body that the service reads."""

    max_body_values: int = 100_000
    """The most JSON values in one request body: each object, list, string, number, true, false and null."""

    max_memory_bytes: int = 192 * 1024 * 1024
    """About how much memory bodies and answers take together; more of them wait, by caller in turn."""

    max_messages: int = 1000
    """The most messages in one request to the service."""

    max_answer_bytes: int = 4 * 1024 * 1024
    """How much message text an answer holds before it becomes a shorter page with a cursor."""

    default_ttl: timedelta | None = None
    """How long a thread lives that the service creates, where the request does not say; None: for ever."""

    tenant_ttls: Mapping[str, timedelta | None] = field(default_factory=dict)
    """Times to live that differ for single tenants."""

    sweep_every: float = 3600.0
    """Seconds between two sweeps of a running service; 0 for none."""

    faces: str = "native"
    """Which interfaces the service has: some of ``native``, ``openai``, ``acs``, with commas."""

    auth: str = "none"
    """How callers show who they are: ``none``, or some of ``api-key``, ``user-token``, ``jwt``, ``platform``,
    with commas."""

    api_keys: str = ""
    """API keys beside the store's: a JSON list of {id, sha256, tenant, owner?, scopes, expires_at?}."""

    user_token_secrets: str = field(default="", repr=False)
    """What tokens of users are signed with, 32 characters or more; with commas, the first one signs."""

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

    proxies: str = ""
    """The addresses, with commas, of the proxies whose X-Forwarded-For ``chatstore serve`` believes."""

    max_threads_per_owner: int = 0
    """How many threads an owner may have, about; 0 for any number."""

    max_concurrency: int = 256
    """How many requests the service works on at once; more are answered 503, to whoever has most of them."""

    requests_per_minute: int | None = None
    """What one credential or address may ask of one instance; 0 for any number, None for the default."""

    request_seconds: float = 30
    """How long a request may take before it is answered 503."""

    body_seconds: float = 20
    """How long a client may take to send a request's head, and its body."""

    answer_seconds: float = 20
    """How long ``chatstore serve`` waits for a client to take what was sent, before it hangs up."""

    max_connections: int = 1024
    """How many connections ``chatstore serve`` keeps; one more takes the place of one that does nothing."""

    keep_alive_seconds: int = 5
    """How long ``chatstore serve`` keeps a connection without requests."""

    grace_seconds: int = 30
    """How long ``chatstore serve`` goes on with what it has accepted when it is told to stop."""

    log: str = "json"
    """What ``chatstore serve`` writes to stderr: ``json`` or ``text``, or ``off`` for errors alone."""

    telemetry: str = "off"
    """Where metrics go: ``off``, or some of ``otlp`` (with spans), ``emf``, ``prometheus``, with commas."""

    def ttl_of(self, tenant: str) -> timedelta | None:
        """How long a thread of `tenant` lives where nobody says."""
        return self.tenant_ttls.get(tenant, self.default_ttl)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Settings from `environ`, the process's own by default.

        Raises ConfigurationError for a value that cannot be used, and for a variable ``CHATSTORE_…`` that is
        no setting: one that is misspelt would be without effect.
        """
        named = _own(os.environ if environ is None else environ)
        given: dict[str, object] = {}
        for one in fields(cls):
            name = f"CHATSTORE_{one.name.upper()}"
            text = named.pop(name, None)
            if text is not None:
                given[one.name] = value_of(one.name, one.default, name, text)
        if named:
            raise ConfigurationError(_unknown(min(named), [one.name for one in fields(cls)]))
        return cls(**given)  # type: ignore[arg-type]  # each value was made to its field's type above


def _own(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that are the project's own, without those that its tests read.

    For a Service of the name "chatstore" Kubernetes sets variables that begin the same, in every pod.
    """
    return {
        name: text
        for name, text in environ.items()
        if name.upper().startswith("CHATSTORE_")
        and not _TESTS.fullmatch(name)
        and not _SERVICE_LINK.fullmatch(name)
        and not (name == "CHATSTORE_PORT" and text.startswith(("tcp://", "udp://", "sctp://")))
    }


def _unknown(name: str, known: list[str]) -> str:
    import difflib  # only now: a process whose settings are right does without it

    meant = difflib.get_close_matches(name[len("CHATSTORE_") :].lower(), known, n=1, cutoff=0)[0]
    return f"{name[:100]!r} is no setting: did you mean CHATSTORE_{meant.upper()}? Rename it, or unset it"


def cloud_platform(environ: Mapping[str, str] | None = None) -> str | None:
    """The name of the cloud platform that this process runs on; None on an ordinary machine."""
    environ = os.environ if environ is None else environ
    return next((name for variable, name in _PLATFORMS.items() if variable in environ), None)


def function_name(environ: Mapping[str, str] | None = None) -> str | None:
    """What the platform calls the function whose instance this process is; None where it is none."""
    environ = os.environ if environ is None else environ
    names = ("AWS_LAMBDA_FUNCTION_NAME", "WEBSITE_SITE_NAME") if cloud_platform(environ) else ()
    return next((environ[name] for name in names if environ.get(name)), None)


def otel_variables(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """OpenTelemetry's own variables, ``OTEL_…``, that are set."""
    environ = os.environ if environ is None else environ
    return {name: text for name, text in environ.items() if name.startswith("OTEL_") and text}


def credential(*names: str, environ: Mapping[str, str] | None = None) -> str:
    """The value of the first of these variables that has one; empty where none has."""
    environ = os.environ if environ is None else environ
    return next((environ[name] for name in names if environ.get(name)), "")


def easy_auth(environ: Mapping[str, str] | None = None) -> bool:
    """Whether Azure's Easy Auth stands in front of this process and vouches for its headers."""
    environ = os.environ if environ is None else environ
    return environ.get("WEBSITE_AUTH_ENABLED", "").lower() == "true"


@dataclass(frozen=True, slots=True)
class AzureAccess:
    """What the environment says about an Azure account, by the names that Azure's own tools use."""

    prefix: str
    """How the variables begin."""

    connection_string: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    sas: str = field(default="", repr=False)
    identity_endpoint: str = ""
    """Where a host of Azure's gives tokens for its identity."""

    identity_header: str = field(default="", repr=False)
    client_id: str = ""
    """Which identity, where the host has several."""

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] | None = None, *, cosmos: bool = False
    ) -> AzureAccess:
        """``AZURE_STORAGE_…``, or ``AZURE_COSMOS_…`` for Cosmos DB; and what the host says."""
        environ = os.environ if environ is None else environ
        prefix = "AZURE_COSMOS" if cosmos else "AZURE_STORAGE"
        own = (f"{prefix}_{name}" for name in ("CONNECTION_STRING", "KEY", "SAS_TOKEN"))
        hosts = ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_CLIENT_ID")
        return cls(prefix, *(environ.get(name, "") for name in (*own, *hosts)))
