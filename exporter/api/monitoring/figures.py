"""Figures over what finished in the last 30 minutes; `now` puts them into its document."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

from exporter.api.monitoring.documents import Figures, Percentiles, TierFigures, Trend
from exporter.api.views import Views
from exporter.live.windows import BUCKET_SECONDS, WINDOW_SECONDS, Bucket, Distribution, Summary
from exporter.utc import utc

DIGITS = 6
STEPS = WINDOW_SECONDS // BUCKET_SECONDS

Summaries = Mapping[str | None, Summary]
"""By tier, and of all requests (None)."""


async def summarize(views: Views) -> Summaries:
    """Of each tier, and of all. To put the figures of many models together takes a millisecond, so streams have their
    turn in between; all is quickest after its parts."""
    found: dict[str | None, Summary] = {}
    now, wall = views.clock(), views.wall()
    for tier in (*views.tiers, None):
        found[tier] = views.windows.summary(now, wall, tier=tier)
        await asyncio.sleep(0)
    return found


def amount(value: float | None) -> float | None:
    """To microseconds, or as many digits of whatever it is; None where it is not known, or no number."""
    if value is None or not math.isfinite(value):
        return None
    return round(max(value, 0.0), DIGITS)


def figures(summary: Summary) -> Figures:
    """Of these requests."""
    return {
        "requests": summary.queries,
        "failed": summary.failed,
        "duration_seconds": _percentiles(summary.latency_seconds),
        "ttft_seconds": _percentiles(summary.ttft_seconds),
        "output_tokens_per_second": _percentiles(summary.tokens_per_second),
    }


def tier_figures(name: str, summary: Summary) -> TierFigures:
    """The same of one tier."""
    return {"name": name, **figures(summary)}


def trend(steps: list[Bucket]) -> Trend:
    """Of steps that are over, oldest first; at least one."""
    return {
        "starts_at": utc(steps[0].starts_at),
        "step_seconds": BUCKET_SECONDS,
        "requests": [step.queries for step in steps],
    }


def _percentiles(distribution: Distribution) -> Percentiles:
    return {"p50": amount(distribution.p50), "p95": amount(distribution.p95)}
