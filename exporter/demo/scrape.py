"""Scrapes of `/metrics`, and the few functions of PromQL that the summary needs. Pure.

`figures` asks; `summary` scrapes. None stands for a metric that is not there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Scrape:
    """One answer of `/metrics`."""

    at: float
    """Monotonic seconds."""
    samples: Mapping[str, Mapping[Labels, float]]
    """Values by labels by sample name."""


def parse(text: str, *, at: float, names: Collection[str]) -> Scrape:
    """The samples of these names, from the Prometheus text format. Raises ValueError when it is malformed."""
    samples: dict[str, dict[Labels, float]] = {}
    # The parser costs far more than a look at how a line begins. A label's value may hold what `splitlines` cuts at.
    lines = [line for line in text.split("\n") if line.partition("{")[0].partition(" ")[0] in names]
    for family in text_string_to_metric_families("\n".join([*lines, ""])):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return Scrape(at=at, samples=samples)


def series(scrape: Scrape, name: str, **match: str) -> Iterator[tuple[dict[str, str], float]]:
    """Labels and values of the samples of that name that have these labels."""
    for labels, value in scrape.samples.get(name, {}).items():
        if match.items() <= labels:
            yield dict(labels), value


def total(scrape: Scrape, name: str, **match: str) -> float | None:
    """`sum(name{match})`."""
    values = [value for _, value in series(scrape, name, **match)]
    return sum(values) if values else None


def increase(old: Scrape, new: Scrape, name: str, **match: str) -> float | None:
    """How much counters grew from one scrape to the next, summed; a counter that fell began anew at 0.

    Unlike in Prometheus a counter that was not there before counts from 0: the sidecar starts with the demo.
    """
    if new.at <= old.at or name not in new.samples:
        return None
    before = old.samples.get(name, {})
    return sum(
        value - (before.get(labels, 0.0) if value >= before.get(labels, 0.0) else 0.0)
        for labels, value in new.samples[name].items()
        if match.items() <= labels
    )


def rate(old: Scrape, new: Scrape, name: str, **match: str) -> float | None:
    """`increase` per second."""
    grown = increase(old, new, name, **match)
    return None if grown is None else grown / (new.at - old.at)


def histogram_quantile(q: float, old: Scrape, new: Scrape, name: str, **match: str) -> float | None:
    """`histogram_quantile(q, sum by (le) (increase(name_bucket{match})))`: interpolated within the bucket it is in.

    As in Prometheus the lowest bucket begins at 0, and what lies in the last (+Inf) is given the highest finite bound.
    None without observations between the scrapes.
    """
    buckets = _grown_buckets(old, new, f"{name}_bucket", match)
    if not buckets or buckets[-1][1] <= 0:
        return None
    rank = q * buckets[-1][1]
    lower, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank and count > below:
            return lower if bound == float("inf") else lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return lower


def _grown_buckets(old: Scrape, new: Scrape, name: str, match: Mapping[str, str]) -> list[tuple[float, float]]:
    """Upper bounds, ascending, and how much their cumulative counts grew."""
    bounds = {labels["le"] for labels, _ in series(new, name, **match) if "le" in labels}
    grown = {bound: increase(old, new, name, **match, le=bound) for bound in bounds}
    return sorted((float(bound), count) for bound, count in grown.items() if count is not None)
