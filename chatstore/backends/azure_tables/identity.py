"""Credentials of the platform's identity, for where neither a key nor a signature is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatstore.settings import AzureAccess

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.credentials_async import AsyncTokenCredential

__all__ = ["async_credential", "credential"]


def credential(access: AzureAccess) -> TokenCredential:  # noqa: ARG001
    """For blocking callers."""
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()


def async_credential(access: AzureAccess) -> AsyncTokenCredential:  # noqa: ARG001
    """For event loops."""
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential()
