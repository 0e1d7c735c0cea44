"""The chat clients of Azure Communication Services against the service in Microsoft's worker library."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import httpx

from tests.acs import test_clients, tls
from tests.acs.client import Python
from tests.acs.sdk import ENVIRON, Sdk, javascript
from tests.acs.wire import faulty
from tests.functions.conftest import Hosting


def test_a_conversation_in_the_worker(
    hosting: Hosting, tmp_path: Path, absent: Callable[[str, str], NoReturn]
) -> None:
    certificate, address = tls.made(tmp_path), hosting({"CHATSTORE_API_KEYS": "", **ENVIRON})
    with (
        faulty(address, 0, tls.context(certificate), ("fine",)) as (base, _wire),
        closing(Python("sync", str(certificate))) as python,
        javascript(certificate, absent) as node,
    ):
        test_clients.test_a_conversation_of_three(Sdk(python, "sync", base))
        test_clients.test_a_conversation_of_three(Sdk(node, "javascript", base))
    assert httpx.get(f"{address}/chat/threads").status_code == 401
    assert httpx.get(f"{address}/chat/threads/t/nothing").json()["error"]["code"] == "Unauthorized"
