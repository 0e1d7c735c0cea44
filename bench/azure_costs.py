"""``python -m bench.azure_costs``: what a month on Azure costs, from unit prices and from what a turn needs.

A turn is an append of what the user said and what was answered, and one read of the last messages before it;
turns are spread over the month at random. Free grants, taxes, traffic to the internet ($0.087 a GB beyond the
first 100 GB) and the host's own requests to its blobs are left out.
"""

from __future__ import annotations

from math import exp
from typing import NamedTuple

TURNS = (1_000, 1_000_000, 100_000_000)


class Turn(NamedTuple):
    """What one turn needs: the only place where this is said."""

    transactions: float = 3
    """2 for the first append of a minute, 1 for the last 20 messages, as docs/azure.md has them."""
    stored_bytes: float = 1_500
    requests: float = 2
    seconds: float = 0.035
    """Of an instance with a quarter of a processor, for each request: estimated from Lambda's."""
    log_items: float = 3
    """For each request: the host's own three, before sampling."""
    log_item_bytes: float = 1_000


class Prices(NamedTuple):
    """In dollars, East US 2."""

    transaction: float = 0.036e-6
    stored_gb: float = 0.0563
    """Copies in three zones."""
    execution: float = 0.40e-6
    gb_second: float = 0.000026
    ready_gb_second: float = 0.000004
    """Of an instance that is always ready, whether it works or not."""
    ready_busy_gb_second: float = 0.000016
    """Of such an instance while it works, beside that: less than of one that comes and goes."""
    logged_gb: float = 2.30


SECONDS = 730 * 3600
MEMORY_GB = 0.5
SHORTEST = 1.0
"""Seconds that are billed at least each time that an instance becomes busy."""
USABLE = 0.5
"""How much of an instance is in use before there is another one."""
LOG_ITEMS_A_SECOND = 5
"""What host.json lets through of each instance."""
SWEEPS, SWEEP_SECONDS = 730, 1.0


def month(turns: int, turn: Turn, price: Prices) -> dict[str, float]:
    """Dollars by what they are for; the last entry is what one instance that is always ready adds."""
    requests = turns * turn.requests
    rate = requests / SECONDS
    instances = max(1.0, rate * turn.seconds / USABLE)
    # An instance is idle while nothing has come for as long as is billed at least.
    busy = instances * SECONDS * (1 - exp(-rate / instances * SHORTEST))
    executing = busy + SWEEPS * SWEEP_SECONDS
    items = min(requests * turn.log_items, executing * LOG_ITEMS_A_SECOND)
    return {
        "transactions": turns * turn.transactions * price.transaction,
        "storage": turns * turn.stored_bytes / 1e9 * price.stored_gb,
        "executions": (requests + SWEEPS) * price.execution,
        "instances": executing * MEMORY_GB * price.gb_second,
        "log": items * turn.log_item_bytes / 1e9 * price.logged_gb,
        "always ready": MEMORY_GB
        * (
            SECONDS * price.ready_gb_second
            # It takes its share of the requests from those that come and go.
            - busy / instances * (price.gb_second - price.ready_busy_gb_second)
        ),
    }


def main() -> None:
    months = [month(turns, Turn(), Prices()) for turns in TURNS]
    print(f"{'dollars a month':18}" + "".join(f"{f'{turns:,} turns':>20}" for turns in TURNS))
    for name in list(months[0])[:-1]:
        print(f"{name:18}" + "".join(f"{one[name]:20,.2f}" for one in months))
    totals = [sum(one.values()) for one in months]
    alone = [total - one["always ready"] for total, one in zip(totals, months, strict=True)]
    print(f"{'altogether':18}" + "".join(f"{one:20,.2f}" for one in alone))
    print(f"{'with one ready':18}" + "".join(f"{one:20,.2f}" for one in totals))


if __name__ == "__main__":
    main()
