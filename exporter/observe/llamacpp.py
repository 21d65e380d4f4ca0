"""llama-server's own dialect: `/completion`, `/completions`, `/infill`."""

from __future__ import annotations

from exporter.observe.dialect import CAREFUL, CONTENT, FIGURES, Dialect
from exporter.observe.documents import Document, mapping, whole
from exporter.observe.facts import Facts
from exporter.observe.tokens import Usage

_CONTENT = b'"content":"'


def _glance(frame: bytes) -> int:
    """Every frame carries running counts (`tokens_predicted`); half a character's token comes without content."""
    at = frame.find(_CONTENT)
    if at < 0 or b'"stop":false' not in frame or b'"error"' in frame:
        return CAREFUL
    return FIGURES if frame.startswith(b'"', at + len(_CONTENT)) else CONTENT | FIGURES


def _read(document: Document, facts: Facts) -> bool:
    read_result(document, whole(document.get("index")) or 0, facts)
    content = document.get("content")
    return isinstance(content, str) and bool(content)


def read_result(document: Document, index: int, facts: Facts) -> None:
    """Take the facts of one prompt's result, partial or final; an answer to several prompts is an array of these."""
    facts.identify(document)
    if document.get("stop") is True:
        facts.finish_choice(index, document.get("stop_type", "stop"))
    timings = mapping(document.get("timings"))
    usage = Usage(
        whole(document.get("tokens_evaluated")), whole(timings.get("cache_n")), whole(document.get("tokens_predicted"))
    )
    facts.tokens.note(index, usage, timings, mapping(document.get("prompt_progress")))


def _read_answer(document: Document, facts: Facts) -> None:
    read_result(document, whole(document.get("index")) or 0, facts)


NATIVE = Dialect("llamacpp", b"data: ", 2, (_CONTENT,), _glance, _read, _read_answer)
