"""Rows of the original system, and what it answered over them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from exporter.store.figures import StoredRequest

Json = dict[str, Any]
GOLDEN = Path(__file__).parents[2] / "golden" / "completions"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
QUERIES = {
    "all": {},
    "start": {"start": "2024-01-15T10:00:05"},
    "end": {"end": "2024-01-15T10:00:05"},
    "both": {"start": "2024-01-15T00:00:00", "end": "2024-01-16T00:00:00"},
    "now": {},
}
"""What was asked; `now` on the day of the rows."""
AS_RECORDED = {
    429: ("upstream_error", 429, "http_429"),
    503: ("upstream_error", 503, "http_503"),
    500: ("upstream_error", 502, "connect_error"),
}
"""What the sidecar records where the original has a failed row with this status. The last was no answer at all."""


def capture(name: str) -> Any:
    """A document; the status, 200, follows in the file."""
    text = (GOLDEN / f"{name}.json").read_text()
    return json.JSONDecoder().raw_decode(text)[0]


def captured_rows() -> list[Json]:
    rows: list[Json] = capture("rows")
    return rows


def stored_rows() -> Iterator[StoredRequest]:
    """As the sidecar would have stored them."""
    for number, row in enumerate(captured_rows()):
        outcome, status, error = ("completed", 200, None) if row["success"] else AS_RECORDED[row["status_code"]]
        streamed = bool(row["is_streaming"])
        yield StoredRequest(
            id=number,
            finished_us=moment_us(row["timestamp"]),
            duration_us=row["response_time_ms"] * 1000,
            outcome=outcome,
            stream=streamed,
            status_code=status,
            error_type=error,
            finish_reason=row["finish_reason"] or None,
            model=row["model"] or None,
            origin=row["origin"] or None,
            message_count=row["message_count"],
            input_tokens=row["prompt_tokens"],
            output_tokens=row["completion_tokens"],
            ttft_us=_us(row["time_to_first_token_ms"]) if streamed else None,
            last_token_us=_us(row["time_to_last_token_ms"]) if streamed else None,
        )


def moment_us(text: str) -> int:
    """Of a time as the original writes it, which is UTC."""
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def _us(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds * 1000
