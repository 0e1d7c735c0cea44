"""A history as a dense log over a key-value store that has nothing but a conditional put.

A thread is a partition: a header with its properties, and numbered *slots*. Every mutation takes the next
slot by a put where there is none. So of two writers who saw the same state one has to look again, and
everything that happens to a thread has one order. `chatstore.engines.log.writing` says how.
"""

from chatstore.engines.log.backend import LogBackend
from chatstore.engines.log.port import Key, Row, Rows, Table

__all__ = ["Key", "LogBackend", "Row", "Rows", "Table"]
