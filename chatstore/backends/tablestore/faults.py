"""What Tablestore's refusals mean: what was surely not done, what may have been, and which error it is."""

from __future__ import annotations

from typing import Final, NoReturn

from urllib3.exceptions import HTTPError

from chatstore.backends.tablestore.sdk import OTSClientError, OTSServiceError
from chatstore.errors import ClockUncertain, ConfigurationError, StorageError, Unavailable

__all__ = ["FAULTS", "NOT_MET", "THERE", "Absent", "TurnedAway", "is_turned_away", "raise_ours"]

FAULTS: Final = (OTSServiceError, OTSClientError, HTTPError)
"""What the SDK raises."""

NOT_MET: Final = "OTSConditionCheckFail"
THERE: Final = "OTSObjectAlreadyExist"

_TURNED_AWAY: Final = frozenset(
    {
        "OTSNotEnoughCapacityUnit", "OTSOperationConflict", "OTSOperationThrottled",
        "OTSPartitionUnavailable", "OTSRowOperationConflict", "OTSServerBusy", "OTSTableNotReady",
    }
)  # fmt: skip
"""Nothing was done: the vendor's SDK repeats these for writes as well."""

_UNKNOWN: Final = frozenset(
    {"OTSInternalServerError", "OTSRequestTimeout", "OTSServerUnavailable", "OTSTimeout"}
)
"""It may have been done, or may be yet."""

_TOO_OFTEN: Final = "Too frequent table operations."


class TurnedAway(Unavailable):
    """The table cannot answer for now, and nothing was done."""


class Absent(ConfigurationError):
    """The table is not there."""


def is_turned_away(code: str, message: str = "") -> bool:
    """Whether a refusal says that nothing was done, for now."""
    return code in _TURNED_AWAY or (code == "OTSQuotaExhausted" and message == _TOO_OFTEN)


def raise_ours(error: Exception, operation: str, table: str) -> NoReturn:
    """Raise the error of ours that an error of the SDK means; its own text may quote what was sent."""
    if isinstance(error, OTSServiceError):
        _raise_refused(error, operation, table)
    if isinstance(error, OTSClientError) and "more than 15 minutes" in str(error):
        # The SDK looks at the date of an answer before anything else of it.
        refused = error.http_status is not None and 400 <= error.http_status < 500
        raise (ClockUncertain if refused else Unavailable)(
            f"{'nothing was done' if refused else 'the answer is not accepted'}, because this machine's "
            "clock is more than 15 minutes from Tablestore's: set it, and keep it with NTP"
        ) from error
    # One of the SDK's own is of an answer, too: what is sent is checked before.
    raise Unavailable(
        f"Tablestore did not answer, or not in its own form ({type(error).__name__})"
    ) from error


def _raise_refused(error: OTSServiceError, operation: str, table: str) -> NoReturn:
    code, status = error.code, error.http_status
    if is_turned_away(code, error.message):
        raise TurnedAway(f"Tablestore cannot answer for now: {code}") from error
    if code in _UNKNOWN or status >= 500 or status == 429:
        raise Unavailable(f"Tablestore cannot answer for now: {code or status}") from error
    if code == "OTSObjectNotExist":
        raise Absent(
            f"there is no table {table!r}: make it with chatstore init tablestore://INSTANCE/{table}"
        ) from error
    if code == "OTSAuthFailed" and "x-ots-date" in error.message:
        raise ClockUncertain(
            "nothing was done, because this machine's clock is too far from Tablestore's: set it, and keep "
            "it with NTP"
        ) from error
    raise StorageError(f"Tablestore refused {operation} ({code or status})") from error
