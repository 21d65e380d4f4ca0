"""Finished requests as the contract lists them: pure functions, which the store calls in a thread."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.api.completions.documents import CompletionRequest, RowTokens
from exporter.api.completions.errors import error_word
from exporter.api.documents import encode
from exporter.dates import write_naive
from exporter.record import Outcome
from exporter.store.figures import StoredRequest

MILLISECOND_US = 1000


def write_rows(rows: Sequence[StoredRequest]) -> bytes:
    """The elements of a JSON array, without what is around them."""
    return encode([completion_request(row) for row in rows])[1:-1]


def completion_request(row: StoredRequest) -> CompletionRequest:
    """One of them."""
    duration_ms = round(row.duration_us / MILLISECOND_US)
    first_ms, last_ms = _ms(row.ttft_us), _ms(row.last_token_us)
    success = row.outcome == Outcome.COMPLETED
    if not row.stream:
        first_ms = last_ms = duration_ms if success else None
    return {
        "timestamp": write_naive(row.finished_us),
        "time_to_first_token_ms": first_ms,
        "time_to_last_token_ms": last_ms,
        "is_streaming": row.stream,
        "success": success,
        "message_count": row.message_count,
        "prompt_tokens": row.input_tokens,
        "tokens": _tokens(row),
        "timing": {
            "time_to_first_token_ms": first_ms,
            "time_to_last_token_ms": last_ms,
            "response_time_ms": duration_ms,
        },
        "model": row.model or None,
        "origin": row.origin or None,
        "finish_reason": row.finish_reason or None,
        "error_type": error_word(row.outcome, row.status_code, row.error_type, stream=row.stream),
    }


def _tokens(row: StoredRequest) -> RowTokens:
    known = [count for count in (row.input_tokens, row.output_tokens) if count is not None]
    return {"total": sum(known) if known else None, "prompt": row.input_tokens, "completion": row.output_tokens}


def _ms(microseconds: int | None) -> int | None:
    return None if microseconds is None else round(microseconds / MILLISECOND_US)
