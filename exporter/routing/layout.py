"""What there is to choose from, arranged for choosing quickly. `fleet` makes a new one when an upstream says something
new of itself; `choice` reads it for every request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from exporter.record import Complexity
from exporter.routing.backend import Backend, Candidate
from exporter.routing.tiers import TierOrder
from exporter.settings.routing import UNKNOWN_TIER

Groups = tuple[tuple[Backend, ...], ...]
"""Backends by tier."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What there is to choose from; changes when an upstream says something new of itself, not from request to
    request."""

    backends: tuple[Backend, ...]
    """In configured order."""
    doors: tuple[Backend, ...]
    """One per upstream, for requests that concern no model in particular. Of an upstream that is no router, its
    backend."""
    order: TierOrder
    tier_of_level: Mapping[Complexity, str]
    """Where requests of each complexity belong; a tier that may have nobody."""
    by_name: Mapping[str, tuple[Backend, ...]] = field(init=False)
    tiers: tuple[str, ...] = field(init=False)
    lines: Mapping[str, Groups] = field(init=False)
    """For each tier that can be wanted, all backends: its own, then those of the next tier in its fallback order..."""
    unchanged: Mapping[str, Candidate] = field(init=False)
    """By backend id: the candidate for a request that goes there as it is."""
    has_peers: bool = field(init=False)
    """Whether a tier has several backends, so that it matters how busy each is and what it has cached."""
    smallest_context: float = field(init=False)
    """Tokens; infinite where nobody tells."""
    members: tuple[Backend, ...] = field(init=False)
    """Backends and doors, each once."""

    def __post_init__(self) -> None:
        by_name: dict[str, tuple[Backend, ...]] = {}
        members = tuple(dict.fromkeys((*self.backends, *self.doors)))
        for backend in members:
            for name in backend.names:
                by_name[name] = (*by_name.get(name, ()), backend)
        tiers = tuple(dict.fromkeys(backend.tier for backend in self.backends))
        object.__setattr__(self, "by_name", by_name)
        object.__setattr__(self, "tiers", tiers)
        every = dict.fromkeys((*self.order.names, *self.tier_of_level.values(), *tiers, UNKNOWN_TIER))
        object.__setattr__(self, "lines", {wanted: group(self.backends, self.order, wanted) for wanted in every})
        object.__setattr__(self, "unchanged", {backend.id: Candidate(backend) for backend in members})
        object.__setattr__(self, "members", members)
        object.__setattr__(self, "has_peers", len(self.backends) > len(tiers))
        sizes = [backend.context_size for backend in self.backends if backend.context_size is not None]
        object.__setattr__(self, "smallest_context", min(sizes, default=inf))


def group(backends: Sequence[Backend], order: TierOrder, wanted: str) -> Groups:
    """Backends by tier, in the fallback order of the wanted one; within a tier as they come."""
    tiers = order.fallback_order(wanted, [backend.tier for backend in backends])
    groups = (tuple(backend for backend in backends if backend.tier == tier) for tier in tiers)
    return tuple(each for each in groups if each)
