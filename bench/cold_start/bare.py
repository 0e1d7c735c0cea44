"""The least that keeps a message in DynamoDB: one call of botocore, and nothing else."""

import json
from typing import Any

import botocore.session

_client = botocore.session.get_session().create_client("dynamodb", region_name="us-east-1")


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda passes it
    key = {"pk": {"S": event["rawPath"]}}
    if event["requestContext"]["http"]["method"] == "GET":
        found = _client.query(
            TableName="t", KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": key["pk"]}
        )
        return {"statusCode": 200, "body": json.dumps(found["Items"])}
    _client.put_item(TableName="t", Item={**key, "sk": {"S": "1"}, "text": {"S": event["body"]}})
    return {"statusCode": 201, "body": "{}"}
