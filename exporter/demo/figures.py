"""The numbers on the summary's screen, computed from two scrapes as a Prometheus dashboard would. Pure.

`summary` shows them. What cannot be known yet (no traffic, nothing sampled) is None.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from exporter.demo.scrape import Scrape, histogram_quantile, increase, rate, series, total
from exporter.record import AttemptResult
from exporter.telemetry import catalog

REQUESTS = catalog.REQUESTS.sample_name
IN_FLIGHT = catalog.REQUESTS_IN_FLIGHT.sample_name
TOKENS = f"{catalog.TOKEN_USAGE.sample_name}_sum"
CACHED_TOKENS = catalog.CACHED_TOKENS.sample_name
UPSTREAM_UP = catalog.UPSTREAM_UP.sample_name
ATTEMPTS = catalog.UPSTREAM_ATTEMPTS.sample_name
DECISIONS = catalog.ROUTING_DECISIONS.sample_name
CPU_UTILIZATION = catalog.CPU_UTILIZATION.sample_name
MEMORY_LIMIT = catalog.MEMORY_LIMIT.sample_name
MEMORY_AVAILABLE = catalog.MEMORY_AVAILABLE.sample_name
TTFT = catalog.TIME_TO_FIRST_TOKEN.sample_name
INTER_TOKEN = catalog.INTER_TOKEN_LATENCY.sample_name
DURATION = catalog.REQUEST_DURATION.sample_name

INPUT = {"gen_ai_token_type": "input"}
OUTPUT = {"gen_ai_token_type": "output"}

NAMES = frozenset(
    {REQUESTS, IN_FLIGHT, TOKENS, CACHED_TOKENS, UPSTREAM_UP, ATTEMPTS, DECISIONS}
    | {CPU_UTILIZATION, MEMORY_LIMIT, MEMORY_AVAILABLE}
    | {f"{histogram}_bucket" for histogram in (TTFT, INTER_TOKEN, DURATION)}
)
"""The samples that are read."""

FAILED_ATTEMPTS = frozenset(AttemptResult) - {AttemptResult.ANSWERED, AttemptResult.RESENT, AttemptResult.ABANDONED}
"""A request that was sent again on a fresh connection, or whose client left, is no failure of the server."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Median and 95th percentile over the window, seconds."""

    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """Requests that ended in one way."""

    outcome: str
    total: float
    """Since the sidecar started."""
    per_second: float | None


@dataclass(frozen=True, slots=True)
class TierFigures:
    """One tier."""

    tier: str
    up: bool | None
    """Whether one of its servers is."""
    requests: float | None
    """Since the sidecar started."""
    requests_per_second: float | None
    in_flight: float | None
    output_tokens_per_second: float | None
    ttft_p50: float | None
    failed_attempts: float
    """Tries to have one of its servers answer that came to nothing, since the sidecar started."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """Where the requests of each complexity went, since the sidecar started."""

    counts: Mapping[tuple[str, str], float]
    """By complexity and tier."""
    fallbacks: Mapping[str, float]
    """By complexity: how many of them went elsewhere than they would have, had all been well."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One screen's worth. Rates, shares of tokens and quantiles are those of the window between the two scrapes."""

    requests: float | None
    """Since the sidecar started."""
    requests_per_second: float | None
    in_flight: float | None
    input_tokens_per_second: float | None
    output_tokens_per_second: float | None
    cached_ratio: float | None
    """Share of input tokens that came from the prompt cache."""
    ttft: Quantiles
    inter_token: Quantiles
    duration: Quantiles
    outcomes: tuple[OutcomeCount, ...]
    """Most frequent first."""
    tiers: tuple[TierFigures, ...]
    """By name."""
    decisions: Decisions
    cpu_ratio: float | None
    memory_used_bytes: float | None
    memory_total_bytes: float | None


def figures(old: Scrape, new: Scrape) -> Figures:
    """The figures of the window from `old` to `new`. With one and the same scrape, whatever needs two is None."""
    limit, available = total(new, MEMORY_LIMIT), total(new, MEMORY_AVAILABLE)
    return Figures(
        requests=total(new, REQUESTS),
        requests_per_second=rate(old, new, REQUESTS),
        in_flight=total(new, IN_FLIGHT),
        input_tokens_per_second=rate(old, new, TOKENS, **INPUT),
        output_tokens_per_second=rate(old, new, TOKENS, **OUTPUT),
        cached_ratio=_cached_ratio(old, new),
        ttft=_quantiles(old, new, TTFT),
        inter_token=_quantiles(old, new, INTER_TOKEN),
        duration=_quantiles(old, new, DURATION),
        outcomes=_outcomes(old, new),
        tiers=_tiers(old, new),
        decisions=_decisions(new),
        cpu_ratio=total(new, CPU_UTILIZATION),
        memory_used_bytes=None if limit is None or available is None else limit - available,
        memory_total_bytes=limit,
    )


def _cached_ratio(old: Scrape, new: Scrape) -> float | None:
    tokens = increase(old, new, TOKENS, **INPUT)
    cached = increase(old, new, CACHED_TOKENS)
    return None if not tokens or cached is None else cached / tokens


def _quantiles(old: Scrape, new: Scrape, name: str) -> Quantiles:
    return Quantiles(p50=histogram_quantile(0.5, old, new, name), p95=histogram_quantile(0.95, old, new, name))


def _outcomes(old: Scrape, new: Scrape) -> tuple[OutcomeCount, ...]:
    names = {labels["outcome"] for labels, _ in series(new, REQUESTS) if "outcome" in labels}
    counts = [
        OutcomeCount(name, total(new, REQUESTS, outcome=name) or 0.0, rate(old, new, REQUESTS, outcome=name))
        for name in names
    ]
    return tuple(sorted(counts, key=lambda count: (-count.total, count.outcome)))


def _tiers(old: Scrape, new: Scrape) -> tuple[TierFigures, ...]:
    """Every tier that has a server; a request that no server got has none of these."""
    upstreams: dict[str, set[str]] = {}
    for labels, _ in series(new, UPSTREAM_UP):
        upstreams.setdefault(labels.get("tier", ""), set()).add(labels.get("upstream", ""))
    return tuple(_tier(old, new, tier, upstreams[tier]) for tier in sorted(upstreams))


def _tier(old: Scrape, new: Scrape, tier: str, upstreams: Collection[str]) -> TierFigures:
    up = total(new, UPSTREAM_UP, tier=tier)
    failed = (total(new, ATTEMPTS, upstream=name, result=result) for name in upstreams for result in FAILED_ATTEMPTS)
    return TierFigures(
        tier=tier,
        up=None if up is None else up > 0,
        requests=total(new, REQUESTS, tier=tier),
        requests_per_second=rate(old, new, REQUESTS, tier=tier),
        in_flight=total(new, IN_FLIGHT, tier=tier),
        output_tokens_per_second=rate(old, new, TOKENS, tier=tier, **OUTPUT),
        ttft_p50=histogram_quantile(0.5, old, new, TTFT, tier=tier),
        failed_attempts=sum(count or 0.0 for count in failed),
    )


def _decisions(new: Scrape) -> Decisions:
    counts: defaultdict[tuple[str, str], float] = defaultdict(float)
    fallbacks: defaultdict[str, float] = defaultdict(float)
    for labels, count in series(new, DECISIONS):
        complexity = labels.get("complexity", "")
        counts[complexity, labels.get("tier", "")] += count
        fallbacks[complexity] += count if labels.get("fallback") == "true" else 0.0
    return Decisions(dict(counts), dict(fallbacks))
