from __future__ import annotations

import re

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatstore import paths

PLAIN = "ABCXYZabcxyz0189._~@:-"
thread_ids = st.text(st.characters(exclude_categories=["Cs"]), max_size=200) | st.text(PLAIN, max_size=30)


@given(thread_ids)
@example("")
@example(".")
@example("..")
@example("b64:")
@example("b64:YQ")
@example("a/b\n\0?#%2F")
@example("a b")
def test_an_id_has_one_form_in_a_path_which_gives_it_back(id: str) -> None:
    segment = paths.segment(id)
    assert paths.thread_id(segment) == id
    assert re.fullmatch(paths.THREAD_PATTERN, segment)
    assert segment not in {"", ".", ".."}


@given(st.text("bBYQ64:-_=./ é", max_size=12) | st.binary(max_size=8).map(lambda raw: "b64:" + raw.hex()))
def test_a_segment_is_taken_only_in_that_form(segment: str) -> None:
    try:
        id = paths.thread_id(segment)
    except ValueError:
        return
    assert paths.segment(id) == segment


@given(thread_ids)
@settings(max_examples=60, deadline=None)
@example("")
@example("..")
@example("a/../b")
def test_any_thread_is_reached_by_its_href(http: httpx.Client, id: str) -> None:
    created = http.post("/v1/threads", json={"id": id})
    if created.status_code == 409:
        http.delete(created.request.url.join(f"/v1/threads/{paths.segment(id)}"))
        created = http.post("/v1/threads", json={"id": id})
    assert created.status_code == 201
    href = created.json()["href"]
    assert created.headers["location"] == href
    assert http.get(href).json()["id"] == id
    assert http.post(f"{href}/messages", json={"role": "user"}).status_code == 201
    assert len(http.get(f"{href}/messages").json()["items"]) == 1
    assert http.delete(href).json()["existed"] is True


@pytest.mark.parametrize(
    "segment", ["b64:YWJj", "b64:YQ==", "b64:YR", "b64:_w", "b64:!!", "a%20b", "a%2Fb", "%2Fmessages", "ü"]
)
def test_a_segment_in_another_form_names_nothing(http: httpx.Client, segment: str) -> None:
    refused = http.get(f"/v1/threads/{segment}")
    assert (refused.status_code, refused.json()["code"]) == (404, "not-found")


def test_a_slash_that_a_server_decodes_reaches_no_other_thread(http: httpx.Client) -> None:
    http.post("/v1/threads/victim/messages", json={"role": "user"})
    refused = http.get("/v1/threads/victim%2Fmessages")
    assert (refused.status_code, refused.json()["code"]) == (404, "not-found")


def test_the_right_form_is_in_the_answer_to_a_wrong_one(http: httpx.Client) -> None:
    assert "b64:YSBi" in http.get("/v1/threads/a%20b").json()["detail"]
    assert "written abc in a path" in http.get("/v1/threads/b64:YWJj").json()["detail"]


@pytest.mark.parametrize("size", [1024, 1025])
def test_an_id_has_at_most_so_many_bytes(http: httpx.Client, size: int) -> None:
    created = http.post("/v1/threads", json={"id": "é" * (size // 2) + "x" * (size % 2)})
    assert created.status_code == (201 if size == 1024 else 422)
    if created.is_success:
        assert http.get(created.headers["location"]).status_code == 200
