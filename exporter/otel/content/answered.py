"""What the model answered, as a span attribute: `Answer` collects the bytes, and reads them once, at the end.

`tracing` keeps one for each request whose span is recorded, where people have asked for content.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from exporter.observe.documents import Document, items, mapping, parse, text, whole
from exporter.observe.encoding import is_identity, make_inflater
from exporter.otel.content.fragment import parse_beginning
from exporter.otel.content.messages import Message, Part, cut, write_answers
from exporter.otel.content.parts import read_content, read_item, read_message
from exporter.otel.content.streamed import assemble

Headers = Sequence[tuple[bytes, bytes]]

ANSWER_BYTES = 1 << 20
"""Of an answer this much is kept, as sent and after its encoding is undone: as a stream some 5,000 tokens, each of
which comes in an event of 200 bytes."""

UNKNOWN = "unknown"
"""The reason of an answer that was broken off, or that does not say why it ended; the schema demands one."""

_CHOICES = 128
_SLICE_BYTES = 1024
"""zlib makes at most a thousand times as much of it."""
_BEGINNING_BYTES = 256 << 10
"""Of a document without its end. What is generated stands there before the particulars of its tokens."""
_HEAD_BYTES = 4096
_EMBEDDING = (b'"embedding":[', b'"embedding":"')
_ELLIPSIS = "…"
_TEXT_PARTS = ("text", "reasoning")
_REASONS = {
    "tool_calls": "tool_call",
    "tool_use": "tool_call",
    "function_call": "tool_call",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "word": "stop",
    "completed": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_context_window_exceeded": "length",
    "limit": "length",
    "refusal": "content_filter",
    "failed": "error",
}
"""What the dialects say, in the words of the conventions."""


class Answer:
    """The body of one answer, up to a bound. The proxy feeds it, chunk by chunk."""

    __slots__ = ("_cut", "_limit", "_pieces", "_room")

    def __init__(self, limit: int = ANSWER_BYTES) -> None:
        self._limit = limit
        self._room = limit
        self._pieces: list[bytes] = []
        self._cut = False

    @property
    def retained_bytes(self) -> int:
        """Bytes held back now."""
        return self._limit - self._room

    def feed(self, piece: bytes) -> None:
        """Take a piece, split anywhere. What is beyond the bound is let go of."""
        if self._cut:
            return
        if len(piece) > self._room:
            self._cut = True
            piece = piece[: self._room]
        self._pieces.append(piece)
        self._room -= len(piece)

    def messages(self, headers: Headers, finish_reasons: Sequence[str]) -> str | None:
        """`gen_ai.output.messages`, None when the answer holds none; lets the bytes go. Never raises.

        Names of headers are lower-case. `finish_reasons` of the record count where the bytes kept do not say more.
        It takes some 30 ms for the longest answers, 1 ms for a stream of 200 events.
        """
        found = dict(headers)
        body, is_whole = self._take(found.get(b"content-encoding", b""))
        kind = found.get(b"content-type", b"").partition(b";")[0].strip().lower()
        document: object = None
        if kind == b"text/event-stream":
            document = assemble(body)
        elif kind == b"application/json" or kind.endswith(b"+json"):
            document, is_whole = _parse(body, is_whole)
        messages = list(_read_choices(document))[:_CHOICES]
        _finish(messages, finish_reasons)
        if not is_whole:
            _mark(messages)
        return write_answers(messages)

    def _take(self, encoding: bytes) -> tuple[bytes, bool]:
        """The plain body, and whether it is all that came."""
        body, is_whole = b"".join(self._pieces), not self._cut
        self._pieces.clear()
        self._room = self._limit
        if is_identity(encoding):
            return body, is_whole
        plain = b"".join(_inflate(body, encoding, self._limit))
        return plain[: self._limit], is_whole and len(plain) <= self._limit


def _inflate(body: bytes, encoding: bytes, limit: int) -> Iterator[bytes]:
    """A little more than `limit` where there is more; of a broken body what comes before the fault."""
    inflater = make_inflater(encoding)
    size = 0
    for at in range(0, len(body) if inflater is not None else 0, _SLICE_BYTES):
        try:
            pieces = inflater.inflate(body[at : at + _SLICE_BYTES]) if inflater is not None else []
        except ValueError:
            return
        yield from pieces
        size += sum(map(len, pieces))
        if size > limit:
            return


def _parse(body: bytes, is_whole: bool) -> tuple[object, bool]:
    """The document, and whether it is all of it. Of embeddings, which can be long, none."""
    if any(mark in body[:_HEAD_BYTES] for mark in _EMBEDDING):
        return None, is_whole
    if is_whole:
        try:
            return parse(body), True
        except ValueError:
            pass
    try:
        return parse_beginning(body[:_BEGINNING_BYTES]), False
    except ValueError:
        return None, False


# Documents


def _read_choices(document: object) -> Iterator[Message]:
    """A message for each choice of an answer in any dialect, with `finish_reason` as it stands there."""
    if isinstance(document, list):
        yield from _read_results(document)
    elif isinstance(document, dict):
        if "choices" in document:
            for choice in _in_order(document["choices"]):
                yield _read_choice(choice)
        elif isinstance(document.get("output"), list):
            yield _read_response(document)
        elif document.get("type") == "message":
            yield _message(read_content(document.get("content")), document.get("stop_reason"))
        else:
            yield from _read_results(document.get("results", [document]))


def _in_order(value: object) -> list[Document]:
    found = list(map(mapping, items(value)))
    return sorted(found, key=lambda each: whole(each.get("index")) or 0)


def _read_choice(choice: Document) -> Message:
    message = read_message(choice.get("message")) or {"parts": read_content(choice.get("text"))}
    return _message(message["parts"], choice.get("finish_reason"))


def _read_response(document: Document) -> Message:
    """All items of a response are one choice."""
    read = (item for each in items(document["output"]) if (item := read_item(each)) is not None)
    parts = [part for item in read for part in item["parts"]]
    reason = text(mapping(document.get("incomplete_details")).get("reason")) or text(document.get("status"))
    return _message(parts, None if reason == "in_progress" else reason)


def _read_results(results: object) -> Iterator[Message]:
    """llama-server's own answers, one per prompt; and transcriptions."""
    for result in _in_order(results):
        content = result.get("content", result.get("text"))
        if isinstance(content, str):
            reason = result.get("stop_type", "stop") if result.get("stop") is True else None
            yield _message(read_content(content), reason)


def _message(parts: list[Part], reason: object) -> Message:
    return {"role": "assistant", "parts": parts, "finish_reason": text(reason)}


def _finish(messages: list[Message], reasons: Sequence[str]) -> None:
    """Give each a reason in the words of the conventions. (The responses dialect has no word of its own for calls.)"""
    known: Iterable[str | None] = reasons if len(reasons) == len(messages) else [None] * len(messages)
    for message, other in zip(messages, known, strict=True):
        reason = message["finish_reason"] or other or UNKNOWN
        is_call = reason == "completed" and any(each["type"] == "tool_call" for each in message["parts"])
        message["finish_reason"] = "tool_call" if is_call else _REASONS.get(reason, reason)


def _mark(messages: list[Message]) -> None:
    """Say of messages that they were longer, in a field of their own and for the eye."""
    for message in messages:
        message["truncated"] = True
        last = message["parts"][-1] if message["parts"] else {}
        if last.get("type") in _TEXT_PARTS and not last["content"].endswith(_ELLIPSIS):
            last["content"] = cut(last["content"] + _ELLIPSIS)
