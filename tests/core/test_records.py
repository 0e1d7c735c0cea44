"""The first result of a request comes back from its record as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from chatstore.contract import Draft
from chatstore.models import Appended, Deleted, Message, Participant, Thread
from chatstore.records import Result, dump, load
from tests.core.json_values import MESSAGES, OBJECTS, TEXT

TIMES = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is beside it
STORED = st.builds(
    lambda data, id, position, at, etag, until: Message(
        Message.from_dict(data).text, id, position, at, etag, until
    ),
    MESSAGES,
    TEXT,
    TEXT,
    TIMES,
    TEXT,
    st.none() | TIMES,
)
PARTICIPANTS = st.lists(st.builds(Participant, TEXT, st.none() | TEXT, OBJECTS), max_size=3).map(tuple)
THREADS = st.builds(
    Thread,
    TEXT,
    st.none() | TEXT,
    st.none() | TEXT,
    OBJECTS,
    PARTICIPANTS,
    TIMES,
    TIMES,
    st.none() | TIMES,
    TEXT,
)


def drafts(messages: list[Message]) -> list[Draft]:
    return [Draft(message.text, timedelta(1)) for message in messages]


@given(st.lists(STORED, max_size=4), st.lists(STORED, max_size=3), TEXT)
def test_what_was_appended(kept: list[Message], new: list[Message], etag: str) -> None:
    brought = drafts(kept + new)
    result = Appended(tuple(new), etag, len(kept))
    assert load(dump(result, brought), brought) == result


@given(STORED)
def test_a_message_that_the_request_brought_and_one_that_it_took(message: Message) -> None:
    brought = drafts([message])
    assert load(dump(message, brought), brought) == message
    assert load(dump(message)) == message


@given(STORED)
def test_a_record_does_not_repeat_what_the_request_brings(message: Message) -> None:
    long = Message('{"role":"user","content":"' + "x" * 10_000 + '"}', message.id)
    assert len(dump(long, drafts([long]))) < 1000


@given(THREADS | st.builds(Deleted, st.booleans(), st.none() | TEXT) | st.none())
def test_everything_else(result: Result) -> None:
    assert load(dump(result)) == result
