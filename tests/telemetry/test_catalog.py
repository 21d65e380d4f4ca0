import re

import pytest

from exporter.telemetry.catalog import CATALOGUE, Kind, Metric
from tests.otel.translation import UP_DOWN_COUNTER, metric_name

NAMES = [metric.name for metric in CATALOGUE]

UNITS = {
    "gen_ai.client.token.usage": "{token}",
    "hw.energy": "J",
    "hw.fan.speed_ratio": "1",
    "hw.gpu.utilization": "1",
    "hw.power": "W",
    "hw.status": "1",
    "hw.temperature": "Cel",
    "system.cpu.utilization": "1",
    "system.disk.operations": "{operation}",
    "system.network.errors": "{error}",
    "system.network.packet.count": "{packet}",
}
"""Units of the OpenTelemetry conventions that our metrics follow, but for times and sizes."""


def translate(convention: str, metric: Metric) -> str:
    """The name that Prometheus gives a metric of the conventions."""
    unit = UNITS.get(convention, "s" if re.search(r"duration|time|uptime", convention) else "By")
    kind = UP_DOWN_COUNTER if convention == "hw.status" else metric.kind
    return metric_name(convention, unit, kind)


def test_names_are_unique_and_follow_the_naming_rules() -> None:
    assert len(NAMES) == len(set(NAMES)) > 60
    for name in NAMES:
        assert re.fullmatch(r"(gen_ai|llm|system|process|hw_gpu)(_[a-z0-9]+)*", name), name
        assert not name.endswith(("_total", "_info", "_count", "_sum", "_bucket", "_created")) or name == PACKETS


PACKETS = "system_network_packet_count"  # The convention's own name; as a counter it ends in `_total`.


def test_no_metric_takes_a_sample_name_of_another() -> None:
    suffixes = {
        Kind.COUNTER: ("_total", "_created"),
        Kind.HISTOGRAM: ("_bucket", "_count", "_sum", "_created"),
        Kind.INFO: ("_info",),
        Kind.GAUGE: (),
    }
    taken = [metric.name + suffix for metric in CATALOGUE for suffix in ("", *suffixes[metric.kind])]
    assert len(taken) == len(set(taken))


def test_every_metric_is_explained() -> None:
    for metric in CATALOGUE:
        assert metric.help.endswith("."), metric.name
        assert "|" not in metric.help
        assert "\n" not in metric.help
        assert bool(metric.buckets) is (metric.kind is Kind.HISTOGRAM)
        assert len(set(metric.labels)) == len(metric.labels)
        assert not {"le", "quantile"} & set(metric.labels)


@pytest.mark.parametrize("metric", [m for m in CATALOGUE if m.convention], ids=lambda metric: metric.name)
def test_metrics_of_the_conventions_are_named_as_prometheus_names_them(metric: Metric) -> None:
    translated = translate(metric.convention, metric)
    if metric.name.startswith("hw_gpu"):
        translated = re.sub(r"^hw_(gpu_)?", "hw_gpu_", translated)
    assert metric.sample_name == translated


@pytest.mark.parametrize(
    ("name", "sample_name", "suffix_unit"),
    [
        ("llm_requests", "llm_requests_total", "requests"),
        ("llm_upstream", "llm_upstream_info", ""),
        ("gen_ai_client_token_usage", "gen_ai_client_token_usage", ""),
        ("system_memory_limit_bytes", "system_memory_limit_bytes", "bytes"),
    ],
)
def test_names_of_samples_and_units(name: str, sample_name: str, suffix_unit: str) -> None:
    metric = CATALOGUE[NAMES.index(name)]
    assert (metric.sample_name, metric.suffix_unit) == (sample_name, suffix_unit)
