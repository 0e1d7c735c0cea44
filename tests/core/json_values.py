"""Hypothesis strategies for what JSON can carry, and for messages."""

from __future__ import annotations

from hypothesis import strategies as st

from chatstore.codec import Json

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=5)
MESSAGES = st.builds(
    lambda before, role, after: {**before, "role": role, **{k: v for k, v in after.items() if k != "role"}},
    OBJECTS,
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=9),
    OBJECTS,
)
"""The role comes first, last or in between."""
