import json
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric as SentMetric
from opentelemetry.sdk.resources import Resource
from prometheus_client import Metric as ScrapedMetric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from exporter import __version__
from exporter.otel.points import Conversion, Starts
from exporter.telemetry import catalog
from exporter.telemetry.catalog import CATALOGUE, Feed, Kind, Metric
from exporter.telemetry.exposition import Exposition, FamilySource
from exporter.telemetry.instruments import Counter, Exemplar, Histogram
from exporter.telemetry.lines import AnyFamily
from exporter.telemetry.prometheus import RequestMetrics
from exporter.telemetry.sampled import Sampled, single
from exporter.telemetry.snapshot import SnapshotFamilies
from tests.otel.translation import Linked, Sample, Translated, metrics_of, translate
from tests.telemetry.examples import (
    BUCKETS,
    CHAT,
    HOST,
    NOW,
    R_LABELS,
    example_sources,
    record,
    request_metrics,
)
from tests.telemetry.families import STATE, THINGS, WAIT, Source, histogram, neighbour, requests_into

RESOURCE = Resource({"service.name": "llama-exporter"}, "https://example.test/schema")
LABELS = ("chat", "llama_cpp", "tiny", "Q4", "gpu-0")
LATER = NOW + 100
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"
DONE = Metric("llamacpp:done", Kind.COUNTER, "Done.", Feed.SERVER, labels=("model",))


def conversion(*families: AnyFamily, latest_names: bool = False) -> Conversion:
    return convert_from(Source(*families), latest_names=latest_names)


def convert_from(*of: FamilySource, latest_names: bool = False) -> Conversion:
    starts = Starts(NOW - 60, lambda: HOST.boot_time)
    return Conversion(of, RESOURCE, starts, latest_names=latest_names, wall_clock=lambda: LATER)


async def sent(made: Conversion, since: float = 0.0) -> ExportMetricsServiceRequest:
    """What goes over the wire."""
    request = ExportMetricsServiceRequest()
    request.ParseFromString(encode_metrics(await made.convert(since)).SerializeToString())
    return request


async def only_metric(*families: AnyFamily) -> SentMetric:
    (metric,) = metrics_of(await sent(conversion(*families)))
    return metric


# Pushed and scraped are the same

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
KINDS = {"info": "gauge"}


async def scraped(*of: FamilySource) -> Translated:
    """What Prometheus has after a scrape."""
    text = (await Exposition(*of).render(OPENMETRICS, None)).body.decode()
    shown = Translated()
    for family in parse_openmetrics(text):  # type: ignore[no-untyped-call]
        _add(shown, family)
    return shown


def _add(shown: Translated, family: ScrapedMetric) -> None:
    for sample in family.samples:
        labels = {name: value for name, value in sample.labels.items() if value}
        if "le" in labels and labels["le"] != "+Inf":
            labels["le"] = str(float(labels["le"]))
        if sample.name == f"{family.name}_created":
            counted = f"{family.name}_{'total' if family.type == 'counter' else 'count'}"
            shown.starts[Sample(counted, frozenset(labels.items()))] = sample.value
            continue
        at = shown.add(sample.name, labels, sample.value)
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        shown.types[family.name + suffix] = KINDS.get(family.type, family.type)
        if sample.exemplar is not None:
            link, when = sample.exemplar.labels, sample.exemplar.timestamp
            assert when is not None
            linked = Linked(link["trace_id"], link["span_id"], sample.exemplar.value, float(when))
            shown.exemplars.setdefault(at, []).append(linked)


def linked_sources() -> tuple[RequestMetrics, FamilySource, SnapshotFamilies]:
    """The examples, and exemplars in three buckets of one histogram."""
    metrics, lag, snapshot = example_sources()
    times = next(family for family in metrics.families() if family.metric is catalog.TIME_TO_FIRST_TOKEN)
    assert isinstance(times, Histogram)
    for number, value in enumerate((0.003, 0.25, 1000)):
        times.series(LABELS).observe(value, Exemplar(TRACE, f"00f067aa0ba902b{number}", value, NOW + number))
    return metrics, lag, snapshot


async def test_what_is_pushed_is_what_is_scraped() -> None:
    examples = linked_sources()
    pushed = translate(await sent(convert_from(*examples)))
    shown = await scraped(*examples)
    assert pushed.values.keys() == shown.values.keys()
    assert pushed.values == shown.values
    assert pushed.types == shown.types
    assert len(shown.values) > 500


async def test_times_of_creation_are_those_of_the_scrape() -> None:
    examples = linked_sources()
    pushed = translate(await sent(convert_from(*examples)))
    shown = await scraped(*examples)
    assert len(shown.starts) >= 50
    assert {sample: pushed.starts[sample] for sample in shown.starts} == pytest.approx(shown.starts, rel=0, abs=1e-6)


async def test_exemplars_are_those_of_the_scrape() -> None:
    examples = linked_sources()
    pushed = translate(await sent(convert_from(*examples)))
    shown = await scraped(*examples)
    assert pushed.exemplars.keys() == shown.exemplars.keys()
    assert len(shown.exemplars) == 3
    for bucket, (theirs,) in shown.exemplars.items():
        (ours,) = pushed.exemplars[bucket]
        assert ours[:-1] == theirs[:-1]
        assert ours.timestamp == pytest.approx(theirs.timestamp, rel=0, abs=1e-6)


async def test_the_examples_leave_nothing_out_that_there_can_be() -> None:
    pushed = translate(await sent(convert_from(*example_sources())))
    missing = {metric.name for metric in CATALOGUE if metric.sample_name not in pushed.types}
    # The one is unknown to the examples' machine, the other not to be known in them.
    assert missing == {catalog.LOAD_15M.name, catalog.GPU_FAN.name}


# What stands around the points


async def test_the_resource_the_scope_and_the_version_of_the_conventions_are_named() -> None:
    request = await sent(conversion(single(STATE_ALONE, 1)))
    (resource,) = request.resource_metrics
    (scope,) = resource.scope_metrics
    assert [(each.key, each.value.string_value) for each in resource.resource.attributes] == [
        ("service.name", "llama-exporter")
    ]
    assert resource.schema_url == "https://example.test/schema"
    assert (scope.scope.name, scope.scope.version) == ("llama-exporter", __version__)
    assert scope.schema_url == "https://opentelemetry.io/schemas/1.41.0"


STATE_ALONE = replace(STATE, labels=())


async def test_each_metric_is_explained() -> None:
    metric = await only_metric(single(catalog.MEMORY_LIMIT, 5))
    assert (metric.name, metric.unit, metric.description) == ("system.memory.limit", "By", catalog.MEMORY_LIMIT.help)
    assert not metric.sum.is_monotonic
    assert metric.HasField("sum")


async def test_the_sdk_can_print_it() -> None:
    metrics = await convert_from(*linked_sources()).convert()
    printed = json.loads(metrics.to_json())
    assert len(printed["resource_metrics"][0]["scope_metrics"][0]["metrics"]) > 60


async def test_what_has_no_samples_is_not_sent() -> None:
    request = await sent(conversion(Counter(THINGS), Histogram(WAIT, BUCKETS.ttft), single(STATE_ALONE, None)))
    assert list(metrics_of(request)) == []


# Points


async def test_a_histogram_has_its_own_buckets_and_neither_minimum_nor_maximum() -> None:
    family = Histogram(WAIT, (0.5, 2.0), lambda: NOW)
    for value in (0.25, 0.5, 1.0, 3.0):
        family.series(LABELS).observe(value)
    (point,) = (await only_metric(family)).histogram.data_points
    assert list(point.explicit_bounds) == [0.5, 2.0]
    assert list(point.bucket_counts) == [2, 1, 1]
    assert (point.count, point.sum) == (4, 4.75)
    assert not point.HasField("min")
    assert not point.HasField("max")
    assert point.start_time_unix_nano == int(NOW * 1e9)
    assert point.time_unix_nano == int(LATER * 1e9)


async def test_a_series_that_was_opened_after_the_push_had_begun_is_no_older_than_itself() -> None:
    family = Counter(THINGS, lambda: LATER + 5)
    family.series(("a",)).inc()
    (point,) = (await only_metric(family)).sum.data_points
    assert point.time_unix_nano == point.start_time_unix_nano == int((LATER + 5) * 1e9)


async def test_an_empty_label_is_left_out_and_a_status_is_a_number() -> None:
    family = Counter(catalog.REQUESTS)
    family.series((*LABELS, "true", "completed", "200")).inc()
    family.series((*LABELS[:-1], "", "true", "client_gone", "")).inc()
    first, second = (
        {each.key: each.value for each in point.attributes} for point in (await only_metric(family)).sum.data_points
    )
    assert first["http.response.status_code"].int_value == 200
    assert first["upstream"].string_value == "gpu-0"
    assert first.keys() - second.keys() == {"http.response.status_code", "upstream"}


@pytest.mark.parametrize(("status", "field"), [("200", "int_value"), ("odd", "string_value")])
async def test_a_status_that_is_no_number_is_sent_as_it_is(status: str, field: str) -> None:
    metric = replace(DONE, labels=("http_response_status_code",))
    (point,) = (await only_metric(Sampled(metric, [((status,), 1.0)]))).sum.data_points
    assert point.attributes[0].value.WhichOneof("value") == field


async def test_a_name_that_cannot_be_encoded_does_not_cost_its_attribute() -> None:
    family = Counter(THINGS)
    family.series(("a\udcffb",)).inc()
    family.series(("größer",)).inc()
    points = (await only_metric(family)).sum.data_points
    assert [point.attributes[0].value.string_value for point in points] == ["a?b", "größer"]


@pytest.mark.parametrize(
    ("metric", "value", "field"),
    [
        (catalog.MEMORY_LIMIT, 16_000_000_000, "as_int"),
        (catalog.LOGICAL_CPUS, 4, "as_int"),
        (catalog.LOGICAL_CPUS, 2.0**53, "as_double"),
        (catalog.LOGICAL_CPUS, 1e300, "as_double"),
        (catalog.LOGICAL_CPUS, 2.5, "as_double"),
        (catalog.LOGICAL_CPUS, math.inf, "as_double"),
        (catalog.LOAD_1M, 2.0, "as_double"),
        (catalog.SIDECAR_STORE_UP, True, "as_double"),
        (catalog.SYSTEM_UPTIME, 5000, "as_double"),
    ],
)
async def test_counts_are_whole_and_other_values_never(metric: Metric, value: float, field: str) -> None:
    sent_metric = await only_metric(single(metric, value))
    (point,) = (sent_metric.sum if sent_metric.HasField("sum") else sent_metric.gauge).data_points
    assert point.WhichOneof("value") == field
    assert getattr(point, field) == value


async def test_what_is_not_a_number_is_sent() -> None:
    (point,) = (await only_metric(single(catalog.LOGICAL_CPUS, math.nan))).gauge.data_points
    assert math.isnan(point.as_double)


# Since when


@pytest.mark.parametrize(
    ("metric", "start"),
    [
        (catalog.CPU_TIME, HOST.boot_time),
        (catalog.MEMORY_USAGE, HOST.boot_time),
        (catalog.PROCESS_CPU_TIME, NOW - 60),
        (catalog.PROCESS_MEMORY, NOW - 60),
        (catalog.SIDECAR_SINK_ERRORS, NOW - 60),
        (catalog.GPU_ENERGY, 0),
        (DONE, 0),
    ],
    ids=lambda value: value.name if isinstance(value, Metric) else "",
)
async def test_sampled_counters_say_since_when_they_count_as_far_as_that_is_known(metric: Metric, start: float) -> None:
    labels = tuple("x" for _ in metric.labels)
    (point,) = (await only_metric(Sampled(metric, [(labels, 1.0)]))).sum.data_points
    assert point.start_time_unix_nano == int(start * 1e9)


def test_the_first_answer_about_the_start_of_the_host_stays() -> None:
    answers = iter([None, NOW - 5000, NOW - 4999])
    starts = Starts(NOW, lambda: next(answers))
    assert [starts.of(catalog.CPU_TIME) for _ in range(4)] == [0, *[int((NOW - 5000) * 1e9)] * 3]


# Exemplars


async def test_only_exemplars_that_are_newer_are_sent() -> None:
    family = Histogram(WAIT, BUCKETS.ttft)
    for number in range(3):
        family.series(LABELS).observe(10**number, Exemplar(TRACE, SPAN, 10**number, NOW + number))
    (metric,) = metrics_of(await sent(conversion(family), since=NOW + 1))
    (exemplar,) = metric.histogram.data_points[0].exemplars
    assert exemplar.time_unix_nano == int((NOW + 2) * 1e9)
    assert (exemplar.trace_id.hex(), exemplar.span_id.hex()) == (TRACE, SPAN)


# The newer names


async def test_the_newer_names_show_the_same_values() -> None:
    metrics = request_metrics()
    metrics.record(CHAT)
    metrics.record(record(input_tokens=7, output_tokens=None, cached_tokens=None))
    old = translate(await sent(convert_from(metrics)))
    new = translate(await sent(convert_from(metrics, latest_names=True)))
    labels = frozenset(zip(R_LABELS, LABELS, strict=True))
    spoken = labels | {("gen_ai_token_modality", "unknown")}
    name = "gen_ai_client_inference_"
    assert new.values[Sample(f"{name}usage_input_tokens_total", spoken)] == 57
    assert new.values[Sample(f"{name}usage_output_tokens_total", spoken)] == 11
    assert new.values[Sample(f"{name}usage_cache_read_input_tokens_total", spoken)] == 20
    assert new.starts[Sample(f"{name}usage_input_tokens_total", spoken)] == pytest.approx(NOW, rel=0, abs=1e-6)
    assert new.values[Sample(f"{name}operation_input_tokens_count", labels)] == 2
    assert new.values[Sample(f"{name}operation_output_tokens_sum", labels)] == 11
    assert new.values[Sample(f"{name}duration_seconds_count", labels)] == 2
    assert new.values[Sample(f"{name}time_to_first_chunk_seconds_sum", labels)] == 0.5
    assert new.values[Sample(f"{name}time_per_output_chunk_seconds_count", labels)] == 18
    gone = {sample.name.rpartition("_")[0] for sample in old.values.keys() - new.values.keys()}
    assert gone == {"gen_ai_client_token_usage"}
    assert all(new.values[sample] == value for sample, value in old.values.items() if sample in new.values)


# Streams flow in between


def sliced(*families: AnyFamily, step: float = 1.0, slice_seconds: float = 0.5) -> Conversion:
    """A conversion for which each look at the clock takes `step` seconds."""
    ticks: Iterator[float] = (number * step for number in count())
    return Conversion(
        [Source(*families)], RESOURCE, Starts(NOW), clock=lambda: next(ticks), slice_seconds=slice_seconds
    )


async def turns_beside(made: Conversion) -> int:
    """How many turns another coroutine gets meanwhile."""
    async with neighbour() as turns:
        await made.convert()
    return len(turns)


async def test_others_have_a_turn_after_each_series_when_time_is_short() -> None:
    assert await turns_beside(sliced(histogram(300))) == 300


async def test_a_family_of_many_samples_is_cut_too() -> None:
    rows = (((str(number),), number) for number in range(500))
    assert await turns_beside(sliced(Sampled(STATE, rows))) == 500


async def test_slices_are_as_long_as_the_time_allows() -> None:
    assert await turns_beside(sliced(histogram(300), step=0.0001, slice_seconds=0.00095)) == 30


async def test_time_is_not_given_away_while_there_is_enough() -> None:
    assert await turns_beside(sliced(histogram(300), step=0.0)) == 0


async def test_each_series_is_whole_while_requests_go_on() -> None:
    family = histogram(300)
    counter = Counter(THINGS)
    made = sliced(family, counter)
    async with requests_into(family, counter):
        metrics = list(metrics_of(await sent(made)))
    points = metrics[0].histogram.data_points
    assert [point.count for point in points] == [sum(point.bucket_counts) for point in points]
    assert len({point.count for point in points}) > 3, "nothing happened between the slices"
    assert len(points) == 300
    assert [metric.name for metric in metrics] == ["test_wait", "test_things"]
