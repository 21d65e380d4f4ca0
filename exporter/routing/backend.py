"""What a request can be sent to: a model on an upstream; and the plan that lists them for one request.

`fleet` makes backends from what the upstreams say of themselves, `choice` puts them in order, the traffic path tries
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from exporter.record import Decision
from exporter.routing.upstream import Upstream
from exporter.settings.routing import UNKNOWN_TIER


@dataclass(frozen=True, slots=True)
class Backend:
    """One model on one upstream. What is not known is None, and held against nobody."""

    id: str
    """Unique: the upstream's name; behind a router, with the model's name."""
    upstream: Upstream
    tier: str = UNKNOWN_TIER
    names: frozenset[str] = frozenset()
    """Model names that it answers to; a server that is no router answers to any other name as well."""
    routed_model: str | None = None
    """The name by which its router must be asked for it; None: it is no router's, and the name is of no consequence."""
    slots: int | None = None
    """Requests that it works on at once."""
    context_size: int | None = None
    """Tokens of prompt and answer of one request."""
    vision: bool | None = None
    """Whether it takes images."""
    audio: bool | None = None
    tools: bool | None = None
    """Whether its chat template knows tools."""
    loaded: bool = True
    """False while a router has it unloaded, or is loading or fetching it, or failed to."""
    asleep: bool = False
    """A request wakes it, which takes as long as loading."""
    model: str | None = None
    """What it is called in a list of models; None when it did not say."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One backend for one request."""

    backend: Backend
    model: str | None = None
    """What `model` in the body must become; None: the body stays as it is."""


class Plan(NamedTuple):
    """Where a request may be sent, best first, at least one; and why."""

    candidates: tuple[Candidate, ...]
    decision: Decision | None = None
    affinity_key: int | None = None
    """Under which the fleet remembers who served this conversation."""
