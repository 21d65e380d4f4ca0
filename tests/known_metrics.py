"""The metrics that a query may name, and the labels of each: those of the catalogue, llama-server's own, and those that
Prometheus adds. The tests of the rules, the alerts and the dashboards ask it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from exporter.telemetry.catalog import CATALOGUE, Kind, Metric

EXPOSITION = Path(__file__).parent / "golden/exposition/text.txt"
OF_THE_TARGET = frozenset({"job", "instance"})
"""Every series that Prometheus has scraped carries them; those that were pushed carry them, too, by their resource."""
OF_PROMETHEUS: Mapping[str, frozenset[str]] = {
    "up": frozenset(),
    "scrape_duration_seconds": frozenset(),
    "scrape_samples_scraped": frozenset(),
    "ALERTS": frozenset(
        {"alertname", "alertstate", "severity", "tier", "upstream", "model", "slo", "collector", "hw_id"}
    ),
}
SAMPLE = re.compile(r"^(llamacpp:\w+)(?:\{(.*)\})? ")
LABEL = re.compile(r'(\w+)="(?:[^"\\]|\\.)*"')


@cache
def known_metrics() -> dict[str, frozenset[str]]:
    """Labels by the name that a query uses: `_total`, `_info`, `_bucket`, `_count`, `_sum` included."""
    found = dict(OF_PROMETHEUS)
    for metric in CATALOGUE:
        found |= {name: labels | OF_THE_TARGET for name, labels in _samples(metric).items()}
    for line in EXPOSITION.read_text().splitlines():
        if match := SAMPLE.match(line):
            found[match[1]] = found.get(match[1], OF_THE_TARGET) | set(LABEL.findall(match[2] or ""))
    return {name: labels | OF_THE_TARGET for name, labels in found.items()}


def _samples(metric: Metric) -> dict[str, frozenset[str]]:
    labels = frozenset(metric.labels)
    if metric.kind is not Kind.HISTOGRAM:
        return {metric.sample_name: labels}
    return {f"{metric.name}_bucket": labels | {"le"}, f"{metric.name}_count": labels, f"{metric.name}_sum": labels}
