"""What the summary shows, computed from successive scrapes of `/metrics` as Prometheus computes it. Pure.

`summary` calls `parse` on what it scraped and `figures` on the oldest and newest scrape of its window. A metric that is not
there (no traffic yet, nothing sampled yet) makes its figure None.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from prometheus_client.parser import text_string_to_metric_families

from exporter.telemetry import catalog

Labels = frozenset[tuple[str, str]]

HISTOGRAMS = (catalog.TTFT, catalog.INTER_TOKEN_LATENCY, catalog.REQUEST_DURATION)
SINGLES = (
    catalog.REQUESTS,
    catalog.REQUESTS_IN_FLIGHT,
    catalog.CACHED_TOKENS,
    catalog.UPSTREAM_UP,
    catalog.UPSTREAM_SLOTS,
    catalog.CPU_UTILIZATION,
    catalog.MEMORY_LIMIT,
    catalog.MEMORY_AVAILABLE,
)
TOKENS = f"{catalog.TOKEN_USAGE.sample_name}_sum"
WANTED = frozenset({f"{m.sample_name}_bucket" for m in HISTOGRAMS} | {m.sample_name for m in SINGLES} | {TOKENS})


@dataclass(frozen=True, slots=True)
class Scrape:
    """One answer of `/metrics`."""

    at: float
    """Monotonic seconds."""
    samples: Mapping[str, Mapping[Labels, float]]
    """Values by labels by sample name."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Median and 95th percentile of a histogram over the window, seconds."""

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
class Figures:
    """One screen's worth of numbers. Rates and quantiles are those of the window."""

    requests: float | None
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
    upstreams: tuple[tuple[str, bool], ...]
    """Name, and whether it is up."""
    slots_processing: float | None
    slots: float | None
    cpu_ratio: float | None
    memory_used_bytes: float | None
    memory_total_bytes: float | None


def parse(text: str, at: float) -> Scrape:
    """The samples that the figures need, from the Prometheus text format. Raises ValueError when it is malformed."""
    samples: dict[str, dict[Labels, float]] = {}
    # Parsing every line costs far more than looking at how it begins; a label's value may hold what `splitlines` cuts at.
    lines = [line for line in text.split("\n") if line.partition("{")[0].partition(" ")[0] in WANTED]
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return Scrape(at=at, samples=samples)


def figures(old: Scrape, new: Scrape) -> Figures:
    """The figures of the window from `old` to `new`. With one and the same scrape, all rates and quantiles are None."""
    requests = catalog.REQUESTS.sample_name
    used, cached = increase(old, new, TOKENS, gen_ai_token_type="input"), increase(old, new, CACHED)
    limit, available = total(new, catalog.MEMORY_LIMIT.sample_name), total(new, catalog.MEMORY_AVAILABLE.sample_name)
    slots = catalog.UPSTREAM_SLOTS.sample_name
    return Figures(
        requests=total(new, requests),
        requests_per_second=rate(old, new, requests),
        in_flight=total(new, catalog.REQUESTS_IN_FLIGHT.sample_name),
        input_tokens_per_second=rate(old, new, TOKENS, gen_ai_token_type="input"),
        output_tokens_per_second=rate(old, new, TOKENS, gen_ai_token_type="output"),
        cached_ratio=cached / used if used and cached is not None else None,
        ttft=_quantiles(old, new, catalog.TTFT),
        inter_token=_quantiles(old, new, catalog.INTER_TOKEN_LATENCY),
        duration=_quantiles(old, new, catalog.REQUEST_DURATION),
        outcomes=_outcomes(old, new),
        upstreams=_upstreams(new),
        slots_processing=total(new, slots, state="processing"),
        slots=total(new, slots),
        cpu_ratio=total(new, catalog.CPU_UTILIZATION.sample_name),
        memory_used_bytes=limit - available if limit is not None and available is not None else None,
        memory_total_bytes=limit,
    )
