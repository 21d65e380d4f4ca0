"""What the read-models count of a finished request: one that asked a model for something.

`feed` makes them from records.
"""

from __future__ import annotations

from typing import NamedTuple

from exporter.record import Outcome, RequestRecord

FAILURES = frozenset((Outcome.UPSTREAM_ERROR, Outcome.STREAM_ERROR, Outcome.TIMEOUT, Outcome.REJECTED))
"""A client that left has not been failed."""


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


def read_query(record: RequestRecord, model: str, now: float) -> Query:
    """What counts of a record."""
    return Query(
        at=now,
        wall=record.started_at,
        tier=record.tier,
        provider=record.provider,
        model=model,
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
