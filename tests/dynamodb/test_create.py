"""Making the table: descriptions lag behind, and what is refused is one of our errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ClientError

from chatstore import ChatStore, StorageError
from chatstore.backends.calls import BlockingCalls
from chatstore.backends.dynamodb import DynamoBackend
from chatstore.backends.dynamodb.client import Client
from chatstore.backends.dynamodb.table import DynamoTable
from chatstore.contract import system_clock
from chatstore.testing.samples import contents, say
from tests.servers import table_for


def opened(address: str, name: Path, codes: list[str]) -> DynamoBackend:
    """A backend whose first descriptions of the table are these refusals."""
    client = Client(table_for(name), "us-east-1", address, 5.0)

    def refuse(request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        if not codes:
            return None
        answer = AWSResponse(request.url, 400, {}, None)
        answer._content = json.dumps({"__type": f"com.amazonaws#{codes.pop()}"}).encode()
        return answer

    client.client.meta.events.register("before-send.dynamodb.DescribeTable", refuse)
    return DynamoBackend(DynamoTable(BlockingCalls(client), client), system_clock)


@pytest.mark.parametrize("server", ["dynalite", "moto"])
def test_a_table_that_is_not_described_yet_is_waited_for(
    server: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    codes = ["ResourceNotFoundException"] * 3
    with ChatStore(opened(request.getfixturevalue(server), tmp_path, codes)) as store:
        store.prepare()
        assert not codes
        store.append("t", say("a"))
        store.prepare()
        assert contents(store.read("t")) == ["a"]


def test_who_may_not_describe_the_table_is_told(moto: str, tmp_path: Path) -> None:
    with ChatStore(opened(moto, tmp_path, ["AccessDeniedException"])) as store:
        with pytest.raises(StorageError, match="AccessDenied") as raised:
            store.prepare()
        assert isinstance(raised.value.__cause__, ClientError)
