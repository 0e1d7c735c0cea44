"""Tests of the Tablestore backend. Importing its SDK warns, unless it is done as the backend does it."""

import chatstore.backends.tablestore.sdk  # noqa: F401 - before any module of the SDK's
