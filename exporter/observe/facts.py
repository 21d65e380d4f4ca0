"""What one answer has told so far; the dialects fill it, `Observation.finish` reads it."""

from __future__ import annotations

from exporter.observe.documents import Document, text
from exporter.observe.tokens import Tokens

_CHOICES = 256


class Facts:
    """The mutable facts of one answer. Everything in it is bounded, whatever the peer sends."""

    __slots__ = ("closed", "error_type", "finish", "id", "lost", "model", "parse_errors", "tokens", "tool_calls")

    def __init__(self) -> None:
        self.model: str | None = None
        self.id: str | None = None
        self.finish: dict[int, str] = {}
        """Finish reason by choice index."""
        self.tool_calls: set[tuple[int, int]] = set()
        """Tool calls seen, as (choice, number of the call)."""
        self.closed = False
        """The marker that ends an answer was seen: `[DONE]`, `message_stop`, `response.completed`, ..."""
        self.error_type: str | None = None
        self.lost = False
        """A router said, within a stream, that it had lost the server that was answering."""
        self.parse_errors = 0
        self.tokens = Tokens()

    def identify(self, document: Document) -> None:
        """Note `model` and `id` of an answer, unless they are known already."""
        if self.model is None:
            self.model = text(document.get("model"))
        if self.id is None:
            self.id = text(document.get("id"))

    def finish_choice(self, index: int, reason: object) -> None:
        """Note why a choice ended; anything but a string with something in it means that it has not."""
        if isinstance(reason, str) and reason and len(self.finish) < _CHOICES:
            self.finish[index] = reason[:64]

    def call_tool(self, choice: int, number: int) -> None:
        """Note that a tool call was begun; the same one may be noted again."""
        if len(self.tool_calls) < _CHOICES:
            self.tool_calls.add((choice, number))

    def finish_reasons(self) -> tuple[str, ...]:
        """Why the choices ended, in their order."""
        if len(self.finish) <= 1:
            return tuple(self.finish.values())
        return tuple(self.finish[index] for index in sorted(self.finish))
