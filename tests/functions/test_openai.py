"""OpenAI's clients against the service in Microsoft's worker library."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from tests.functions.conftest import Hosting
from tests.openai import scenarios
from tests.openai.sdk import ENVIRON, Sdk, clients, secret


def test_openais_clients_in_the_worker(hosting: Hosting, absent: Callable[[str, str], NoReturn]) -> None:
    address = hosting(ENVIRON)
    with clients(absent) as speakers:
        for kind in ("async", "javascript"):
            for scenario in scenarios.ALL:
                scenario(Sdk(speakers[kind], kind, address, secret("all")))
