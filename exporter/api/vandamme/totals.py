"""The shape of the running totals, before it is written as YAML by `report`."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.api.vandamme.documents import (
    MESSAGE,
    SUGGESTION,
    ModelTotals,
    ProviderTotals,
    Rollup,
    RunningTotals,
    RunningTotalsDisabled,
    RunningTotalsFailure,
    Sides,
    Split,
    Summary,
)
from exporter.api.vandamme.rows import Filter, Row, Rows, Side
from exporter.live.totals import Sums
from exporter.utc import utc


def disabled() -> RunningTotalsDisabled:
    """The document when nothing is recorded."""
    return {"# Message": MESSAGE, "# Suggestion": SUGGESTION, "_metrics_enabled": False}


def failure(error: Exception) -> RunningTotalsFailure:
    """The document when there is none. What the error says may be nobody's business."""
    return {"error": f"{type(error).__name__}: the log of the sidecar says more", "status": "failed"}


def running_totals(rows: Rows, chosen: Filter, in_flight: int) -> RunningTotals:
    """The document: what is chosen of `rows`, and how many requests are in flight, chosen or not."""
    providers: dict[str, ProviderTotals] = {}
    chosen_rows = Row()
    last_wall = 0.0
    for provider, models in sorted(rows.by_provider.items()):
        shown = {name: row for name, row in sorted(models.items()) if chosen.admits(provider, name)}
        shown = {name: row for name, row in shown.items() if row.whole.requests}
        last_of_provider = max(row.last_wall for row in models.values())
        last_wall = max(last_wall, last_of_provider)
        if shown:
            rollup = _together(shown)
            chosen_rows += rollup
            providers[provider] = _provider(rollup, shown, last_of_provider)
    summary = _summary(chosen_rows, last_wall if rows.by_provider else None, in_flight)
    return {"summary": summary, "providers": providers}


def _together(rows: Mapping[str, Row]) -> Row:
    together = Row()
    for row in rows.values():
        together += row
    return together


def _summary(chosen: Row, last_wall: float | None, in_flight: int) -> Summary:
    whole = chosen.whole
    sums = whole.finished
    return {
        "last_accessed": None if last_wall is None else {"top": _date(last_wall)},
        "total_requests": whole.requests,
        "total_errors": sums.failed,
        "total_input_tokens": sums.input_tokens,
        "total_output_tokens": sums.output_tokens,
        "total_cache_read_tokens": sums.cached_tokens,
        "total_cache_creation_tokens": 0,
        "total_tool_uses": sums.tool_uses,
        "total_tool_results": sums.tool_results,
        "total_tool_calls": sums.tool_calls,
        "active_requests": in_flight,
        "average_duration_ms": _mean_ms(sums),
        "total_duration_ms": round(sums.total_seconds * 1000),
        "cache_read_tokens": sums.cached_tokens,
        "cache_creation_tokens": 0,
        "streaming_average_duration_ms": _mean_ms(chosen.streamed.finished),
        "non_streaming_average_duration_ms": _mean_ms(chosen.plain.finished),
    }


def _provider(rollup: Row, models: Mapping[str, Row], last_wall: float) -> ProviderTotals:
    total = _split(rollup.whole)
    sides: Rollup = {"total": total, **_sides(rollup), "avg_duration_ms": total["average_duration_ms"]}
    return {
        "last_accessed": _date(last_wall),
        "rollup": sides,
        "models": {name: _model(row) for name, row in models.items()},
    }


def _model(row: Row) -> ModelTotals:
    return {"last_accessed": _date(row.last_wall), "total": _split(row.whole), **_sides(row)}


def _sides(row: Row) -> Sides:
    sides: Sides = {}
    if row.streamed.requests:
        sides["streaming"] = _split(row.streamed)
    if row.plain.requests:
        sides["non_streaming"] = _split(row.plain)
    return sides


def _split(side: Side) -> Split:
    sums = side.finished
    return {
        "requests": side.requests,
        "errors": sums.failed,
        "input_tokens": sums.input_tokens,
        "output_tokens": sums.output_tokens,
        "cache_read_tokens": sums.cached_tokens,
        "cache_creation_tokens": 0,
        "tool_uses": sums.tool_uses,
        "tool_results": sums.tool_results,
        "tool_calls": sums.tool_calls,
        "average_duration_ms": _mean_ms(sums),
        "total_duration_ms": sums.total_seconds * 1000,
    }


def _mean_ms(sums: Sums) -> int:
    return round(sums.mean_seconds * 1000)


def _date(wall: float) -> str:
    return utc(wall, "seconds")
