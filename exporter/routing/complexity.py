"""How complex a request is, told from the text of its last user message: a score, and the level that it stands for.

`choice` asks. docs/routing.md describes the rules. Phrases are looked up by words first, in one step for all lists, and
only those that may be there are searched for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from exporter.record import Complexity
from exporter.routing import wording
from exporter.settings.complexity import ComplexitySettings

# What a message holds, as bits: a sum of weights is then a look into a table.
SIMPLE, MODERATE, COMPLEX, MULTI_PART, QUESTIONS, CONDITIONAL, REASONING, ENUMERATION, OPENING = (
    1 << bit for bit in range(9)
)
SCORED = OPENING - 1
PATTERNS = SIMPLE | MODERATE | COMPLEX
REQUEST = MODERATE | COMPLEX | ENUMERATION
"""A sentence that begins with such a phrase asks for something."""

UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Scripts that put no spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""


class Assessment(NamedTuple):
    """What a message is taken to be."""

    level: Complexity
    score: float


class Phrase(NamedTuple):
    """What is looked for."""

    needle: bytes
    """As it stands in the words of a message, joined by spaces; with a space at either end."""
    start: bytes
    """The same at the beginning of a sentence."""
    flags: int
    alone: bool
    """It is a single word."""


class Scorer:
    """Assesses messages. Pure; made once."""

    def __init__(self, settings: ComplexitySettings) -> None:
        self._word_weight = settings.word_weight
        self._moderate_from = settings.moderate_from
        self._complex_from = settings.complex_from
        self._sums = tuple(_sum(settings, flags) for flags in range(SCORED + 1))
        self._by_word, self._unspaced = _index(settings)
        self._words = frozenset(self._by_word)
        self._shortcuts = {word: _shortcut(phrases) for word, phrases in self._by_word.items()}

    def assess(self, text: str) -> Assessment:
        """The score and the level of a message, whatever it holds."""
        sentence = wording.split_sentence(text)
        if sentence is not None:
            words, flags = len(sentence), self._find_in_sentence(sentence)
        else:
            words, flags = self._read(text)
        # Rounded, so that twenty words of 0.05 reach a cut at 1.
        score = round(words * self._word_weight + self._sums[flags & SCORED], 6)
        return Assessment(self.level(score), score)

    def level(self, score: float) -> Complexity:
        """The level that a score stands for."""
        if score < self._moderate_from:
            return Complexity.SIMPLE
        return Complexity.MODERATE if score < self._complex_from else Complexity.COMPLEX

    def _find_in_sentence(self, words: list[bytes]) -> int:
        """What `_read` would find, where there is one sentence in ASCII."""
        flags = 0
        line = None
        for word in self._words.intersection(words):
            alone, longer = self._shortcuts[word]
            flags |= alone
            if longer:
                line = line or b" " + b" ".join(words) + b" "
                for needle, each in longer:
                    if needle in line:
                        flags |= each
        return flags

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
        line = b" . " + b" ".join(tokens) + b" "
        found: list[Phrase] = []
        for word in self._words.intersection(tokens):
            for phrase in self._by_word[word]:
                if phrase.alone or phrase.needle in line:
                    flags |= phrase.flags
                    found.append(phrase)
        if self._unspaced and not line.isascii():
            for needle, _, each, _ in self._unspaced:
                if needle in line:
                    flags |= each
        if flags & REQUEST and not flags & MULTI_PART and b"." in tokens and _asks_twice(line, found):
            flags |= MULTI_PART
        return flags


def _shortcut(phrases: Sequence[Phrase]) -> tuple[int, tuple[tuple[bytes, int], ...]]:
    """What a word stands for by itself, and the longer phrases that it may be part of."""
    alone = 0
    for phrase in phrases:
        if phrase.alone:
            alone |= phrase.flags
    return alone, tuple((phrase.needle, phrase.flags) for phrase in phrases if not phrase.alone)


def _asks_twice(line: bytes, found: Sequence[Phrase]) -> bool:
    """Whether two sentences begin with a phrase that asks, or with others that open a sentence and then such a one."""
    asking = tuple([phrase.start for phrase in found if phrase.flags & REQUEST])
    opening = sorted((phrase.start for phrase in found if phrase.flags & OPENING), reverse=True)
    starts = (*asking, *opening)
    first = False
    for sentence in line.split(b". "):
        if sentence.startswith(starts) and _without(opening, sentence).startswith(asking):
            if first:
                return True
            first = True
    return False


def _without(opening: Iterable[bytes], sentence: bytes) -> bytes:
    for _ in range(2):  # "now please"
        for opener in opening:
            if sentence.startswith(opener):
                sentence = sentence[len(opener) :]
                break
    return sentence


def _index(settings: ComplexitySettings) -> tuple[dict[bytes, list[Phrase]], list[Phrase]]:
    """The phrases by the word, their longest, that says they may be there; and those of scripts without spaces."""
    flags: dict[str, int] = {}
    for flag, phrases in _phrases(settings):
        for phrase in phrases:
            flags[phrase] = flags.get(phrase, 0) | flag
    by_word: dict[bytes, list[Phrase]] = {}
    unspaced = []
    for phrase, flag in flags.items():
        needle = b" ".join(wording.split_words(wording.encode(phrase))[0]).rstrip(b" .")
        words = needle.split()
        if UNSPACED.search(phrase):
            unspaced.append(Phrase(needle, needle, flag, alone=False))
        else:
            phrase_of = Phrase(b" " + needle + b" ", needle + b" ", flag, len(words) == 1)
            by_word.setdefault(max(words, key=len), []).append(phrase_of)
    return by_word, unspaced


def _phrases(settings: ComplexitySettings) -> tuple[tuple[int, tuple[str, ...]], ...]:
    return (
        (SIMPLE, settings.simple_phrases),
        (MODERATE, settings.moderate_phrases),
        (COMPLEX, settings.complex_phrases),
        (MULTI_PART, settings.multi_part_phrases),
        (CONDITIONAL, settings.conditional_phrases),
        (REASONING, settings.reasoning_phrases),
        (ENUMERATION, settings.enumeration_phrases),
        (OPENING, settings.opening_phrases),
    )


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
