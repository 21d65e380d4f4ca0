"""What is pushed is what is scraped, once Prometheus has translated it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from exporter.demo.engine import Engine
from exporter.demo.traffic import STEADY_KINDS, plan, play_all
from tests.end_to_end.dialects import MODEL
from tests.end_to_end.pushes import Moment, freeze, pushes, quiet_moment
from tests.end_to_end.sidecar import Sidecar
from tests.end_to_end.traced import QUICK, wait_for_metrics
from tests.otel.translation import Sample, translate
from tests.otlp.arrived import metrics_of
from tests.otlp.receiver import GRPC, HTTP, Receiver
from tests.system.fake_nvml import compile_library

REQUESTS = 40
PARTS = (
    *("gen_ai_server_request_duration_seconds_bucket", "gen_ai_client_token_usage_sum", "llm_requests_total"),
    *("llm_routing_decisions_total", "llm_upstream_up", "llm_upstream_slots", "llamacpp:tokens_predicted_total"),
    *("system_cpu_time_seconds_total", "system_memory_usage_bytes", "process_uptime_seconds", "hw_gpu_power_watts"),
    *("llm_sidecar_build_info", "llm_sidecar_event_loop_lag_seconds_count", "llm_sidecar_otlp_exports_total"),
)
"""One metric at least of everything that there is something to tell about."""


@dataclass(frozen=True, slots=True)
class Pushing:
    """A sidecar that has served some traffic, and somebody who is told."""

    receiver: Receiver
    sidecar: Sidecar
    moment: Moment


@pytest.fixture(scope="module")
def engines(start_engine: Callable[..., Engine]) -> list[Engine]:
    return [start_engine(embedding=True, alias=MODEL), start_engine()]


@pytest.fixture(scope="module")
def gpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {"LD_LIBRARY_PATH": str(compile_library(tmp_path_factory.mktemp("nvml")))}


def pushing(transport: str, engines: list[Engine], environment: dict[str, str], stack: ExitStack) -> Pushing:
    receiver = stack.enter_context(Receiver(transport))
    variables = {**receiver.environment, **QUICK, **environment, "LLAMA_EXPORTER_SAMPLING__INTERVAL_SECONDS": "0.5"}
    upstreams = [
        part for tier, each in zip(("Q4", "Q2"), engines, strict=True) for part in ("--upstream", f"{tier}={each.url}")
    ]
    sidecar = stack.enter_context(Sidecar(*upstreams, environment=variables))
    asyncio.run(play_all(sidecar.proxy, plan(3, REQUESTS, STEADY_KINDS), users=4))
    wait_for_metrics(
        sidecar,
        lambda shown: shown.sum("llm_requests_total") == REQUESTS and set(PARTS) <= shown.names(),
    )
    freeze(sidecar)
    return Pushing(receiver, sidecar, quiet_moment(sidecar, receiver))


@pytest.fixture(scope="module")
def usual(engines: list[Engine], gpus: dict[str, str]) -> Iterator[Pushing]:
    with ExitStack() as stack:
        yield pushing(HTTP, engines, gpus, stack)


@pytest.fixture(scope="module")
def latest(engines: list[Engine], gpus: dict[str, str]) -> Iterator[Pushing]:
    with ExitStack() as stack:
        yield pushing(GRPC, engines, {**gpus, "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"}, stack)


def check_the_same(moment: Moment, pushed: Mapping[Sample, float]) -> None:
    """Nothing is left out: what moves by itself is between what it was before and what it was after."""
    before, after = moment.before.values, moment.after.values
    assert pushed.keys() ^ before.keys() == set()
    assert [sample for sample in moment.still if pushed[sample] != before[sample]] == []
    assert [sample for sample in pushed if not before[sample] <= pushed[sample] <= after[sample]] == []
    assert len(moment.still) > 500


def test_what_is_pushed_is_what_is_scraped(usual: Pushing) -> None:
    """Names, labels and values."""
    check_the_same(usual.moment, usual.moment.pushed.values)
    assert set(PARTS) <= {sample.name for sample in usual.moment.pushed.values}


def test_types_are_those_of_a_scrape(usual: Pushing) -> None:
    pushed, shown = usual.moment.pushed.types, usual.moment.before.types
    assert pushed == {name: shown[name] for name in pushed}
    samples = {sample.name for sample in usual.moment.before.values}
    empty = shown.keys() - pushed.keys()
    assert [name for name in samples if name.removesuffix("_count") in empty or name in empty] == []


def test_metrics_are_cumulative(usual: Pushing) -> None:
    """Since one moment, from push to push."""
    messages = pushes(usual.receiver)
    (first, last), types = map(translate, (messages[len(messages) // 2], messages[-1])), usual.moment.pushed.types
    counters = {sample for sample in first.values if types.get(sample.name) == "counter"}
    assert counters | {sample for sample in first.values if sample.name.endswith("_bucket")} <= last.values.keys()
    assert {sample for sample in counters if sample.name == "llm_requests_total"} <= first.starts.keys()
    assert {sample: last.starts[sample] for sample in first.starts} == first.starts
    assert [sample for sample in counters if last.values[sample] < first.values[sample]] == []


def test_names_of_the_conventions(usual: Pushing) -> None:
    found = {metric.name: (metric.unit, metric.shape) for metric in metrics_of(usual.moment.message)}
    expected = {
        "gen_ai.server.request.duration": ("s", "histogram"),
        "gen_ai.server.time_to_first_token": ("s", "histogram"),
        "gen_ai.server.time_per_output_token": ("s", "histogram"),
        "gen_ai.client.token.usage": ("{token}", "histogram"),
        "system.memory.usage": ("By", "sum"),
        "system.cpu.time": ("s", "sum"),
        "process.uptime": ("s", "gauge"),
    }
    assert {name: found.get(name) for name in expected} == expected
    assert "gen_ai.client.inference.duration" not in found


LATEST = {
    "gen_ai_client_inference_operation_input_tokens": ("gen_ai_client_token_usage", "input"),
    "gen_ai_client_inference_operation_output_tokens": ("gen_ai_client_token_usage", "output"),
    "gen_ai_client_inference_duration_seconds": ("gen_ai_server_request_duration_seconds", ""),
    "gen_ai_client_inference_time_to_first_chunk_seconds": ("gen_ai_server_time_to_first_token_seconds", ""),
    "gen_ai_client_inference_time_per_output_chunk_seconds": ("llm_inter_token_latency_seconds", ""),
}
"""Histograms: what they were called, and the type of tokens that their name says now."""
LATEST_COUNTERS = {
    "gen_ai_client_inference_usage_input_tokens_total": ("gen_ai_client_token_usage_sum", "input"),
    "gen_ai_client_inference_usage_output_tokens_total": ("gen_ai_client_token_usage_sum", "output"),
    "gen_ai_client_inference_usage_cache_read_input_tokens_total": ("llm_prompt_cached_tokens_total", ""),
}


def formerly(sample: Sample) -> Sample:
    """As it was called."""
    name, _, part = sample.name.rpartition("_")
    counted = sample.name in LATEST_COUNTERS
    former, kind = LATEST_COUNTERS[sample.name] if counted else LATEST[name]
    labels = {name: value for name, value in sample.labels if name != "gen_ai_token_modality"}
    if kind:
        labels["gen_ai_token_type"] = kind
    return Sample(former if counted else f"{former}_{part}", frozenset(labels.items()))


def test_the_latest_names(latest: Pushing) -> None:
    moment = latest.moment
    new = {sample for sample in moment.pushed.values if sample.name.startswith("gen_ai_client_inference_")}
    former = {formerly(sample): moment.pushed.values[sample] for sample in new}
    assert {sample.name for sample in new} >= LATEST_COUNTERS.keys() | {f"{name}_count" for name in LATEST}
    assert {sample: moment.before.values.get(sample) for sample in former} == former
    assert "gen_ai_client_token_usage" not in moment.pushed.types
    replaced = {sample: value for sample, value in former.items() if "token_usage" in sample.name}
    rest = {sample: value for sample, value in moment.pushed.values.items() if sample not in new}
    assert replaced.keys() & rest.keys() == set()
    check_the_same(moment, {**rest, **replaced})
