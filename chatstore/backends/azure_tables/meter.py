"""What requests cost, counted where they leave: in the pipeline of azure-core, behind its retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore.metering import spent

if TYPE_CHECKING:
    from azure.core.pipeline import PipelineRequest, PipelineResponse

__all__ = ["COSMOS_PRICES", "TABLES_PRICES", "Meter"]

TABLES_PRICES, COSMOS_PRICES = "azure-tables", "cosmos-table"


class Meter:
    """Counts by a price list: Table Storage bills each request as one transaction."""

    def __init__(self, price_list: str) -> None:
        self._price_list = price_list

    def count_request(self, request: PipelineRequest[Any]) -> None:  # noqa: ARG002 - each costs the same
        """Count a request that is about to leave."""
        spent(self._price_list, {"transactions": 1})

    def count_charge(self, response: PipelineResponse[Any, Any]) -> None:
        """Add the request units that Cosmos DB bills for its answer, and says there."""
        charge = response.http_response.headers.get("x-ms-request-charge")
        if charge is not None:
            spent(self._price_list, {"ru": float(charge)}, trips=0)
