"""Values as OTLP can hold them. `spans`, `tracing` and `points` use it."""

from __future__ import annotations

NANOSECONDS = 1_000_000_000


def as_unicode(text: str) -> str:
    """The text without lone surrogates, which JSON and names of files can hold and protobuf cannot: one of them would
    cost a whole batch."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def nanoseconds(seconds: float) -> int:
    """A time as OTLP gives it."""
    return int(seconds * NANOSECONDS)
