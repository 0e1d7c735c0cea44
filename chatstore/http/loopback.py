"""Which hosts are this machine itself."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

__all__ = ["is_loopback"]


@lru_cache(256)
def is_loopback(host: str) -> bool:
    """Whether a name or an address is of loopback; any other text is not."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
