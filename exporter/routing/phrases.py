"""Which of many phrases a message holds: all of them are looked up in one step.

`complexity` asks. Most phrases are not there, and to search for each costs more than all else that is done with a
message. So every word that matters has a number, and the numbers of a message's words, joined, tell what may be there.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import NamedTuple


class Phrase(NamedTuple):
    """What is looked for."""

    words: tuple[bytes, ...]
    """As a message's words are given; at least one."""
    flags: int
    """What it says of a message: bits."""


class Phrases:
    """A set of phrases whose flags are below `1 << width`. Pure; made once.

    The number of a word holds, from its lowest bit on, the flags of the word itself, and two bits for each phrase of
    several words that it is one of the two longest words of: which of the two it is.
    """

    def __init__(self, phrases: Iterable[Phrase], width: int) -> None:
        self._flags = (1 << width) - 1
        self._numbers: dict[bytes, int] = {}
        self._longer: dict[int, tuple[bytes, int]] = {}
        """What to search for, and the flags, of those of several words; by the first of their two bits."""
        self._firsts = 0
        """All these bits."""
        bit = 1 << width
        for words, flags in phrases:
            if len(words) == 1:
                self._add(words[0], flags)
            else:
                first, second = _longest_two(words)
                self._add(first, bit)
                self._add(second, bit << 1)
                self._longer[bit] = line(words), flags
                self._firsts |= bit
                bit <<= 2

    def find(self, words: list[bytes]) -> int:
        """Flags of the phrases that stand in a message."""
        number = reduce(or_, filter(None, map(self._numbers.get, words)), 0)
        flags = number & self._flags
        candidates = number & (number >> 1) & self._firsts
        if candidates:
            text = line(words)
            while candidates:
                bit = candidates & -candidates
                candidates ^= bit
                needle, each = self._longer[bit]
                if each & ~flags and needle in text:
                    flags |= each
        return flags

    def _add(self, word: bytes, bits: int) -> None:
        self._numbers[word] = self._numbers.get(word, 0) | bits


def line(words: Iterable[bytes]) -> bytes:
    """The words as a text in which those of a phrase can be searched for."""
    return b" " + b" ".join(words) + b" "


def _longest_two(words: tuple[bytes, ...]) -> tuple[bytes, bytes]:
    """Different ones, if there are."""
    longest = sorted(dict.fromkeys(words), key=len, reverse=True)
    return longest[0], longest[:2][-1]
