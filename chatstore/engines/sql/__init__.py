"""What the SQL databases share: the contract's operations over a port that a driver fills.

A thread is a row with an *epoch*, which changes when its history is replaced, a *tail*, which
counts its appends and is never reset, and a count of *edits*. Its messages are rows that sort by
their position. An append touches the thread's row and adds its messages, whatever the length.
"""

from chatstore.engines.sql.backend import SqlBackend
from chatstore.engines.sql.port import Caller, Driver, Row, Small, Transaction, Work

__all__ = ["Caller", "Driver", "Row", "Small", "SqlBackend", "Transaction", "Work"]
