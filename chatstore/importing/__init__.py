"""Reads conversations from files of many forms, and adds to a store what it does not have yet.

A file becomes lines (`texts`), lines become JSON (`values`), a JSON value is recognised (`recognising`, with
`exchange` for what programs pass to each other and `chats` for what chat applications export), what was
recognised becomes conversations (`conversations`), and these are added (`adding`). docs/command-line.md has
a table of the forms.

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
