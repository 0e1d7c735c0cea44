"""Answers made of what the store returned: bodies, and the headers that go with them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate, takewhile
from urllib.parse import quote, urlencode

from starlette.responses import Response

from chatstore.codec import Json, writer
from chatstore.http.parameters import IfNoneMatch
from chatstore.http.problems import quoted
from chatstore.models import Appended, Cost, Deleted, Entries, Found, Message, Page, Thread
from chatstore.paths import segment
from chatstore.thread_form import thread_form

__all__ = [
    "appended",
    "deleted",
    "entry",
    "found",
    "link",
    "listing",
    "messages_href",
    "page",
    "reply",
    "thread",
    "thread_href",
    "unchanged",
    "written",
]


def listing(base: str, page: Page[Thread], most_bytes: int) -> tuple[str, int]:
    """A page of threads as JSON text, and how many of its threads are `most_bytes` of that at most."""
    return _page([_text(thread(base, one)) for one in page], page.next, most_bytes)


def found(base: str, page: Page[Found], most_bytes: int) -> tuple[str, int]:
    """The same for a page of a search, the texts of its messages exactly as the store keeps them."""
    texts = [
        f"{_text({'thread_id': one.thread_id, 'href': thread_href(base, one.thread_id)})[:-1]},"
        f'"snippet":{_text(one.snippet)},"entry":{one.message.entry_text()}}}'
        for one in page
    ]
    return _page(texts, page.next, most_bytes)


def _page(texts: list[str], cursor: str | None, most_bytes: int) -> tuple[str, int]:
    sizes = accumulate(len(text.encode()) for text in texts)
    fitting = sum(1 for _ in takewhile(lambda size: size <= most_bytes, sizes))
    return f'{{"items":[{",".join(texts)}],"next":{_text(cursor)}}}', fitting


def unchanged(asked: IfNoneMatch, etag: str | None) -> Response | None:
    """304 if the caller already holds what `etag` names."""
    if asked.if_none_match is None or etag is None or not asked.holds(etag):
        return None
    return Response(status_code=304, headers={"ETag": quoted(etag)})


def written(text: str, *, cost: Cost | None = None, headers: Mapping[str, str] | None = None) -> Response:
    """JSON text as an answer."""
    return _reply(text, 200, None, cost, headers)


def reply(
    body: Json,
    status: int = 200,
    *,
    etag: str | None = None,
    cost: Cost | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`body` as JSON."""
    return _reply(_text(body), status, etag, cost, headers)


def entry(message: Message, *, current: bool = True) -> Response:
    """One message, its text exactly as the store keeps it; it has an ETag while it is `current`."""
    return _reply(message.entry_text(), 200, message.etag if current else None, message.cost)


def page(
    page: Entries,
    href: str,
    *,
    more: Mapping[str, Json] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A page of the messages at `href`, and what is to be told `more` of it."""
    rest = {"next": page.next, "end": page.end, "etag": page.etag, "href": href, **(more or {})}
    return _entries(page, rest, 200, headers)


def _entries(
    page: Entries, rest: Mapping[str, Json], status: int, headers: Mapping[str, str] | None = None
) -> Response:
    """Messages as the `items` of an answer, their texts exactly as the store keeps them, and the `rest`."""
    return _reply(f'{{"items":[{page.text}],{_text(rest)[1:]}', status, page.etag, page.cost, headers)


def _reply(
    text: str, status: int, etag: str | None, cost: Cost | None, headers: Mapping[str, str] | None = None
) -> Response:
    body = text.encode()
    raw = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if headers:
        raw += [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    if etag is not None:
        raw.append((b"etag", quoted(etag).encode("latin-1")))
    if cost is not None:
        units = [f"{unit}={number:g}" for unit, number in cost.units.items()]
        raw.append((b"chatstore-cost", "; ".join([cost.backend, *units]).encode()))
    return _Reply(body, status, raw)


class _Reply(Response):
    """An answer whose headers were made once, as they are sent."""

    def __init__(self, body: bytes, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = headers


_text = writer()


def thread_href(base: str, thread_id: str) -> str:
    """Where a thread is: an absolute path."""
    return f"{base}/v1/threads/{segment(thread_id)}"


def messages_href(base: str, thread_id: str) -> str:
    """Where a thread's messages are."""
    return f"{thread_href(base, thread_id)}/messages"


def link(path: str, parameters: Mapping[str, object]) -> dict[str, str]:
    """The Link header that leads to the next page."""
    return {"Link": f'<{path}?{urlencode(parameters, quote_via=quote, safe="~")}>; rel="next"'}


def thread(base: str, found: Thread) -> dict[str, Json]:
    """A thread's properties, as they are written in answers."""
    shown: dict[str, Json] = {
        "id": found.id,
        "href": thread_href(base, found.id),
        **thread_form(found),
        "etag": found.etag,
    }
    if found.message_count is not None:
        shown |= {"message_count": found.message_count, "preview": found.preview}
    return shown


def appended(base: str, thread_id: str, result: Appended, status: int) -> Response:
    """What an append or a replacement wrote."""
    rest: dict[str, Json] = {
        "kept": result.kept,
        "etag": result.etag,
        "href": messages_href(base, thread_id),
    }
    if result.thread_etag is not None:
        rest["thread_etag"] = result.thread_etag
    texts = Entries.text_of(result.messages)
    return _entries(Entries(texts, etag=result.etag, cost=result.cost), rest, status)


def deleted(result: Deleted) -> Response:
    """Whether there was anything to delete."""
    return reply({"existed": result.existed, "etag": result.etag}, etag=result.etag, cost=result.cost)
