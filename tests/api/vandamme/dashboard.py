"""What the dashboard of Vandamme Proxy makes of our documents, by its own rules, and stricter: where it would show
nothing or 0 for lack of a key, this fails.

Written from a study of its code, independently of the room's types.
"""

from __future__ import annotations

import json
import re
from typing import Any

Json = dict[str, Any]

COUNTS = (
    "requests", "errors", "input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens",
    "tool_uses", "tool_results", "tool_calls",
)  # fmt: skip
SUMMARY = (
    "last_accessed", *(f"total_{count}" for count in COUNTS), "active_requests", "average_duration_ms",
    "total_duration_ms", "cache_read_tokens", "cache_creation_tokens", "streaming_average_duration_ms",
    "non_streaming_average_duration_ms",
)  # fmt: skip
ROW = {
    "request_id": str, "provider": str, "model": str, "requested_model": str, "resolved_model": str,
    "qualified_model": str, "is_streaming": bool, "start_time": float, "duration_ms": int, "input_tokens": int,
    "output_tokens": int, "cache_read_tokens": int, "cache_creation_tokens": int, "tool_uses": int,
    "tool_results": int, "tool_calls": int, "request_size": int, "message_count": int,
}  # fmt: skip
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
"""The dashboard takes a time without zone for its own; one that YAML reads as a time is none to it."""


def is_disabled(document: Json) -> bool:
    """Each of its pages looks for that in its own way."""
    shown = "# Message" in document
    if shown:
        assert set(document) == {"# Message", "# Suggestion", "_metrics_enabled"}
        assert "disabled" in document["# Message"]
        assert "LOG_REQUEST_METRICS=true" in document["# Suggestion"]
        assert document["_metrics_enabled"] is False
    return shown


def tiles(document: Json) -> Json:
    """The figures on top of its overview."""
    summary = document["summary"]
    assert list(document) == ["summary", "providers"]
    assert list(summary) == list(SUMMARY)
    last = summary["last_accessed"]
    assert last is None or DATE.fullmatch(last["top"])
    figures = {key: summary[key] for key in SUMMARY[1:]}
    assert all(type(value) is int and value >= 0 for value in figures.values())
    return figures


def provider_grid(document: Json) -> dict[str, Json]:
    """Its rows by provider."""
    rows: dict[str, Json] = {}
    for provider, entry in document["providers"].items():
        assert type(provider) is str
        assert list(entry) == ["last_accessed", "rollup", "models"]
        assert DATE.fullmatch(entry["last_accessed"])
        rollup = dict(entry["rollup"])
        mean = rollup.pop("avg_duration_ms")
        total = read_sides(rollup)
        assert type(mean) is int
        assert mean == total["average_duration_ms"]
        rows[provider] = total | {"mean": mean, "models": model_grid(entry["models"])}
    return rows


def model_grid(models: Json) -> dict[str, Json]:
    """Its rows by model."""
    rows: dict[str, Json] = {}
    assert models
    for model, entry in models.items():
        assert type(model) is str
        sides = dict(entry)
        assert DATE.fullmatch(sides.pop("last_accessed"))
        rows[model] = read_sides(sides)
    return rows


def read_sides(sides: Json) -> Json:
    """`total` and what it is made of."""
    order = [key for key in ("total", "streaming", "non_streaming") if key in sides]
    assert list(sides) == order
    assert order[0] == "total"
    assert len(order) > 1
    for split in sides.values():
        assert list(split) == [*COUNTS, "average_duration_ms", "total_duration_ms"]
        assert all(type(split[key]) is int and split[key] >= 0 for key in (*COUNTS, "average_duration_ms"))
        assert type(split["total_duration_ms"]) is float
        assert split["requests"] > 0
    for key in COUNTS:
        assert sides["total"][key] == sum(sides[side][key] for side in order[1:])
    total: Json = sides["total"]
    return total


def request_grid(document: Json) -> dict[str, Json]:
    """Rows of requests in flight by their id, from a snapshot or the data of an update."""
    assert document["disabled"] is False
    rows = document["active_requests"]
    for row in rows:
        assert {key: type(value) for key, value in row.items()} == ROW
        assert list(row) == list(ROW)
        assert row["request_id"]
        assert row["provider"]
        assert row["model"]
        assert row["qualified_model"]
        assert row["start_time"] < 1e12, "more is taken for milliseconds"
        assert all(row[key] >= 0 for key, kind in ROW.items() if kind is int)
    assert rows == sorted(rows, key=lambda row: row["start_time"], reverse=True)
    by_id = {row["request_id"]: row for row in rows}
    assert len(by_id) == len(rows), "the dashboard drops rows whose id it has seen"
    return by_id


def event(text: str) -> tuple[str, Json]:
    """An event's name and data; no other fields are allowed."""

    match = re.fullmatch(r"event: (update|disabled)\ndata: (\{.*\})\n\n", text)
    assert match, text
    data = json.loads(match[2])
    assert json.dumps(data) == match[2], "one line, ASCII, blanks between"
    return match[1], data
