"""The same as `bare`, the way it is usually written: FastAPI, with azure-identity loaded and ready.

The emulator is reached over http, where a token is never sent: the call itself is signed with the key.
"""

# mypy: disable-error-code="untyped-decorator"
# FastAPI is in an environment of its own.

import os
from typing import Any

import azure.functions as func
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import TableClient
from azure.identity import DefaultAzureCredential
from fastapi import FastAPI
from pydantic import BaseModel

api = FastAPI()
_identity = DefaultAzureCredential()
_table = TableClient(
    endpoint=os.environ["TABLES_ENDPOINT"],
    table_name="usual",
    credential=AzureNamedKeyCredential(os.environ["TABLES_ACCOUNT"], os.environ["AZURE_STORAGE_KEY"]),
)


class Message(BaseModel):
    role: str
    content: str


@api.get("/v1/threads/{thread}/messages")
def read(thread: str) -> list[dict[str, Any]]:
    return [dict(one) for one in _table.query_entities(f"PartitionKey eq '{thread}'")]


@api.post("/v1/threads/{thread}/messages", status_code=201)
def append(thread: str, message: Message) -> Message:
    _table.upsert_entity({"PartitionKey": thread, "RowKey": "1", **message.model_dump()})
    return message


app = func.AsgiFunctionApp(app=api, http_auth_level=func.AuthLevel.ANONYMOUS)
