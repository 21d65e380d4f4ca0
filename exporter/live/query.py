"""What the read-models count of a finished request: one that asked a model for something.

`feed` makes them from records.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from exporter.record import FAILURES, Decision, RequestRecord, RoutingReason


class Query(NamedTuple):
    """One finished request, as far as figures of now need it."""

    at: float
    """Monotonic time of its end."""
    wall: float
    """UTC time of its start, seconds since the epoch."""
    tier: str
    provider: str
    model: str
    """As metrics label it: few values, whatever clients send."""
    resolved_model: str
    """The same, or what was chosen where the client left the choice to us."""
    upstream: str | None
    served_model: str | None
    """The model of that upstream, as it lists it."""
    stream: bool
    failed: bool
    latency_seconds: float
    ttft_seconds: float | None
    input_tokens: int
    """0 where unknown, as for all tokens here: these are summed up."""
    output_tokens: int
    cached_tokens: int
    tool_calls: int
    """Calls of tools in the answer."""
    tool_uses: int
    """Those in the conversation that was sent."""
    tool_results: int
    tokens_per_second: float | None
    """Decode speed."""


class Asked(Protocol):
    """What a request asked for, and what became of that; a RequestRecord is one, and so is an Observation."""

    @property
    def requested_model(self) -> str | None:
        """As the client named it."""

    @property
    def served_model(self) -> str | None:
        """As the upstream lists it."""

    @property
    def decision(self) -> Decision | None:
        """None when there was nothing to decide."""


def resolve_model(asked: Asked, named: str) -> str:
    """The model that was chosen, where the client left the choice to us (`auto`, or no name); else as it is `named`."""
    decision = asked.decision
    chosen = asked.requested_model is None or (decision is not None and decision.reason is not RoutingReason.MODEL)
    return asked.served_model if chosen and asked.served_model is not None else named


def read_query(record: RequestRecord, model: str, now: float) -> Query:
    """What counts of a record."""
    return Query(
        at=now,
        wall=record.started_at,
        tier=record.tier,
        provider=record.provider,
        model=model,
        resolved_model=resolve_model(record, model),
        upstream=record.upstream,
        served_model=record.served_model,
        stream=record.stream,
        failed=record.outcome in FAILURES,
        latency_seconds=record.duration_seconds,
        ttft_seconds=record.ttft_seconds,
        input_tokens=record.input_tokens or 0,
        output_tokens=record.output_tokens or 0,
        cached_tokens=record.cached_tokens or 0,
        tool_calls=record.tool_calls,
        tool_uses=record.tool_uses,
        tool_results=record.tool_results,
        tokens_per_second=record.output_tokens_per_second,
    )
