"""A proxy of the session before the Redis of the session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.redis.conftest import redis_url
from tests.upstash.proxy import TOKEN, Proxy, proxy_to

__all__ = ["proxied", "redis_url"]


@pytest.fixture(scope="session")
def proxied(redis_url: str) -> Iterator[tuple[Proxy, int]]:
    """A proxy without faults, and its port; the token is in the environment."""
    with pytest.MonkeyPatch.context() as patch, proxy_to(redis_url) as found:
        patch.setenv("UPSTASH_REDIS_REST_TOKEN", TOKEN)
        yield found
