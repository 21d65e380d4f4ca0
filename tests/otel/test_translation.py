import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics

from tests.otel.translation import (
    COUNTER,
    GAUGE,
    HISTOGRAM,
    UP_DOWN_COUNTER,
    label_name,
    metric_name,
    translate,
)


@pytest.mark.parametrize(
    ("name", "unit", "kind", "translated"),
    [
        ("http.server.duration", "s", HISTOGRAM, "http_server_duration_seconds"),
        ("system.memory.usage", "By", UP_DOWN_COUNTER, "system_memory_usage_bytes"),
        ("system.disk.io", "By", COUNTER, "system_disk_io_bytes_total"),
        ("disk.io.bytes", "By", COUNTER, "disk_io_bytes_total"),
        ("network.speed", "By/s", GAUGE, "network_speed_bytes_per_second"),
        ("fuel", "{car}/m", GAUGE, "fuel_per_minute"),
        ("rides", "km/{car}", GAUGE, "rides_km"),
        ("requests.total", "{request}", COUNTER, "requests_total"),
        ("total.requests", "", COUNTER, "requests_total"),
        ("cpu.utilization", "1", GAUGE, "cpu_utilization_ratio"),
        ("speed.ratio.now", "1", GAUGE, "speed_now_ratio"),
        ("hits", "1", COUNTER, "hits_total"),
        ("state", "1", UP_DOWN_COUNTER, "state"),
        ("a..b__c", "", GAUGE, "a_b_c"),
        ("llamacpp:kv_cache_tokens", "", GAUGE, "llamacpp:kv_cache_tokens"),
        ("3rd", "", GAUGE, "_3rd"),
    ],
)
def test_names_of_metrics(name: str, unit: str, kind: str, translated: str) -> None:
    assert metric_name(name, unit, kind) == translated


@pytest.mark.parametrize(
    ("attribute", "label"),
    [("http.method", "http_method"), ("a:b", "a_b"), ("1st", "key_1st"), ("a..b", "a_b"), ("_a", "_a")],
)
def test_names_of_labels(attribute: str, label: str) -> None:
    assert label_name(attribute) == label


def test_a_series_that_is_sent_twice_is_an_error() -> None:
    metric = Metric(name="a")
    metric.gauge.data_points.extend([NumberDataPoint(as_int=1), NumberDataPoint(as_double=2.0)])
    scope = ScopeMetrics(metrics=[metric])
    request = ExportMetricsServiceRequest(resource_metrics=[ResourceMetrics(scope_metrics=[scope])])
    with pytest.raises(AssertionError, match="twice"):
        translate(request)
