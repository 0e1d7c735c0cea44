"""Events as AWS sends them, one form for each thing that may stand before a function."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote

Event: TypeAlias = dict[str, Any]
Make: TypeAlias = Callable[..., Event]

SCHEDULED: Event = {
    "version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "detail-type": "Scheduled Event",
    "source": "aws.events", "account": "123456789012", "time": "2026-10-08T16:53:06Z", "region": "us-east-1",
    "resources": ["arn:aws:events:us-east-1:123456789012:rule/sweep"], "detail": {},
}  # fmt: skip


def _carried(body: bytes | None, encoded: bool) -> Event:
    if body is None:
        return {"body": None, "isBase64Encoded": False}
    text = base64.b64encode(body).decode() if encoded else body.decode()
    return {"body": text, "isBase64Encoded": encoded}


def http_api(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str], *,
    encoded: bool = False, stage: str = "$default", claims: Any = None,
) -> Event:  # fmt: skip
    """Payload 2.0 of an HTTP API, whose path is percent-decoded in spite of its name."""
    path, _, query = url.partition("?")
    path = unquote(path) if stage == "$default" else f"/{stage}{unquote(path)}"
    context = {
        "accountId": "123456789012", "apiId": "id", "domainPrefix": "id", "requestId": "id", "stage": stage,
        "domainName": "id.execute-api.us-east-1.amazonaws.com", "routeKey": "$default",
        "time": "12/Mar/2026:19:03:58 +0000", "timeEpoch": 1583348638390,
        "http": {"method": method, "path": path, "sourceIp": "192.0.2.1", "userAgent": "x"},
    }  # fmt: skip
    if claims is not None:
        context["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
    return {
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
        "headers": dict(headers), "requestContext": context, **_carried(body, encoded),
    }  # fmt: skip


def function_url(*request: Any, **options: Any) -> Event:
    """Payload 2.0 of a function URL, whose path is as it was sent."""
    event = http_api(*request, **options)
    context = event["requestContext"]
    context["domainName"] = "id.lambda-url.us-east-1.on.aws"
    context["http"]["path"] = event["rawPath"] = request[1].partition("?")[0]
    return event


def rest_api(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str], *,
    encoded: bool = False, stage: str = "prod", claims: Any = None,
) -> Event:  # fmt: skip
    """Payload 1.0 of a REST API: the path as it was sent and without the stage, the query decoded."""
    path, _, query = url.partition("?")
    several: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        several.setdefault(name, []).append(value)
    context: dict[str, Any] = {
        "accountId": "123456789012", "apiId": "id", "httpMethod": method, "path": f"/{stage}{path}",
        "stage": stage, "protocol": "HTTP/1.1", "requestId": "id", "resourcePath": "/{proxy+}",
        "identity": {"sourceIp": "192.0.2.1", "userAgent": "x"},
    }  # fmt: skip
    if claims is not None:
        context["authorizer"] = {"claims": claims}
    return {
        "resource": "/{proxy+}", "path": path, "httpMethod": method, "headers": dict(headers),
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in several.items()} or None,
        "multiValueQueryStringParameters": several or None,
        "pathParameters": {"proxy": path[1:]}, "stageVariables": None, "requestContext": context,
        **_carried(body, encoded),
    }  # fmt: skip


def load_balancer(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str], *,
    encoded: bool = False, said: str = "",
) -> Event:  # fmt: skip
    """An event of an application load balancer, which decodes neither path nor query."""
    path, _, query = url.partition("?")
    pairs = dict(part.split("=", 1) for part in query.split("&")) if query else {}
    return {
        "requestContext": {
            "elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/t/1"}
        },
        "httpMethod": method, "path": path, "queryStringParameters": pairs,
        "headers": {**headers, "x-forwarded-for": f"{said}192.0.2.1", "x-forwarded-proto": "https"},
        **_carried(body, encoded) | ({"body": ""} if body is None else {}),
    }  # fmt: skip


KINDS: dict[str, Make] = {
    "http-api": http_api, "function-url": function_url, "rest-api": rest_api, "load-balancer": load_balancer,
}  # fmt: skip


class Answer:
    """A function's answer as whatever stands before it passes it on, after its own checks."""

    def __init__(self, sent: Event, kind: Make) -> None:
        assert set(sent) <= {
            "statusCode",
            "headers",
            "multiValueHeaders",
            "cookies",
            "body",
            "isBase64Encoded",
        }
        self.status: int = sent["statusCode"]
        several = {name: values[0] for name, values in sent.get("multiValueHeaders", {}).items()}
        self.headers = {name.lower(): value for name, value in {**sent["headers"], **several}.items()}
        text: str = sent["body"]
        assert not (sent["isBase64Encoded"] and kind is rest_api), "a REST API would pass base64 on as text"
        self.body = base64.b64decode(text, validate=True) if sent["isBase64Encoded"] else text.encode()
        assert self.headers.get("content-length", "0") == str(len(self.body))  # 204 has none

    def json(self) -> Any:
        return json.loads(self.body)
