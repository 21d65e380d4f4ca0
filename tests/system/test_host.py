from __future__ import annotations

import os
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from exporter.system.host import CpuMeter, HostCollector, cpu_seconds, memory_states, read_process


@pytest.fixture
def collector() -> Iterator[HostCollector]:
    now = iter(float(second) for second in range(1000))
    host = HostCollector(clock=lambda: next(now))
    yield host
    host.close()


def io(**counters: int) -> SimpleNamespace:
    names = ("read_bytes", "write_bytes", "read_count", "write_count", "bytes_recv", "bytes_sent")
    others = ("packets_recv", "packets_sent", "errin", "errout")
    return SimpleNamespace(**dict.fromkeys((*names, *others), 0) | counters)


def test_cpu_seconds_speak_the_words_of_the_conventions_and_count_no_guest_twice() -> None:
    linux = {"user": 10.0, "nice": 1.0, "system": 5.0, "idle": 80.0, "iowait": 2.0, "irq": 0.5, "softirq": 0.25}
    assert cpu_seconds(linux | {"steal": 1.0, "guest": 4.0, "guest_nice": 0.5}) == {
        "user": 10.0,
        "nice": 1.0,
        "system": 5.0,
        "idle": 80.0,
        "iowait": 2.0,
        "interrupt": 0.75,
        "steal": 1.0,
    }
    macos = {"user": 10.0, "nice": 1.0, "system": 5.0, "idle": 80.0}
    assert cpu_seconds(macos) == macos


def test_cpu_utilization_is_the_share_spent_neither_idle_nor_waiting() -> None:
    meter = CpuMeter()
    assert meter.update(0.0, {"user": 10, "idle": 100, "iowait": 5}) is None
    assert meter.update(5.0, {"user": 13, "idle": 106, "iowait": 6}) == pytest.approx(0.3)
    # Too soon: known from before; and the base has not moved.
    assert meter.update(5.05, {"user": 99, "idle": 106, "iowait": 6}) == pytest.approx(0.3)
    assert meter.update(10.0, {"user": 23, "idle": 106, "iowait": 6}) == pytest.approx(1.0)


def test_cpu_utilization_survives_counters_that_go_backwards_or_stand_still() -> None:
    meter = CpuMeter()
    meter.update(0.0, {"user": 10, "idle": 100, "iowait": 50})
    assert meter.update(1.0, {"user": 11, "idle": 101, "iowait": 49}) == pytest.approx(0.5)
    assert meter.update(2.0, {"user": 11, "idle": 101, "iowait": 49}) is None
    assert meter.update(3.0, {"user": 0, "idle": 0, "iowait": 0}) is None


def test_memory_states_add_up_to_the_total() -> None:
    linux = {"total": 1000, "available": 700, "used": 123, "free": 300, "buffers": 50, "cached": 250}
    assert memory_states(linux) == {"used": 400, "free": 300, "cached": 250, "buffers": 50}
    macos = {"total": 1000, "available": 500, "used": 600, "free": 100, "active": 300}
    assert memory_states(macos) == {"used": 900, "free": 100}


def test_the_real_machine(collector: HostCollector) -> None:
    collector.collect()
    host = collector.collect()
    assert host.cpu_count == os.cpu_count()
    assert host.cpu_utilization is None or 0 <= host.cpu_utilization <= 1
    assert host.memory_used_bytes + host.memory_available_bytes == host.memory_total_bytes
    assert sum(host.memory_by_state_bytes.values()) == host.memory_total_bytes
    assert 0 < host.boot_time < time.time()
    assert host.swap_used_bytes <= host.swap_total_bytes
    assert not {network.interface for network in host.networks} & {"lo", "lo0"}
    for device in host.disks:
        assert device.read_bytes_per_second is None or device.read_bytes_per_second >= 0
    process = host.process
    assert process.resident_bytes > 1_000_000
    assert process.virtual_bytes >= process.resident_bytes
    assert process.threads >= 1
    assert process.cpu_seconds > 0
    assert 0 < process.started_at < time.time()


def test_rates_of_disks_and_networks_and_what_is_left_out(
    collector: HostCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    disks = {name: io(read_bytes=1000, write_bytes=0) for name in ("sda", "sda1", "nvme0n1", "nvme0n1p2", "loop0")}
    networks = {"lo": io(), "eth0": io(bytes_recv=50, bytes_sent=10, packets_recv=3, errin=1)}
    monkeypatch.setattr(psutil, "disk_io_counters", lambda perdisk, nowrap: disks)
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic, nowrap: networks)
    first = collector.collect()
    assert [disk.device for disk in first.disks] == ["nvme0n1", "sda"]
    assert [network.interface for network in first.networks] == ["eth0"]
    assert first.disks[1].read_bytes_per_second is None
    assert first.networks[0].receive_bytes_per_second is None

    # The clock ticks one second per reading of it, three times per sample: CPU, disks, networks.
    disks["sda"] = io(read_bytes=4000, write_bytes=600, read_count=7, write_count=9)
    networks["eth0"] = io(bytes_recv=20, bytes_sent=310, packets_recv=5, packets_sent=2, errin=1, errout=4)
    second = collector.collect()
    sda, eth0 = second.disks[1], second.networks[0]
    assert (sda.read_bytes, sda.write_bytes, sda.reads, sda.writes) == (4000, 600, 7, 9)
    assert (sda.read_bytes_per_second, sda.write_bytes_per_second) == (1000.0, 200.0)
    assert (eth0.receive_bytes, eth0.transmit_bytes) == (20, 310)
    assert (eth0.receive_packets, eth0.transmit_packets, eth0.receive_errors, eth0.transmit_errors) == (5, 2, 1, 4)
    # Received bytes went backwards: the interface was set up anew.
    assert (eth0.receive_bytes_per_second, eth0.transmit_bytes_per_second) == (None, 100.0)


@pytest.mark.parametrize(
    "error",
    [OSError(2, "No such file"), psutil.AccessDenied(), NotImplementedError(), RuntimeError(), AttributeError()],
)
def test_what_the_platform_lacks_is_unknown_and_spoils_nothing_else(
    collector: HostCollector, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def missing(*_: Any, **__: Any) -> Any:
        raise error

    for name in ("swap_memory", "getloadavg", "disk_io_counters", "net_io_counters", "disk_partitions"):
        monkeypatch.setattr(psutil, name, missing)
    host = collector.collect()
    assert (host.load_1m, host.load_5m, host.load_15m) == (None, None, None)
    assert (host.swap_total_bytes, host.disks, host.networks, host.file_systems) == (0, (), (), ())
    assert host.memory_total_bytes > 0
    assert host.process.resident_bytes > 0


def test_a_machine_without_disks_has_none(collector: HostCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "disk_io_counters", lambda perdisk, nowrap: None)
    assert collector.collect().disks == ()


def test_open_descriptors_are_unknown_where_the_platform_does_not_count_them(monkeypatch: pytest.MonkeyPatch) -> None:
    process = psutil.Process()
    assert (read_process(process).open_fds or 0) > 0
    monkeypatch.delattr(psutil.Process, "num_fds")
    assert read_process(process).open_fds is None
