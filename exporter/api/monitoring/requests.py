"""The shape of `/monitoring/requests`, and what can be asked of it. The store calls `write_requests` in a thread."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, cast

from pydantic import Field

from exporter.api.documents import encode
from exporter.api.monitoring.documents import FinishedRequest, Timeline
from exporter.api.monitoring.figures import DIGITS, amount
from exporter.api.operation import Parameter
from exporter.api.past import BadQueryError
from exporter.record import FAILURES, Complexity, Outcome
from exporter.store.figures import SEARCHED, Filter, StoredCourse
from exporter.utc import utc

MICROSECONDS = 1_000_000
MOST_ROWS = 200
LONGEST_NAME = 256
LARGEST_ID = 2**53 - 1
"""As far as JavaScript counts."""
FAILED = "failed"
"""Stands for all outcomes that count as failures."""
OUTCOMES: Mapping[str, tuple[str, ...]] = {
    **{outcome.value: (outcome.value,) for outcome in Outcome},
    FAILED: tuple(outcome.value for outcome in Outcome if outcome in FAILURES),
}
WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")

Name = Annotated[str, Field(max_length=LONGEST_NAME)]
Limit = Annotated[int, Field(ge=1, le=MOST_ROWS)]
Id = Annotated[int, Field(ge=0, le=LARGEST_ID)]
OutcomeOrFailed = Literal["completed", "upstream_error", "stream_error", "client_gone", "timeout", "rejected", "failed"]

PARAMETERS = (
    Parameter("model", "Requests that this model answered.", Name),
    Parameter("tier", "Requests that went to this tier.", Name),
    Parameter("outcome", "Requests that ended so; `failed` stands for all that count as failures.", OutcomeOrFailed),
    Parameter("behind", "Requests that were stored after the one with this `id`.", Id, 0),
    Parameter("limit", "At most so many, the newest.", Limit, MOST_ROWS),
)


def read_filter(query: Mapping[str, str], instance: str | None = None) -> Filter:
    """What is asked for: an empty parameter is none. Raises BadQueryError."""
    return Filter(
        instance=instance,
        model=_name(query, "model"),
        tier=_name(query, "tier"),
        outcomes=_outcomes(query.get("outcome")),
        behind=_number(query, "behind", 0, 0, LARGEST_ID),
    )


def read_limit(query: Mapping[str, str]) -> int:
    """How many requests are asked for. Raises BadQueryError."""
    return _number(query, "limit", MOST_ROWS, 1, MOST_ROWS)


def write_requests(wall: float, rows: Sequence[StoredCourse]) -> bytes:
    """A `FinishedRequests` as of `wall` (UTC), as JSON. Row by row: while one is made into text, no other thread gets
    on."""
    written = b",".join(encode(finished_request(row)) for row in rows)
    return b'{"timestamp":%b,"requests":[%b],"searched":%d}' % (encode(utc(wall)), written, SEARCHED)


def finished_request(row: StoredCourse) -> FinishedRequest:
    """One of them."""
    return {
        "id": row.id,
        "request_id": row.request_id,
        "finished_at": utc(row.finished_us / MICROSECONDS),
        "duration_seconds": _seconds(row.duration_us),
        "outcome": cast(Outcome, row.outcome),
        "status_code": row.status_code,
        "error_type": row.error_type,
        "finish_reason": row.finish_reason,
        "operation": row.operation,
        "streamed": row.stream,
        "model": row.model,
        "requested_model": row.requested_model,
        "tier": row.tier,
        "upstream": row.upstream,
        "origin": row.origin,
        "input_tokens": row.input_tokens,
        "cached_tokens": row.cached_tokens,
        "output_tokens": row.output_tokens,
        "output_tokens_per_second": amount(row.output_tokens_per_second),
        "attempts": row.attempts,
        "complexity": cast(Complexity | None, row.complexity),
        "wanted_tier": row.wanted_tier,
        "fallback": row.fallback,
        "trace_id": row.trace_id,
        "timeline": timeline(row),
    }


def timeline(row: StoredCourse) -> Timeline:
    """Where its time went."""
    return {
        "overhead_seconds": _known(row.overhead_us),
        "queue_seconds": _known(row.queue_us),
        "prefill_seconds": _known(row.prompt_us),
        "first_token_seconds": _known(row.ttft_us),
        "last_token_seconds": _known(row.last_token_us),
        "decode_seconds": _known(row.generation_us),
    }


def _seconds(microseconds: int) -> float:
    return round(max(microseconds, 0) / MICROSECONDS, DIGITS)


def _known(microseconds: int | None) -> float | None:
    return None if microseconds is None else _seconds(microseconds)


def _name(query: Mapping[str, str], name: str) -> str | None:
    """No name that a record can have is longer, and databases take no NUL."""
    text = query.get(name)
    if text and (len(text) > LONGEST_NAME or "\0" in text):
        raise BadQueryError(f"{name}: not a name")
    return text or None


def _outcomes(text: str | None) -> tuple[str, ...]:
    if not text:
        return ()
    if text not in OUTCOMES:
        raise BadQueryError(f"outcome: not one of {', '.join(OUTCOMES)}")
    return OUTCOMES[text]


def _number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name)
    if not text:
        return default
    if not WHOLE_NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise BadQueryError(f"{name}: not a whole number from {least} to {most}")
    return int(text)
