from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import httpx

from chatstore.http.problems import PROBLEMS
from tests.http.conftest import LIMITS


class Seen(HTMLParser):
    """What a page has: its tags with their attributes, anchors, and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(http: httpx.Client) -> tuple[Seen, httpx.Response]:
    answer = http.get("/docs")
    seen = Seen()
    seen.feed(answer.text)
    return seen, answer


def test_the_reference_needs_nothing_from_anywhere(http: httpx.Client) -> None:
    seen, answer = read(http)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert not {tag for tag, _ in seen.tags} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
    }
    attributes = [(name, value or "") for _, attrs in seen.tags for name, value in attrs.items()]
    assert not [name for name, _ in attributes if name.startswith("on") or name in {"src", "style"}]
    assert {value for name, value in attributes if name == "href" and not value.startswith("#")} == {
        "openapi.json"
    }
    assert "url(" not in answer.text
    assert "@import" not in answer.text
    assert "//" not in answer.text.replace("<!doctype html>", "")


def test_the_reference_may_use_its_own_style_alone(http: httpx.Client) -> None:
    _, answer = read(http)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "script-src" not in policy
    assert "style-src 'sha256-" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_reference_has_every_operation_and_no_dead_link(http: httpx.Client) -> None:
    seen, _ = read(http)
    document: dict[str, Any] = http.get("/openapi.json").json()
    anchors = {attrs["id"] for _, attrs in seen.tags if "id" in attrs}
    targets = {
        str(attrs["href"])[1:]
        for tag, attrs in seen.tags
        if tag == "a" and str(attrs["href"]).startswith("#")
    }
    assert targets <= anchors
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["operationId"] in anchors
            assert path in seen.text


def test_a_problems_type_leads_to_its_entry(http: httpx.Client) -> None:
    seen, _ = read(http)
    anchors = {attrs["id"] for _, attrs in seen.tags if "id" in attrs}
    assert {problem.code for problem in PROBLEMS.values()} <= anchors
    kind = http.get("/nothing").json()["type"]
    assert kind.removeprefix("/docs#") in anchors


def test_limits_that_are_set_are_in_the_document(http: httpx.Client) -> None:
    document: dict[str, Any] = http.get("/openapi.json").json()
    assert (
        document["components"]["schemas"]["Turn"]["properties"]["messages"]["maxItems"] == LIMITS.max_messages
    )
    assert f"{LIMITS.max_body_bytes:,}" in document["info"]["description"]
