"""Who calls: credentials of three kinds, each made into an `Identity` that says what it may see and do."""

from chatstore.api_keys import Scope
from chatstore.http.identity.authentication import Authenticating, asks_nobody, authenticators
from chatstore.http.identity.model import Identity

__all__ = ["Authenticating", "Identity", "Scope", "asks_nobody", "authenticators"]
