"""How messages become span attributes: JSON strings by the schemas of the GenAI conventions v1.41.0, within bounds.

`asked` and `answered` call it with messages that `parts` has made. Nothing here raises on any JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

Part = dict[str, Any]
"""`{"type": "text", "content": ...}` and the like, as the schemas have them."""
Message = dict[str, Any]
"""`{"role": ..., "parts": [...]}`, of an answer with `finish_reason`."""

TEXT_CHARACTERS = 32_768
"""Each text is cut to this many characters, the last of them an ellipsis: some 8,000 tokens of English."""
ATTRIBUTE_BYTES = 256 << 10
"""Each attribute has at most this many bytes in UTF-8. Beyond that the texts of what must stay are cut shorter, and of
a conversation the oldest messages are left out."""

_ELLIPSIS = "…"
_DEPTH = 24
_ENTRIES = 4096
_TIGHTER = ((8192, 1024), (2048, 256), (512, 64), (128, 16))
"""Characters of a text, entries of a list or an object: tried in this order where a message is too long."""
_PARTS = 1024
"""Of a message that is too long, no more than these."""
_MARK_BYTES = 80
"""Room for what gaps add, which are two at most, and for brackets."""
_SMALLEST_SHARE = 1024
_WHOLE_BITS = 63
_SEARCHED_CHARACTERS = 1 << 20

_MEDIA = re.compile(
    r"(data:[\w.+-]{1,64}/[\w.+-]{1,64}(?:;[\w.=+-]{1,64}){0,4};base64,)[A-Za-z0-9+/=_-]{16,}", re.ASCII
)
_BASE64 = re.compile(r"[A-Za-z0-9+/=_-]{256}")
"""How a long text begins that no model and no program has written to be read."""
_MIME_KEYS = frozenset(("media_type", "mimeType", "mime_type"))
_SURROGATE = re.compile("[\ud800-\udfff]")
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")).encode


# Copies of what a peer has sent


def cut(text: str, characters: int = TEXT_CHARACTERS) -> str:
    """The text, shortened, and without the media that `data:` URIs in it hold."""
    if ";base64," in text[:_SEARCHED_CHARACTERS]:
        text = _MEDIA.sub(rf"\1{_ELLIPSIS}", text[:_SEARCHED_CHARACTERS])
    return text if len(text) <= characters else text[: characters - 1] + _ELLIPSIS


def copy(value: object, characters: int = TEXT_CHARACTERS, entries: int = _ENTRIES, depth: int = _DEPTH) -> Any:
    """A bounded copy of any JSON value; what cannot be written as JSON is None."""
    if isinstance(value, str):
        return cut(_ELLIPSIS if _BASE64.match(value) else value, characters)
    if isinstance(value, (dict, list)):
        return _copy_within(value, characters, entries, depth - 1) if depth > 0 else _ELLIPSIS
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= _WHOLE_BITS else None
    return value if isinstance(value, float) and math.isfinite(value) else None


def _copy_within(value: dict[Any, Any] | list[Any], characters: int, entries: int, depth: int) -> Any:
    if isinstance(value, list):
        return [copy(each, characters, entries, depth) for each in value[:entries]]
    copied = {
        cut(str(key), characters): copy(each, characters, entries, depth)
        for key, each in islice(value.items(), entries)
    }
    if isinstance(copied.get("data"), str) and (value.get("type") == "base64" or not _MIME_KEYS.isdisjoint(copied)):
        copied["data"] = _ELLIPSIS
    return copied


# Attributes


def write_conversation(raw: Sequence[Any], read: Callable[[Any], Message | None]) -> str | None:
    """`gen_ai.input.messages` of messages in any dialect, of which `read` makes ours. The newest are kept, and the
    last one of the user, which has at least half of the room."""
    conversation = _Conversation()
    for at in range(len(raw) - 1, -1, -1):
        message = read(raw[at])
        if message is not None:
            conversation.put_first(message)
        if conversation.full and conversation.asked:
            conversation.gap += at
            break
    return conversation.close()


class _Conversation:
    """Messages of an attribute, put in from the newest to the oldest."""

    __slots__ = ("_kept", "_room", "asked", "full", "gap")

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._room = ATTRIBUTE_BYTES - _MARK_BYTES
        self.asked = False
        """The last message of the user is in."""
        self.full = False
        """Nothing else goes in."""
        self.gap = 0
        """Messages left out since the last one that went in."""

    def put_first(self, message: Message) -> None:
        if message["role"] == "user" and not self.asked:
            self.asked = True
            self._keep(_write_message(message, self._room, must=True))
            return
        limit = self._room if self.asked else self._room - ATTRIBUTE_BYTES // 2
        written = "" if self.full else _write_message(message, limit, must=not self._kept)
        if written:
            self._keep(written)
        else:
            self.full = True
            self.gap += 1

    def _keep(self, written: str) -> None:
        self._note_gap()
        self._kept.append(written)
        self._room -= _size(written) + 1

    def _note_gap(self) -> None:
        """Let the oldest message that is in say that others stood before it."""
        if self._kept and self.gap:
            self._kept[-1] = f'{self._kept[-1][:-1]},"omitted_before":{self.gap}}}'
        self.gap = 0

    def close(self) -> str | None:
        self._note_gap()
        return f"[{','.join(reversed(self._kept))}]" if self._kept else None


def _write_message(message: Message, limit: int, *, must: bool) -> str:
    """Empty when it is too long; one that must be there is shortened."""
    written = _write(message)
    if _size(written) <= limit:
        return written
    return _write_shorter(message, limit) if must else ""


def _write_shorter(message: Message, limit: int) -> str:
    head = _write({key: value for key, value in message.items() if key != "parts"})
    return f'{head[:-1]},"parts":{write_parts(message["parts"], limit - _size(head) - len(",parts:") - 2)}}}'


def write_answers(messages: Sequence[Message]) -> str | None:
    """`gen_ai.output.messages`: all of them, each within its share of the room."""
    room = ATTRIBUTE_BYTES - 2
    written: list[str] = []
    for at, message in enumerate(messages):
        share = max(room // (len(messages) - at) - 1, _SMALLEST_SHARE)
        written.append(_write_message(message, share, must=True))
        room -= _size(written[-1]) + 1
    return f"[{','.join(written)}]" if written else None


def write_parts(parts: list[Part], limit: int = ATTRIBUTE_BYTES) -> str:
    """`gen_ai.system_instructions`, or the parts of a message."""
    return write_first_fitting(_shorten(parts), limit)


def _shorten(parts: list[Part]) -> Iterator[list[Any]]:
    yield parts
    for characters, entries in _TIGHTER:
        yield [copy(each, characters, entries) for each in parts[:_PARTS]]


def write_first_fitting(variants: Iterable[list[Any]], limit: int = ATTRIBUTE_BYTES) -> str:
    """The first list that fits; else as many items of the last one, from the first on, as do."""
    variant: list[Any] = []
    for variant in variants:
        written = _write(variant)
        if _size(written) <= limit:
            return written
    return _write_some(variant, limit)


def _write_some(values: list[Any], limit: int) -> str:
    room = limit - 1
    written: list[str] = []
    for value in values:
        written.append(_write(value))
        room -= _size(written[-1]) + 1
        if room < 0:
            written.pop()
            break
    return f"[{','.join(written)}]"


def _write(value: object) -> str:
    """JSON that has a form in UTF-8: JSON can name lone surrogates, protobuf cannot hold them."""
    written = _encode(value)
    return written if written.isascii() else _SURROGATE.sub("\ufffd", written)


def _size(written: str) -> int:
    return len(written) if written.isascii() else len(written.encode())
