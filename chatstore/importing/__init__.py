"""Reads conversations from files of many forms, and adds to a store what it does not have yet.

A file becomes lines (`texts`), and lines become JSON (`values`). A JSON value is recognised (`recognising`):
`exchange` knows what programs pass to each other, `chats` what chat applications export. What was recognised
becomes conversations (`conversations`), and these are added (`adding`). docs/command-line.md has a table of
the forms.

What a file says that cannot be kept is left out and named, and never takes anything else with it.
"""

from chatstore.importing.adding import (
    Outcome,
    Status,
    import_conversations,
    import_thread,
    import_threads,
)
from chatstore.importing.conversations import BadThread, Conversation
from chatstore.importing.reading import read_threads

__all__ = [
    "BadThread",
    "Conversation",
    "Outcome",
    "Status",
    "import_conversations",
    "import_thread",
    "import_threads",
    "read_threads",
]
