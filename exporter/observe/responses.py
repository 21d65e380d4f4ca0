"""The OpenAI responses dialect, `/v1/responses`; streamed transcriptions have the same form and are read here too."""

from __future__ import annotations

from exporter.observe.dialect import CAREFUL, CONTENT, Dialect
from exporter.observe.documents import Document, error_label, items, mapping, text
from exporter.observe.facts import Facts
from exporter.observe.openai import read_usage

PREFIXES = ("response.", "transcript.")

_TYPE = b'"type":"response.'
_DELTA = b'"delta":"'
_FIRST = frozenset({"response.created", "response.in_progress"})
_LAST = frozenset({"response.completed", "response.incomplete", "response.failed", "transcript.text.done"})


def _glance(frame: bytes) -> int:
    """Text, reasoning, refusal and arguments all arrive as `response.<part>.delta`."""
    at = frame.find(_TYPE)
    if at < 0 or not frame.endswith(b".delta", 0, frame.find(b'"', at + len(_TYPE))):
        return CAREFUL
    at = frame.find(_DELTA)
    return CAREFUL if at < 0 or frame.startswith(b'"', at + len(_DELTA)) else CONTENT


def _read(document: Document, facts: Facts) -> bool:
    kind = text(document.get("type")) or ""
    if kind.endswith(".delta"):
        return isinstance(document.get("delta"), str) and bool(document["delta"])
    if kind == "response.output_item.added":
        return _read_call(mapping(document.get("item")), facts)
    if kind in _FIRST:
        facts.identify(mapping(document.get("response")))
    elif kind in _LAST:
        facts.closed = True
        facts.tokens.note(0, read_usage(document.get("usage")), mapping(document.get("timings")), {})
        _read_answer(mapping(document.get("response")), facts)
        if kind == "response.failed":
            facts.error_type = error_label(mapping(document.get("response")).get("error"))
    return False


def _read_call(item: Document, facts: Facts) -> bool:
    """A tool call begins with its name, which the model generated."""
    if not _is_call(item):
        return False
    facts.call_tool(0, len(facts.tool_calls))
    return bool(item.get("name"))


def _is_call(item: Document) -> bool:
    return str(item.get("type")).endswith("_call")


def _read_answer(document: Document, facts: Facts) -> None:
    facts.identify(document)
    reason = mapping(document.get("incomplete_details")).get("reason")
    facts.finish_choice(0, reason or document.get("status"))
    if "output" in document:
        facts.tool_calls.clear()
        for item in map(mapping, items(document["output"])):
            _read_call(item, facts)
    facts.tokens.note(0, read_usage(document.get("usage")), mapping(document.get("timings")), {})


RESPONSES = Dialect("responses", b"event: ", 3, (_DELTA,), _glance, _read, _read_answer)
