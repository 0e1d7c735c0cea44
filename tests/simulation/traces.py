"""Looks into the rows of a storage for what nobody can read any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from chatstore.contract import ThreadKey
from chatstore.engines.fenced import layout as azure_keys
from tests.simulation.acting import Recorder
from tests.simulation.storages import Storage

__all__ = ["of_owners", "of_texts", "of_threads"]


def of_threads(storage: Storage, actors: Recorder, dead: Iterable[ThreadKey]) -> str | None:
    """A row that names a thread which is gone."""
    needles = {}
    # A fork that is still there says what it was forked from.
    origins = {op.key.id for op in actors.ops if op.kind == "fork"}
    for key in dead:
        needles[azure_keys.partition(key.tenant, key.id).encode()] = key.id
        needles[f"#{key.tenant}#{key.id}".encode()] = key.id
        other = key._replace(tenant="acme" if key.tenant == "blue" else "blue")
        if other not in actors.threads and key.id not in origins:
            needles[key.id.encode()] = key.id
    for name, body in storage.rows():
        text = name.encode() + b" " + body[:2000]
        for needle, what in needles.items():
            if needle in text and not _longer(needle, text, needles):
                return f"{name} is of {what}, which is gone: {body[:200]!r}"
    return None


def of_texts(storage: Storage, actors: Recorder, shown: Collection[str]) -> str | None:
    """A row with a text that is not `shown`: that was cut away, replaced, edited or deleted."""
    whole = storage.whole_turns
    turns = {_turn(label) for label in shown} if whole else set[str]()
    stays = [f"{label}!".encode() for label in shown] if whole else []
    gone = [
        f"{label}!".encode()
        for label in actors.labels.values()
        if label not in shown and _turn(label) not in turns
    ]
    for name, body in storage.rows():
        if any(text in body for text in stays):
            continue
        for text in gone:
            if text in body:
                return f"{name} still says {text!r}: {body[:200]!r}"
    return None


def of_owners(
    storage: Storage, actors: Recorder, owners: Collection[str], late: Collection[str]
) -> str | None:
    """A row that names owners, or says what they said; those aside that were written `late`."""
    texts = {f"{label}!".encode() for label, (_, owner) in actors.owners.items() if owner in owners}
    texts |= {owner.encode() for owner in owners}
    for name, body in storage.rows():
        if name in late:
            # An erasure has looked before it came. A sweep removes it, which is looked at.
            continue
        row = name.encode() + b" " + body
        for text in texts:
            if text in row:
                return f"{text!r} is in {name} {body[:200]!r}"
    return None


def _turn(label: str) -> str:
    """The turn that a text was a part of."""
    return label.partition(".")[0]


def _longer(needle: bytes, text: bytes, needles: dict[bytes, str]) -> bool:
    """Whether it is but the beginning of another name."""
    at = text.find(needle)
    after = text[at + len(needle) : at + len(needle) + 1]
    return needle not in needles or after.isdigit()
