"""Any JSON, made of the words of a dialect."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def values(keys: st.SearchStrategy[str], words: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Values whose objects often have these keys, and whose texts are often these words."""
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=9) | words,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(keys | st.text(st.characters(), max_size=4), inner, max_size=6)
        ),
        max_leaves=40,
    )
