"""What the machine's rules are given: few names and values, so that they often meet."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st

from chatstore.testing.machine.steps import NAMES, Terms

__all__ = [
    "CONTENTS",
    "INDEXES",
    "MESSAGES",
    "METADATA",
    "OWNERS",
    "PICKS",
    "TERMS",
    "THREADS",
    "TTLS",
    "TURNS",
    "VALUES",
    "WAITS",
]

THREADS = st.sampled_from(NAMES)
CONTENTS = st.one_of(st.sampled_from(["", "\0", "\u202e\U0001f642", None, 1, 1.0, True]), st.text(max_size=5))
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]), "content": CONTENTS},
    optional={"tokens": st.integers(0, 9)},
)
TURNS = st.lists(MESSAGES, min_size=1, max_size=4)
VALUES = st.sampled_from([None, 0, 0.0, False, "", [None], {"b": 1}, {"b": None, "c": 1.0}])
METADATA = st.dictionaries(st.sampled_from(["a", "b", "\u00e9'"]), VALUES, max_size=2)
OWNERS = st.sampled_from([None, "ada", "bob"])
TTLS = st.sampled_from([None, None, timedelta(seconds=90), timedelta(minutes=10)])
WAITS = st.sampled_from(
    [timedelta(microseconds=1), timedelta(minutes=1), timedelta(minutes=7), timedelta(hours=2)]
)
PICKS = st.integers(0, 10**6)
INDEXES = st.integers(-6, 6)
TERMS = st.builds(Terms, st.booleans(), st.sampled_from([None, None, "present", "earlier"]))
