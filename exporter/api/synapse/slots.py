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


def context_used(model: ModelSnapshot) -> int:
    """Tokens in the slots that work, as far as the build tells. What idle slots hold is a cache."""
    return sum(slot.context_used or 0 for slot in model.slots if slot.processing)


def context_total(model: ModelSnapshot) -> int:
    """Tokens that all slots have room for; 0 where that is not known."""
    if model.slots:
        return sum(slot.context_size or model.context_size or 0 for slot in model.slots)
    return (model.context_size or 0) * (model.total_slots or 0)
