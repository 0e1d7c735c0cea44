"""What OpenAPI has no words for, told to schemathesis."""

from __future__ import annotations

import itertools
import os
import re
import string
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.openapi.checks import RejectedPositiveData, UseAfterFree

from chatstore.http.parameters import ETAGS, KEY
from chatstore.models import ThreadCursor, from_micros
from chatstore.store import MAX_KIND_BYTES

COUNTER = itertools.count()
KEYS = {"Idempotency-Key", "Repeatability-Request-ID"}
EXCLUSIVE = {"last", "after", "before", "limit", "max_tokens", "keep"}
TOGETHER = ({"after", "before", "limit"}, {"last"}, {"max_tokens", "keep"})


def _recent(seconds: int) -> str:
    return format_datetime(datetime.now(UTC) - timedelta(seconds=seconds), usegmt=True)


def _cursor(micros: int, id: str) -> str:
    return ThreadCursor(from_micros(micros), id).text()


schemathesis.openapi.format("entity-tags", st.from_regex(ETAGS, fullmatch=True))
schemathesis.openapi.format("http-date", st.integers(0, 3600).map(_recent))
schemathesis.openapi.format(
    "thread-cursor", st.builds(_cursor, st.integers(0, 2**50), st.text(string.ascii_letters, max_size=9))
)
schemathesis.openapi.format("message-cursor", st.from_regex(r"[0-9]{10}", fullmatch=True))
schemathesis.openapi.format("search-cursor", st.integers(0, 100).map(str))


@schemathesis.hook
def filter_case(_context: object, case: schemathesis.Case[Any]) -> bool:
    """Parameters that exclude one another or are missing, a participant twice, more times than messages."""
    named = EXCLUSIVE & set(case.query or {}) if case.path.endswith("/messages") else set()
    alone = any(named <= group for group in TOGETHER) and ("keep" not in named or "max_tokens" in named)
    cut = {"after", "from"} & set(case.query or {})
    cut_twice = case.method == "DELETE" and len(cut) > 1
    cut_nowhere = case.method == "DELETE" and case.path.endswith("/items") and not cut
    asked = (case.query or {}).get("kind") in (None, "*") or _is_a_kind(case.query)
    fitting = alone and asked and not cut_twice and not cut_nowhere
    return fitting and all(fits(case.body) for fits in FITTING)


@schemathesis.hook
def before_call(_context: object, case: schemathesis.Case[Any], _arguments: object) -> None:
    """A key that was used before would be refused for another request: each is used once.

    Under both of its names it is the same. And an API key that was made up would be a second credential
    beside the one that is sent.
    """
    case.headers.pop("X-API-Key", None)
    key = f"k-{next(COUNTER)}-{os.getpid()}"
    for name in KEYS & set(case.headers):
        if re.fullmatch(KEY, case.headers[name]):
            case.headers[name] = key


@schemathesis.hook
def filter_failure(
    _context: object, failure: Exception, case: schemathesis.Case[Any], _response: object
) -> bool:
    """What is no failure: a date that is none and was refused, and two things that a link cannot know.

    A thread that is not there, or no longer, has no messages: an empty page, not an error. And a
    link takes a thread's id for its form in a path, which an empty one does not have.
    """
    absent = isinstance(failure, UseAfterFree) and case.path.endswith("/messages")
    misjudged = isinstance(failure, RejectedPositiveData) and _no_date(case)
    return not absent and not misjudged and "//" not in case.formatted_path


def _no_date(case: schemathesis.Case[Any]) -> bool:
    """Whether a mutated date counts as valid because a format of our own is any text to a validator."""
    date = case.headers.get("Repeatability-First-Sent")
    return date is not None and parsedate(date) is None


def _everybody_once(body: object) -> bool:
    """Whether no participant appears twice."""
    people = body.get("participants") if isinstance(body, Mapping) else None
    ids = [one.get("id") for one in people if isinstance(one, Mapping)] if isinstance(people, list) else []
    return not any(id in ids[:place] for place, id in enumerate(ids))


def _one_for_each(body: object) -> bool:
    """Whether what is listed for messages is as much as they are, and no key is there twice."""
    if not isinstance(body, Mapping) or not isinstance(body.get("messages"), list):
        return True
    count = len(body["messages"])
    keys = body.get("key")
    named = keys if isinstance(keys, list) else [] if keys is None else [keys]
    given = [one for one in named if one is not None]
    lists = [body.get("metadata"), body.get("expires_in"), None if keys is None else named]
    fit = all(len(one) == count for one in lists if isinstance(one, list))
    return fit and not any(one in given[:place] for place, one in enumerate(given))


def _sliding_has_a_ttl(body: object) -> bool:
    """Whether what slides says how long."""
    if not isinstance(body, Mapping):
        return True
    return not (body.get("sliding") is True and body.get("ttl") is None)


def _of_its_patch(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    """The same of an envelope's patch."""
    return lambda body: fits(body.get("patch")) if isinstance(body, Mapping) else True


def _names_one_place(body: object) -> bool:
    """Whether a fork ends at one message, or none."""
    return not (
        isinstance(body, Mapping) and body.get("through") is not None and body.get("before") is not None
    )


def _is_a_kind(given: object) -> bool:
    """Whether the kind is one, and not all; a schema counts its characters, the service its bytes."""
    kind = given.get("kind") if isinstance(given, Mapping) else None
    return not isinstance(kind, str) or (kind != "*" and len(kind.encode(errors="replace")) <= MAX_KIND_BYTES)


def _users_have_one_id(body: object) -> bool:
    """Whether the two ids of a user are one."""
    people = body.get("participants") if isinstance(body, Mapping) else None
    found = [body, *(people if isinstance(people, list) else ())]
    named = [one.get("communicationIdentifier", one) for one in found if isinstance(one, Mapping)]
    users = [(one.get("rawId"), one.get("communicationUser")) for one in named if isinstance(one, Mapping)]
    return all(
        raw is None or not isinstance(user, Mapping) or not user.get("id") or user["id"] == raw
        for raw, user in users
    )


FITTING = (
    _users_have_one_id, _everybody_once, _one_for_each, _sliding_has_a_ttl, _names_one_place, _is_a_kind,
    _of_its_patch(_everybody_once), _of_its_patch(_sliding_has_a_ttl),
)  # fmt: skip
