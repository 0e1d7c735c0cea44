"""The audit trail: a line for each erasure, and for each API key that is made or revoked.

It says who, what and how much, and nothing of any content. It goes to a logger of its own, whatever else a
process logs. Whoever runs the process decides where it is kept and for how long.
"""

from __future__ import annotations

import json
import logging

from chatstore.codec import Json

__all__ = ["AUDIT", "AuditFormatter", "note"]

AUDIT = "chatstore.audit"
"""The logger of these lines; its records carry their `fields`."""

_log = logging.getLogger(AUDIT)


def note(action: str, by: str, tenant: str, owner: str | None, **told: Json) -> None:
    """Log that `by`, a credential's or an operator's name, has done something to a tenant or an owner."""
    fields: dict[str, Json] = {"action": action, "by": by, "tenant": tenant, "owner": owner, **told}
    _log.info("%s by %s", action, by, extra={"fields": fields})


class AuditFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's fields, in ASCII that no terminal obeys."""
        fields: dict[str, Json] = getattr(record, "fields", {})
        return json.dumps({"audit": fields})
