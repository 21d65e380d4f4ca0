"""The OpenAI dialects: chat and text completions, and the plain answers with `usage` (embeddings, rerank)."""

from __future__ import annotations

from exporter.observe.dialect import CAREFUL, CONTENT, FIGURES, Dialect
from exporter.observe.documents import Document, items, mapping, whole
from exporter.observe.facts import Facts
from exporter.observe.tokens import TOTAL, Usage

_DELTAS = (b'"delta":{"content":"', b'"delta":{"reasoning_content":"')
_TEXT = b'"text":"'
_CONTENT_KEYS = ("content", "reasoning_content", "reasoning", "refusal")


def _glance_chat(frame: bytes) -> int:
    for pattern in _DELTAS:
        at = frame.find(pattern)
        if at >= 0:
            return _glance(frame, at + len(pattern))
    return CAREFUL


def _glance_text(frame: bytes) -> int:
    at = frame.find(_TEXT)
    return _glance(frame, at + len(_TEXT)) if at >= 0 else CAREFUL


def _glance(frame: bytes, at: int) -> int:
    """Classify a frame whose content string begins at `at`. An empty string may hide a role-only or a last frame."""
    if (
        frame.startswith(b'"', at)
        or b'"finish_reason":null' not in frame
        or b'"finish_reason":"' in frame
        or b'"error"' in frame
        or b'"tool_calls"' in frame
    ):
        return CAREFUL
    if b'"timings"' in frame or (b'"usage"' in frame and b'"usage":null' not in frame):
        return CONTENT | FIGURES
    return CONTENT


def _read(document: Document, facts: Facts) -> bool:
    facts.identify(document)
    content = False
    figures_of = None
    for choice in map(mapping, items(document.get("choices"))):
        index = whole(choice.get("index")) or 0
        figures_of = index if figures_of is None else figures_of
        content = _has_content(choice, index, facts) or content
        facts.finish_choice(index, choice.get("finish_reason"))
    _read_figures(document, figures_of, facts)
    return content


def _read_figures(document: Document, choice: int | None, facts: Facts) -> None:
    """Figures of a frame without choices are those of the whole answer; but llama-server, which sends `timings` with
    them, sends such a frame after each choice's last one, with the figures of that choice."""
    timings = mapping(document.get("timings"))
    if choice is None:
        choice = next(reversed(facts.finish), 0) if timings else TOTAL
    progress = mapping(document.get("prompt_progress"))
    facts.tokens.note(choice, read_usage(document.get("usage")), timings, progress)


def _has_content(choice: Document, index: int, facts: Facts) -> bool:
    delta = mapping(choice.get("delta"))
    content = any(isinstance(value, str) and value for value in map(delta.get, _CONTENT_KEYS))
    if isinstance(choice.get("text"), str) and choice["text"]:
        content = True
    for call in map(mapping, items(delta.get("tool_calls"))):
        content = _read_tool_call(call, index, facts) or content
    return content


def _read_tool_call(call: Document, choice: int, facts: Facts) -> bool:
    """A part of a tool call; several parts share its index."""
    facts.call_tool(choice, whole(call.get("index")) or 0)
    function = mapping(call.get("function"))
    return bool(function.get("name") or function.get("arguments"))


def _read_answer(document: Document, facts: Facts) -> None:
    facts.identify(document)
    choices = list(map(mapping, items(document.get("choices"))))
    for position, choice in enumerate(choices):
        index = whole(choice.get("index"))
        facts.finish_choice(position if index is None else index, choice.get("finish_reason"))
        for number, _ in enumerate(items(mapping(choice.get("message")).get("tool_calls"))):
            facts.call_tool(position, number)
    timings = mapping(document.get("timings"))
    facts.tokens.note(0, read_usage(document.get("usage")), timings, {})
    # With several choices in one answer llama-server gives the figures of the first alone; other servers send no
    # timings, and their usage is the sum.
    facts.tokens.first_choice_only = bool(timings) and len(choices) > 1


def read_usage(value: object) -> Usage | None:
    """The `usage` object of chat, text completions, embeddings, rerank (`prompt_tokens`, `completion_tokens`) and of
    transcriptions and responses (`input_tokens`, `output_tokens`); its input counts include cached tokens."""
    usage = mapping(value)
    if not usage:
        return None
    details = mapping(usage.get("prompt_tokens_details")) or mapping(usage.get("input_tokens_details"))
    return Usage(
        whole(usage.get("prompt_tokens", usage.get("input_tokens"))),
        whole(details.get("cached_tokens")),
        whole(usage.get("completion_tokens", usage.get("output_tokens"))),
    )


CHAT = Dialect("openai", b"data: ", 2, _DELTAS, _glance_chat, _read, _read_answer)
TEXT = Dialect("openai", b"data: ", 2, (_TEXT,), _glance_text, _read, _read_answer)
