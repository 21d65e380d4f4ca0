"""What the queries of the dashboards may name: metrics, their labels, their types, the bounds of their buckets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import promql_parser as syntax
import yaml

from exporter.telemetry.catalog import CATALOGUE, Kind
from tests.dashboards.shape import Shape
from tests.known_metrics import EXPOSITION, OF_THE_TARGET, known_metrics

ROOT = Path(__file__).parents[2]
OF_LLAMA_SERVER = ROOT / "tests/golden/llama-server/metrics.http"
MIRRORED = OF_THE_TARGET | {"upstream", "tier", "model"}
"""Labels of every `llamacpp:` metric."""
TYPE_LINE = re.compile(r"^# TYPE (\S+) (\w+)$", re.M)
BOUND = re.compile(r'^(\w+_bucket)\{.*?\ble="([^"]+)"', re.M)


@cache
def labels_by_metric() -> Mapping[str, frozenset[str]]:
    """Labels of every metric that a dashboard may name."""
    from_server = dict.fromkeys(_types(OF_LLAMA_SERVER), MIRRORED)
    return {**from_server, **known_metrics(), **recorded(ROOT / "prometheus/rules")}


@cache
def kinds() -> Mapping[str, Kind]:
    """Types of the metrics that have one, by the names of their samples."""
    found = {name: Kind(kind) for path in (OF_LLAMA_SERVER, EXPOSITION) for name, kind in _types(path).items()}
    for metric in CATALOGUE:
        ends = ("_bucket", "_count", "_sum") if metric.kind is Kind.HISTOGRAM else ("",)
        found |= {metric.sample_name + end: metric.kind for end in ends}
    return found


def _types(path: Path) -> dict[str, str]:
    """Types of llama-server's metrics; its names end in `_total` already."""
    every = TYPE_LINE.findall(path.read_text(encoding="utf-8"))
    return {name: kind for name, kind in every if name.startswith("llamacpp:")}


@cache
def bounds() -> frozenset[tuple[str, str]]:
    """Metrics with the upper bounds of their buckets."""
    return frozenset(BOUND.findall(EXPOSITION.read_text(encoding="utf-8")))


def recorded(folder: Path) -> dict[str, frozenset[str]]:
    """Labels of the series that the recording rules of a folder make; rules may build on each other, in any order."""
    every = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.yml"))]
    rules = [rule for content in every for group in content["groups"] for rule in group["rules"] if "record" in rule]
    made: dict[str, frozenset[str]] = {}
    while True:
        shape = Shape({**known_metrics(), **made})
        again = {
            rule["record"]: (shape.of(syntax.parse(rule["expr"])) or frozenset()) | set(rule.get("labels", ()))
            for rule in rules
        }
        if again == made:
            return made
        made = again
