"""The Anthropic dialect: `/v1/messages`."""

from __future__ import annotations

from exporter.observe.dialect import CAREFUL, CONTENT, Dialect
from exporter.observe.documents import Document, items, mapping, whole
from exporter.observe.facts import Facts
from exporter.observe.tokens import Usage

EVENTS = frozenset(
    {"message_start", "content_block_start", "content_block_delta", "content_block_stop"}
    | {"message_delta", "message_stop", "ping"}
)

_DELTAS = (
    b'"delta":{"type":"text_delta","text":"',
    b'"delta":{"type":"thinking_delta","thinking":"',
    b'"delta":{"type":"input_json_delta","partial_json":"',
)
_CONTENT_KEYS = ("text", "thinking", "partial_json")


def _glance(frame: bytes) -> int:
    if b'"type":"content_block_delta"' in frame:
        for pattern in _DELTAS:
            at = frame.find(pattern)
            if at >= 0:
                return CAREFUL if frame.startswith(b'"', at + len(pattern)) else CONTENT
    return CAREFUL


def _read(document: Document, facts: Facts) -> bool:
    kind = document.get("type")
    if kind == "content_block_delta":
        delta = mapping(document.get("delta"))
        return any(isinstance(value, str) and value for value in map(delta.get, _CONTENT_KEYS))
    if kind == "content_block_start":
        return _read_block(mapping(document.get("content_block")), whole(document.get("index")) or 0, facts)
    if kind == "message_start":
        message = mapping(document.get("message"))
        facts.identify(message)
        facts.tokens.note(0, _read_usage(message.get("usage")), {}, {})
    elif kind == "message_delta":
        facts.finish_choice(0, mapping(document.get("delta")).get("stop_reason"))
        facts.tokens.note(0, _read_usage(document.get("usage")), {}, {})
    elif kind == "message_stop":
        facts.closed = True
    return False


def _read_block(block: Document, index: int, facts: Facts) -> bool:
    """A block of kind `tool_use` begins with the tool's name, which the model generated; the others begin empty."""
    if block.get("type") != "tool_use":
        return False
    facts.call_tool(0, index)
    return bool(block.get("name"))


def _read_answer(document: Document, facts: Facts) -> None:
    facts.identify(document)
    facts.finish_choice(0, document.get("stop_reason"))
    for number, block in enumerate(map(mapping, items(document.get("content")))):
        _read_block(block, number, facts)
    facts.tokens.note(0, _read_usage(document.get("usage")), {}, {})


def _read_usage(value: object) -> Usage | None:
    """`input_tokens` leaves out what the cache gave and took (checked on llama-server's counters); we count all."""
    usage = mapping(value)
    if not usage:
        return None
    fresh = whole(usage.get("input_tokens"))
    cached = whole(usage.get("cache_read_input_tokens"))
    written = whole(usage.get("cache_creation_input_tokens"))
    total = None if fresh is None else fresh + (cached or 0) + (written or 0)
    return Usage(total, cached, whole(usage.get("output_tokens")))


MESSAGES = Dialect("anthropic", b"event: ", 3, _DELTAS, _glance, _read, _read_answer)
