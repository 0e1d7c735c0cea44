"""The least that keeps a message in Table Storage: one call of the SDK, and nothing else."""

import json
import os

import azure.functions as func
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import TableClient

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
_table = TableClient(
    endpoint=os.environ["TABLES_ENDPOINT"],
    table_name="bare",
    credential=AzureNamedKeyCredential(os.environ["TABLES_ACCOUNT"], os.environ["AZURE_STORAGE_KEY"]),
)


@app.function_name("messages")
@app.route(route="{*route}", methods=["GET", "POST"])
def messages(req: func.HttpRequest) -> func.HttpResponse:
    if req.method == "GET":
        found = [dict(one) for one in _table.query_entities("PartitionKey eq 'first'")]
        return func.HttpResponse(json.dumps(found), mimetype="application/json")
    text = req.get_body().decode()
    _table.upsert_entity({"PartitionKey": "first", "RowKey": "1", "text": text})
    return func.HttpResponse("{}", status_code=201, mimetype="application/json")
