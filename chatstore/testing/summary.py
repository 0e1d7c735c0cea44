"""A pytest plugin: says at the end of a run what the contract suite left out, and what the machine did.

``pytest_plugins = ["chatstore.testing.summary"]`` in the topmost conftest.py turns it on. It works
under pytest-xdist too, where the workers tell the controller.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import pytest

from chatstore.testing.backend_tests import BackendTests, OptedOut

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_testnodedown",
]

_SENT = "chatstore.testing"
_opted_out = pytest.StashKey[dict[str, str]]()
_operations = pytest.StashKey[Counter[str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note what the collected classes opt out of."""
    classes = {getattr(item, "cls", None) for item in items}
    for tested in classes:
        if isinstance(tested, type) and issubclass(tested, BackendTests):
            for name in dir(tested):
                reason = getattr(tested, name)
                if isinstance(reason, OptedOut):
                    config.stash.setdefault(_opted_out, {})[f"{tested.__name__}.{name}"] = str(reason)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Keep what was counted, or tell the controller."""
    steps = sys.modules.get("chatstore.testing.machine.steps")
    counted: Counter[str] = Counter() if steps is None else steps.OPERATIONS
    session.config.stash.setdefault(_operations, Counter()).update(counted)
    sent: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if sent is not None:
        sent[_SENT] = {"opted_out": session.config.stash.get(_opted_out, {}), "operations": dict(counted)}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker sent."""
    sent = getattr(node, "workeroutput", {}).get(_SENT)
    if sent is not None:
        node.config.stash.setdefault(_opted_out, {}).update(sent["opted_out"])
        node.config.stash.setdefault(_operations, Counter()).update(sent["operations"])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print it."""
    operations, opted_out = config.stash.get(_operations, Counter()), config.stash.get(_opted_out, {})
    if operations:
        terminalreporter.section("operations of the state machine")
        for name, count in sorted(operations.items()):
            terminalreporter.write_line(f"{name}: {count:,}")
    if opted_out:
        terminalreporter.section("opted out of the contract suite")
        for name, reason in sorted(opted_out.items()):
            terminalreporter.write_line(f"{name}: {reason}")
