"""Putting streamed answers together: from the events of a stream the document that would have come without streaming.

`answered` calls it. What was not streamed to its end gives what there was. Nothing here raises on any event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from exporter.observe.dialects import recognise
from exporter.observe.documents import Document, items, mapping, parse, text, whole
from exporter.observe.sse import Framer

_DONE = b"[DONE]"


class Assembly(Protocol):
    """An answer of one dialect, as it grows."""

    def take(self, event: Document) -> None:
        """Add what an event brings."""

    def answer(self) -> Document:
        """What there is by now."""


class Texts:
    """Texts by name, each of many pieces."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: dict[str, list[str]] = {}

    def add(self, name: str, piece: object) -> None:
        """Lengthen one; what is no text adds nothing."""
        if isinstance(piece, str) and piece:
            self._pieces.setdefault(name, []).append(piece)

    def joined(self) -> dict[str, str]:
        """Those that have something in them."""
        return {name: "".join(pieces) for name, pieces in self._pieces.items()}


class _Call:
    """A call of a tool: its name comes once, its arguments in pieces."""

    __slots__ = ("id", "name", "texts")

    def __init__(self) -> None:
        self.id: str | None = None
        self.name: str | None = None
        self.texts = Texts()

    def take(self, delta: Document) -> None:
        function = mapping(delta.get("function"))
        self.id = self.id or text(delta.get("id"))
        self.name = self.name or text(function.get("name"))
        self.texts.add("arguments", function.get("arguments"))

    def answer(self) -> Document:
        return {"id": self.id, "function": {"name": self.name, **self.texts.joined()}}


class _Choice:
    __slots__ = ("calls", "finish_reason", "is_text", "texts")

    def __init__(self) -> None:
        self.texts = Texts()
        self.calls: dict[int, _Call] = {}
        self.finish_reason: str | None = None

    def take(self, choice: Document) -> None:
        delta = mapping(choice.get("delta"))
        for name in ("reasoning_content", "reasoning", "content", "refusal"):
            self.texts.add(name, delta.get(name))
        self.texts.add("content", choice.get("text"))
        for call in map(mapping, items(delta.get("tool_calls"))):
            self.calls.setdefault(whole(call.get("index")) or 0, _Call()).take(call)
        if delta.get("function_call"):
            self.calls.setdefault(0, _Call()).take({"function": delta["function_call"]})
        self.finish_reason = text(choice.get("finish_reason")) or self.finish_reason

    def answer(self) -> Document:
        calls = [call.answer() for call in self.calls.values()]
        return {"finish_reason": self.finish_reason, "message": {**self.texts.joined(), "tool_calls": calls}}


class Choices:
    """Chat and text completions of the OpenAI dialect."""

    __slots__ = ("_choices",)

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}

    def take(self, event: Document) -> None:
        """See `Assembly`."""
        for choice in map(mapping, items(event.get("choices"))):
            self._choices.setdefault(whole(choice.get("index")) or 0, _Choice()).take(choice)

    def answer(self) -> Document:
        """See `Assembly`."""
        return {"choices": [{"index": index, **choice.answer()} for index, choice in self._choices.items()]}


class Blocks:
    """A message of the Anthropic dialect, block by block."""

    __slots__ = ("_blocks", "_reason", "_texts")

    _KEYS: Mapping[str, tuple[str, str]] = {
        "text_delta": ("text", "text"),
        "thinking_delta": ("thinking", "thinking"),
        "input_json_delta": ("partial_json", "tool_use"),
    }
    """By type of a delta: where its piece is, and of what type the block is if nobody has said."""

    def __init__(self) -> None:
        self._blocks: dict[int, Document] = {}
        self._texts: dict[int, Texts] = {}
        self._reason: str | None = None

    def take(self, event: Document) -> None:
        """See `Assembly`."""
        index = whole(event.get("index")) or 0
        delta = mapping(event.get("delta"))
        if event.get("type") == "content_block_start":
            self._blocks[index] = mapping(event.get("content_block"))
            self._texts[index] = Texts()
        elif event.get("type") == "message_delta":
            self._reason = text(delta.get("stop_reason")) or self._reason
        else:
            key, kind = self._KEYS.get(text(delta.get("type")) or "", ("", ""))
            if key:
                self._blocks.setdefault(index, {"type": kind})
                self._texts.setdefault(index, Texts()).add(key, delta.get(key))

    def answer(self) -> Document:
        """See `Assembly`."""
        content = [block | self._found(index) for index, block in self._blocks.items()]
        return {"type": "message", "content": content, "stop_reason": self._reason}

    def _found(self, index: int) -> Document:
        found = self._texts[index].joined()
        return {"input" if key == "partial_json" else key: value for key, value in found.items()}


class Items:
    """Items of the responses dialect; a transcription, which has the same form, is a text without an item."""

    __slots__ = ("_items", "_response", "_texts")

    _KEYS: Mapping[str, str] = {
        "response.output_text.delta": "text",
        "response.refusal.delta": "text",
        "response.reasoning_text.delta": "thinking",
        "response.reasoning_summary_text.delta": "thinking",
        "response.function_call_arguments.delta": "arguments",
        "response.custom_tool_call_input.delta": "input",
        "transcript.text.delta": "text",
    }

    def __init__(self) -> None:
        self._items: dict[str, Document] = {}
        self._texts: dict[str, Texts] = {}
        self._response: Document = {}

    def take(self, event: Document) -> None:
        """See `Assembly`."""
        kind = text(event.get("type")) or ""
        if kind in ("response.output_item.added", "response.output_item.done"):
            item = mapping(event.get("item"))
            name = text(item.get("id")) or ""
            self._items[name] = item
            if kind.endswith("done"):
                self._texts.pop(name, None)
        elif kind in self._KEYS:
            name = text(event.get("item_id")) or ""
            self._items.setdefault(name, {"type": "message"})
            self._texts.setdefault(name, Texts()).add(self._KEYS[kind], event.get("delta"))
        elif "response" in event:
            self._response = mapping(event["response"])

    def answer(self) -> Document:
        """See `Assembly`."""
        output = items(self._response.get("output"))
        return {**self._response, "object": "response", "output": output or list(map(self._item, self._items))}

    def _item(self, name: str) -> Document:
        found = self._texts[name].joined() if name in self._texts else {}
        blocks = [{"type": key, key: found.pop(key)} for key in ("thinking", "text") if key in found]
        return self._items[name] | found | ({"content": blocks} if blocks else {})


class Results:
    """Results of llama-server's own dialect, one per prompt."""

    __slots__ = ("_last", "_texts")

    def __init__(self) -> None:
        self._texts: dict[int, Texts] = {}
        self._last: dict[int, Document] = {}

    def take(self, event: Document) -> None:
        """See `Assembly`."""
        index = whole(event.get("index")) or 0
        self._texts.setdefault(index, Texts()).add("content", event.get("content"))
        self._last[index] = {key: event[key] for key in ("stop", "stop_type") if key in event}

    def answer(self) -> Document:
        """See `Assembly`."""
        return {
            "results": [
                {"index": index, "content": "", **self._last[index], **texts.joined()}
                for index, texts in self._texts.items()
            ]
        }


_ASSEMBLIES: Mapping[str, type[Assembly]] = {
    "openai": Choices,
    "anthropic": Blocks,
    "responses": Items,
    "llamacpp": Results,
}


def assemble(body: bytes) -> Document:
    """The answer that a body of server-sent events holds; empty when it holds none."""
    assembly: Assembly | None = None
    for event in _read_events(body):
        if assembly is None:
            made = _ASSEMBLIES.get(_dialect(event))
            assembly = None if made is None else made()
        if assembly is not None:
            assembly.take(event)
    return {} if assembly is None else assembly.answer()


def _read_events(body: bytes) -> Iterable[Document]:
    framer = Framer(len(body) + 1)
    for event in (*framer.feed(body), *framer.flush()):
        if event.data != _DONE:
            try:
                document: Any = parse(event.data)
            except ValueError:
                continue
            if isinstance(document, dict):
                yield document


def _dialect(event: Document) -> str:
    """llama-server leaves everything out of its own events but what `response_fields` names."""
    dialect = recognise(event)
    if dialect is None:
        return "llamacpp" if isinstance(event.get("content"), str) else ""
    return dialect.name
