"""OpenAI's clients against the artefact in AWS's own runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from tests.lambda_.emulator import emulated
from tests.lambda_.events import http_api
from tests.openai import scenarios
from tests.openai.gateway import Answered, gateway
from tests.openai.sdk import ENVIRON, Sdk, clients, secret


def test_openais_clients_on_lambda(
    equipped: Path, tmp_path: Path, absent: Callable[[str, str], NoReturn]
) -> None:
    settings = {
        **ENVIRON,
        "CHATSTORE_URL": f"sqlite:///{tmp_path}/chat.db",
        "CHATSTORE_REQUESTS_PER_MINUTE": "0",
    }
    with emulated(equipped, tmp_path / "log", **settings) as function, clients(absent) as speakers:

        def answer(method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answered:
            told = function.ask(http_api, method, path, body, headers)
            return Answered(told.status, told.headers, told.body)

        with gateway(answer) as address:
            for kind in ("async", "javascript"):
                for scenario in scenarios.ALL:
                    scenario(Sdk(speakers[kind], kind, address, secret("all")))
