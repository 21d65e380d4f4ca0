"""Putting streamed answers together: from the events of a stream a document as it might have come without streaming.

`answered` calls it. What was not streamed to its end gives what there was. Nothing here raises on any event; those
whose data has several lines, which no server sends, are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from exporter.observe.anthropic import EVENTS
from exporter.observe.documents import Document, items, mapping, parse, text, whole
from exporter.observe.responses import PREFIXES

_DONE = b"[DONE]"
_FIELDS = {"text": "text", "thinking": "thinking", "tool_use": "input"}
"""By type of a content block: where its text stands. `parts` reads such blocks in an answer of any dialect."""
_CHAT_DELTAS = {"reasoning_content": "thinking", "reasoning": "thinking", "content": "text", "refusal": "text"}
_BLOCK_DELTAS = {"text": "text", "thinking": "thinking", "partial_json": "tool_use"}
_ITEM_DELTAS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "text",
    "response.reasoning_text.delta": "thinking",
    "response.reasoning_summary_text.delta": "thinking",
    "response.function_call_arguments.delta": "tool_use",
    "transcript.text.delta": "text",
}


class _Choice:
    """One choice, as it grows: content blocks, each of many pieces."""

    __slots__ = ("_blocks", "finish_reason")

    def __init__(self) -> None:
        self._blocks: dict[object, tuple[list[str], Document]] = {}
        self.finish_reason: str | None = None

    def add(self, key: object, kind: str, piece: object) -> None:
        """Lengthen a block; what is no text adds nothing."""
        if isinstance(piece, str) and piece:
            self._block(key, kind)[0].append(piece)

    def call(self, key: object, number: object, name: object) -> None:
        """Say which tool is called: once, or over and over."""
        call = self._block(key, "tool_use")[1]
        call["id"] = call.get("id") or number
        call["name"] = call.get("name") or name

    def _block(self, key: object, kind: str) -> tuple[list[str], Document]:
        return self._blocks.setdefault(key, ([], {"type": kind}))

    def end(self, reason: object) -> None:
        """Say why it ended, if anything does."""
        self.finish_reason = text(reason) or self.finish_reason

    def document(self) -> Document:
        """What there is by now."""
        blocks = [about | {_FIELDS[about["type"]]: "".join(pieces)} for pieces, about in self._blocks.values()]
        return {"message": {"content": blocks}, "finish_reason": self.finish_reason}


class _Assembly:
    """An answer in any dialect, as it grows."""

    __slots__ = ("_choices", "_response")

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._response: Document = {}
        """As the responses dialect repeats it at the end."""

    def take(self, event: Document) -> None:
        """Add what an event brings."""
        kind = event.get("type")
        if "choices" in event:
            for choice in map(mapping, items(event["choices"])):
                self._take_delta(choice)
        elif isinstance(kind, str) and kind in EVENTS:
            self._take_block(kind, event, self._choice({}))
        elif isinstance(kind, str) and kind.startswith(PREFIXES):
            self._take_item(kind, event, self._choice({}))
        elif isinstance(event.get("content"), str):
            self._take_result(event)

    def _choice(self, fields: Document) -> _Choice:
        index = whole(fields.get("index")) or 0
        if index not in self._choices:
            self._choices[index] = _Choice()
        return self._choices[index]

    def _take_delta(self, fields: Document) -> None:
        """Of a chat, or of a text completion."""
        choice = self._choice(fields)
        delta = mapping(fields.get("delta"))
        for name, piece in delta.items():
            if name in _CHAT_DELTAS:
                choice.add(name, _CHAT_DELTAS[name], piece)
        choice.add("content", "text", fields.get("text"))
        for call in map(mapping, items(delta.get("tool_calls"))):
            key = whole(call.get("index")) or 0
            function = mapping(call.get("function"))
            choice.call(key, call.get("id"), function.get("name"))
            choice.add(key, "tool_use", function.get("arguments"))
        choice.end(fields.get("finish_reason"))

    def _take_block(self, kind: str, event: Document, choice: _Choice) -> None:
        """Of the Anthropic dialect."""
        key = whole(event.get("index")) or 0
        block, delta = mapping(event.get("content_block")), mapping(event.get("delta"))
        if block.get("type") == "tool_use":
            choice.call(key, block.get("id"), block.get("name"))
        for name, piece in delta.items():
            if name in _BLOCK_DELTAS:
                choice.add(key, _BLOCK_DELTAS[name], piece)
        choice.end(delta.get("stop_reason"))

    def _take_item(self, kind: str, event: Document, choice: _Choice) -> None:
        """Of the responses dialect."""
        item = mapping(event.get("item"))
        if kind in _ITEM_DELTAS:
            of_kind = _ITEM_DELTAS[kind]
            choice.add((text(event.get("item_id")), of_kind), of_kind, event.get("delta"))
        elif item.get("type") == "function_call":
            choice.call((text(item.get("id")), "tool_use"), item.get("call_id"), item.get("name"))
        self._response = mapping(event.get("response")) or self._response

    def _take_result(self, event: Document) -> None:
        """Of llama-server's own dialect."""
        choice = self._choice(event)
        choice.add("content", "text", event["content"])
        if event.get("stop") is True:
            choice.end(event.get("stop_type", "stop"))

    def document(self) -> Document:
        """What there is by now."""
        if items(self._response.get("output")):
            return self._response
        return {"choices": [{"index": index, **choice.document()} for index, choice in self._choices.items()]}


def assemble(body: bytes) -> Document:
    """The answer that a body of server-sent events holds."""
    assembly = _Assembly()
    for event in _read_events(body):
        assembly.take(event)
    return assembly.document()


def _read_events(body: bytes) -> Iterator[Document]:
    """All at once, which is faster than one by one; but the last one may be broken off."""
    lines = [line[5:] for line in body.splitlines() if line.startswith(b"data:")]
    data = [line for line in lines if line.strip() not in (b"", _DONE)]
    yield from _parse_all(data[:-1])
    yield from _parse_all(data[-1:])


def _parse_all(data: list[bytes]) -> Iterable[Document]:
    try:
        return map(mapping, items(parse(b"[" + b",".join(data) + b"]")))
    except ValueError:
        return [document for each in data for document in _parse_all([each])] if len(data) > 1 else []
