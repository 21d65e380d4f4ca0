"""The events of a router (`/models/sse`), read from the bytes of its stream. Pure; called by `router`.

A build that says more is understood as far as it says the same: what is not known here is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from exporter.system.documents import Document, count, mapping, sequence, text
from exporter.system.model_facts import STATES, ListedModel, parse_models
from exporter.system.snapshot import ModelState

LIST_EVENTS = frozenset({"models_reload", "model_remove", "download_finished", "download_failed"})
"""After these, other models are listed than before."""
LINE_BYTES = 256 * 1024
"""A longer line is left out; those seen have some 500."""


@dataclass(frozen=True, slots=True)
class RouterEvent:
    """One event. About all models, and without a state: the list has changed."""

    model: str | None
    state: ModelState | None = None
    exit_code: int | None = None
    progress: float | None = None
    """0 to 1, of the stage."""
    stage: str | None = None
    stages: int = 1
    """How many there will have been."""
    stage_number: int = 0
    """Which of them this is, from 0."""
    info: ListedModel | None = None
    """The model as lists will have it, when it has been loaded."""

    @property
    def share(self) -> float | None:
        """How far the whole load is, 0 to 1, as though all stages took the same time; None where it does not say."""
        if self.progress is None:
            return None
        return (self.stage_number + self.progress) / self.stages


class Lines:
    """Cuts a stream into lines, keeping no more of it than the longest line has."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skipping = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The lines that end in this piece, without their ends."""
        self._rest += piece
        while (end := self._rest.find(b"\n")) >= 0:
            line = bytes(self._rest[:end])
            del self._rest[: end + 1]
            if not self._skipping and len(line) <= LINE_BYTES:
                yield line.rstrip(b"\r")
            self._skipping = False
        if len(self._rest) > LINE_BYTES:
            self._rest.clear()
            self._skipping = True


def parse_event(line: bytes) -> RouterEvent | None:
    """The event in a `data:` line; None for any other line, and for what is not understood."""
    if not line.startswith(b"data:"):
        return None
    try:
        document = mapping(json.loads(line[len(b"data:") :]))
    except (ValueError, RecursionError):
        return None
    name, data = text(document.get("model")), mapping(document.get("data"))
    if name is None or name == "*" or "status" not in data:
        return RouterEvent(None) if text(document.get("event")) in LIST_EVENTS else None
    state = STATES.get(str(data["status"]))
    return _event(name, state, data) if state is not None else None


def _event(name: str, state: ModelState, data: Document) -> RouterEvent:
    progress = mapping(data.get("progress"))
    stages, current = sequence(progress.get("stages")), text(progress.get("current"))
    info = parse_models({"data": [data["info"]]}) if "info" in data else None
    return RouterEvent(
        model=name,
        state=state,
        exit_code=count(data.get("exit_code")),
        progress=_share(progress.get("value")),
        stage=current,
        stages=max(1, len(stages)),
        stage_number=stages.index(current) if current in stages else 0,
        info=info[0] if info else None,
    )


def _share(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(min(1, max(0, value)))
