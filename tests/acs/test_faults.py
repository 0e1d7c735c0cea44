"""Networks repeat and lose what clients send, and these repeat it themselves: each message is there once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acs import tls
from tests.acs.conftest import PLACES
from tests.acs.sdk import Sdk
from tests.acs.wire import FATES, faulty
from tests.conftest import SOAK
from tests.http.serving import serving

TURNS = 2000 if SOAK else 60
THREADS = 10 if SOAK else 6


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("place", PLACES if SOAK else PLACES[:1])
def test_each_message_is_there_once_and_in_order(
    sdk: Sdk,
    served: Callable[[str], str],
    applied: Callable[[str], Any],
    certificate: Path,
    place: str,
    record_property: Callable[[str, object], None],
) -> None:
    direct = sdk._replace(base=served(place), user=f"ada-{sdk.kind}-{place}")
    threads = [direct("create", topic=str(number))["id"] for number in range(THREADS)]
    turns = {
        thread: [f"{index}:{number}" for number in range(TURNS // THREADS)]
        for index, thread in enumerate(threads)
    }
    seed = sum(map(ord, sdk.kind))
    with (
        serving(applied(place)) as upstream,
        faulty(upstream, seed, tls.context(certificate)) as (base, wire),
    ):
        assert direct._replace(base=base).outcome("turns", turns=turns) == {"ok": TURNS}
    for thread, sent in turns.items():
        found = [one["text"] for one in direct("messages", thread, size=100) if one["type"] == "text"]
        assert found[::-1] == sent
    assert set(wire.met) == set(FATES)
    record_property("turns", TURNS)


def test_each_thread_is_made_once_and_changed_once(
    sdk: Sdk, served: Callable[[str], str], applied: Callable[[str], Any], certificate: Path
) -> None:
    direct = sdk._replace(base=served("sqlite"), user=f"ada-{sdk.kind}-changes")
    bobs = [f"bob-{sdk.kind}-{n}" for n in range(6)]
    with (
        serving(applied("sqlite")) as upstream,
        faulty(upstream, 7, tls.context(certificate)) as (base, _wire),
    ):
        through = direct._replace(base=base)
        names = [
            repeated(through, "create", request=f"c{n}", topic="t", token=f"c{n}")["id"] for n in range(4)
        ]
        thread = names[0]
        for n in range(6):
            people = [{"id": bobs[n]}]
            repeated(through, "add", thread, request=f"a{n}", participants=people)
            repeated(through, "topic", thread, request=f"t{n}", topic=f"topic {n}")
            if n % 2:
                repeated(through, "remove", thread, request=f"r{n}", id=bobs[n])
    assert sorted(one["id"] for one in direct("threads")) == sorted(names)
    told = direct("messages", thread)[::-1][2:]
    expected = [
        ["participantAdded", "topicUpdated", *(["participantRemoved"] if n % 2 else [])] for n in range(6)
    ]
    assert [one["type"] for one in told] == [kind for kinds in expected for kind in kinds]
    assert [one["id"] for one in direct("participants", thread)] == [direct.user, bobs[0], bobs[2], bobs[4]]
    for n in range(6):
        assert len(direct.of(bobs[n])("threads")) == (n + 1) % 2


def repeated(sdk: Sdk, do: str, thread: str | None = None, **args: Any) -> Any:
    """What a method gives, called again under the same name where its client gives up."""
    told: Any = None
    for _ in range(5):
        told = sdk.outcome(do, thread, **args)
        if "ok" in told:
            break
        assert told["status"] in (None, 429, 502, 503), told
    return told["ok"]
