"""What requests cost and when they were answered, in the pipeline of azure-core, behind its retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore.metering import spent

if TYPE_CHECKING:
    from azure.core.pipeline import PipelineRequest, PipelineResponse

    from chatstore.clocks import ServerClock

__all__ = ["COSMOS_PRICES", "TABLES_PRICES", "Meter"]

_ASKED = "chatstore_asked"

TABLES_PRICES, COSMOS_PRICES = "azure-tables", "cosmos-table"


class Meter:
    """Counts by a price list: Table Storage bills each request as one transaction.

    What the answers say of the time goes to `clock`.
    """

    def __init__(self, price_list: str) -> None:
        self._price_list = price_list
        self.clock: ServerClock | None = None

    def sent(self, request: PipelineRequest[Any]) -> None:
        """Count a request that is about to leave."""
        if self.clock is not None:
            request.context[_ASKED] = self.clock.monotonic()
        spent(self._price_list, {"transactions": 1})

    def answered(self, response: PipelineResponse[Any, Any]) -> None:
        """Add the request units that Cosmos DB bills for its answer, and says there."""
        headers = response.http_response.headers
        if self.clock is not None:
            self.clock.heard(headers.get("date"), response.context[_ASKED])
        charge = headers.get("x-ms-request-charge")
        if charge is not None:
            spent(self._price_list, {"ru": float(charge)}, trips=0)
