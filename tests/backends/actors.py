"""Actors that work at one store at the same time, and tell what was acknowledged and what they saw.

Each is a function of a store, a name, a source of chance and a number of rounds; several threads
or processes run them. Run as a script, ``-m tests.backends.actors URL ACTOR NAME SEED ROUNDS``, one says that
it is ready, waits for a line, acts, and prints what it tells as JSON.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

import chatstore
from chatstore.contract import system_clock
from chatstore.models import Message
from chatstore.testing.history import Mark, Turn, find_faults, mark_of, marked
from tests.backends.patient import Patient

LOG, DOCUMENT = "the log", "the document"
PARTS = 25


@dataclass
class Told:
    """What an actor tells; messages as their texts."""

    acknowledged: list[Turn] = field(default_factory=list)
    removed: list[Mark] = field(default_factory=list)
    contents: dict[str, str] = field(default_factory=dict)
    views: list[list[str]] = field(default_factory=list)
    documents: list[list[str]] = field(default_factory=list)

    @classmethod
    def from_json(cls, text: str) -> Told:
        form = json.loads(text)
        return cls(
            [Turn(*turn) for turn in form["acknowledged"]],
            [Mark(Turn(*turn), part) for turn, part in form["removed"]],
            form["contents"],
            form["views"],
            form["documents"],
        )


def append(store: chatstore.ChatStore, name: str, chance: random.Random, rounds: int) -> Told:
    """Appends turns of one to three messages."""
    told = Told()
    for number in range(rounds):
        turn = Turn(name, number, chance.randint(1, 3))
        store.append(LOG, *marked(turn))
        told.acknowledged.append(turn)
    return told


def insert(store: chatstore.ChatStore, name: str, chance: random.Random, rounds: int) -> Told:
    """Inserts before and after what others wrote, by id and by index."""
    told = Told()
    for number in range(rounds):
        turn = Turn(name, number)
        [message] = marked(turn)
        near = [one.id or "" for one in store.read(LOG, last=10)]
        try:
            if not near or chance.random() < 0.3:
                store.insert(LOG, message, index=chance.randint(-5, 5))
            elif chance.random() < 0.5:
                store.insert(LOG, message, before=chance.choice(near))
            else:
                store.insert(LOG, message, after=chance.choice(near))
        except (chatstore.MessageNotFound, chatstore.ThreadNotFound):
            continue  # somebody deleted it, or nobody has begun
        told.acknowledged.append(turn)
    return told


def edit(store: chatstore.ChatStore, name: str, chance: random.Random, rounds: int) -> Told:
    """Appends single messages, replaces half of them and deletes a third."""
    told = Told()
    for number in range(rounds):
        turn = Turn(name, number)
        [stored] = store.append(LOG, *marked(turn)).messages
        told.acknowledged.append(turn)
        what = chance.random()
        if what < 0.5:
            content = f"replaced {chance.random()}"
            replaced = store.replace_message(
                LOG, stored.id or "", marked(turn, content)[0], if_match=stored.etag
            )
            assert replaced.position == stored.position
            told.contents[stored.id or ""] = content
        elif what < 0.8:
            told.removed.append(Mark(turn, 0))
            assert store.delete_message(LOG, stored.id).text == stored.text
    return told


def replace(store: chatstore.ChatStore, name: str, chance: random.Random, rounds: int) -> Told:
    """Replaces the whole of another thread, again and again."""
    for number in range(rounds):
        store.replace_all(DOCUMENT, marked(Turn(name, number, PARTS)), create=True)
    return Told()


def read(store: chatstore.ChatStore, name: str, chance: random.Random, rounds: int) -> Told:
    """Looks at both threads."""
    told = Told()
    for _ in range(rounds):
        told.views.append([message.text for message in store.read(LOG, last=1000)])
        told.documents.append([message.text for message in store.read(DOCUMENT)])
    return told


ACTORS: dict[str, Callable[[chatstore.ChatStore, str, random.Random, int], Told]] = {
    actor.__name__: actor for actor in (append, insert, edit, replace, read)
}
CAST = ["append", "append", "insert", "insert", "edit", "edit", "replace", "replace", "read", "read"]


def check(told: Sequence[Told], final: Sequence[Message], hint: str) -> None:
    """Assert of what the actors told, and of the log as it is at the end, all that must hold."""
    acknowledged = [turn for one in told for turn in one.acknowledged]
    faults = find_faults(
        acknowledged,
        [_messages(view) for one in told for view in one.views],
        final,
        removed=[mark for one in told for mark in one.removed],
        inserted={turn.writer for turn in acknowledged if turn.writer.startswith("insert")},
        complete=len(final) <= 1000,
    )
    assert not faults, f"{hint}: {faults[:5]}"

    there = {message.id: message for message in final}
    for one in told:
        for message_id, content in one.contents.items():
            assert there[message_id].content == content, f"{hint}: a replacement was lost"
    for document in (document for one in told for document in one.documents if document):
        turns = {mark.turn for mark in map(mark_of, _messages(document)) if mark is not None}
        assert len(document) == PARTS, f"{hint}: a reader saw a part of a history"
        assert len(turns) == 1, f"{hint}: a reader saw two histories mixed"


def _messages(texts: list[str]) -> list[Message]:
    return [Message(text) for text in texts]


def caller(store: chatstore.ChatStore, url: str) -> chatstore.ChatStore:
    """A file is always there; a table may be unavailable to one of many, who then asks again."""
    return store if url.startswith("sqlite") else cast("chatstore.ChatStore", Patient(store, system_clock))


def main(url: str, actor: str, name: str, seed: str, rounds: str) -> None:
    with chatstore.connect(url) as store:
        store.ping()
        print("ready", flush=True)
        sys.stdin.readline()
        told = ACTORS[actor](caller(store, url), name, random.Random(seed), int(rounds))
        print(json.dumps(asdict(told)))


__all__ = ["ACTORS", "CAST", "DOCUMENT", "LOG", "PARTS", "Told", "caller", "check"]

if __name__ == "__main__":
    main(*sys.argv[1:])
