from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from exporter.system.snapshot import (
    CollectorStatus,
    GpuSnapshot,
    IndexSnapshot,
    LlamaServerSnapshot,
    ModelSnapshot,
    ModelState,
    ServerState,
    SlotSnapshot,
    Snapshot,
)
from exporter.telemetry.catalog import CATALOGUE
from exporter.telemetry.sampled import Sampled
from exporter.telemetry.snapshot import SnapshotFamilies
from tests.telemetry.examples import GPUS, HOST, PUSHED, ROUTER, SINGLE, SNAPSHOT, STORE, request_metrics, sources

Samples = dict[tuple[str, ...], float]


def shown(snapshot: Snapshot, **changes: Any) -> dict[str, Samples]:
    """Samples by metric name and label values; families without samples are left out."""
    return samples_of(SnapshotFamilies(sources(snapshot, **changes)).families())


def samples_of(families: Iterable[Sampled]) -> dict[str, Samples]:
    shown = ((family.metric.name, list(family.samples())) for family in families)
    return {name: dict(samples) for name, samples in shown if samples}


def servers(*models: ModelSnapshot, **changes: Any) -> Snapshot:
    server = replace(SINGLE, models=models, **changes)
    return Snapshot(servers={server.upstream: server})


def model(**changes: Any) -> ModelSnapshot:
    return replace(ModelSnapshot(id="m", state=ModelState.LOADED), **changes)


def test_every_metric_of_the_catalogue_is_fed() -> None:
    instruments = {family.metric.name for family in request_metrics().families()}
    fed = instruments | set(shown(SNAPSHOT)) | {"llm_sidecar_event_loop_lag_seconds"}
    lacking = {metric.name for metric in CATALOGUE} - fed
    # The example's host has no load of 15 minutes and its GPUs have no fan.
    assert lacking == {"system_cpu_load_average_15m", "hw_gpu_fan_speed_ratio"}


def test_nothing_sampled_yet_shows_ourselves_only() -> None:
    assert set(shown(Snapshot(), store=lambda: None, pushed=lambda: None)) == {
        "llm_requests_in_flight",
        "llm_tier_models_configured",
        "llm_sidecar_build",
        "llm_sidecar_open_connections",
        "llm_sidecar_sink_errors",
        "llm_sidecar_parse_errors",
        "llm_sidecar_task_restarts",
    }


def test_requests_in_flight_are_zero_where_nobody_is_served() -> None:
    in_flight = [("Q4", "gpu-0", 2), ("Q4", "gpu-0", 1), ("unknown", None, 1)]
    assert shown(SNAPSHOT, in_flight=lambda: in_flight)["llm_requests_in_flight"] == {
        ("Q4", "gpu-0"): 3,
        ("Q8", "cpu"): 0,
        ("Q2", "cpu"): 0,
        ("Q8", "spare"): 0,
        ("unknown", ""): 1,
    }


def test_models_are_available_when_their_upstream_is_ready_and_they_are_loaded_or_asleep() -> None:
    families = shown(SNAPSHOT, configured_models=lambda: {"Q4": 1, "Q8": 3, "empty": 2})
    assert families["llm_tier_models_available"] == {("Q4",): 1, ("Q8",): 2, ("Q2",): 0, ("empty",): 0}
    assert families["llm_tier_models_configured"] == {("Q4",): 1, ("Q8",): 3, ("empty",): 2, ("Q2",): 0}


def test_each_model_of_a_router_counts_for_its_own_tier() -> None:
    models = tuple(replace(each, state=ModelState.LOADED) for each in ROUTER.models)
    snapshot = Snapshot(servers={"cpu": replace(ROUTER, models=models)})
    assert shown(snapshot, configured_models=dict)["llm_tier_models_available"] == {("Q8",): 2, ("Q2",): 1}


def test_the_tiers_of_a_server_that_is_down_stay_and_have_nobody() -> None:
    snapshot = Snapshot(servers={"cpu": replace(ROUTER, models=(), state=ServerState.UNREACHABLE)})
    families = shown(snapshot, configured_models=dict)
    assert families["llm_tier_models_available"] == {("Q8",): 0, ("Q2",): 0}
    assert families["llm_upstream_up"] == {("cpu", "Q8"): 0, ("cpu", "Q2"): 0}
    assert families["llm_requests_in_flight"].items() >= {("Q8", "cpu"): 0, ("Q2", "cpu"): 0}.items()


@pytest.mark.parametrize(
    ("changes", "available"),
    [
        ({"state": ServerState.LOADING}, 0),
        ({"models": ()}, 1),
        ({"models": (), "router": True}, 0),
        ({"models": (model(state=ModelState.FAILED),)}, 0),
    ],
)
def test_what_counts_as_available(changes: dict[str, Any], available: int) -> None:
    server = replace(SINGLE, **changes)
    snapshot = Snapshot(servers={"gpu-0": server})
    assert shown(snapshot, configured_models=dict)["llm_tier_models_available"] == {("Q4",): available}


def test_upstreams_are_up_when_ready_in_each_of_their_tiers() -> None:
    assert shown(SNAPSHOT)["llm_upstream_up"] == {
        ("gpu-0", "Q4"): 1,
        ("cpu", "Q8"): 1,
        ("cpu", "Q2"): 1,
        ("spare", "Q8"): 0,
    }


def test_a_model_is_in_one_state_out_of_all() -> None:
    states = shown(SNAPSHOT)["llm_upstream_model_state"]
    assert len(states) == 4 * len(ModelState)
    assert {labels[1:] for labels, value in states.items() if value} == {
        ("tiny", "loaded"),
        ("a", "loaded"),
        ("b", "unloaded"),
        ("c", "sleeping"),
    }


def test_slots_are_counted_from_the_slots_themselves() -> None:
    slots = (SlotSnapshot(0, True, None, None), SlotSnapshot(1, False, None, None), SlotSnapshot(2, True, None, None))
    counted = shown(servers(model(slots=slots, total_slots=9, requests_processing=9)))["llm_upstream_slots"]
    assert counted == {("gpu-0", "m", "idle"): 1, ("gpu-0", "m", "processing"): 2}


def test_slots_are_else_counted_from_metrics() -> None:
    counted = shown(servers(model(total_slots=4, requests_processing=3)))["llm_upstream_slots"]
    assert counted == {("gpu-0", "m", "idle"): 1, ("gpu-0", "m", "processing"): 3}


@pytest.mark.parametrize("known", [{}, {"total_slots": 4}, {"requests_processing": 1}])
def test_slots_that_are_not_known_are_not_shown(known: dict[str, int]) -> None:
    assert "llm_upstream_slots" not in shown(servers(model(**known)))


def test_more_requests_than_slots_leave_none_idle() -> None:
    counted = shown(servers(model(total_slots=2, requests_processing=3)))["llm_upstream_slots"]
    assert counted["gpu-0", "m", "idle"] == 0


def test_context_is_shown_where_both_figures_are_known() -> None:
    slots = (
        SlotSnapshot(0, True, 1000, 250),
        SlotSnapshot(1, False, 1000, None),
        SlotSnapshot(2, False, None, 5),
        SlotSnapshot(3, False, 0, 0),
    )
    assert shown(servers(model(slots=slots)))["llm_upstream_context_used_ratio"] == {("gpu-0", "m", "0"): 0.25}


def test_what_a_server_does_not_tell_is_an_empty_label() -> None:
    assert shown(SNAPSHOT)["llm_upstream"] == {
        ("gpu-0", "Q4", "tiny", "Q4_K_M", "2048", "125376", "b9000"): 1,
        **{("cpu", tier, name, "", "", "", ""): 1 for name, tier in (("a", "Q8"), ("b", "Q2"), ("c", "Q8"))},
    }


def test_file_systems_add_up_to_their_size() -> None:
    families = shown(SNAPSHOT)
    usage = families["system_filesystem_usage_bytes"]
    assert {labels[-1]: value for labels, value in usage.items()} == {"used": 700, "free": 250, "reserved": 50}
    assert sum(usage.values()) == families["system_filesystem_limit_bytes"]["/dev/sda1", "/", "ext4"]


def test_a_file_system_never_has_less_than_nothing_reserved() -> None:
    odd = replace(HOST.file_systems[0], total_bytes=100)
    families = shown(replace(SNAPSHOT, host=replace(HOST, file_systems=(odd,))))
    assert min(families["system_filesystem_usage_bytes"].values()) == 0


def test_names_from_outside_are_made_safe() -> None:
    disk = replace(HOST.file_systems[0], mountpoint="/mnt/\udcff\n" + "x" * 200)
    families = shown(replace(SNAPSHOT, host=replace(HOST, file_systems=(disk,))))
    ((_, mountpoint, _),) = families["system_filesystem_limit_bytes"]
    assert mountpoint == ("/mnt/\ufffd\ufffd" + "x" * 200)[:128]


def test_times_since_the_beginning() -> None:
    families = shown(SNAPSHOT)
    assert families["system_uptime_seconds"] == {(): 5000}
    assert families["process_uptime_seconds"] == {(): 60}


def test_a_clock_that_was_set_back_does_not_make_uptime_negative() -> None:
    families = shown(SNAPSHOT, wall_clock=lambda: 0.0)
    assert families["system_uptime_seconds"] == families["process_uptime_seconds"] == {(): 0}


def test_what_is_kept_beside_the_models_is_shown_where_it_is_configured() -> None:
    families = shown(SNAPSHOT)
    assert families["llm_index_size_bytes"] == {(): 6_291_501}
    assert families["llm_redis_used_memory_bytes"] == {(): 1_048_576}
    empty = shown(Snapshot(index=IndexSnapshot(0)))
    assert empty["llm_index_size_bytes"] == {(): 0}
    assert "llm_redis_used_memory_bytes" not in empty


def test_a_lost_gpu_keeps_its_status_only() -> None:
    families = shown(Snapshot(gpus=GPUS))
    lost = ("0000:03:00.0", "Radeon", "amd", "1")
    assert {name for name, samples in families.items() if any(labels[:4] == lost for labels in samples)} == {
        "hw_gpu",
        "hw_gpu_status",
    }
    assert families["hw_gpu_status"][*lost, "failed"] == 1
    assert families["hw_gpu_status"][*lost, "ok"] == 0


@pytest.mark.parametrize(
    ("reasons", "active"),
    [((), set()), (("hw_thermal",), {"hw_thermal"}), (("new_in_the_next_driver",), {"new_in_the_next_driver"})],
)
def test_reasons_for_throttling_are_all_listed(reasons: tuple[str, ...], active: set[str]) -> None:
    gpu = GpuSnapshot("GPU-1", 0, "H200", "nvidia", throttle_reasons=reasons)
    listed = shown(Snapshot(gpus=(gpu,)))["hw_gpu_throttle_reason"]
    assert {labels[-1] for labels, value in listed.items() if value} == active
    assert len(listed) >= 8


def test_collectors_show_their_age_once_they_have_succeeded() -> None:
    families = shown(SNAPSHOT)
    assert families["llm_sidecar_sample_age_seconds"] == {("host",): 5.0}
    assert families["llm_sidecar_collector_success"] == {("host",): 1, ("nvidia",): 0}
    assert families["llm_sidecar_collector_duration_seconds"] == {("host",): 0.01, ("nvidia",): 0.5}


def test_a_sample_is_never_younger_than_now() -> None:
    snapshot = Snapshot(collectors={"host": CollectorStatus("host", True, 0.1, 1001.0)})
    assert shown(snapshot)["llm_sidecar_sample_age_seconds"] == {("host",): 0.0}


def test_our_own_failures_are_counted() -> None:
    families = shown(SNAPSHOT)
    assert families["llm_sidecar_sink_errors"] == {("prometheus",): 0, ("store",): 2}
    assert families["llm_sidecar_parse_errors"] == {("openai",): 1}
    assert families["llm_sidecar_task_restarts"] == {("sampler",): 0}
    assert families["llm_sidecar_build"] == {("0.1.0", "3.11.0"): 1}


def test_the_store_is_shown_as_it_is_at_the_scrape() -> None:
    fared = [STORE, replace(STORE, up=False, queue_length=700, size_bytes=None)]
    families = SnapshotFamilies(sources(Snapshot(), store=lambda: fared.pop(0)))
    assert of_the_store(samples_of(families.families())) == {
        "up": {(): 1},
        "queue_length": {(): 12},
        "queue_limit": {(): 20_000},
        "written_records": {(): 345},
        "dropped_records": {("queue_full",): 0, ("refused",): 1, ("shutdown",): 0},
        "write_seconds": {(): 0.75},
        "size_bytes": {(): 1_265_664},
    }
    later = of_the_store(samples_of(families.families()))
    assert (later["up"], later["queue_length"]) == ({(): 0}, {(): 700})
    assert "size_bytes" not in later


def of_the_store(families: dict[str, Samples]) -> dict[str, Samples]:
    return of_one(families, "llm_sidecar_store_")


def of_one(families: dict[str, Samples], prefix: str) -> dict[str, Samples]:
    return {name.removeprefix(prefix): each for name, each in families.items() if name.startswith(prefix)}


@pytest.mark.parametrize(
    ("dropped", "listed"),
    [
        ({}, {"queue_full": 0, "refused": 0, "shutdown": 0}),
        ({"shutdown": 3}, {"queue_full": 0, "refused": 0, "shutdown": 3}),
        ({"a_new_reason": 1}, {"queue_full": 0, "refused": 0, "shutdown": 0, "a_new_reason": 1}),
    ],
)
def test_reasons_for_drops_are_all_listed(dropped: dict[str, int], listed: dict[str, int]) -> None:
    families = shown(Snapshot(), store=lambda: replace(STORE, dropped=dropped))
    assert families["llm_sidecar_store_dropped_records"] == {(reason,): count for reason, count in listed.items()}


def test_where_nothing_is_stored_there_is_nothing_about_a_store() -> None:
    assert of_the_store(shown(SNAPSHOT, store=lambda: None)) == {}
    assert len(of_the_store(shown(SNAPSHOT))) == 7


def pushing(**changes: Any) -> dict[str, Samples]:
    """What is shown of pushing, without the prefix."""
    families = SnapshotFamilies(sources(Snapshot(), pushed=lambda: replace(PUSHED, **changes))).families()
    return of_one(samples_of(families), "llm_sidecar_otlp_")


def test_pushing_is_shown_as_it_is_at_the_scrape() -> None:
    assert pushing() == {
        "exports": {("traces",): 40, ("metrics",): 7},
        "export_failures": {("traces",): 2, ("metrics",): 0},
        "exported_spans": {(): 640},
        "dropped_spans": {("queue_full",): 0, ("export_failed",): 32},
        "queue_length": {(): 3},
        "queue_limit": {(): 2048},
    }
    fared = [PUSHED, replace(PUSHED, queue_length=2048)]
    families = SnapshotFamilies(sources(Snapshot(), pushed=lambda: fared.pop(0)))
    shown_first, shown_later = (samples_of(families.families()) for _ in range(2))
    assert shown_first["llm_sidecar_otlp_queue_length"] == {(): 3}
    assert shown_later["llm_sidecar_otlp_queue_length"] == {(): 2048}


def test_nothing_is_shown_of_a_signal_that_is_not_pushed() -> None:
    no_traces = dict.fromkeys(("spans_exported", "spans_dropped", "queue_length", "queue_limit"))
    assert pushing(exports={"metrics": 0}, failures={}, **no_traces) == {
        "exports": {("metrics",): 0},
        "export_failures": {("metrics",): 0},
    }
    only_traces = pushing(exports={"traces": 1}, failures={})
    assert only_traces["exports"].keys() == only_traces["export_failures"].keys() == {("traces",)}
    assert of_one(shown(SNAPSHOT, pushed=lambda: None), "llm_sidecar_otlp_") == {}


def test_connections_are_counted_at_the_scrape_and_by_listener() -> None:
    connected = {"proxy": 0, "admin": 0}
    families = SnapshotFamilies(sources(Snapshot(), open_connections=lambda: dict(connected)))
    assert samples_of(families.families())["llm_sidecar_open_connections"] == {("proxy",): 0, ("admin",): 0}
    connected["proxy"] = 7
    assert samples_of(families.families())["llm_sidecar_open_connections"] == {("proxy",): 7, ("admin",): 0}


def test_live_counts_may_grow_while_they_are_shown() -> None:
    errors = {"openai": 1}
    families = SnapshotFamilies(sources(parse_errors=errors)).families()
    family = next(family for family in families if family.metric.name == "llm_sidecar_parse_errors")
    samples = family.samples()
    first = next(samples)
    errors["anthropic"] = 1
    assert [first, *samples] == [(("openai",), 1)]


def test_any_registry_can_collect_it() -> None:
    registry = CollectorRegistry()
    registry.register(SnapshotFamilies(sources()))
    text = generate_latest(registry).decode()
    assert 'llm_upstream_up{tier="Q4",upstream="gpu-0"} 1.0\n' in text
    assert 'llamacpp:prompt_tokens_total{model="a",tier="Q8",upstream="cpu"} 7.0\n' in text


def test_one_snapshot_is_used_for_all_families() -> None:
    asked: list[None] = []

    def snapshot() -> Snapshot:
        asked.append(None)
        return SNAPSHOT

    samples_of(SnapshotFamilies(replace(sources(), snapshot=snapshot)).families())
    assert len(asked) == 1


def test_a_server_may_be_named_twice_in_different_tiers() -> None:
    other = LlamaServerSnapshot("gpu-0", ("Q8",), ServerState.READY)
    snapshot = Snapshot(servers={"gpu-0": SINGLE, "again": other})
    assert shown(snapshot)["llm_upstream_up"] == {("gpu-0", "Q4"): 1, ("gpu-0", "Q8"): 1}
