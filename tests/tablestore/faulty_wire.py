"""What lies between the SDK and the service: it loses, repeats, delays and refuses, by a seed."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tablestore.protobuf import table_store_pb2 as messages
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError, ReadTimeoutError

from tests.tablestore.service import Answer, Refused, Service

__all__ = ["FATES", "FaultyWire"]

_TURNED_AWAY: Final = (
    (503, "OTSServerBusy"),
    (403, "OTSNotEnoughCapacityUnit"),
    (409, "OTSRowOperationConflict"),
    (503, "OTSPartitionUnavailable"),
    (404, "OTSTableNotReady"),
)
"""By the vendor's list of errors; its SDK repeats these whatever they answer, so nothing was done."""

_UNKNOWN: Final = ((503, "OTSTimeout"), (500, "OTSInternalServerError"), (503, "OTSServerUnavailable"))
_LONGEST_DELAY = 60
_LONGEST_STORM = 30
_STORMS = 0.1
_TWICE: Final = ("twice", "twice, once late")

FATES: Final = 10
"""How many kinds of faults there are."""


@dataclass
class _Late:
    """A request that is still under way: it arrives when so many others have been sent."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    left: int


class FaultyWire:
    """Takes what the SDK sends. Once it began, `share` of the calls have a fault; some come in storms."""

    def __init__(self, service: Service, chance: random.Random, share: float = 0.15) -> None:
        self.faults: Counter[str] = Counter()
        self._service = service
        self._chance = chance
        self._share, self._share_then = 0.0, share
        self._storm = 0
        self._late: list[_Late] = []
        self._lock = threading.RLock()
        self._fates: dict[str, Callable[[str, Mapping[str, str], bytes], Answer]] = {
            "request lost": self._lose,
            "answer lost": self._lose_answer,
            "late": self._delay,
            "twice": self._double,
            "twice, once late": self._double_late,
            "turned away": self._turn_away,
            "refused, done or not": self._refuse,
            "garbled": self._garble,
        }
        self._parts: dict[str, Callable[[str, Mapping[str, str], bytes], Answer]] = {
            "/GetRange": self._cut,
            "/BatchGetRow": self._get_some,
            "/BatchWriteRow": self._write_some,
        }

    def send_receive(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Carry a request, or do something else with it."""
        with self._lock:
            for late in self._late:
                late.left -= 1
            arrived = [late for late in self._late if late.left <= 0]
            self._late = [late for late in self._late if late.left > 0]
            for late in arrived:
                self._service.send_receive(late.url, late.headers, late.body)
            fate = self._drawn(once=url == "/BatchWriteRow")
            if fate is not None:
                return self._fates[fate](url, headers, body)
            if self._chance.random() < self._share and url in self._parts:
                return self._parts[url](url, headers, body)
            return self._service.send_receive(url, headers, body)

    def begin(self) -> None:
        """Be at fault from now on."""
        self._share = self._share_then

    def end(self) -> None:
        """Let arrive what is under way, and be faultless from now on."""
        with self._lock:
            self._share, self._storm = 0.0, 0
            left, self._late = self._late, []
            for late in left:
                self._service.send_receive(late.url, late.headers, late.body)

    def _drawn(self, *, once: bool) -> str | None:
        if self._storm:
            self._storm -= 1
        elif self._chance.random() >= self._share:
            return None
        elif self._chance.random() < _STORMS:
            self._storm = self._chance.randint(1, _LONGEST_STORM)
        # Nobody sends a batch again, and then nothing brings it twice: the port says so.
        fate = self._chance.choice([name for name in self._fates if not (once and name in _TWICE)])
        self.faults[fate] += 1
        return fate

    def _lose(self, *_: object) -> Answer:
        raise MaxRetryError(None, "/", NewConnectionError(None, "refused"))  # type: ignore[arg-type]

    def _lose_answer(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self._service.send_receive(url, headers, body)
        raise ProtocolError("connection aborted")

    def _delay(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self._late.append(_Late(url, headers, body, self._chance.randint(1, _LONGEST_DELAY)))
        raise ReadTimeoutError(None, "/", "timed out")  # type: ignore[arg-type]

    def _double(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self._service.send_receive(url, headers, body)
        return self._service.send_receive(url, headers, body)

    def _double_late(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        answer = self._service.send_receive(url, headers, body)
        self._late.append(_Late(url, headers, body, self._chance.randint(1, _LONGEST_DELAY)))
        return answer

    def _turn_away(self, url: str, headers: Mapping[str, str], _: bytes) -> Answer:
        return self._service.refusal(Refused(*self._chance.choice(_TURNED_AWAY)), url, headers)

    def _refuse(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if self._chance.random() < 0.5:
            self._service.send_receive(url, headers, body)
        return self._service.refusal(Refused(*self._chance.choice(_UNKNOWN)), url, headers)

    def _garble(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        status, reason, told, answer = self._service.send_receive(url, headers, body)
        return status, reason, told, answer + b"\0"

    # Pages and batches that are done in part

    def _cut(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        request = messages.GetRangeRequest.FromString(body)
        if request.limit > 1:
            self.faults["page cut"] += 1
            request.limit = self._chance.randrange(1, request.limit)
        return self._service.perform(url, headers, request.SerializeToString())

    def _get_some(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Some rows of a batch are read; the others could not be."""
        request = messages.BatchGetRowRequest.FromString(body)
        keys = list(request.tables[0].primary_key)
        done = [self._chance.random() < 0.5 for _ in keys]
        self.faults["batch in part"] += 1
        del request.tables[0].primary_key[:]
        request.tables[0].primary_key.extend(key for key, read in zip(keys, done, strict=True) if read)
        answer = messages.BatchGetRowResponse()
        answer.tables.add(table_name=request.tables[0].table_name)
        if any(done):
            status, reason, told, written = self._service.perform(url, headers, request.SerializeToString())
            if status != 200:
                return status, reason, told, written
            answer = messages.BatchGetRowResponse.FromString(written)
        return self._merged(url, headers, answer, done, (*_TURNED_AWAY, *_UNKNOWN))

    def _write_some(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Some rows of a batch are written; the others are turned away, or may have been written."""
        request = messages.BatchWriteRowRequest.FromString(body)
        rows = list(request.tables[0].rows)
        done = [self._chance.random() < 0.5 for _ in rows]
        self.faults["batch in part"] += 1
        unknown = self._chance.random() < 0.3
        if not unknown:
            del request.tables[0].rows[:]
            request.tables[0].rows.extend(row for row, written in zip(rows, done, strict=True) if written)
        answer = messages.BatchWriteRowResponse()
        answer.tables.add(table_name=request.tables[0].table_name)
        if request.tables[0].rows:
            status, reason, told, written = self._service.perform(url, headers, request.SerializeToString())
            if status != 200:
                return status, reason, told, written
            answer = messages.BatchWriteRowResponse.FromString(written)
        if unknown:
            # All were written, and of some it is not said.
            kept = [row for row, said in zip(answer.tables[0].rows, done, strict=True) if said]
            del answer.tables[0].rows[:]
            answer.tables[0].rows.extend(kept)
        return self._merged(url, headers, answer, done, _UNKNOWN if unknown else _TURNED_AWAY)

    def _merged(
        self,
        url: str,
        headers: Mapping[str, str],
        answer: Any,
        done: list[bool],
        refusals: Sequence[tuple[int, str]],
    ) -> Answer:
        """An answer with a refusal for each row that was not done."""
        told = iter(list(answer.tables[0].rows))
        del answer.tables[0].rows[:]
        for ok in done:
            if ok:
                answer.tables[0].rows.append(next(told))
            else:
                error = messages.Error(code=self._chance.choice(refusals)[1])
                answer.tables[0].rows.add(is_ok=False, error=error)
        return self._service.answered(200, url, headers, answer.SerializeToString())
