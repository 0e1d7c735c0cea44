"""A long conversation through LlamaIndex's DynamoDB chat store. Runs in an environment of its own.

``python llama_index_dynamodb.py ENDPOINT`` prints a JSON object: the sums, the failure, and what
two writers left.
"""

from __future__ import annotations

import json
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder, whose modules hide the package

warnings.simplefilter("ignore")
import boto3  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: E402
from llama_index.core.llms import ChatMessage  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: E402
from llama_index.storage.chat_store.dynamodb import (  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: E402
    DynamoDBChatStore,
)

from bench import conversation  # noqa: E402 - after the path is set

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
    traffic = conversation.Traffic(store._client.meta.client.meta.events)

    def say(turn: list[dict[str, str]]) -> None:
        assert len(store.get_messages(conversation.THREAD)[-conversation.LAST :]) <= conversation.LAST
        for message in turn:
            store.add_message(conversation.THREAD, ChatMessage(**message))

    found = conversation.run(say, traffic)
    package = "llama-index-storage-chat-store-dynamodb"
    found["peer"] = f"{package} {version(package)}"

    def write(writer: int) -> None:
        mine = opened()
        for number in range(50):
            mine.add_message("shared", ChatMessage(role="user", content=f"{writer} {number}"))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    found["of 100"] = len(store.get_messages("shared"))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
