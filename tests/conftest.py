"""Options, markers and fixtures of all tests, and the rule that nothing is skipped in silence."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn
from zlib import crc32

import hypothesis
import pytest

from tests.azure_tables import azurite as emulator
from tests.dynamodb import servers as dynamodb
from tests.folders import use_memory
from tests.integrations import sources as peers
from tests.postgres.servers import await_postgres

pytest_plugins = ["chatstore.testing.summary"]

# Before workers are started, which make their files in the same place.
use_memory()

TASKMASTER = Path(__file__).parents[2] / "shared" / "data" / "taskmaster4.jsonl"
_PATIENT_SECONDS = 1800
"""After so long a test of the soak fails that does not end."""

SOAK = os.environ.get("CHATSTORE_SOAK", "0") not in ("", "0")

ABSENT = "absent service: "
"""How the reason of the only permitted skip begins; --require-services makes a failure of it."""

OTHER_CASE = "one case in so many on a slow server; `make soak` tries all, and so does memory"
OTHER_COLOUR = "in another colour, or on the backend's other server; `make soak` runs all in each"
OTHER_SERVER = "on another server, as on memory and SQLite; `make soak` runs all on each"
SERVERS = ("service", "dynamodb", "aztables", "upstash")
"""Where what does not know its backend runs by turns: each of its tests is run on one of these."""

_deselected = pytest.StashKey[dict[str, int]]()

# How long it takes to draw says how busy the machine is.
_PATIENT = hypothesis.settings(
    deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("ci", _PATIENT)
hypothesis.settings.register_profile("soak", _PATIENT, max_examples=5000)
hypothesis.settings.load_profile("soak" if SOAK else "ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-services", action="store_true", help="fail where a service that a test needs is absent"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if SOAK and config.getoption("timeout") is None:
        # Read by the plugin's own hook, which comes behind this one.
        config.option.timeout = _PATIENT_SECONDS
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Started in the background, where a shell ignores Ctrl-C: what the tests start is to hear it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", f"real_data: needs {TASKMASTER.name}, real conversations")
    config.addinivalue_line("markers", "soak: takes long; runs only with CHATSTORE_SOAK=1")
    config.addinivalue_line("markers", "each_server: tells servers apart, and so runs on all of them")
    config.stash[_deselected] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons = {}
    if not TASKMASTER.exists():
        reasons["real_data"] = f"there is no {TASKMASTER}"
    if not SOAK:
        reasons["soak"] = "only `make soak` takes that long"
    kept, left = [], []
    others = _other_cases(items)
    for item in items:
        marker = next((name for name in reasons if item.get_closest_marker(name) is not None), None)
        reason = OTHER_CASE if item in others else reasons.get(marker or "")
        if isinstance(item, pytest.Function) and hasattr(item, "callspec") and not SOAK:
            reason = reason or _tried_elsewhere(item)
        if reason is None:
            kept.append(item)
        else:
            left.append(item)
            deselected = config.stash[_deselected]
            deselected[reason] = deselected.get(reason, 0) + 1
    items[:] = kept
    if left:
        config.hook.pytest_deselected(items=left)


def _tried_elsewhere(item: pytest.Function) -> str | None:
    """Why the test need not be run here, where the same code runs it elsewhere.

    A class may say in `thirds` which thirds of its tests it takes in a colour. It takes every test of a suite
    that is `entire`.
    """
    params = item.callspec.params
    thirds: Mapping[object, Container[int]] = getattr(item.cls, "thirds", {})
    place = crc32(item.originalname.encode())
    if place % 3 not in thirds.get(params.get("colour"), range(3)):
        entire = any(item.originalname in vars(suite) for suite in getattr(item.cls, "entire", ()))
        return None if entire else OTHER_COLOUR
    server = params.get("fresh", params.get("shared"))
    if server in SERVERS and item.get_closest_marker("each_server") is None:
        turn = crc32(item.name.replace(server, "").encode()) % len(SERVERS)
        return None if SERVERS[turn] == server else OTHER_SERVER
    return None


def _other_cases(items: Iterable[pytest.Item]) -> set[pytest.Item]:
    """Of each test of a class that takes one case in so many, those that it leaves out.

    A test that takes a sample for each of its cases keeps them all. Tests begin with different cases, so that
    over a class every case is met.
    """
    tests: dict[tuple[Any, str, object], list[pytest.Item]] = {}
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            of = (item.cls, item.originalname, item.callspec.params.get("colour"))
            if "sample" not in item.fixturenames:
                tests.setdefault(of, []).append(item)
    others: set[pytest.Item] = set()
    for (cls, name, _), cases in tests.items():
        one_in = min(getattr(cls, "one_case_in", 1), len(cases))
        others |= set(cases) - set(cases[crc32(name.encode()) % one_in :: one_in])
    return others


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _note_skip(report)
    if report.when == "teardown":
        for name, value in report.user_properties:
            if isinstance(value, int):
                _counts[report.nodeid.partition("::")[0], name] += value


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _note_skip(report)


_skips: dict[str, str] = {}
_counts: Counter[tuple[str, str]] = Counter()
"""What tests counted with `record_property`, by file and by what it is."""


def _note_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skips[report.nodeid] = reason.removeprefix("Skipped: ")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    sent: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if sent is not None:
        sent["deselected"] = session.config.stash[_deselected]
    elif any(not reason.startswith(ABSENT) for reason in _skips.values()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # Every worker collects, and so deselects, the same.
    node.config.stash[_deselected].update(getattr(node, "workeroutput", {}).get("deselected", {}))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if _counts:
        terminalreporter.section("counted")
        for (file, name), count in sorted(_counts.items()):
            terminalreporter.write_line(f"{file}: {count:,} {name}")
    deselected = config.stash[_deselected]
    if deselected:
        terminalreporter.section("deselected")
        for reason, count in sorted(deselected.items()):
            terminalreporter.write_line(f"{count} tests: {reason}")
    if _skips:
        terminalreporter.section("skipped")
        for nodeid, reason in sorted(_skips.items()):
            verdict = "" if reason.startswith(ABSENT) else "FAILS THE RUN, nothing may be skipped: "
            terminalreporter.write_line(f"{verdict}{nodeid}: {reason}", red=bool(verdict))


@pytest.fixture(scope="session")
def absent(request: pytest.FixtureRequest) -> Callable[[str, str], NoReturn]:
    """To be called where a service is not there: ``absent("PostgreSQL", "pip install pgserver")``."""

    def absent(service: str, how_to_get_it: str) -> NoReturn:
        if request.config.getoption("--require-services"):
            pytest.fail(f"{service} is required and not there: {how_to_get_it}")
        pytest.skip(f"{ABSENT}{service}; {how_to_get_it}")

    return absent


@pytest.fixture(scope="session")
def taskmaster() -> Path:
    """The real conversations; mark the test with `real_data`."""
    assert TASKMASTER.exists(), "a test that uses these is marked with real_data"
    return TASKMASTER


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of a DynamoDB by moto, which knows everything and is exact in nothing."""
    with dynamodb.moto() as address:
        yield address


@pytest.fixture(scope="session")
def dynalite(absent: Callable[[str, str], NoReturn]) -> Iterator[str]:
    """The address of a DynamoDB by dynalite, which is strict and knows no transactions."""
    if not dynamodb.dynalite_is_there():
        absent("dynalite", dynamodb.HOW_TO_GET_IT)
    with dynamodb.dynalite() as address:
        yield address


@pytest.fixture(scope="session")
def azurite(absent: Callable[[str, str], NoReturn]) -> Iterator[str]:
    """The endpoint of an Azurite; its key is in the environment."""
    if not emulator.there():
        absent("Azurite", emulator.HOW_TO_GET_IT)
    with pytest.MonkeyPatch.context() as patch, emulator.running() as endpoint:
        patch.setenv("AZURE_STORAGE_KEY", emulator.KEY)
        yield endpoint


@pytest.fixture(scope="session")
def postgres(absent: Callable[[str, str], NoReturn]) -> Iterator[str]:
    """The URL of the first database of a PostgreSQL."""
    if not peers.has("pgserver"):
        absent("PostgreSQL", peers.HOW_TO_GET_THEM)
    with peers.postgresql_running() as url:
        await_postgres(url)
        yield url
