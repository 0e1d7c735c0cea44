"""The log's table as a table of DynamoDB."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NoReturn

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
)
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.parsers import ResponseParserError

from chatstore.backends.calls import TRIES, CalledTable, Calls
from chatstore.backends.dynamodb.client import Client
from chatstore.backends.dynamodb.meter import ASKING, billed, size_of
from chatstore.batching import batches
from chatstore.engines.log import Key, Row, Rows
from chatstore.errors import ConfigurationError, StorageError, Unavailable
from chatstore.metering import spent

__all__ = ["DynamoTable"]

_PRICES = "dynamodb"
_GET_TOGETHER, _WRITE_TOGETHER = 100, 25
_WRITE_TOGETHER_BYTES = 8_000_000
_READY_TRIES = 120
_READY_PAUSE_SECONDS = (0.01, 0.5)

_TRANSIENT = frozenset(
    {
        "InternalServerError", "LimitExceededException", "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException", "RequestLimitExceeded", "ServiceUnavailable",
        "ThrottlingException", "TransactionConflictException", "TransactionInProgressException",
    }
)  # fmt: skip
_REFUSED = "ConditionalCheckFailedException"
_CANCELED = "TransactionCanceledException"
_ABSENT = "ResourceNotFoundException"


class DynamoTable(CalledTable):
    """Rows as items: text, numbers and binary."""

    def __init__(self, calls: Calls, client: Client) -> None:
        super().__init__(calls)
        self._client = client
        self._name = client.table
        # What an emulator says of units is not what the service would bill.
        self._asking = {} if client.is_local else ASKING

    async def query(
        self,
        pk: str,
        low: str,
        high: str,
        *,
        limit: int,
        newest: bool = False,
        after: str | None = None,
        stale: bool = False,
    ) -> Rows:
        if low > high:
            return Rows([], more=False)  # the service refuses to be asked
        sent: dict[str, Any] = {
            "TableName": self._name,
            "KeyConditionExpression": "pk = :p AND sk BETWEEN :l AND :h",
            "ExpressionAttributeValues": {":p": {"S": pk}, ":l": {"S": low}, ":h": {"S": high}},
            "ScanIndexForward": not newest,
            "ConsistentRead": not stale,
            "Limit": limit,
        }
        if after is not None:
            sent["ExclusiveStartKey"] = _key(Key(pk, after))
        answer = await self._patiently(functools.partial(self._call, "Query", sent))
        return Rows([_row(item) for item in answer["Items"]], "LastEvaluatedKey" in answer)

    async def get(self, keys: Sequence[Key]) -> list[Row]:
        found: list[Row] = []
        for start in range(0, len(keys), _GET_TOGETHER):
            wanted = [_key(key) for key in keys[start : start + _GET_TOGETHER]]
            asked: dict[str, Any] = {self._name: {"Keys": wanted, "ConsistentRead": True}}

            async def some(asked: dict[str, Any]) -> dict[str, Any]:
                sent = {"RequestItems": asked}
                answer = await self._patiently(functools.partial(self._call, "BatchGetItem", sent))
                found.extend(_row(item) for item in answer["Responses"].get(self._name, ()))
                return answer.get("UnprocessedKeys") or {}

            await self._until_all(asked, some)
        return found

    async def put_new(self, row: Row, *, free: Key | None = None) -> Row | None:
        put = {
            "TableName": self._name,
            "Item": _item(row),
            "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if free is not None:
            return await self._put_pair(put, row, free)
        try:
            await self._call("PutItem", put)
        except ClientError as error:
            if _code(error) != _REFUSED:
                _raise(error, self._client)
            return await self._in_the_way([Key(str(row["pk"]), str(row["sk"]))], [error.response])
        return None

    async def swap(self, row: Row, version: int | None) -> bool:
        sent: dict[str, Any] = {
            "TableName": self._name,
            "Item": _item(row),
            "ConditionExpression": "attribute_not_exists(pk)" if version is None else "v = :v",
            "ReturnValues": "ALL_OLD",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if version is not None:
            sent["ExpressionAttributeValues"] = {":v": {"N": str(version)}}

        try:
            await self._patiently(functools.partial(self._call, "PutItem", sent))
        except ClientError as error:
            if _code(error) != _REFUSED:
                _raise(error, self._client)
            return False
        return True

    async def write(self, puts: Sequence[Row], deletes: Sequence[Key] = ()) -> None:
        requests: list[dict[str, Any]] = [{"PutRequest": {"Item": _item(row)}} for row in puts]
        requests += [{"DeleteRequest": {"Key": _key(key)}} for key in deletes]

        async def some(asked: dict[str, Any]) -> dict[str, Any]:
            # Tried once: a put that arrives late, behind its own repetition, would undo an edit between.
            answer = await self._call("BatchWriteItem", {"RequestItems": asked})
            return answer.get("UnprocessedItems") or {}

        for together in batches(requests, _size, most=_WRITE_TOGETHER, size_most=_WRITE_TOGETHER_BYTES):
            await self._until_all({self._name: together}, some)

    async def remove(self, row: Row) -> bool:
        compared = [name for name in ("v", "s") if name in row]
        sent = {
            "TableName": self._name,
            "Key": _key(Key(str(row["pk"]), str(row["sk"]))),
            "ConditionExpression": " AND ".join(f"{name} = :{name}" for name in compared),
            "ExpressionAttributeValues": {f":{name}": _attribute(row[name]) for name in compared},
        }
        try:
            await self._patiently(functools.partial(self._call, "DeleteItem", sent))
        except ClientError as error:
            if _code(error) != _REFUSED:
                _raise(error, self._client)
            return False
        return True

    async def ping(self) -> None:
        await self.query("P", " ", "~", limit=1)

    async def create(self) -> None:
        """Make the table, if it is not there, and wait until it can be used."""
        pause, longest = _READY_PAUSE_SECONDS
        try:
            await self._create()
            for _ in range(_READY_TRIES):
                if await self._is_ready():
                    return
                await self.pause(pause)
                pause = min(2 * pause, longest)
        except (ClientError, BotoCoreError) as error:
            _raise(error, self._client)
        raise Unavailable(f"the table {self._name!r} is not ready yet")

    async def _create(self) -> None:
        try:
            await self._calls.call(
                "CreateTable",
                {
                    "TableName": self._name,
                    "BillingMode": "PAY_PER_REQUEST",
                    "AttributeDefinitions": [
                        {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")
                    ],
                    "KeySchema": [
                        {"AttributeName": "pk", "KeyType": "HASH"},
                        {"AttributeName": "sk", "KeyType": "RANGE"},
                    ],
                },
            )
        except ClientError as error:
            if _code(error) != "ResourceInUseException":
                raise

    async def _is_ready(self) -> bool:
        try:
            answer = await self._calls.call("DescribeTable", {"TableName": self._name})
        except ClientError as error:
            # Descriptions are eventually consistent: one that was just asked for may not be there yet.
            if _code(error) != _ABSENT:
                raise
            return False
        return bool(answer["Table"]["TableStatus"] == "ACTIVE")

    async def _call(self, operation: str, sent: dict[str, Any]) -> dict[str, Any]:
        """One round trip, counted; raises botocore's error where the answer is one that callers read."""
        sent = {**sent, **self._asking}
        try:
            try:
                answer: dict[str, Any] = await self._calls.call(operation, sent)
            except ClientError as error:
                if _code(error) != _ABSENT or not self._client.is_local:
                    raise
                # An emulator's table is made when it is missed.
                await self.create()
                answer = await self._calls.call(operation, sent)
        except ClientError as error:
            refused = _code(error) in (_REFUSED, _CANCELED)
            spent(_PRICES, billed(operation, sent, error.response) if refused else {})
            if refused:
                raise
            _raise(error, self._client)
        except BotoCoreError as error:
            _raise(error, self._client)
        spent(_PRICES, billed(operation, sent, answer))
        return answer

    async def _until_all(
        self, asked: dict[str, Any], some: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
    ) -> None:
        """Do a batch, of which each answer names what is still to be done; it is waited for while all is."""
        silences = 0
        while asked:
            left = await some(asked)
            silences = silences + 1 if _count(left) == _count(asked) else 0
            if silences == TRIES:
                raise Unavailable("DynamoDB cannot take a batch for now")
            asked = left
            if asked:
                await self._rest(max(silences - 1, 0))

    async def _put_pair(self, put: dict[str, Any], row: Row, free: Key) -> Row | None:
        check = {
            "TableName": self._name,
            "Key": _key(free),
            "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        try:
            await self._call(
                "TransactWriteItems", {"TransactItems": [{"Put": put}, {"ConditionCheck": check}]}
            )
        except ClientError as error:
            if _code(error) != _CANCELED:
                _raise(error, self._client)
            reasons = error.response.get("CancellationReasons", [])
            if not any(reason.get("Code") == "ConditionalCheckFailed" for reason in reasons):
                raise Unavailable("DynamoDB canceled a transaction for now") from error
            return await self._in_the_way([Key(str(row["pk"]), str(row["sk"])), free], reasons)
        return None

    async def _in_the_way(self, keys: list[Key], answers: Iterable[Any]) -> Row:
        for answer in answers:
            if answer.get("Item"):
                return _row(answer["Item"])
        found = await self.get(keys)
        if not found:
            raise Unavailable("another writer's row was in the way and is gone: try again")
        return found[0]


def _item(row: Row) -> dict[str, Any]:
    return {name: _attribute(value) for name, value in row.items()}


def _attribute(value: str | int | bytes) -> dict[str, Any]:
    if isinstance(value, int):
        return {"N": str(value)}
    return {"B": value} if isinstance(value, bytes) else {"S": value}


def _row(item: dict[str, dict[str, Any]]) -> Row:
    row: Row = {}
    for name, value in item.items():
        kind, content = next(iter(value.items()))
        row[name] = int(content) if kind == "N" else content
    return row


def _key(key: Key) -> dict[str, Any]:
    return {"pk": {"S": key.pk}, "sk": {"S": key.sk}}


def _size(request: dict[str, Any]) -> int:
    return size_of(request["PutRequest"]["Item"]) if "PutRequest" in request else 0


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _raise(error: Exception, client: Client) -> NoReturn:
    """The error of ours that an error of botocore means."""
    if isinstance(error, ClientError):
        code = _code(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _TRANSIENT or status >= 500 or status == 429:
            raise Unavailable(f"DynamoDB cannot answer for now: {code}") from error
        if code == _ABSENT:
            raise ConfigurationError(
                f"there is no table {client.table!r}: make it with chatstore init dynamodb://{client.table}"
            ) from error
        # The rest of its text may quote what was sent.
        raise StorageError(f"DynamoDB refused {error.operation_name} ({code or status})") from error
    if isinstance(error, (NoCredentialsError, NoRegionError)):
        raise ConfigurationError(f"DynamoDB cannot be reached: {error}") from error
    if isinstance(error, (HTTPClientError, NoConnectionError, IncompleteReadError, ResponseParserError)):
        raise Unavailable(f"DynamoDB did not answer ({type(error).__name__})") from error
    raise StorageError(f"DynamoDB cannot be used ({type(error).__name__})") from error


def _count(batch: dict[str, Any]) -> int:
    return sum(len(part["Keys"]) if "Keys" in part else len(part) for part in batch.values())
