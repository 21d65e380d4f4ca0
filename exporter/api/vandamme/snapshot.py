"""The shape of what is in flight: one row for each request that asks a model for something."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.api.vandamme.documents import (
    MESSAGE,
    SUGGESTION,
    ActiveRequest,
    ActiveRequests,
    ActiveRequestsDisabled,
)
from exporter.api.vandamme.names import UNKNOWN, Name, Names
from exporter.live.query import resolve_model
from exporter.model_name import public_name
from exporter.observe.observation import Observation

NOBODY = Name("", "")


def snapshot(rows: list[ActiveRequest]) -> ActiveRequests:
    """The answer."""
    return {"disabled": False, "active_requests": rows}


def disabled() -> ActiveRequestsDisabled:
    """The answer when nothing is recorded."""
    return {"disabled": True, "message": MESSAGE, "suggestion": SUGGESTION, "active_requests": []}


def active_requests(active: Iterable[Observation], names: Names, now: float) -> list[ActiveRequest]:
    """The rows, newest first. `now` is monotonic."""
    asking = [observation for observation in active if observation.inference]
    asking.sort(key=lambda each: (-each.started_at, -each.started, each.request_id))
    return [_row(observation, names, now) for observation in asking]


def _row(observation: Observation, names: Names, now: float) -> ActiveRequest:
    requested = names.split(observation.requested_model) if observation.requested_model else NOBODY
    resolved = public_name(resolve_model(observation, requested.model))
    model = requested.model or resolved or UNKNOWN
    usage = observation.usage_so_far
    return {
        "request_id": observation.request_id,
        "provider": observation.provider,
        "model": model,
        "requested_model": requested.whole or UNKNOWN,
        "resolved_model": resolved,
        "qualified_model": f"{requested.prefix or observation.provider + ':'}{model}",
        "is_streaming": observation.streamed,
        "start_time": observation.started_at,
        "duration_ms": max(0, round((now - observation.started) * 1000)),
        "input_tokens": usage.input or 0,
        "output_tokens": observation.tokens_so_far,
        "cache_read_tokens": usage.cached or 0,
        "cache_creation_tokens": 0,
        "tool_uses": observation.tool_uses,
        "tool_results": observation.tool_results,
        "tool_calls": observation.tool_calls_so_far,
        "request_size": observation.request_bytes,
        "message_count": observation.message_count or 0,
    }
