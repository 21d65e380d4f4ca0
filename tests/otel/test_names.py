import re
from dataclasses import replace

import pytest

from exporter.otel.names import INTEGERS, Instrument, View, views
from exporter.system.snapshot import MirroredSample
from exporter.telemetry import catalog
from exporter.telemetry.catalog import CATALOGUE, Metric
from exporter.telemetry.mirror import mirrored_families
from tests.otel.translation import COUNTER, GAUGE, HISTOGRAM, UP_DOWN_COUNTER, label_name, metric_name
from tests.telemetry.examples import R_LABELS, ROUTER, SINGLE

KINDS = {
    Instrument.COUNTER: COUNTER,
    Instrument.UP_DOWN_COUNTER: UP_DOWN_COUNTER,
    Instrument.GAUGE: GAUGE,
    Instrument.HISTOGRAM: HISTOGRAM,
}
CONVENTIONAL = re.compile(r"(cpu|disk|error|gen_ai|http|hw|network|process|server|system)_")
"""Labels whose namespace belongs to the conventions."""
HARDWARE = {"hw.status", "hw.temperature", "hw.power", "hw.energy", "hw.fan.speed_ratio"}
"""Conventions for all hardware, which need an attribute to say what it is."""


def usual(metric: Metric) -> View:
    (view,) = views(metric)
    return view


def translated(view: View) -> str:
    return metric_name(view.name, view.unit, KINDS[view.instrument])


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_prometheus_makes_the_name_of_the_scrape_of_it(metric: Metric) -> None:
    assert translated(usual(metric)) == metric.sample_name


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_prometheus_makes_the_labels_of_the_scrape_of_the_attributes(metric: Metric) -> None:
    attributes = usual(metric).attributes
    assert tuple(map(label_name, attributes)) == metric.labels
    for attribute, label in zip(attributes, metric.labels, strict=True):
        assert bool(CONVENTIONAL.match(label)) is ("." in attribute), attribute


def test_names_and_units_are_wellformed_and_names_unique() -> None:
    names = [usual(metric).name for metric in CATALOGUE]
    assert len(names) == len(set(names))
    for metric in CATALOGUE:
        view = usual(metric)
        assert re.fullmatch(r"[a-z]+(?:[._][a-z0-9]+)+", view.name)
        assert re.fullmatch(r"s|By|1|Cel|W|J|Hz|\{token}/s|\{[a-z_]+[^s]}|", view.unit), view.unit
        assert "_" not in view.name.partition(".")[0] or view.name.startswith("gen_ai.")
        assert view.description == metric.help


def test_names_are_those_of_the_conventions_wherever_the_scrape_has_them_too() -> None:
    for metric in CATALOGUE:
        if metric.convention not in HARDWARE | {""}:
            assert usual(metric).name == metric.convention
    ours = {metric.convention for metric in CATALOGUE if usual(metric).name != metric.convention}
    assert ours - {""} == HARDWARE


@pytest.mark.parametrize(
    ("metric", "name", "unit", "instrument"),
    [
        (catalog.REQUEST_DURATION, "gen_ai.server.request.duration", "s", Instrument.HISTOGRAM),
        (catalog.TOKEN_USAGE, "gen_ai.client.token.usage", "{token}", Instrument.HISTOGRAM),
        (catalog.OUTPUT_SPEED, "llm.output_tokens", "{token}/s", Instrument.HISTOGRAM),
        (catalog.REQUESTS, "llm.requests", "{request}", Instrument.COUNTER),
        (catalog.REQUESTS_IN_FLIGHT, "llm.requests_in_flight", "{request}", Instrument.GAUGE),
        (catalog.UPSTREAM_INFO, "llm.upstream.info", "", Instrument.GAUGE),
        (catalog.UPSTREAM_CONTEXT_USED, "llm.upstream.context_used", "1", Instrument.GAUGE),
        (catalog.SIDECAR_STORE_WRITE_TIME, "llm.sidecar.store_write", "s", Instrument.COUNTER),
        (catalog.CPU_UTILIZATION, "system.cpu.utilization", "1", Instrument.GAUGE),
        (catalog.LOAD_15M, "system.cpu.load_average.15m", "{thread}", Instrument.GAUGE),
        (catalog.MEMORY_USAGE, "system.memory.usage", "By", Instrument.UP_DOWN_COUNTER),
        (catalog.NETWORK_PACKETS, "system.network.packet.count", "{packet}", Instrument.COUNTER),
        (catalog.PROCESS_OPEN_FDS, "process.open_fds", "{file_descriptor}", Instrument.GAUGE),
        (catalog.GPU_STATUS, "hw.gpu.status", "1", Instrument.UP_DOWN_COUNTER),
        (catalog.GPU_TEMPERATURE, "hw.gpu.temperature", "Cel", Instrument.GAUGE),
        (catalog.GPU_FAN, "hw.gpu.fan_speed", "1", Instrument.GAUGE),
        (catalog.GPU_ENERGY, "hw.gpu.energy", "J", Instrument.COUNTER),
        (catalog.GPU_CLOCK, "hw.gpu.clock", "Hz", Instrument.GAUGE),
    ],
    ids=lambda value: value.name if isinstance(value, Metric) else "",
)
def test_names_units_and_instruments(metric: Metric, name: str, unit: str, instrument: Instrument) -> None:
    view = usual(metric)
    assert (view.name, view.unit, view.instrument) == (name, unit, instrument)


def test_what_may_be_added_up_is_an_up_down_counter_where_the_conventions_have_one() -> None:
    assert [view.name for view in map(usual, CATALOGUE) if view.instrument is Instrument.UP_DOWN_COUNTER] == [
        "system.memory.usage",
        "system.memory.limit",
        "system.memory.linux.available",
        "system.paging.usage",
        "system.filesystem.usage",
        "system.filesystem.limit",
        "process.memory.usage",
        "process.memory.virtual",
        "hw.gpu.status",
        "hw.gpu.memory.usage",
        "hw.gpu.memory.limit",
    ]


def test_labels_of_the_conventions_are_their_attributes() -> None:
    assert usual(catalog.REQUESTS).attributes == (
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "tier",
        "upstream",
        "stream",
        "outcome",
        "http.response.status_code",
    )
    assert usual(catalog.GPU_INFO).attributes == ("hw.id", "hw.name", "hw.vendor", "gpu_index", "hw.driver_version")
    assert usual(catalog.REQUESTS).attributes[-1] in INTEGERS


@pytest.mark.parametrize(
    ("metric", "whole"),
    [
        (catalog.REQUESTS, True),
        (catalog.TOKEN_USAGE, True),
        (catalog.MEMORY_USAGE, True),
        (catalog.REQUEST_DURATION, False),
        (catalog.OUTPUT_SPEED, False),
        (catalog.LOAD_1M, False),
        (catalog.GPU_POWER, False),
    ],
    ids=lambda value: value.name if isinstance(value, Metric) else "",
)
def test_what_counts_things_is_whole(metric: Metric, whole: bool) -> None:
    assert usual(metric).whole is whole


# Mirrored from llama-server

MIRRORED = (
    MirroredSample("llamacpp:prompt_tokens_total", "counter", "Help.", (), 1.0),
    MirroredSample("llamacpp:tokens_predicted_seconds_total", "counter", "Help.", (), 1.0),
    MirroredSample("llamacpp:n_tokens_max", "counter", "Help.", (), 1.0),
    MirroredSample("llamacpp:kv_cache_usage_ratio", "gauge", "Help.", (("slot_id", "3"),), 1.0),
    MirroredSample("llamacpp:predicted_tokens_seconds", "gauge", "Help.", (), 1.0),
)


def test_mirrored_metrics_keep_their_names() -> None:
    model = replace(SINGLE.models[0], mirrored=MIRRORED)
    families = list(mirrored_families([replace(SINGLE, models=(model,))]))
    assert [translated(usual(family.metric)) for family in families] == [sample.name for sample in MIRRORED]
    assert usual(families[3].metric).attributes == ("upstream", "tier", "model", "slot_id")


def test_mirrored_metrics_of_a_real_server_keep_their_names() -> None:
    families = list(mirrored_families([SINGLE, ROUTER]))
    assert [translated(usual(family.metric)) for family in families] == [
        family.metric.sample_name for family in families
    ]
    assert len(families) == 3


# The names after v1.41.0

PREFIX = "gen_ai.client.inference."


def latest_names(metric: Metric) -> dict[str, Instrument]:
    return {view.name: view.instrument for view in views(metric, latest=True)}


def test_the_newer_names_replace_the_token_usage() -> None:
    assert latest_names(catalog.TOKEN_USAGE) == {
        PREFIX + "operation.input_tokens": Instrument.HISTOGRAM,
        PREFIX + "operation.output_tokens": Instrument.HISTOGRAM,
        PREFIX + "usage.input_tokens": Instrument.COUNTER,
        PREFIX + "usage.output_tokens": Instrument.COUNTER,
    }


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (catalog.REQUEST_DURATION, "duration"),
        (catalog.TIME_TO_FIRST_TOKEN, "time_to_first_chunk"),
        (catalog.INTER_TOKEN_LATENCY, "time_per_output_chunk"),
        (catalog.CACHED_TOKENS, "usage.cache_read.input_tokens"),
    ],
    ids=lambda value: value.name if isinstance(value, Metric) else "",
)
def test_the_newer_names_stand_beside_the_others(metric: Metric, name: str) -> None:
    old = usual(metric)
    assert latest_names(metric) == {old.name: old.instrument, PREFIX + name: old.instrument}
    assert {view.unit for view in views(metric, latest=True)} == {old.unit}


def test_nothing_else_has_newer_names() -> None:
    changed = {metric.name for metric in CATALOGUE if views(metric, latest=True) != views(metric)}
    assert len(changed) == 5


def test_the_newer_names_collide_with_nothing() -> None:
    names = [translated(view) for metric in CATALOGUE for view in views(metric, latest=True)]
    assert len(names) == len(set(names)) == len(CATALOGUE) + 7


def test_the_newer_counters_of_tokens_say_that_their_modality_is_unknown() -> None:
    every = [view for metric in CATALOGUE for view in views(metric, latest=True)]
    with_modality = [view.name for view in every if view.more == (("gen_ai.token.modality", "unknown"),)]
    assert with_modality == [
        PREFIX + "usage.input_tokens",
        PREFIX + "usage.output_tokens",
        PREFIX + "usage.cache_read.input_tokens",
    ]
    assert all(not view.more for view in every if view.name not in with_modality)


def test_a_view_of_some_series_says_which() -> None:
    only = {view.name: view.only for view in views(catalog.TOKEN_USAGE, latest=True)}
    assert only[PREFIX + "usage.output_tokens"] == ("gen_ai.token.type", "output")
    assert only[PREFIX + "operation.input_tokens"] == ("gen_ai.token.type", "input")
    assert views(catalog.TOKEN_USAGE)[0].only is None
    assert usual(catalog.TOKEN_USAGE).attributes[: len(R_LABELS)] == usual(catalog.CACHED_TOKENS).attributes
