"""Backups: all that a store knows, written to a file, taken back, or copied to another store.

`reading` goes over a store, `file` over what was written of one; both give the same `Kept` threads.
`restoring` brings them into a store and `comparing` says whether two sides hold the same.
"""

from chatstore.backup.comparing import Compared, compare
from chatstore.backup.file import Backup, write_backup
from chatstore.backup.reading import Chosen, Kept, has_all_tenants, kept_threads, tenants
from chatstore.backup.restoring import Outcome, Status, remove_others, restore_threads

__all__ = [
    "Backup",
    "Chosen",
    "Compared",
    "Kept",
    "Outcome",
    "Status",
    "compare",
    "has_all_tenants",
    "kept_threads",
    "remove_others",
    "restore_threads",
    "tenants",
    "write_backup",
]
