"""A machine in few figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.system.snapshot import (
    DiskIO,
    FileSystem,
    GpuSnapshot,
    LlamaServerSnapshot,
    ModelSnapshot,
    ModelState,
    NetworkIO,
    ServerState,
    Snapshot,
)
from exporter.system.summary import Summary, count_answering, main_file_system, over, summarize
from tests.telemetry.examples import DOWN, GPUS, HOST, ROUTER, SINGLE, SNAPSHOT

NOTHING = Summary._make([None] * len(Summary._fields))._replace(gpu_count=0, models_loaded=0)


def test_nothing_is_known_before_the_first_sample() -> None:
    assert summarize(Snapshot()) == NOTHING


def test_a_machine() -> None:
    host = replace(
        HOST,
        disks=(DiskIO("a", 0, 0, 0, 0, 1.5, 2.5), DiskIO("b", 0, 0, 0, 0, 10.0, None)),
        networks=(NetworkIO("e", 0, 0, 0, 0, 0, 0, 100.0, 200.0), NetworkIO("f", 0, 0, 0, 0, 0, 0, None, None)),
    )
    assert summarize(replace(SNAPSHOT, host=host)) == Summary(
        cpu_utilization=0.125,
        load_1m=0.5,
        memory_used_bytes=4_000_000_000,
        memory_total_bytes=16_000_000_000,
        disk_used_bytes=700,
        disk_total_bytes=950,  # what is kept for root is nobody's
        disk_read_bytes_per_second=11.5,
        disk_write_bytes_per_second=2.5,
        network_receive_bytes_per_second=100.0,
        network_transmit_bytes_per_second=200.0,
        gpu_count=2,
        gpu_utilization=0.75,
        gpu_memory_used_bytes=90_000_000_000,
        gpu_memory_total_bytes=150_000_000_000,
        gpu_temperature_celsius=55.0,
        gpu_power_watts=350.5,
        models_loaded=3,
        slots_busy=2,  # one of a slot list, and one request where there is none
        slots_total=6,
        requests_deferred=None,
    )


def test_rates_are_unknown_in_the_first_sample() -> None:
    found = summarize(Snapshot(host=HOST))
    assert found.disk_read_bytes_per_second is found.network_transmit_bytes_per_second is None
    assert found.cpu_utilization == 0.125


def test_several_gpus() -> None:
    other = replace(GPUS[0], utilization=0.25, temperature_celsius=80.0, power_watts=None, memory_used_bytes=None)
    found = summarize(Snapshot(gpus=(*GPUS, other)))
    assert (found.gpu_count, found.gpu_utilization, found.gpu_temperature_celsius) == (3, 0.5, 80.0)
    assert (found.gpu_memory_used_bytes, found.gpu_memory_total_bytes) == (90_000_000_000, 150_000_000_000)
    assert found.gpu_power_watts == 350.5


def test_a_gpu_that_is_lost_has_no_figures() -> None:
    found = summarize(Snapshot(gpus=GPUS[1:]))
    assert found == NOTHING._replace(gpu_count=1)


def test_an_idle_gpu_has_figures_that_are_zero() -> None:
    idle = GpuSnapshot("a", 0, "GPU", "nvidia", utilization=0.0, memory_total_bytes=10, memory_used_bytes=0)
    found = summarize(Snapshot(gpus=(idle,)))
    assert (found.gpu_utilization, found.gpu_memory_used_bytes, found.gpu_memory_total_bytes) == (0.0, 0, 10)


@pytest.mark.parametrize(
    ("file_systems", "expected"),
    [
        ([], None),
        ([("/data", 5), ("/big", 9)], "/big"),
        ([("/data", 5), ("/", 1), ("/big", 9)], "/"),
    ],
)
def test_the_file_system_that_matters(file_systems: list[tuple[str, int]], expected: str | None) -> None:
    found = main_file_system([FileSystem("dev", place, "ext4", total, 0, total) for place, total in file_systems])
    assert (found.mountpoint if found else None) == expected


def test_models_that_can_answer() -> None:
    unnamed = LlamaServerSnapshot("old", ("Q4",), ServerState.READY)
    loading = replace(unnamed, upstream="loading", state=ServerState.LOADING)
    for servers, expected in (((), 0), ((SINGLE, ROUTER, DOWN), 3), ((unnamed, loading), 1)):
        assert count_answering(Snapshot(servers={each.upstream: each for each in servers})) == expected


def test_servers_that_are_down_have_no_slots() -> None:
    model = ModelSnapshot("m", ModelState.LOADED, total_slots=4, requests_processing=3, requests_deferred=2)
    up = LlamaServerSnapshot("a", ("Q4",), ServerState.BUSY, models=(model,))
    down = replace(up, upstream="b", state=ServerState.UNREACHABLE)
    found = summarize(Snapshot(servers={"a": up, "b": down}))
    assert (found.slots_busy, found.slots_total, found.requests_deferred, found.models_loaded) == (3, 4, 2, 1)


def test_over_what_is_known() -> None:
    assert over(sum, [1, None, 2]) == 3
    assert over(sum, [0]) == 0
    assert over(max, [None]) is None
