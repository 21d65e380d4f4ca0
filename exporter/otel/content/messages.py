"""How messages become span attributes: JSON strings by the schemas of the GenAI conventions v1.41.0, within bounds.

`asked` and `answered` call it with messages that `parts` reads, one after the other, and only as long as there is room.
Nothing here raises on any JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from itertools import takewhile
from typing import Any

Part = dict[str, Any]
"""`{"type": "text", "content": ...}` and the like, as the schemas have them."""
Message = dict[str, Any]
"""`{"role": ..., "parts": ...}`, of an answer with `finish_reason`. Its parts are read while they are written."""

TEXT_CHARACTERS = 8 << 10
"""Each text is cut to this many characters, the last of them an ellipsis: some 2,000 tokens of English."""
ATTRIBUTE_BYTES = 48 << 10
"""Each attribute has at most this many bytes in UTF-8: receivers refuse batches of some megabytes."""
MIME_KEYS = ("media_type", "mimeType", "mime_type")

_ELLIPSIS = "…"
_DEPTH = 24
_NAME_CHARACTERS = 256
_VALUE_CHARACTERS = 8
"""What a value counts for beside its text: its signs, or a sixth of the longest number."""
_CHARACTER_BYTES = 6
"""The longest form of a character in JSON is `\\u0000`."""
_SMALLEST_REST = 8 << 10
"""In less room than this nothing is cut shorter: names and ids alone can take half of it."""
_WHOLE_BITS = 63

_MEDIA = re.compile(r"(;base64,)[A-Za-z0-9+/=_-]{16,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/=_-]{256}")
"""How a long text begins that no model and no program has written to be read."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")).encode


def cut(text: str, characters: int = TEXT_CHARACTERS) -> str:
    """The text, shortened, and without the media that `data:` URIs in it hold."""
    if len(text) > characters:
        text = text[: characters - 1] + _ELLIPSIS
    return _MEDIA.sub(rf"\1{_ELLIPSIS}", text) if ";base64," in text else text


def copy(value: object, characters: int = TEXT_CHARACTERS) -> Any:
    """A copy of any JSON value, of this many characters all in all: then texts are cut, lists and objects end. What
    cannot be written as JSON is None."""
    return _Copier(characters).copy(value, _DEPTH)


class _Copier:
    __slots__ = ("_room",)

    def __init__(self, room: int) -> None:
        self._room = room

    def copy(self, value: object, depth: int) -> Any:
        self._room -= _VALUE_CHARACTERS
        if isinstance(value, str):
            return self._take(_ELLIPSIS if _BASE64.match(value) else value, TEXT_CHARACTERS)
        if isinstance(value, (dict, list)):
            return self._copy_within(value, depth - 1) if depth > 0 else _ELLIPSIS
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        return value if isinstance(value, int) and value.bit_length() <= _WHOLE_BITS else None

    def _copy_within(self, value: dict[str, Any] | list[Any], depth: int) -> Any:
        within = takewhile(lambda _: self._room > 0, value)
        if isinstance(value, list):
            return [self.copy(each, depth) for each in within]
        copied = {self._take(key, _NAME_CHARACTERS): self.copy(value[key], depth) for key in within}
        if isinstance(copied.get("data"), str) and not copied.keys().isdisjoint(MIME_KEYS):
            copied["data"] = _ELLIPSIS
        return copied

    def _take(self, text: str, characters: int) -> str:
        taken = cut(text, max(min(characters, self._room), 1))
        self._room -= len(taken)
        return taken


def write_messages(messages: Iterable[Message]) -> list[str]:
    """Each as JSON, as many as an attribute holds. The first one is always there; if need be, it is cut."""
    room = ATTRIBUTE_BYTES - 1
    written: list[str] = []
    for message in messages:
        one, is_whole = _write_message(message, room - 1)
        if is_whole or not written:
            written.append(one)
            room -= _size(one) + 1
        if not is_whole:
            break
    return written


def _write_message(message: Message, room: int) -> tuple[str, bool]:
    head = _write({key: value for key, value in message.items() if key != "parts"})
    parts, is_whole = write_list(message["parts"], room - _size(head) - len(',"parts":'))
    return f'{head[:-1]},"parts":{parts}}}', is_whole


def write_list(values: Iterable[dict[str, Any]], room: int = ATTRIBUTE_BYTES) -> tuple[str, bool]:
    """As many as there is room for, in bytes, the last of them cut shorter; and whether that is all."""
    room -= 1
    written: list[str] = []
    for value in values:
        one = _write(value)
        is_whole = _size(one) < room
        if not is_whole and room > _SMALLEST_REST:
            one = _write(copy(value, room // _CHARACTER_BYTES - _NAME_CHARACTERS))
        if _size(one) < room:
            written.append(one)
            room -= _size(one) + 1
        if not is_whole:
            return f"[{','.join(written)}]", False
    return f"[{','.join(written)}]", True


def _write(value: object) -> str:
    """JSON that has a form in UTF-8: JSON can name lone surrogates, protobuf cannot hold them."""
    written = _encode(value)
    return written if written.isascii() else _SURROGATE.sub("\ufffd", written)


def _size(written: str) -> int:
    return len(written) if written.isascii() else len(written.encode())
