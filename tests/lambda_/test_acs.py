"""The chat client of Azure Communication Services against the artefact in AWS's own runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import NoReturn

from tests.acs import test_clients, tls
from tests.acs.client import Python
from tests.acs.sdk import ENVIRON, Sdk, javascript
from tests.acs.wire import faulty
from tests.lambda_.emulator import emulated
from tests.lambda_.events import http_api
from tests.openai.gateway import Answered, gateway


def test_a_conversation_on_lambda(
    equipped: Path, tmp_path: Path, absent: Callable[[str, str], NoReturn]
) -> None:
    certificate = tls.made(tmp_path)
    settings = {**ENVIRON, "CHATSTORE_URL": f"sqlite:///{tmp_path}/chat.db"}
    with emulated(equipped, tmp_path / "log", **settings) as function:

        def answer(method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answered:
            told = function.ask(http_api, method, path, body, headers)
            return Answered(told.status, told.headers, told.body)

        with (
            gateway(answer) as address,
            faulty(address, 0, tls.context(certificate), ("fine",)) as (base, _wire),
            closing(Python("async", str(certificate))) as python,
            javascript(certificate, absent) as node,
        ):
            test_clients.test_a_conversation_of_three(Sdk(python, "async", base))
            test_clients.test_a_conversation_of_three(Sdk(node, "javascript", base))
