from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.routing.phrases import Phrase, Phrases

WORDS = st.sampled_from([b"a", b"b", b"cc", b"dd", b"eee"])
FLAGS = st.integers(1, 15)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.builds(Phrase, st.lists(WORDS, min_size=1, max_size=3).map(tuple), FLAGS), max_size=8),
    st.lists(WORDS | st.just(b"other"), max_size=12),
)
def test_what_is_found_is_what_stands_there(phrases: list[Phrase], words: list[bytes]) -> None:
    expected = 0
    for phrase in phrases:
        length = len(phrase.words)
        if any(tuple(words[at : at + length]) == phrase.words for at in range(len(words))):
            expected |= phrase.flags
    assert Phrases(phrases, 4).find(words) == expected


@pytest.mark.parametrize(("text", "found"), [("bye bye", 1), ("bye", 0), ("bye then bye", 0), ("then bye bye", 1)])
def test_a_word_that_is_repeated(text: str, found: int) -> None:
    assert Phrases([Phrase((b"bye", b"bye"), 1)], 4).find(text.encode().split()) == found


def test_hundreds_of_phrases() -> None:
    phrases = [Phrase((b"say", b"%d" % number), 1 << number % 4) for number in range(500)]
    assert [Phrases(phrases, 4).find([b"say", b"%d" % number]) for number in (0, 1, 499, 500)] == [1, 2, 8, 0]
