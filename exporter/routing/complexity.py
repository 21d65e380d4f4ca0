"""How complex a request is, told from the text of its last user message: a score, and the level that it stands for.

`fleet` asks. docs/routing.md describes the rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import reduce
from operator import or_

from exporter.record import Complexity
from exporter.routing import wording
from exporter.routing.phrases import Phrase, Phrases, line
from exporter.settings.complexity import ComplexitySettings

# What a message holds, as bits: a sum of weights is then a look into a table.
WIDTH = 8
SIMPLE, MODERATE, COMPLEX, MULTI_PART, QUESTIONS, CONDITIONAL, REASONING, ENUMERATION = (
    1 << bit for bit in range(WIDTH)
)
REQUEST = MODERATE | COMPLEX | ENUMERATION
"""A sentence that begins with such a phrase asks for something."""

NANO = 1_000_000_000
"""Weights are added up as whole billionths: twenty words of 0.05 must reach a cut at 1, and to round a sum of fractions
takes longer."""

UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Scripts that put no spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""

# For every request, and in Python 3.11 `Complexity.SIMPLE` takes a function call.
_SIMPLE, _MODERATE, _COMPLEX = Complexity


class Scorer:
    """Assesses messages. Pure; made once."""

    def __init__(self, settings: ComplexitySettings) -> None:
        self._word_weight = _nano(settings.word_weight)
        self._moderate_from = settings.moderate_from
        self._complex_from = settings.complex_from
        self._sums = tuple(_nano(_sum(settings, flags)) for flags in range(1 << WIDTH))
        listed = _listed(settings)
        spaced = [Phrase(_words(each), flags) for each, flags in listed.items() if not UNSPACED.search(each)]
        self._phrases = Phrases(spaced, WIDTH)
        self._unspaced = [(b" ".join(_words(each)), flags) for each, flags in listed.items() if UNSPACED.search(each)]
        self._asking = _starts(phrase.words for phrase in spaced if phrase.flags & REQUEST)
        self._opening = _starts(map(_words, settings.opening_phrases))
        self._starting = frozenset((*self._asking, *self._opening))

    def score(self, text: str) -> float:
        """The score of a message, whatever it holds."""
        sentence = wording.split_sentence(text)
        if sentence is not None:
            words, flags = len(sentence), self._phrases.find(sentence)
        else:
            words, flags = self._read(text)
        return (words * self._word_weight + self._sums[flags]) / NANO

    def level(self, score: float) -> Complexity:
        """The level that a score stands for."""
        if score < self._moderate_from:
            return _SIMPLE
        return _MODERATE if score < self._complex_from else _COMPLEX

    def _read(self, text: str) -> tuple[int, int]:
        """How many words there are, and what else counts."""
        tokens, words, questions, numbered, bulleted = wording.read(text)
        flags = QUESTIONS if questions else 0
        if numbered:
            flags |= MULTI_PART | ENUMERATION
        elif bulleted:
            flags |= ENUMERATION
        return words, self._find(tokens, flags)

    def _find(self, tokens: list[bytes], flags: int) -> int:
        """The flags, and those of the phrases that are there; MULTI_PART, too, where two sentences ask."""
        if tokens and tokens[-1] == b".":
            tokens.pop()
        flags |= self._phrases.find(tokens)
        if self._unspaced:
            text = line(tokens)
            flags = reduce(or_, (each for needle, each in self._unspaced if needle in text), flags)
        if flags & REQUEST and not flags & MULTI_PART and b"." in tokens and self._asks_twice(tokens):
            flags |= MULTI_PART
        return flags

    def _asks_twice(self, tokens: list[bytes]) -> bool:
        """Whether two sentences begin with a phrase that asks; others, such as "please", may open them."""
        sentences = line(tokens)[1:].split(b". ")
        likely = [each for each in sentences if each[: each.find(b" ")] in self._starting]
        return len(likely) > 1 and sum(map(self._asks, likely)) > 1

    def _asks(self, sentence: bytes) -> bool:
        for _ in range(2):  # "now please"
            for opening in self._opening.get(_first(sentence), ()):
                if sentence.startswith(opening):
                    sentence = sentence[len(opening) :]
                    break
        return sentence.startswith(self._asking.get(_first(sentence), ()))


def _nano(weight: float) -> int:
    return round(weight * NANO)


def _first(sentence: bytes) -> bytes:
    return sentence.partition(b" ")[0]


def _starts(phrases: Iterable[tuple[bytes, ...]]) -> dict[bytes, tuple[bytes, ...]]:
    """How sentences begin, by the first word; longer ones first."""
    starts: dict[bytes, tuple[bytes, ...]] = {}
    for words in sorted(phrases, key=len, reverse=True):
        starts[words[0]] = (*starts.get(words[0], ()), b" ".join(words) + b" ")
    return starts


def _words(phrase: str) -> tuple[bytes, ...]:
    """As they are found in messages."""
    return tuple(b" ".join(wording.split_words(wording.encode(phrase))[0]).rstrip(b" .").split())


def _listed(settings: ComplexitySettings) -> dict[str, int]:
    """All phrases that score, and what each says of a message."""
    lists = (
        (SIMPLE, settings.simple_phrases),
        (MODERATE, settings.moderate_phrases),
        (COMPLEX, settings.complex_phrases),
        (MULTI_PART, settings.multi_part_phrases),
        (CONDITIONAL, settings.conditional_phrases),
        (REASONING, settings.reasoning_phrases),
        (ENUMERATION, settings.enumeration_phrases),
    )
    listed: dict[str, int] = {}
    for flag, phrases in lists:
        for phrase in phrases:
            listed[phrase] = listed.get(phrase, 0) | flag
    return listed


def _sum(settings: ComplexitySettings, flags: int) -> float:
    """What a message with these flags scores beside its words."""
    patterns = (
        (COMPLEX, settings.complex_weight),
        (MODERATE, settings.moderate_weight),
        (SIMPLE, settings.simple_weight),
    )
    others = (
        (MULTI_PART, settings.multi_part_weight),
        (QUESTIONS, settings.questions_weight),
        (CONDITIONAL, settings.conditional_weight),
        (REASONING, settings.reasoning_weight),
        (ENUMERATION, settings.enumeration_weight),
    )
    pattern = next((weight for flag, weight in patterns if flags & flag), settings.no_phrase_weight)
    return pattern + sum(weight for flag, weight in others if flags & flag)
