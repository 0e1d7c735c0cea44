"""A thread as a group of rows that are written together, under a condition on the first of them.

A thread is a partition: a *header* with its properties and its counts, and rows of messages. Every
mutation is one group that writes the header under If-Match, so of two writers who saw the same state
one has to look again. `chatstore.engines.fenced.writing` says how.
"""

from chatstore.engines.fenced.backend import FencedBackend
from chatstore.engines.fenced.port import Driver
from chatstore.engines.fenced.table import Dialect

__all__ = ["Dialect", "Driver", "FencedBackend"]
