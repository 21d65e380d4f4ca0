"""What the slots of llama-servers are doing; the shapes that show load use it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from exporter.system.snapshot import LlamaServerSnapshot, ModelSnapshot, ModelState


def models_up(servers: Iterable[LlamaServerSnapshot]) -> Iterator[ModelSnapshot]:
    """All models of servers that answer."""
    for server in servers:
        if server.up:
            yield from server.models


def loaded(servers: Iterable[LlamaServerSnapshot]) -> list[ModelSnapshot]:
    """Those that are in memory."""
    return [model for model in models_up(servers) if model.state is ModelState.LOADED]
