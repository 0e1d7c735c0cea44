"""``python -m bench.aws_costs``: what a month on AWS costs, from unit prices and from what a turn needs.

A turn is an append of what the user said and what was answered, and one read of the last messages before it,
in another minute of the same hour than its thread's last one; the last line is of turns that are hours apart.
Free tiers, taxes and traffic to the internet ($0.09 a GB beyond the first 100 GB) are left out.
"""

from __future__ import annotations

from typing import NamedTuple

TURNS = (1_000, 1_000_000, 100_000_000)

ITEM = 1.45
"""Write units of a turn of usual length, which is one item."""
NEW_MINUTE, NEW_HOUR = 1, 4
"""Write units beyond the item, for its thread's place in the lists."""
UNKNOWN = 1
"""Read units where the process has not met the thread lately."""
LAST_ONES = 2
"""Read units of the last 20 messages, 8 KB, read consistently."""


class Turn(NamedTuple):
    """What one turn needs: the only place where this is said."""

    write_units: float = ITEM + NEW_MINUTE
    read_units: float = LAST_ONES
    stored_bytes: float = 1_500
    requests: float = 2
    seconds: float = 0.015
    """Of the function, for each request, once its instance is there."""
    log_bytes: float = 900
    """For each request: the service's line, and Lambda's own three."""
    sweep_seconds: float = 0
    """Of the function that sweeps."""


APART = 3
"""Write units beyond the item where turns are hours apart and one process takes them, by `bench.month`."""
EXPIRY_WRITES, EXPIRY_READS, EXPIRY_SECONDS = 3.5, 3.5, 0.0054
"""Units and time that the removal of an expired turn takes, in a thread of ten, by `bench.month`."""
EXPIRING = Turn(
    ITEM + APART + EXPIRY_WRITES,
    LAST_ONES + UNKNOWN + EXPIRY_READS,
    stored_bytes=400,
    sweep_seconds=EXPIRY_SECONDS,
)
"""A turn hours after its thread's last, that expires after a week: a quarter of a month is stored."""


class Prices(NamedTuple):
    """In dollars, us-east-1, on demand, arm64."""

    write_unit: float = 0.625e-6
    read_unit: float = 0.125e-6
    stored_gb: float = 0.25
    backed_up_gb: float = 0.20
    invocation: float = 0.20e-6
    gb_second: float = 0.0000133334
    http_api_request: float = 1.00e-6
    logged_gb: float = 0.50
    alarm: float = 0.10


MEMORY_GB, SWEEPER_GB = 1.0, 1769 / 1024
ALARMS = 8
SWEEPS, SWEEP_SECONDS = 730, 1.0


def month(turns: int, turn: Turn, price: Prices) -> dict[str, float]:
    """Dollars by what they are for, with the function URL; the last entry is what an HTTP API adds."""
    requests = turns * turn.requests
    gigabytes = turns * turn.stored_bytes / 1e9
    swept = turns * turn.sweep_seconds + SWEEPS * SWEEP_SECONDS
    worked = requests * turn.seconds * MEMORY_GB + swept * SWEEPER_GB
    return {
        "writes": turns * turn.write_units * price.write_unit,
        "reads": turns * turn.read_units * price.read_unit,
        "storage": gigabytes * (price.stored_gb + price.backed_up_gb),
        "function": requests * price.invocation + worked * price.gb_second,
        "log": requests * turn.log_bytes / 1e9 * price.logged_gb,
        "alarms": ALARMS * price.alarm,
        "HTTP API": requests * price.http_api_request,
    }


def main() -> None:
    months = [month(turns, Turn(), Prices()) for turns in TURNS]
    print(f"{'dollars a month':18}" + "".join(f"{f'{turns:,} turns':>20}" for turns in TURNS))
    for name in list(months[0])[:-1]:
        print(f"{name:18}" + "".join(f"{one[name]:20,.2f}" for one in months))
    urls = [sum(one.values()) - one["HTTP API"] for one in months]
    print(f"{'function URL':18}" + "".join(f"{one:20,.2f}" for one in urls))
    print(f"{'with an HTTP API':18}" + "".join(f"{sum(one.values()):20,.2f}" for one in months))
    apart = Turn(write_units=ITEM + NEW_HOUR, read_units=LAST_ONES + UNKNOWN)
    seldom = [month(turns, apart, Prices()) for turns in TURNS]
    sums = [sum(one.values()) - one["HTTP API"] for one in seldom]
    print(f"{'turns hours apart':18}" + "".join(f"{one:20,.2f}" for one in sums))
    expiring = [month(turns, EXPIRING, Prices()) for turns in TURNS]
    sums = [sum(one.values()) - one["HTTP API"] for one in expiring]
    print(f"{'and after a week':18}" + "".join(f"{one:20,.2f}" for one in sums))


if __name__ == "__main__":
    main()
