"""Settings come from CHATSTORE_* alone, and URLs from what is written in them."""

from __future__ import annotations

import json
import string
from dataclasses import fields
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import chatstore
from chatstore.contract import system_clock
from chatstore.errors import ConfigurationError
from chatstore.settings import Settings, cloud_platform
from chatstore.urls import Url, open_backend

NUMBERS = [field.name for field in fields(Settings) if isinstance(field.default, int)]
KNOWN = [f"CHATSTORE_{field.name.upper()}" for field in fields(Settings)]
NAMES = st.text(string.ascii_uppercase + "_", min_size=1, max_size=20).filter(
    lambda name: not name.startswith("CHATSTORE_")
)
# What an environment can hold: any text without NUL.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


@given(st.dictionaries(NAMES, TEXT))
def test_other_variables_change_nothing(environ: dict[str, str]) -> None:
    assert Settings.from_environment(environ) == Settings()


def test_a_misspelt_variable_is_refused_and_the_nearest_is_named() -> None:
    for misspelt, meant in (
        ("CHATSTORE_URI", "URL"), ("CHATSTORE_DEFAULT_TTLS", "DEFAULT_TTL"), ("CHATSTORE_AUHT", "AUTH"),
        ("CHATSTORE_SWEEP_EVER", "SWEEP_EVERY"), ("chatstore_log", "LOG"),
    ):  # fmt: skip
        with pytest.raises(ConfigurationError, match=f"'{misspelt}' .* did you mean CHATSTORE_{meant}[?]"):
            Settings.from_environment({misspelt: "1", "CHATSTORE_HOST": "127.0.0.1"})


@given(st.text(string.ascii_letters + "_", max_size=20).filter(lambda name: f"CHATSTORE_{name}" not in KNOWN))
def test_no_variable_of_the_projects_is_without_effect(name: str) -> None:
    if name.upper().startswith(("TEST_", "SERVICE_")) or name in {"SOAK", "SEED", "HISTORIES"}:
        return
    with pytest.raises(ConfigurationError, match="did you mean CHATSTORE_"):
        Settings.from_environment({f"CHATSTORE_{name}": ""})


def test_what_kubernetes_sets_for_a_service_of_this_name_is_no_setting() -> None:
    links = {
        "CHATSTORE_SERVICE_HOST": "10.0.0.9",
        "CHATSTORE_SERVICE_PORT": "8080",
        "CHATSTORE_SERVICE_PORT_HTTP": "8080",
        "CHATSTORE_PORT": "tcp://10.0.0.9:8080",
        "CHATSTORE_PORT_8080_TCP": "tcp://10.0.0.9:8080",
        "CHATSTORE_PORT_8080_TCP_ADDR": "10.0.0.9",
    }
    assert Settings.from_environment(links) == Settings()


@given(TEXT, TEXT, st.integers(1, 10**9))
def test_each_field_has_its_variable(url: str, tenant: str, number: int) -> None:
    environ = {"CHATSTORE_URL": url, "CHATSTORE_TENANT": tenant}
    environ |= {f"CHATSTORE_{name.upper()}": str(number) for name in NUMBERS}
    settings = Settings.from_environment(environ)
    assert (settings.url, settings.tenant) == (url, tenant)
    assert {getattr(settings, name) for name in NUMBERS} == {number}


@pytest.mark.parametrize("name", [field.name for field in fields(Settings) if field.default == 0])
def test_a_limit_that_is_off_by_default_can_be_set_so(name: str) -> None:
    assert getattr(Settings.from_environment({f"CHATSTORE_{name.upper()}": "0"}), name) == 0


@pytest.mark.parametrize("name", [name for name in NUMBERS if getattr(Settings(), name)])
def test_no_other_number_is_0(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"CHATSTORE_{name.upper()}"):
        Settings.from_environment({f"CHATSTORE_{name.upper()}": "0"})


def test_what_has_few_values_takes_no_other() -> None:
    assert Settings.from_environment({"CHATSTORE_LOG": "text"}).log == "text"
    with pytest.raises(ConfigurationError, match=r"CHATSTORE_LOG is one of .*text"):
        Settings.from_environment({"CHATSTORE_LOG": "yes"})


@pytest.mark.parametrize(
    ("text", "meant"), [("off", "off"), ("otlp", "otlp"), (" prometheus ,emf", "emf,prometheus")]
)
def test_telemetry_goes_to_places_that_are_known(text: str, meant: str) -> None:
    assert Settings.from_environment({"CHATSTORE_TELEMETRY": text}).telemetry == meant


@pytest.mark.parametrize("text", ["", "on", "off,otlp", "oltp", ","])
def test_telemetry_goes_nowhere_else(text: str) -> None:
    with pytest.raises(ConfigurationError, match="CHATSTORE_TELEMETRY is off, or some of otlp, emf, prom"):
        Settings.from_environment({"CHATSTORE_TELEMETRY": text})


@pytest.mark.parametrize("name", [*NUMBERS, "requests_per_minute"])
@pytest.mark.parametrize(
    "text", ["", " ", "x", "-1", "1.5", "1e3", "0x10", "+1", "1_000", "\u0663", " 8", "9" * 5000]
)
def test_what_is_no_number_is_refused_by_its_name(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"CHATSTORE_{name.upper()}"):
        Settings.from_environment({f"CHATSTORE_{name.upper()}": text})


def test_the_environment_of_the_process_is_what_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATSTORE_URL", "memory://")
    monkeypatch.setenv("CHATSTORE_TENANT", "acme")
    with chatstore.connect() as store:
        assert (store.backend.name, store.tenant) == ("memory", "acme")
    with chatstore.connect(tenant="other") as store:
        assert store.tenant == "other"
    monkeypatch.setenv("CHATSTORE_URL", "nonsense")
    with pytest.raises(ConfigurationError, match="nonsense"):
        chatstore.connect()


def test_cloud_platforms_are_known_by_what_they_set() -> None:
    assert cloud_platform({}) is None
    assert cloud_platform({"AWS_LAMBDA_FUNCTION_NAME": "f"}) == "AWS Lambda"
    assert cloud_platform({"FUNCTIONS_WORKER_RUNTIME": "python"}) == "Azure Functions"


def test_a_url_is_taken_apart() -> None:
    url = Url.parse("SQLite:///a%20b/%C3%A9.db?synchronous=normal&timeout=2.5&empty=")
    assert (url.scheme, url.host, url.path) == ("sqlite", "", "/a b/\u00e9.db")
    assert url.options == {"synchronous": "normal", "timeout": "2.5", "empty": ""}
    assert url.choice("synchronous", ("FULL", "NORMAL")) == "NORMAL"
    assert url.choice("other", ("FULL", "NORMAL")) == "FULL"
    assert (url.seconds("timeout", 30), url.seconds("other", 30)) == (2.5, 30)
    assert Url.parse("https://example.org:8080/v1").host == "example.org:8080"


@given(TEXT | st.from_regex(r"[a-z]+://\S*", fullmatch=True))
def test_any_url_is_taken_apart_or_refused_with_one_of_our_errors(text: str) -> None:
    try:
        url = Url.parse(text)
    except ConfigurationError:
        return
    assert text.lower().startswith(f"{url.scheme}://")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "not a storage URL"),
        ("chat.db", "not a storage URL"),
        ("memory:", "not a storage URL"),
        ("nosuch://x", "no backend for nosuch://; there are: .*memory.*sqlite"),
        ("memory://host", "takes no host"),
        ("memory:///path", "takes no host"),
        ("memory://?x=1", "takes no host"),
        ("sqlite:///x.db?sync=full", "no option 'sync'; it has: "),
        ("sqlite:///x.db?synchronous=sometimes", "is not one of FULL, NORMAL"),
        ("sqlite:///x.db?timeout=soon", "not a positive number"),
        ("sqlite:///x.db?timeout=-1", "not a positive number"),
        ("sqlite:///x.db?timeout=nan", "not a positive number"),
        ("sqlite:///x.db?timeout=inf", "not a positive number"),
        ("sqlite://[x/chat.db", "not a storage URL"),
        ("sqlite:///a#b.db", "write %23"),
    ],
)
def test_a_url_that_cannot_be_opened_says_why(url: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        open_backend(url, blocking=True, clock=system_clock)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60", 60), ("60s", 60), ("30m", 1800), ("12h", 43_200), ("90d", 7_776_000), ("2w", 1_209_600)],
)
def test_a_time_to_live_is_read(text: str, seconds: int) -> None:
    settings = Settings.from_environment({"CHATSTORE_DEFAULT_TTL": text})
    assert settings.default_ttl == timedelta(seconds=seconds)
    given = {"CHATSTORE_TENANT_TTLS": json.dumps({"acme": text, "numbered": seconds, "archive": None})}
    tenants = Settings.from_environment({**given, "CHATSTORE_DEFAULT_TTL": "1d"})
    assert tenants.ttl_of("acme") == tenants.ttl_of("numbered") == timedelta(seconds=seconds)
    assert tenants.ttl_of("archive") is None
    assert tenants.ttl_of("another") == timedelta(days=1)


@pytest.mark.parametrize(
    "text", ["", "0", "-1d", "1.5d", "d", "90 d", "90D", "1y", "36526d", "9" * 5000, "\u0663d"]
)
def test_what_is_no_time_to_live_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(ConfigurationError, match="CHATSTORE_DEFAULT_TTL"):
        Settings.from_environment({"CHATSTORE_DEFAULT_TTL": text})
    with pytest.raises(ConfigurationError, match="CHATSTORE_TENANT_TTLS of 'acme'"):
        Settings.from_environment({"CHATSTORE_TENANT_TTLS": json.dumps({"acme": text})})


@pytest.mark.parametrize("text", ["", "90d", "[]", "{", '{"acme": true}', '{"acme": {}}', "[" * 100_000])
def test_what_is_no_table_of_tenants_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(ConfigurationError, match="CHATSTORE_TENANT_TTLS"):
        Settings.from_environment({"CHATSTORE_TENANT_TTLS": text})


@pytest.mark.parametrize("text", ["", "x", "-1", "nan", "inf"])
def test_what_is_no_time_between_sweeps_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(ConfigurationError, match="CHATSTORE_SWEEP_EVERY"):
        Settings.from_environment({"CHATSTORE_SWEEP_EVERY": text})


def test_proxies_are_addresses_and_networks() -> None:
    good = "127.0.0.1, ::1,10.0.0.0/8"
    assert Settings.from_environment({"CHATSTORE_PROXIES": good}).proxies == "127.0.0.1,::1,10.0.0.0/8"
    for bad in ("*", "localhost", "10.0.0.1/8", "127.0.0.1 ::1"):
        with pytest.raises(ConfigurationError, match="CHATSTORE_PROXIES"):
            Settings.from_environment({"CHATSTORE_PROXIES": bad})
