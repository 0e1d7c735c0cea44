"""The same as `bare`, the way it is usually written: FastAPI, boto3 and Mangum."""

# mypy: disable-error-code="untyped-decorator"
# FastAPI is in an environment of its own.

from typing import Any

import boto3
from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel

app = FastAPI()
_table = boto3.resource("dynamodb", region_name="us-east-1").Table("t")


class Message(BaseModel):
    role: str
    content: str


@app.get("/v1/threads/{thread}/messages")
def read(thread: str) -> list[dict[str, Any]]:
    found = _table.query(
        KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": thread}, Limit=20
    )
    items: list[dict[str, Any]] = found["Items"]
    return items


@app.post("/v1/threads/{thread}/messages", status_code=201)
def append(thread: str, message: Message) -> Message:
    _table.put_item(Item={"pk": thread, "sk": "1", **message.model_dump()})
    return message


handler = Mangum(app, lifespan="off")
