"""Records and samples as rows: pure, and such that no database refuses them.

`batch` writes them, in a thread of the writer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from exporter.record import Outcome, RequestRecord
from exporter.store.sample import Sample

MICROSECONDS = 1_000_000
AMOUNT_LIMIT = 10**12
"""Tokens and bytes beyond are cut: a server that says nonsense must not make sums of the database overflow."""
SPEED_LIMIT = 10**13
"""Ten million tokens a second."""


class Finished(NamedTuple):
    """What waits to be written of one request."""

    record: RequestRecord
    model: str | None
    """As the other contracts name it."""


def finished_us(record: RequestRecord) -> int:
    """UTC microseconds at which a request finished: a wall clock that was set meanwhile does not matter."""
    return round((record.started_at + record.duration_seconds) * MICROSECONDS)


def request_row(finished: Finished, run: int, instance: str) -> dict[str, Any]:
    """The row of `schema.REQUESTS`."""
    record = finished.record
    decision = record.decision
    return {
        "run": run,
        "instance": instance,
        "request_id": record.request_id,
        "finished_us": finished_us(record),
        "duration_us": _us(record.duration_seconds),
        "outcome": record.outcome.value,
        "operation": _text(record.operation) or "",
        "stream": record.stream,
        "provider": _text(record.provider) or "",
        "upstream": _text(record.upstream),
        "tier": _text(record.tier) or "",
        "model": _text(finished.model),
        "requested_model": _text(record.requested_model),
        "served_model": _text(record.served_model),
        "response_model": _text(record.response_model),
        "origin": _text(record.origin),
        "status_code": record.status_code,
        "error_type": _text(record.error_type),
        "finish_reason": _text(record.finish_reasons[0]) if record.finish_reasons else None,
        "message_count": record.message_count,
        "tool_uses": record.tool_uses,
        "tool_results": record.tool_results,
        "tool_calls": record.tool_calls,
        "request_bytes": record.request_bytes,
        "response_bytes": record.response_bytes,
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
        "prompt_tokens_per_second": record.prompt_tokens_per_second,
        "output_tokens_per_second": record.output_tokens_per_second,
        "speed": _speed(record),
        "complexity": decision and decision.complexity.value,
        "score": decision and decision.score,
        "wanted_tier": decision and decision.wanted_tier,
        "fallback": decision and decision.fallback,
    }


def sample_row(sample: Sample, instance: str) -> dict[str, Any]:
    """The row of `schema.SAMPLES`."""
    return {"instance": instance, "step": 0, **sample._asdict()}


def _us(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * MICROSECONDS)


def _amount(amount: int | None) -> int | None:
    return None if amount is None else min(amount, AMOUNT_LIMIT)


def _text(text: str | None) -> str | None:
    """PostgreSQL knows no NUL, and nobody half a surrogate pair."""
    if text is None or (text.isascii() and "\0" not in text):
        return text or None
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _speed(record: RequestRecord) -> int | None:
    """Output tokens per million seconds up to the last token: a whole number, so that means are exact."""
    seconds = record.last_token_seconds if record.stream else _whole(record)
    time_us = _us(seconds)
    if not time_us or not record.output_tokens:
        return None
    return min(round(record.output_tokens * MICROSECONDS * MICROSECONDS / time_us), SPEED_LIMIT)


def _whole(record: RequestRecord) -> float | None:
    """How long a complete answer took that came at once: its last token is as old as its first."""
    return record.duration_seconds if record.outcome is Outcome.COMPLETED else None
