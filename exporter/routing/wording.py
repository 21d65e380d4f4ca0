"""The wording of a message: its words, where sentences end, whether it asks several questions or holds a list.

`complexity` reads messages by it. The work is bounded whatever the text, and what runs over characters runs in C: this
is on the path of requests.
"""

from __future__ import annotations

from operator import itemgetter
from typing import NamedTuple

WHOLE_CHARACTERS = 768
"""Up to here a text is read as a whole."""
HEAD_CHARACTERS = 256
TAIL_CHARACTERS = 256
"""A longer one is read at its two ends: people ask before or after what they paste."""

CUT = "_\n_"
"""Between the two ends. Makes words of the two halves that were cut which are nobody's."""

PUNCTUATION = tuple(
    (sign, plain)
    for plain, signs in (
        ("'", "\u2018\u2019"),
        (" ", "\u201c\u201d\u00a0"),
        ("-", "\u2011\u2013\u2014"),
        ("* ", "\u2022"),
        (". ", "\u2026"),
    )
    for sign in signs
)
"""Typographic quotation marks, the space that does not break, dashes, bullet, ellipsis: as plain text has them."""

FOREIGN_PUNCTUATION = tuple(
    (sign, plain)
    for plain, signs in (
        ("'", "\u2032"),
        (" ", "\u00a1\u00bf\u00ab\u00bb\u201e\u2039\u203a\u060c"),
        (" ", "\u3001\u3008\u3009\u300a\u300b\u300c\u300d\u300e\u300f\u3010\u3011\uff08\uff09\uff0c"),
        (" ", "\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"),
        ("!", "\u061b\u0964\u3002\uff01\uff1a\uff1b\uff61"),
        ("?", "\u061f\uff1f"),
        ("\n", "\u0085\u2028\u2029"),
    )
    for sign in signs
)
"""The same of other languages, and the other spaces; what ends a sentence or a part of one becomes `!`."""


def _table() -> bytes:
    """For `bytes.translate`: what each byte is when words are looked for.

    Letters become small; `_`, `'` and all that is not ASCII count as letters; `.`, `:` and `;` become a dot, which ends
    a sentence in front of a space; `!` and `?` become a line feed, which always does; the rest separates words.
    """
    table = bytearray(b" " * 128 + bytes(range(128, 256)))
    for code in range(128):
        character = chr(code)
        if character.isalnum() or character in "_'":
            table[code] = ord(character.lower())
    table[ord(".")] = table[ord(":")] = table[ord(";")] = ord(".")
    table[ord("!")] = table[ord("?")] = ord("\n")
    return bytes(table)


TABLE = _table()
HAN_AND_KANA = bytes(range(0xE3, 0xEA))
"""First bytes, in UTF-8, of U+3000 to U+9FFF, where Chinese and Japanese characters are, and of nothing else."""

ENDS = frozenset((b"", b".", b"?", b"!"))
WITHIN = bytes(code for code in range(128) if chr(code) not in ".:;!?\n")
"""What ends no sentence, wherever it stands."""

BULLETS = frozenset((b"- ", b"-\t", b"* ", b"*\t"))
FIRST = frozenset((b"1. ", b"1) ", b"(1)", b"a) "))
SECOND = frozenset((b"2. ", b"2) ", b"(2)", b"b) "))
LIST_STARTS = BULLETS | {first[:2] for first in FIRST}
FIRST_TWO = itemgetter(slice(2))


class Wording(NamedTuple):
    """What there is to see in a message without knowing any word."""

    tokens: list[bytes]
    """The words, small, in UTF-8, of the parts that were read; with a dot where a sentence ends."""
    words: int
    """How many words the whole message has; of a long one, by proportion."""
    questions: bool
    """Two question marks or more; several in a row are one."""
    numbered: bool
    """It holds a first and a second item."""
    bulleted: bool
    """It holds two lines with bullets."""


def split_sentence(text: str) -> list[bytes] | None:
    """The words of a short message that is one plain sentence, as most are; None for others, which `read` reads.

    It gives what `read` would give, at half the cost.
    """
    if len(text) > WHOLE_CHARACTERS or not text.isascii():
        return None
    encoded = text.encode()
    mark = encoded.translate(None, WITHIN)
    if mark not in ENDS or not encoded.endswith(mark):
        return None
    if (b")" in encoded and b"2) " in encoded) or (b"'" in encoded and _has_quotes(encoded)):
        return None
    return (encoded[:-1] if mark else encoded).translate(TABLE).split()


def _has_quotes(encoded: bytes) -> bool:
    letters = encoded.translate(TABLE)
    return b" '" in letters or b"' " in letters or letters.startswith(b"'") or letters.endswith(b"'")


def read(text: str) -> Wording:
    """The wording of a message, whatever it holds."""
    length = len(text)
    if length <= WHOLE_CHARACTERS:
        return _read(text)
    wording = _read(text[:HEAD_CHARACTERS] + CUT + text[-TAIL_CHARACTERS:])
    return wording._replace(words=wording.words * length // (HEAD_CHARACTERS + TAIL_CHARACTERS))


def _read(text: str) -> Wording:
    encoded = encode(text)
    questions = encoded.count(b"?") > 1 and _has_questions(encoded)
    numbered = bulleted = False
    if b"\n" in encoded or b"2) " in encoded:
        numbered, bulleted, encoded = _find_lists(encoded)
    tokens, words = split_words(encoded)
    return Wording(tokens, words, questions, numbered, bulleted)


def encode(text: str) -> bytes:
    """The text in UTF-8, foreign signs as their ASCII counterparts, letters beyond ASCII small."""
    if text.isascii():
        return text.encode()
    for sign, plain in PUNCTUATION:
        text = text.replace(sign, plain)
    if not text.isascii():
        text = text.lower()
        for sign, plain in FOREIGN_PUNCTUATION:
            text = text.replace(sign, plain)
    return text.encode("utf-8", "surrogatepass")


def _has_questions(encoded: bytes) -> bool:
    while b"??" in encoded:
        encoded = encoded.replace(b"??", b"?")
    return encoded.count(b"?") > 1


def _find_lists(encoded: bytes) -> tuple[bool, bool, bytes]:
    """Whether it holds numbers or bullets; and the text with its paragraphs, or the lines of one that holds a list, set
    off as sentences. Other lines are not: texts come wrapped."""
    numbered = b" 2) " in encoded and b", 1) " not in encoded and (b" 1) " in encoded or encoded.startswith(b"1) "))
    if b"\n" not in encoded:
        return numbered, False, encoded
    bulleted = False
    lines = list(map(bytes.lstrip, encoded.split(b"\n")))
    if not LIST_STARTS.isdisjoint(map(FIRST_TWO, lines)):
        starts = [line[:3] for line in lines]
        numbered = numbered or not (FIRST.isdisjoint(starts) or SECOND.isdisjoint(starts))
        bulleted = sum(start[:2] in BULLETS for start in starts) > 1
    if numbered or bulleted:
        return numbered, bulleted, b"!".join(lines)
    return False, False, b"\n".join([line or b"!" for line in lines]) if b"" in lines else encoded


def split_words(encoded: bytes) -> tuple[list[bytes], int]:
    """The words, with a dot where a sentence ends; and how many words they are.

    A dot within a word (`3.5`, `os.path`) begins a token, too: what follows it is not found as a word of its own.
    """
    plain = encoded.translate(TABLE)
    dotted = plain.replace(b".", b" .")
    ended = dotted.replace(b"\n", b" . ")
    tokens = (_unquote(ended) if b"'" in ended else ended).split()
    words = len(tokens) - (len(dotted) - len(plain)) - (len(ended) - len(dotted)) // 2
    if encoded.isascii():
        return tokens, words
    unspaced = len(encoded) - len(encoded.translate(None, HAN_AND_KANA))
    return tokens, max(words, unspaced // 2)


def _unquote(encoded: bytes) -> bytes:
    """Without the apostrophes around words, which are quotation marks; those within are letters."""
    return (b" " + encoded + b" ").replace(b" '", b"  ").replace(b"' ", b"  ")
