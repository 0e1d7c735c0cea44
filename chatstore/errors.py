"""Every error that chatstore raises.

::

    ChatStoreError
    ├── InvalidArgument            what was passed cannot be used (also a ValueError)
    │   ├── InvalidMessage         not a JSON object with a role, or not JSON at all
    │   │   └── MessageTooLarge    longer than the library or the service takes
    │   ├── InvalidCursor          not a cursor or position that this store gave out
    │   └── RequestExpired         the time in a request id is outside the window
    ├── NotFound                   (also a LookupError)
    │   ├── ThreadNotFound
    │   └── MessageNotFound
    ├── ThreadExists               a thread of that id is already there
    ├── MessageExists              the thread has a message with that key already
    ├── Conflict                   a condition that does not hold; carries the current ETag
    ├── RequestMismatch            a request id that was used for something else
    ├── CursorExpired              the history that a cursor pointed into has been replaced
    ├── Unsupported                this backend does not do that
    ├── ConfigurationError         a URL, a setting or a missing package (also a ValueError)
    └── StorageError
        ├── ClockUncertain         this machine's clock is too far off to remove what is old
        ├── Unavailable            the storage did not answer; trying again may help
        └── CorruptData            the storage holds something that chatstore did not write

An error that comes from a driver or an SDK is its ``__cause__``. A call that raises has changed
nothing, with one exception: after ``Unavailable`` the outcome is unknown, and a request id makes
the repetition safe.
"""

from __future__ import annotations

import copyreg

__all__ = [
    "ChatStoreError",
    "ClockUncertain",
    "ConfigurationError",
    "Conflict",
    "CorruptData",
    "CursorExpired",
    "InvalidArgument",
    "InvalidCursor",
    "InvalidMessage",
    "MessageExists",
    "MessageNotFound",
    "MessageTooLarge",
    "NotFound",
    "RequestExpired",
    "RequestMismatch",
    "StorageError",
    "ThreadExists",
    "ThreadNotFound",
    "Unavailable",
    "Unsupported",
]


class ChatStoreError(Exception):
    """The root of the tree: ``except ChatStoreError`` catches whatever the store raises."""

    def __reduce__(self) -> tuple[object, ...]:
        # Exception's own calls the class with the text, which is not what these are made of.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class InvalidArgument(ChatStoreError, ValueError):
    """What was passed cannot be used; the text says what to change."""


class InvalidMessage(InvalidArgument):
    """A message is not a JSON object with a role, or holds what JSON cannot carry."""


class MessageTooLarge(InvalidMessage):
    """A message is longer than the limit; split it, or keep the large part elsewhere."""


class InvalidCursor(InvalidArgument):
    """A cursor or position that no store gave; pass one back exactly as it came."""


class RequestExpired(InvalidArgument):
    """The time in a request id lies outside the window in which repetitions are recognised."""


class NotFound(ChatStoreError, LookupError):
    """What was named does not exist, or no longer."""


class ThreadNotFound(NotFound):
    """There is no thread of this id; ``thread_id`` says which was meant."""

    def __init__(self, thread_id: str) -> None:
        super().__init__(f"there is no thread {thread_id!r}")
        self.thread_id = thread_id


class MessageNotFound(NotFound):
    """The thread has no such message; ``message`` is the id or the index that was given."""

    def __init__(self, thread_id: str, message: str | int) -> None:
        named = f"at index {message}" if isinstance(message, int) else repr(message)
        super().__init__(f"thread {thread_id!r} has no message {named}")
        self.thread_id = thread_id
        self.message = message


class ThreadExists(ChatStoreError):
    """A thread of this id is already there; ``thread_id`` says which."""

    def __init__(self, thread_id: str) -> None:
        super().__init__(f"thread {thread_id!r} already exists: choose another id, or append to it")
        self.thread_id = thread_id


class MessageExists(ChatStoreError):
    """The thread has a message with this key already; ``message_id`` says which. Nothing was written."""

    def __init__(self, thread_id: str, key: str, message_id: str | None = None) -> None:
        super().__init__(
            f"thread {thread_id!r} has a message with the key {key!r} already: read it by that key, or "
            "repeat the request that wrote it under its request id"
        )
        self.thread_id = thread_id
        self.key = key
        self.message_id = message_id


class Conflict(ChatStoreError):
    """What ``if_match`` named has changed since it was read, or something exists that must not.

    Nothing was written.

    ``current`` is the present ETag, None if nothing is there any more: read again, decide again, and
    pass the new one.
    """

    def __init__(self, current: str | None) -> None:
        now = "nothing is there" if current is None else f"its etag is now {current!r}"
        super().__init__(f"the condition does not hold: {now}; read again before writing")
        self.current = current


class RequestMismatch(ChatStoreError):
    """This request id was already used for another request; use a new one."""

    def __init__(self, request_id: str) -> None:
        super().__init__(f"request id {request_id!r} was already used for another request: use a new one")
        self.request_id = request_id


class CursorExpired(ChatStoreError):
    """The history that this cursor pointed into was replaced, cleared or deleted; start again."""

    def __init__(self) -> None:
        super().__init__(
            "the thread's history was replaced since this cursor was given: read from the start again"
        )


class Unsupported(ChatStoreError):
    """The backend does not declare the capability that this call needs."""


class ConfigurationError(ChatStoreError, ValueError):
    """A URL, an option, a setting or a package is wrong or missing; the text says which."""


class StorageError(ChatStoreError):
    """The storage failed; the driver's own error is the cause."""


class ClockUncertain(StorageError):
    """The storage's time is not known, or this machine's clock is far from it: nothing was removed."""


class Unavailable(StorageError):
    """The storage did not answer in time, or refused for now; whether a write took place is unknown."""


class CorruptData(StorageError):
    """The storage holds something that chatstore did not write, or lost a part of it."""
