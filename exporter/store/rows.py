"""Records and samples as rows: pure, and such that no database refuses them.

`batch` writes them, in a thread of the writer; `newest` looks for names as they are written.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from exporter.record import Outcome, RequestRecord
from exporter.store.sample import Sample
from exporter.store.spans import ALWAYS_US

MICROSECONDS = 1_000_000
AMOUNT_LIMIT = 10**12
"""Tokens and bytes beyond are cut: a server that says nonsense must not make sums of the database overflow."""
COUNT_LIMIT = 10**9
"""The same for what is counted in the thousands: PostgreSQL's INTEGER holds it."""
SECONDS_LIMIT = 10**7
"""Four months: what is said to have lasted longer has not been timed."""
KEY_BYTES = 400
"""Of a name that sums are kept by, in UTF-8. An index of PostgreSQL holds 2,700 bytes; six names stand in one, of which
the settings limit two."""
SPEED_LIMIT = 10**13
"""Ten million tokens a second."""


class Finished(NamedTuple):
    """What waits to be written of one request."""

    record: RequestRecord
    model: str | None
    """As the other contracts name it."""


def finished_us(record: RequestRecord) -> int:
    """UTC microseconds at which a request finished: a wall clock that was set meanwhile does not matter. Raises
    ValueError when that cannot be."""
    moment_us = round((record.started_at + record.duration_seconds) * MICROSECONDS)
    if not 0 <= moment_us < ALWAYS_US:
        raise ValueError("it finished at no time that there is")
    return moment_us


def request_row(finished: Finished, run: int, instance: str) -> dict[str, Any]:
    """The row of `schema.REQUESTS`. Raises ValueError, or OverflowError, when it is not known when it finished."""
    record = finished.record
    decision = record.decision
    return {
        "run": run,
        "instance": instance,
        "request_id": record.request_id,
        "finished_us": finished_us(record),
        "duration_us": _duration_us(record),
        "outcome": record.outcome.value,
        "operation": text(record.operation) or "",
        "stream": record.stream,
        "provider": text(record.provider) or "",
        "upstream": text(record.upstream),
        "tier": text(record.tier) or "",
        "model": key(finished.model),
        "requested_model": text(record.requested_model),
        "served_model": text(record.served_model),
        "response_model": text(record.response_model),
        "origin": key(record.origin),
        "status_code": _count(record.status_code),
        "error_type": key(record.error_type),
        "finish_reason": key(record.finish_reasons[0]) if record.finish_reasons else None,
        "message_count": _count(record.message_count),
        "tool_uses": _count(record.tool_uses),
        "tool_results": _count(record.tool_results),
        "tool_calls": _count(record.tool_calls),
        "request_bytes": _amount(record.request_bytes),
        "response_bytes": _amount(record.response_bytes),
        "input_tokens": _amount(record.input_tokens),
        "cached_tokens": _amount(record.cached_tokens),
        "output_tokens": _amount(record.output_tokens),
        "token_source": record.token_source and record.token_source.value,
        "draft_tokens": _amount(record.draft_tokens),
        "draft_accepted_tokens": _amount(record.draft_accepted_tokens),
        "attempts": len(record.attempts),
        "overhead_us": _us(record.overhead_seconds),
        "first_byte_us": _us(record.first_byte_seconds),
        "ttft_us": _us(record.ttft_seconds),
        "last_token_us": _us(record.last_token_seconds),
        "queue_us": _us(record.queue_seconds),
        "prompt_us": _us(record.prompt_seconds),
        "generation_us": _us(record.generation_seconds),
        "prompt_tokens_per_second": _finite(record.prompt_tokens_per_second),
        "output_tokens_per_second": _finite(record.output_tokens_per_second),
        "speed": _speed(record),
        "complexity": decision and decision.complexity.value,
        "score": decision and _finite(decision.score),
        "wanted_tier": decision and decision.wanted_tier,
        "fallback": decision and decision.fallback,
        # Nothing was recorded of a trace that is not sampled: its id leads nowhere.
        "trace_id": text(record.trace.trace_id) if record.trace is not None and record.trace.sampled else None,
    }


def sample_row(sample: Sample, instance: str) -> dict[str, Any]:
    """The row of `schema.SAMPLES`."""
    figures = {name: _finite(value) for name, value in sample._asdict().items()}
    return {"instance": instance, "step": 0, **figures}


def key(name: str | None) -> str | None:
    """A name that sums are kept by."""
    whole = text(name)
    if whole is None or len(whole) * 4 <= KEY_BYTES:
        return whole
    return whole.encode()[:KEY_BYTES].decode(errors="ignore")


def text(given: str | None) -> str | None:
    """PostgreSQL knows no NUL, and nobody half a surrogate pair. '' is unknown."""
    if given is None or (given.isascii() and "\0" not in given):
        return given or None
    return given.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _duration_us(record: RequestRecord) -> int:
    duration_us = _us(record.duration_seconds)
    if duration_us is None:
        raise ValueError("it is not known how long it took")
    return duration_us


def _us(seconds: float | None) -> int | None:
    return None if seconds is None or not 0 <= seconds <= SECONDS_LIMIT else round(seconds * MICROSECONDS)


def _finite(value: float | None) -> float | None:
    """Neither infinite nor NaN, which not every database knows, and JSON does not."""
    return value if value is not None and math.isfinite(value) else None


def _amount(amount: int | None) -> int | None:
    return None if amount is None or amount < 0 else min(amount, AMOUNT_LIMIT)


def _count(count: int | None) -> int | None:
    return None if count is None else min(count, COUNT_LIMIT)


def _speed(record: RequestRecord) -> int | None:
    """Output tokens per million seconds up to the last token: a whole number, so that means are exact."""
    seconds = record.last_token_seconds if record.stream else _whole(record)
    time_us, tokens = _us(seconds), _amount(record.output_tokens)
    if not time_us or not tokens:
        return None
    return min(round(tokens * MICROSECONDS * MICROSECONDS / time_us), SPEED_LIMIT)


def _whole(record: RequestRecord) -> float | None:
    """How long a complete answer took that came at once: its last token is as old as its first."""
    return record.duration_seconds if record.outcome is Outcome.COMPLETED else None
