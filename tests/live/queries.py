"""Queries for the tests of the read-models."""

from __future__ import annotations

from typing import Any

from exporter.live.query import Query

WALL = 1_795_163_550.0
"""2026-11-20T08:32:30Z, at 1,000 s of the monotonic clock."""
NOW = 1_000.0

QUERY = Query(
    at=NOW,
    wall=WALL,
    tier="Q2",
    provider="llama_cpp",
    model="tiny",
    resolved_model="tiny",
    upstream="Q2",
    served_model="tiny-q2",
    stream=False,
    failed=False,
    latency_seconds=0.5,
    ttft_seconds=None,
    input_tokens=10,
    output_tokens=20,
    cached_tokens=4,
    tool_calls=1,
    tool_uses=2,
    tool_results=3,
    tokens_per_second=40.0,
)


def query(**changes: Any) -> Query:
    return QUERY._replace(**changes)
