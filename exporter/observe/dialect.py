"""What a dialect is: how to recognise its ordinary stream frames at a glance, and how to read its documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exporter.observe.documents import Document
from exporter.observe.facts import Facts

CAREFUL = 0
"""Not an ordinary frame: parse it."""
CONTENT = 1
"""A frame with generated content."""
FIGURES = 2
"""A frame with figures (`timings`, `usage`) that the next such frame replaces: keep the newest, parse none but that."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One form of answer. The functions never raise on any document."""

    name: str
    """`openai`, `anthropic`, `responses` or `llamacpp`: the label of parse errors."""
    opening: bytes
    """How the text of an ordinary event begins."""
    lines: int
    """Line feeds in the text of an ordinary event, the blank line included."""
    marks: tuple[bytes, ...]
    """What stands directly before the content string of an ordinary event."""
    glance: Callable[[bytes], int]
    """Classify one event, its data alone or its whole text: CAREFUL, or CONTENT and FIGURES added up. Looks for exact
    key patterns only, which cannot occur inside JSON strings."""
    read: Callable[[Document, Facts], bool]
    """Take the facts from one parsed stream event; True when it carries generated content."""
    read_answer: Callable[[Document, Facts], None]
    """Take the facts from a whole answer that was not streamed."""
