"""A long conversation through LlamaIndex's DynamoDB chat store. Runs in an environment of its own.

``python peer_dynamodb.py ENDPOINT`` prints a JSON object: the sums, the failure, and what
two writers left.
"""

from __future__ import annotations

import json
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[2])  # not this folder, whose modules hide the package

warnings.simplefilter("ignore")
import boto3  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: E402
from llama_index.core.llms import ChatMessage  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: E402
from llama_index.storage.chat_store.dynamodb import (  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: E402
    DynamoDBChatStore,
)

from bench import conversation  # noqa: E402 - after the path is set
from bench.conversation.traffic import DynamoTraffic  # noqa: E402

TABLE = "llama"


def main(endpoint: str) -> None:
    where = {"region_name": "us-east-1", "endpoint_url": endpoint}
    boto3.client("dynamodb", **where).create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "SessionId", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "SessionId", "KeyType": "HASH"}],
    )

    def opened() -> DynamoDBChatStore:
        return DynamoDBChatStore(TABLE, region_name="us-east-1", resource_kwargs={"endpoint_url": endpoint})

    store = opened()
    traffic = DynamoTraffic(store._client.meta.client.meta.events)

    def say(turn: list[dict[str, str]]) -> None:
        assert len(store.get_messages(conversation.THREAD)[-conversation.LAST :]) <= conversation.LAST
        for message in turn:
            store.add_message(conversation.THREAD, ChatMessage(**message))

    found = conversation.run(say, traffic.sums)
    package = "llama-index-storage-chat-store-dynamodb"
    found["peer"] = f"{package} {version(package)}"

    def write(writer: int) -> None:
        mine = opened()
        for number in range(conversation.EACH):
            mine.add_message(conversation.SHARED, ChatMessage(role="user", content=f"{writer} {number}"))

    with ThreadPoolExecutor(conversation.WRITERS) as pool:
        list(pool.map(write, range(conversation.WRITERS)))
    found["there"] = len(store.get_messages(conversation.SHARED))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
