"""The contract between the store and a backend: everything a backend must do, and the values that pass."""

from chatstore.contract.backend import Backend, Capability, Clock, system_clock
from chatstore.contract.values import (
    ABSENT,
    SHORT_CHARACTERS,
    UNSET,
    Cut,
    Draft,
    InsertAt,
    Listing,
    MetadataPatch,
    NewThread,
    Query,
    Request,
    Span,
    ThreadKey,
    ThreadPatch,
    Unset,
)

__all__ = [
    "ABSENT",
    "SHORT_CHARACTERS",
    "UNSET",
    "Backend",
    "Capability",
    "Clock",
    "Cut",
    "Draft",
    "InsertAt",
    "Listing",
    "MetadataPatch",
    "NewThread",
    "Query",
    "Request",
    "Span",
    "ThreadKey",
    "ThreadPatch",
    "Unset",
    "system_clock",
]
