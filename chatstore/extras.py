"""What to say where a package is missing: how it is installed, which until a release is from the checkout."""

from __future__ import annotations

__all__ = ["how_to_install"]


def how_to_install(extra: str) -> str:
    """The command that brings the packages of `extra`, as part of a sentence."""
    return f"in a checkout of chatstore, run pip install '.[{extra}]'"
