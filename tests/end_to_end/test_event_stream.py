"""The event stream of active requests, as a dashboard reads it over a real sidecar in use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx

from tests.docs.house import CHAT, HOLD, in_use, question

STREAM = "/metrics/active-requests/stream"


def updates(lines: Iterator[str]) -> Iterator[list[dict[str, Any]]]:
    """The rows of each update."""
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))["active_requests"]


def test_a_request_appears_grows_and_ends() -> None:
    """It appears with all that is known of it, not as something unknown that turns out to be something later."""
    with (
        in_use() as sidecar,
        httpx.Client(timeout=30) as client,
        httpx.stream("GET", f"{sidecar.admin}{STREAM}", timeout=30) as stream,
    ):
        told = updates(stream.iter_lines())
        known = {row["request_id"] for row in next(told)}
        asked = client.stream(
            "POST", f"{sidecar.proxy}{CHAT}", json=question("tiny-q3", stream=True), headers={HOLD: "1"}
        )
        with asked:
            rows = next(rows for update in told if (rows := [r for r in update if r["request_id"] not in known]))
            (first,) = rows
            assert (first["model"], first["is_streaming"], first["message_count"]) == ("tiny-q3", True, 1)
            assert first["request_size"] > 0
            later = next(row for row in next(told) if row["request_id"] == first["request_id"])
            assert later["output_tokens"] > first["output_tokens"]
            assert later["duration_ms"] - first["duration_ms"] >= 450
        left = next(update for update in told if len(update) == len(known))
        assert {row["request_id"] for row in left} == known
