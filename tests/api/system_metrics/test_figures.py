"""The shapes: keys, units, rounding, and what becomes of what is not known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from exporter.api.documents import encode
from exporter.api.system_metrics import figures
from exporter.record import Outcome
from exporter.system.snapshot import (
    CollectorStatus,
    FileSystem,
    GpuSnapshot,
    LlamaServerSnapshot,
    ModelSnapshot,
    ModelState,
    NetworkIO,
    ServerState,
    Snapshot,
)
from tests.api.system_metrics.schema import GPU, REQUIRED, faults, faults_of_envelope
from tests.api.views import NOW, make_live, make_views
from tests.telemetry.examples import HOST, SNAPSHOT, record

H200, RADEON = SNAPSHOT.gpus
FULL = replace(H200, id="GPU-2", index=1, utilization=0.25, memory_used_bytes=30_000_000_000, power_watts=100.25)


def metrics_of(snapshot: Snapshot, **fields: Any) -> dict[str, Any]:
    """`metrics`, as a client reads it."""
    document: dict[str, Any] = json.loads(encode(figures.system_metrics(make_views(**fields), snapshot)))
    assert faults(document) == []
    metrics: dict[str, Any] = document["metrics"]
    return metrics


def data_of(snapshot: Snapshot) -> dict[str, Any]:
    """`data` of the envelope."""
    document = figures.in_envelope(figures.system_metrics(make_views(), snapshot), snapshot)
    read: dict[str, Any] = json.loads(encode(document))
    assert faults_of_envelope(read) == []
    data: dict[str, Any] = read["data"]
    return data


class TestDocument:
    def test_everything_that_is_known(self) -> None:
        live = make_live()
        live.record(record(duration_seconds=1.5))
        live.record(record(duration_seconds=0.25112, stream=False))
        document = figures.system_metrics(make_views(live), SNAPSHOT)
        assert encode(document).decode() == (
            '{"metrics":{"cpuUsage":12.5,"memoryUsage":25.0,"diskUsage":73.68,"activeModels":3,"totalRequests":2,'
            '"avgResponseTime":875.56,"uptime":90061,"timestamp":"2026-11-20T08:32:25.000Z","gpuUsage":75.0,'
            '"gpuMemoryUsage":60.0,"gpuMemoryTotal":150000000000,"gpuMemoryUsed":90000000000,"gpuPowerUsage":350.5,'
            '"gpuPowerLimit":700.0,"gpuTemperature":55.0,"gpuName":"NVIDIA H200 x2"},'
            '"timestamp":"2026-11-20T08:32:30.000Z"}'
        )

    def test_nothing_is_known(self) -> None:
        assert metrics_of(Snapshot(), started=NOW) == {
            **dict.fromkeys(REQUIRED, 0),
            "timestamp": "2026-11-20T08:32:30.000Z",
        }

    def test_the_envelope_has_the_figures_twice(self) -> None:
        networks = (
            NetworkIO("eth0", 0, 0, 0, 0, 0, 0, 1_500_000.0, 2_000.0),
            NetworkIO("eth1", 0, 0, 0, 0, 0, 0, 500_000.0, None),
        )
        data = data_of(replace(SNAPSHOT, host=replace(HOST, networks=networks)))
        assert {key: data[key] for key in data if key not in (*REQUIRED, *GPU)} == {
            "cpu": {"usage": 12.5},
            "memory": {"used": 25.0},
            "disk": {"used": 73.68},
            "network": {"rx": 2.0, "tx": 0.002},
            "gpu": {
                "usage": 75.0,
                "memoryUsed": 85830.69,
                "memoryTotal": 143051.15,
                "powerUsage": 350.5,
                "powerLimit": 700.0,
                "temperature": 55.0,
                "name": "NVIDIA H200 x2",
            },
        }

    def test_without_a_gpu_there_is_none_in_the_envelope(self) -> None:
        data = data_of(Snapshot(host=HOST))
        assert [key for key in data if key.lower().startswith("gpu")] == []
        assert data["network"] == {"rx": 0.0, "tx": 0.0}


class TestMachine:
    @pytest.mark.parametrize(
        ("share", "percent"), [(None, 0), (0.0, 0), (1 / 3, 33.33), (1.0, 100), (1.0004, 100), (-0.001, 0)]
    )
    def test_cpu(self, share: float | None, percent: float) -> None:
        assert metrics_of(Snapshot(host=replace(HOST, cpu_utilization=share)))["cpuUsage"] == percent

    @pytest.mark.parametrize(
        ("file_systems", "percent"),
        [
            ((), 0),
            ((("/", 100, 25, 75), ("/data", 1000, 900, 100)), 25),
            ((("/data", 1000, 900, 100), ("/", 100, 25, 75)), 25),
            ((("/boot", 10, 1, 9), ("/data", 1000, 900, 100), ("/home", 500, 50, 450)), 90),
            ((("/", 100, 25, 50),), 33.33),
            ((("/", 100, 0, 0),), 0),
        ],
        ids=["none", "root first", "root last", "no root: the largest", "5 % are kept for root", "nothing can be had"],
    )
    def test_disk(self, file_systems: tuple[tuple[str, int, int, int], ...], percent: float) -> None:
        mounted = tuple(FileSystem("/dev/x", mountpoint, "ext4", *sizes) for mountpoint, *sizes in file_systems)
        assert metrics_of(Snapshot(host=replace(HOST, file_systems=mounted)))["diskUsage"] == percent

    @pytest.mark.parametrize(
        ("sampled_at", "timestamp"),
        [
            (NOW - 4.25, "2026-11-20T08:32:25.750Z"),
            (None, "2026-11-20T08:32:30.000Z"),
            (NOW + 1, "2026-11-20T08:32:30.000Z"),
        ],
    )
    def test_the_figures_are_as_old_as_the_look_at_the_machine(self, sampled_at: float | None, timestamp: str) -> None:
        status = CollectorStatus("host", sampled_at is not None, 0.01, sampled_at)
        assert metrics_of(Snapshot(host=HOST, collectors={"host": status}))["timestamp"] == timestamp

    @pytest.mark.parametrize(("ago", "uptime"), [(0.0, 0), (59.99, 59), (-5.0, 0)])
    def test_uptime_is_the_sidecars_own_in_whole_seconds(self, ago: float, uptime: int) -> None:
        assert metrics_of(SNAPSHOT, started=NOW - ago)["uptime"] == uptime


def server(state: ServerState, *models: ModelState, router: bool = False) -> LlamaServerSnapshot:
    named = tuple(ModelSnapshot(f"m{number}", each) for number, each in enumerate(models))
    return LlamaServerSnapshot("a", ("Q4",), state, router=router, models=named)


class TestTraffic:
    @pytest.mark.parametrize(
        ("asked", "count"),
        [
            (server(ServerState.READY, ModelState.LOADED), 1),
            (server(ServerState.BUSY, ModelState.LOADED), 1),
            (server(ServerState.LOADING, ModelState.LOADED), 0),
            (server(ServerState.UNREACHABLE, ModelState.LOADED), 0),
            (server(ServerState.ERROR), 0),
            (server(ServerState.READY), 1),
            (server(ServerState.READY, router=True), 0),
            (server(ServerState.READY, *ModelState, router=True), 2),
        ],
    )
    def test_active_models_are_those_that_answer(self, asked: LlamaServerSnapshot, count: int) -> None:
        servers = {"a": asked, "b": server(ServerState.READY, ModelState.SLEEPING)}
        assert metrics_of(Snapshot(servers=servers))["activeModels"] == count + 1

    def test_all_that_asked_a_model_count(self) -> None:
        live = make_live()
        live.record(record(duration_seconds=0.002))
        live.record(record(duration_seconds=0.004, outcome=Outcome.UPSTREAM_ERROR))
        live.record(record(duration_seconds=9.0, inference=False, operation="tokenize"))
        found = metrics_of(SNAPSHOT, live=live)
        assert (found["totalRequests"], found["avgResponseTime"]) == (2, 3.0)

    def test_while_nothing_is_recorded_the_machine_is_still_shown(self) -> None:
        live = make_live()
        live.record(record())
        found = metrics_of(SNAPSHOT, live=live, recording=False)
        assert (found["totalRequests"], found["avgResponseTime"]) == (0, 0)
        assert (found["cpuUsage"], found["activeModels"], found["gpuName"]) == (12.5, 3, "NVIDIA H200 x2")


class TestGpus:
    def test_of_several_some_are_summed_and_some_are_not(self) -> None:
        found = metrics_of(Snapshot(gpus=(replace(H200, temperature_celsius=41.0), FULL)))
        assert {key: found[key] for key in GPU} == {
            "gpuUsage": 50.0,
            "gpuMemoryUsage": 40.0,
            "gpuMemoryTotal": 300_000_000_000,
            "gpuMemoryUsed": 120_000_000_000,
            "gpuPowerUsage": 450.75,
            "gpuPowerLimit": 1400.0,
            "gpuTemperature": 55.0,
            "gpuName": "NVIDIA H200 x2",
        }

    def test_one_has_no_number(self) -> None:
        assert metrics_of(Snapshot(gpus=(H200,)))["gpuName"] == "NVIDIA H200"

    def test_figures_are_those_of_the_gpus_that_have_them(self) -> None:
        deaf = GpuSnapshot("c", 2, "C", "amd", utilization=0.0, memory_total_bytes=10_000_000_000, power_watts=9.5)
        found = metrics_of(Snapshot(gpus=(FULL, deaf, RADEON)))
        assert {key: found.get(key) for key in GPU} == {
            "gpuUsage": 12.5,
            "gpuMemoryUsage": 20.0,
            "gpuMemoryTotal": 160_000_000_000,
            "gpuMemoryUsed": 30_000_000_000,
            "gpuPowerUsage": 109.75,
            "gpuPowerLimit": 700.0,
            "gpuTemperature": 55.0,
            "gpuName": "NVIDIA H200 x3",
        }

    def test_a_gpu_that_tells_nothing_has_a_name_and_no_figures(self) -> None:
        found = metrics_of(Snapshot(gpus=(RADEON,)))
        assert [key for key in found if key.startswith("gpu")] == ["gpuName"]
        assert data_of(Snapshot(gpus=(RADEON,)))["gpu"] == {"name": "Radeon"}

    def test_no_figure_is_below_zero(self) -> None:
        frozen = GpuSnapshot("a", 0, "A", "amd", temperature_celsius=-3.5, power_watts=-0.001, utilization=-0.1)
        found = metrics_of(Snapshot(gpus=(frozen,)))
        assert (found["gpuTemperature"], found["gpuPowerUsage"], found["gpuUsage"]) == (0, 0, 0)
