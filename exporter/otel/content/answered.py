"""What the model answered, as a span attribute: `Answer` collects the bytes, and reads them once, at the end.

`tracing` keeps one for each request whose span is recorded, where people have asked for content. Answers that are
compressed have no attribute: llama-server compresses none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from exporter.observe.documents import Document, items, mapping, parse, text, whole
from exporter.observe.encoding import is_identity
from exporter.otel.content.messages import Message, Part, write_messages
from exporter.otel.content.parts import read_content, read_item, read_message
from exporter.otel.content.streamed import assemble

Headers = Sequence[tuple[bytes, bytes]]

ANSWER_BYTES = 256 << 10
"""Of an answer this much is kept: as a stream some 1,200 tokens, each of which comes in an event of 200 bytes."""

UNKNOWN = "unknown"
"""The reason of an answer that was broken off, or that does not say why it ended; the schema demands one."""

_CHOICES = 128
_REASONS = {
    "tool_calls": "tool_call",
    "tool_use": "tool_call",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "word": "stop",
    "completed": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "limit": "length",
    "refusal": "content_filter",
    "failed": "error",
}
"""What the dialects say, in the words of the conventions."""


class Answer:
    """The body of one answer, up to a bound. The proxy feeds it, chunk by chunk."""

    __slots__ = ("_pieces", "_room")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._room = ANSWER_BYTES
        """Less than nothing when more came."""

    def feed(self, piece: bytes) -> None:
        """Take a piece, split anywhere. What is beyond the bound is let go of."""
        if self._room > 0:
            self._pieces.append(piece[: self._room])
        self._room -= len(piece)

    def messages(self, headers: Headers, finish_reasons: Sequence[str]) -> str | None:
        """`gen_ai.output.messages`, None when the answer holds none; lets the bytes go. Never raises.

        Names of headers are lower-case. `finish_reasons` of the record count where the bytes kept do not say more.
        It takes 5 ms for the longest streams, 1 ms for one of 200 events.
        """
        body = b"".join(self._pieces)
        self._pieces.clear()
        choices = list(_read_choices(self._read(dict(headers), body)))
        known = finish_reasons if len(finish_reasons) == len(choices) else [UNKNOWN] * len(choices)
        for choice, reason in zip(choices, known, strict=True):
            choice.setdefault("finish_reason", _REASONS.get(reason, reason))
        return f"[{','.join(write_messages(choices))}]" if choices else None

    def _read(self, headers: dict[bytes, bytes], body: bytes) -> object:
        """A document, of a stream too. Where one came as a whole, half of it is none."""
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if not is_identity(headers.get(b"content-encoding", b"")):
            return None
        if kind == b"text/event-stream":
            return assemble(body)
        try:
            return parse(body) if kind == b"application/json" and self._room >= 0 else None
        except ValueError:
            return None


def _read_choices(document: object) -> Iterator[Message]:
    """A message for each choice of an answer in any dialect, with a reason where it says one."""
    fields = mapping(document)
    if "choices" in fields:
        yield from map(_read_choice, _in_order(fields["choices"]))
    elif isinstance(fields.get("output"), list):
        yield _read_response(fields)
    elif fields.get("type") == "message":
        yield _answer(read_content(fields.get("content")), fields.get("stop_reason"))
    else:
        for result in _in_order(document if isinstance(document, list) else [document]):
            words = result.get("content", result.get("text"))  # llama-server's own answer to a prompt; a transcription
            if isinstance(words, str):
                reason = result.get("stop_type", "stop") if result.get("stop") is True else None
                yield _answer(read_content(words), reason)


def _in_order(value: object) -> list[Document]:
    found = list(map(mapping, items(value)[:_CHOICES]))
    return sorted(found, key=lambda each: whole(each.get("index")) or 0)


def _read_choice(choice: Document) -> Message:
    message = read_message(choice.get("message"))
    parts = read_content(choice.get("text")) if message is None else message["parts"]
    return _answer(parts, choice.get("finish_reason"))


def _read_response(document: Document) -> Message:
    """All items of a response are one choice. It has no word of its own for calls."""
    output = items(document["output"])
    parts = (part for item in map(read_item, output) if item is not None for part in item["parts"])
    reason = mapping(document.get("incomplete_details")).get("reason") or document.get("status")
    if reason == "completed" and any(mapping(each).get("type") == "function_call" for each in output):
        reason = "tool_calls"
    return _answer(parts, None if reason == "in_progress" else reason)


def _answer(parts: Iterable[Part], reason: object) -> Message:
    said = text(reason)
    finished = {} if said is None else {"finish_reason": _REASONS.get(said, said)}
    return {"role": "assistant", **finished, "parts": parts}
