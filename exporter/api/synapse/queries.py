"""What became of requests: the shapes of `queries`, `tiers` and `historical`."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.api.synapse.documents import Queries, Tier, Tiers
from exporter.api.synapse.figures import figure, milliseconds, share
from exporter.api.synapse.status_documents import Historical
from exporter.live.history import Course, History
from exporter.live.totals import Sums
from exporter.live.windows import BUCKET_SECONDS, Distribution, Windows
from exporter.utc import utc

STEPS = 18
HOUR_SECONDS = 3600
DAY_HOURS = 24


def shape_queries(windows: Windows, tiers: Sequence[str], now: float, wall: float) -> Queries:
    """The last 18 complete steps of 10 s, and sums over 30 minutes. `now` is monotonic, `wall` UTC seconds."""
    steps = windows.recent(now, wall, STEPS)
    totals = windows.sums(now, wall)
    return {
        "timestamps": [utc(step.starts_at, "seconds") for step in steps],
        "queryRate": [figure(step.queries / BUCKET_SECONDS) for step in steps],
        "totalQueries": totals.queries,
        "avgLatencyMs": milliseconds(totals.mean_latency_seconds),
        "tierDistribution": {tier: totals.by_tier.get(tier, 0) for tier in tiers},
    }


def shape_tiers(history: History, tiers: Sequence[str]) -> Tiers:
    """Each of `tiers`, in their order, whether it has served anything or not."""
    unused = Course()
    return {"tiers": [_tier(tier, history.tiers.get(tier, unused)) for tier in tiers]}


def _tier(name: str, course: Course) -> Tier:
    return {
        "name": name,
        "tokensPerSec": [figure(speed) for speed in course.speeds],
        "latencyMs": [milliseconds(seconds) for seconds in course.latencies_seconds],
        "requestCount": course.queries,
        "errorRate": figure(course.failed_share, 3),
    }


def shape_historical(sums: Sums, latency: Distribution, uptime_seconds: int) -> Historical:
    """Sums since the start; the percentiles are those of `latency`, which is what is kept of single requests."""
    hours = uptime_seconds // HOUR_SECONDS
    hits = min(sums.cached_tokens, sums.input_tokens)
    return {
        "totalRequests": sums.requests,
        "totalErrors": sums.failed,
        "errorRate": _percentage(sums.failed, sums.requests),
        "avgLatencyMs": milliseconds(sums.mean_seconds),
        "p95LatencyMs": milliseconds(latency.p95),
        "p99LatencyMs": milliseconds(latency.p99),
        "uptimeDays": hours // DAY_HOURS,
        "uptimeHours": hours % DAY_HOURS,
        "uptimeSeconds": uptime_seconds,
        "totalCacheHits": hits,
        "totalCacheMisses": sums.input_tokens - hits,
        "cacheHitRate": _percentage(hits, sums.input_tokens),
    }


def _percentage(part: int, whole: int) -> float:
    return figure(share(part, whole, 6) * 100)
