"""What operations cost, counted where requests leave: in the pipeline of azure-core, behind its retries."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from chatstore.models import Cost

if TYPE_CHECKING:
    from azure.core.pipeline import PipelineRequest, PipelineResponse

__all__ = ["count_charge", "count_request", "metered"]

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(slots=True)
class _Spent:
    trips: int = 0
    charge: float = 0.0
    """Request units, which Cosmos DB bills and says."""


_spent: ContextVar[_Spent | None] = ContextVar("chatstore-azure-spent", default=None)


class _Named(Protocol):
    @property
    def price_list(self) -> str: ...


B = TypeVar("B", bound=_Named)


def count_request(request: PipelineRequest[Any]) -> None:  # noqa: ARG001 - each costs the same
    """Count a request that is about to leave: Table Storage bills each as one transaction."""
    spent = _spent.get()
    if spent is not None:
        spent.trips += 1


def count_charge(response: PipelineResponse[Any, Any]) -> None:
    """Add what Cosmos DB says that its answer cost."""
    spent = _spent.get()
    charge = response.http_response.headers.get("x-ms-request-charge")
    if spent is not None and charge is not None:
        spent.charge += float(charge)


def metered(
    operation: Callable[Concatenate[B, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[B, P], Coroutine[Any, Any, T]]:
    """The same operation of a backend, with its cost on its result where there is one to carry it."""

    @functools.wraps(operation)
    async def measure(backend: B, *args: P.args, **given: P.kwargs) -> T:
        spent = _Spent()
        before = _spent.set(spent)
        try:
            result = await operation(backend, *args, **given)
        finally:
            _spent.reset(before)
        if result is None:
            return result
        units: dict[str, float] = {"transactions": spent.trips}
        if spent.charge:
            units["ru"] = spent.charge
        cost = Cost(backend.price_list, units, spent.trips)
        return cast("T", replace(cast("Any", result), cost=cost))

    return cast("Callable[Concatenate[B, P], Coroutine[Any, Any, T]]", measure)
