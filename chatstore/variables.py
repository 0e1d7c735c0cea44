"""What the text of a ``CHATSTORE_*`` variable means: each setting's form, and the error that explains it."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta

from chatstore.errors import ConfigurationError

__all__ = ["value_of"]

_DURATION = re.compile(r"([0-9]{1,12})([smhdw]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST = timedelta(days=36525)
_DESTINATIONS = ("otlp", "emf", "prometheus")
_FACES = ("native", "openai", "acs")
_CHOICES = {"CHATSTORE_LOG": ("json", "text", "off")}


def value_of(field_name: str, default: object, name: str, text: str) -> object:
    """What a setting's field is with that text in its variable `name`; `default` says of which type it is.

    Raises ConfigurationError, which names the variable and says what it may hold.
    """
    read = _READERS.get(field_name)
    if read is not None:
        return read(name, text)
    if isinstance(default, int):
        return _whole(name, text, 0 if default == 0 else 1)
    if default is None:
        return _whole(name, text, 0)
    return _one_of(name, text) if name in _CHOICES else text


def _ttl(name: str, text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    length = timedelta(seconds=int(found[1]) * _UNITS[found[2]]) if found else timedelta(0)
    if not timedelta(0) < length <= _LONGEST:
        raise ConfigurationError(
            f"{name} is a time to live in seconds, or with a unit such as 90d, 12h or 30m, of at most "
            f"{_LONGEST.days:,} days, not {text[:100]!r}"
        )
    return length


def _ttls(name: str, text: str) -> dict[str, timedelta | None]:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise ConfigurationError(f'{name} is a JSON object of tenants, such as {{"acme": "90d"}}')
    return {
        tenant: None if ttl is None else _ttl(f"{name} of {tenant!r}", str(ttl))
        for tenant, ttl in given.items()
    }


def _seconds(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= _LONGEST.total_seconds():
        raise ConfigurationError(f"{name} is a number of seconds, 0 for never, not {text[:100]!r}")
    return value


def _destinations(name: str, text: str) -> str:
    given = sorted({one.strip() for one in text.split(",") if one.strip()})
    if not given or not (given == ["off"] or set(given) <= set(_DESTINATIONS)):
        raise ConfigurationError(
            f"{name} is off, or some of {', '.join(_DESTINATIONS)} with commas, not {text[:100]!r}"
        )
    return ",".join(given)


def _faces(name: str, text: str) -> str:
    given = {one.strip() for one in text.split(",") if one.strip()}
    if not given or not given <= set(_FACES):
        raise ConfigurationError(f"{name} is some of {', '.join(_FACES)} with commas, not {text[:100]!r}")
    return ",".join(one for one in _FACES if one in given)


def _addresses(name: str, text: str) -> str:
    given = [one.strip() for one in text.split(",") if one.strip()]
    for one in given:
        try:
            ipaddress.ip_network(one)
        except ValueError:
            raise ConfigurationError(
                f"{name} lists addresses or networks such as 127.0.0.1, 10.0.0.0/8, not {one[:100]!r}"
            ) from None
    return ",".join(given)


def _whole(name: str, text: str, least: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) < least:
        raise ConfigurationError(f"{name} is a whole number from {least} on, not {text!r}")
    return int(text)


def _one_of(name: str, text: str) -> str:
    if text not in _CHOICES[name]:
        raise ConfigurationError(f"{name} is one of {', '.join(_CHOICES[name])}, not {text!r}")
    return text


_READERS: Mapping[str, Callable[[str, str], object]] = {
    "default_ttl": _ttl,
    "tenant_ttls": _ttls,
    "sweep_every": _seconds,
    "proxies": _addresses,
    "telemetry": _destinations,
    "faces": _faces,
}
