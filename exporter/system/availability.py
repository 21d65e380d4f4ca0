"""How many models of each tier there are, and how many can answer: for metrics and rooms alike, so that they agree."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from exporter.system.snapshot import ANSWERING, LlamaServerSnapshot


class Availability(NamedTuple):
    """Models of one tier."""

    available: int | None
    """Those that can answer now; None while nobody has looked."""
    total: int


NOTHING: Mapping[str, Availability] = MappingProxyType({})


def count_models(
    servers: Collection[LlamaServerSnapshot],
    configured: Mapping[str, int],
    out_of_rotation: Container[str] = (),
    recorded: Mapping[str, Availability] = NOTHING,
) -> dict[str, Availability]:
    """By tier: each that is configured, those that a server had last, and those `recorded` by applications.

    `configured` counts models by tier. What an application says of a tier goes before what we see of it.
    """
    tiers = dict.fromkeys((*configured, *(tier for server in servers for tier in server.tiers)))
    counts = dict.fromkeys(tiers, 0)
    for server in servers:
        if server.upstream not in out_of_rotation:
            for tier in _answering(server):
                counts[tier] = counts.get(tier, 0) + 1
    seen = {
        tier: Availability(count if servers else None, max(count, configured.get(tier, 0)))
        for tier, count in counts.items()
    }
    return {**seen, **recorded}


def _answering(server: LlamaServerSnapshot) -> Iterable[str]:
    """The tier of each model that can answer."""
    if not server.up:
        return ()
    if not server.models and not server.router:
        return server.tiers[:1]  # It is well, so it has its one model, though its build does not name it.
    return (model.tier for model in server.models if model.state in ANSWERING)
