"""All dialects: which one a document is written in, and how to read a whole answer."""

from __future__ import annotations

from exporter.observe import anthropic, llamacpp, openai, responses
from exporter.observe.dialect import Dialect
from exporter.observe.documents import Document, items, mapping
from exporter.observe.facts import Facts

DIALECTS = tuple(
    sorted({each.name for each in (openai.CHAT, openai.TEXT, anthropic.MESSAGES, responses.RESPONSES, llamacpp.NATIVE)})
)
"""Names of all dialects."""


def recognise(document: Document) -> Dialect | None:
    """The dialect of a stream event or of an answer, by its shape; None when it has none that we read."""
    if "choices" in document:
        choices = items(document["choices"])
        return openai.TEXT if choices and "text" in mapping(choices[0]) else openai.CHAT
    kind = document.get("type")
    if isinstance(kind, str):
        if kind in anthropic.EVENTS or kind == "message":
            return anthropic.MESSAGES
        if kind.startswith(responses.PREFIXES):
            return responses.RESPONSES
    if document.get("object") == "response":
        return responses.RESPONSES
    if "tokens_predicted" in document or "stop_type" in document or ("content" in document and "stop" in document):
        return llamacpp.NATIVE
    return openai.CHAT if "usage" in document else None


def read_answer(answer: object, facts: Facts) -> Dialect | None:
    """Take the facts from a parsed answer that was not streamed; an array is one native result per prompt."""
    if isinstance(answer, list):
        for index, result in enumerate(map(mapping, answer)):
            if "tokens_predicted" in result:
                llamacpp.read_result(result, index, facts)
        return None
    document = mapping(answer)
    dialect = recognise(document)
    if dialect is not None:
        dialect.read_answer(document, facts)
    return dialect
