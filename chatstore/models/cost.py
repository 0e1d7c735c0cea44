"""What an operation cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chatstore.models.quick import quickly_made

__all__ = ["Cost"]


@quickly_made
@dataclass(frozen=True, slots=True)
class Cost:
    """What one operation cost where the storage bills or meters it.

    `backend` names the price list, `units` counts each billed unit by its vendor's name
    (``{"wru": 1, "rru": 0}``), `trips` the round trips to the storage.
    """

    backend: str
    units: Mapping[str, float]
    trips: int

    def __add__(self, other: Cost) -> Cost:
        """What two steps of one operation cost together."""
        names = {**self.units, **other.units}
        units = {name: self.units.get(name, 0) + other.units.get(name, 0) for name in names}
        return Cost(self.backend, units, self.trips + other.trips)
