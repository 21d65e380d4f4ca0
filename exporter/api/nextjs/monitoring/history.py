"""The past of the machine in the contract's keys: pure shapes of what the store has, and reading what is asked for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from exporter.api.machine import known_percent, requests_last_minute, rounded, sampled_at
from exporter.api.nextjs.monitoring.documents import (
    ChartPoint,
    Charts,
    History,
    HistoryPoint,
    HistorySummary,
    Resolution,
)
from exporter.api.nextjs.monitoring.machine import DIGITS, share
from exporter.api.nextjs.slices import array, splice
from exporter.api.views import Views
from exporter.models.model import InvalidError
from exporter.store.figures import MachinePoint
from exporter.system.summary import summarize
from exporter.utc import utc

MICROSECONDS = 1_000_000
RESOLUTIONS: Mapping[Resolution, int] = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600}
"""Seconds."""
FEWEST_HOURS, MOST_HOURS = 1, 168
DEFAULT_HOURS = 24.0
NUMBER = re.compile(r"[0-9]{1,6}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
YOUNG_SECONDS = 60.0
"""Of a younger step nobody knows what a minute has, and charts have the present."""
DAY_SECONDS = 86_400.0
CHARTED = 60
"""Points of a chart: a front end that adds to them keeps so many."""


class Present(NamedTuple):
    """What charts end with. None: unknown."""

    sampled_at: float
    """UTC seconds since the epoch."""
    cpu: float | None = None
    """Percent, as memory and gpu."""
    memory: float | None = None
    requests: float | None = None
    """A minute."""
    gpu: float | None = None
    power: float | None = None
    """Watts."""


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


async def written(span: Span, points: Sequence[MachinePoint], now: Present) -> bytes:
    """The steps, their summary and charts, as JSON."""
    return splice(frame(span, points, now), {"metrics": await array(points, history_point)})


def frame(span: Span, points: Sequence[MachinePoint], now: Present) -> History:
    """The document without the steps."""
    return {
        "period": {"start": utc(span.start), "end": utc(span.end), "resolution": span.resolution},
        "metrics": [],
        "summary": summary(points),
        "success": True,
        "data": charts(span, points, now),
    }


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


def charts(span: Span, points: Sequence[MachinePoint], now: Present) -> Charts:
    """The newest steps and the present: a front end that gets none makes some up. It takes what stands at the same
    index for the same moment, so all have the same times; what is not known at one is null."""
    begun = [each for each in points[-CHARTED:] if span.end - at(each) >= YOUNG_SECONDS]
    newest = begun[-(CHARTED - 1) :]
    is_new = not newest or now.sampled_at > at(newest[-1])
    times = [*map(at, newest), now.sampled_at if is_new else span.end]

    def per_minute(point: MachinePoint) -> float:
        """The last step may not be over."""
        return round(point.requests / min(span.step_seconds, span.end - at(point)) * 60, DIGITS)

    return {
        "cpu": _chart(times, [*(known_percent(p.cpu_utilization) for p in newest), now.cpu]),
        "memory": _chart(times, [*(known_percent(p.memory_utilization) for p in newest), now.memory]),
        "requests": _chart(times, [*map(per_minute, newest), now.requests]),
        "gpuUtil": _chart(times, [*(known_percent(p.gpu_utilization) for p in newest), now.gpu]),
        "power": _chart(times, [*(rounded(p.gpu_power_watts) for p in newest), now.power]),
    }


def at(point: MachinePoint) -> float:
    """Its beginning, in UTC seconds since the epoch."""
    return point.start_us / MICROSECONDS


def present(views: Views) -> Present:
    """The machine as it was sampled last, and what was asked of it in the last minute."""
    snapshot = views.snapshot()
    now = summarize(snapshot)
    return Present(
        sampled_at(views, snapshot),
        known_percent(now.cpu_utilization),
        share(now.memory_used_bytes, now.memory_total_bytes),
        float(requests_last_minute(views)) if views.recording else None,
        known_percent(now.gpu_utilization),
        rounded(now.gpu_power_watts),
    )


def _chart(times: Sequence[float], values: Sequence[float | None]) -> list[ChartPoint]:
    if all(value is None for value in values):
        return []
    # The axis has one place for each text, so no two of them may be the same.
    shown = slice(11, 19) if times[-1] - times[0] < DAY_SECONDS else slice(5, 19)
    return [
        {"time": utc(wall), "displayTime": utc(wall)[shown].replace("T", " "), "value": value}
        for wall, value in zip(times, values, strict=True)
    ]


def _over(combine: Callable[[list[float]], float], figures: list[float]) -> float | None:
    return combine(figures) if figures else None


def _mean_ms(point: MachinePoint) -> float | None:
    return round(point.duration_us / point.requests / 1000, DIGITS) if point.requests else None
