"""The past of the machine in the contract's keys: pure shapes of what the store has, and reading what is asked for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from exporter.api.documents import encode
from exporter.api.nextjs.machine import DIGITS, known_percent, share
from exporter.api.nextjs.monitoring_documents import (
    ChartPoint,
    Charts,
    History,
    HistoryPoint,
    HistorySummary,
    Resolution,
)
from exporter.models.model import InvalidError
from exporter.store.figures import MachinePoint
from exporter.system.summary import Summary
from exporter.utc import utc

MICROSECONDS = 1_000_000
RESOLUTIONS: Mapping[Resolution, int] = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600}
"""Seconds."""
FEWEST_HOURS, MOST_HOURS = 1, 168
DEFAULT_HOURS = 24.0
NUMBER = re.compile(r"[0-9]{1,6}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
CHARTED = 300
"""Points of a chart: the newest."""


class Span(NamedTuple):
    """Which steps."""

    start: float
    """UTC seconds since the epoch."""
    end: float
    resolution: Resolution

    @property
    def step_seconds(self) -> int:
        """Length of a step."""
        return RESOLUTIONS[self.resolution]


def read_span(query: Mapping[str, str], wall: float) -> Span:
    """What is asked for. Raises InvalidError that names every parameter that is wrong."""
    wrong: dict[str, str] = {}
    hours, said = DEFAULT_HOURS, query.get("hours", "").strip()
    if said:
        hours = float(said) if NUMBER.fullmatch(said) else math.nan
        if not FEWEST_HOURS <= hours <= MOST_HOURS:
            wrong["hours"] = f"must be a number from {FEWEST_HOURS} to {MOST_HOURS}"
    asked = query.get("resolution", "").strip() or "5m"
    resolution = next((each for each in RESOLUTIONS if each == asked), None)
    if resolution is None:
        wrong["resolution"] = f"must be one of {', '.join(RESOLUTIONS)}"
    if wrong or resolution is None:
        raise InvalidError("the query is not as it should be", wrong)
    return Span(wall - hours * 3600, wall, resolution)


def history(span: Span, points: Sequence[MachinePoint], now: Summary | None) -> History:
    """The steps, their summary and charts. `now`: the machine at the end of the span, where it was looked at."""
    return {**frame(span, points, now), "metrics": [history_point(each) for each in points]}


def frame(span: Span, points: Sequence[MachinePoint], now: Summary | None) -> History:
    """The same without the steps."""
    return {
        "period": {"start": utc(span.start), "end": utc(span.end), "resolution": span.resolution},
        "metrics": [],
        "summary": summary(points),
        "success": True,
        "data": charts(span, points, now),
    }


def write(document: History, points: Sequence[bytes]) -> bytes:
    """What `frame` made, with the steps as JSON: they are written in slices, so that streams flow meanwhile."""
    head, _, tail = encode(document).partition(b'"metrics":[]')
    return b"".join((head, b'"metrics":[', b",".join(points), b"]", tail))


def history_point(point: MachinePoint) -> HistoryPoint:
    """One step."""
    shown: HistoryPoint = {
        "timestamp": utc(point.start_us / MICROSECONDS),
        "cpu": known_percent(point.cpu_utilization),
        "memory": known_percent(point.memory_utilization),
        "requests": point.requests,
        "responseTime": _mean_ms(point),
    }
    if point.gpu_utilization is not None:
        shown["gpu"] = known_percent(point.gpu_utilization) or 0.0
    return shown


def summary(points: Sequence[MachinePoint]) -> HistorySummary:
    """Over all steps."""
    cpu = [each.cpu_utilization for each in points if each.cpu_utilization is not None]
    memory = [each.memory_utilization for each in points if each.memory_utilization is not None]
    times = [each.duration_us / each.requests / 1000 for each in points if each.requests]
    return {
        "avgCpu": known_percent(_over(fmean, cpu)),
        "maxCpu": known_percent(_over(max, cpu)),
        "avgMemory": known_percent(_over(fmean, memory)),
        "maxMemory": known_percent(_over(max, memory)),
        "totalRequests": sum(each.requests for each in points),
        "avgResponseTime": round(fmean(times), DIGITS) if times else None,
    }


def charts(span: Span, points: Sequence[MachinePoint], now: Summary | None) -> Charts:
    """The newest steps, and the present: a front end that gets none makes some up."""
    newest = points[-(CHARTED - 1) :]

    def per_minute(point: MachinePoint) -> float:
        """The last step has only begun; of what is younger than a minute, nobody knows what a minute would have."""
        seconds = min(span.step_seconds, max(span.end - at(point), 60.0))
        return round(point.requests / seconds * 60, DIGITS)

    present = _present(now)
    return {
        "cpu": _chart(((at(p), known_percent(p.cpu_utilization)) for p in newest), span.end, present["cpu"]),
        "memory": _chart(((at(p), known_percent(p.memory_utilization)) for p in newest), span.end, present["memory"]),
        "requests": _chart(((at(p), per_minute(p)) for p in newest), span.end, None),
        "gpuUtil": _chart(((at(p), known_percent(p.gpu_utilization)) for p in newest), span.end, present["gpu"]),
        "power": _chart(((at(p), _rounded(p.gpu_power_watts)) for p in newest), span.end, present["power"]),
    }


def at(point: MachinePoint) -> float:
    """Its beginning, in UTC seconds since the epoch."""
    return point.start_us / MICROSECONDS


def _present(now: Summary | None) -> dict[str, float | None]:
    if now is None:
        return dict.fromkeys(("cpu", "memory", "gpu", "power"))
    return {
        "cpu": known_percent(now.cpu_utilization),
        "memory": share(now.memory_used_bytes, now.memory_total_bytes),
        "gpu": known_percent(now.gpu_utilization),
        "power": _rounded(now.gpu_power_watts),
    }


def _chart(values: Iterable[tuple[float, float | None]], end: float, present: float | None) -> list[ChartPoint]:
    return [
        {"time": utc(wall), "displayTime": utc(wall)[11:16], "value": value}
        for wall, value in (*values, (end, present))
        if value is not None
    ]


def _over(combine: Callable[[list[float]], float], figures: list[float]) -> float | None:
    return combine(figures) if figures else None


def _mean_ms(point: MachinePoint) -> float | None:
    return round(point.duration_us / point.requests / 1000, DIGITS) if point.requests else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(max(value, 0.0), DIGITS)
