"""The newest sample in few figures: what every contract that shows a machine as one, and the store, say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import NamedTuple, TypeVar

from exporter.system.availability import count_models
from exporter.system.snapshot import FileSystem, Snapshot, gpu_memory_bytes

Number = TypeVar("Number", int, float)


class Summary(NamedTuple):
    """Shares are 0 to 1. None: unknown, or there is none."""

    cpu_utilization: float | None
    load_1m: float | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    disk_used_bytes: int | None
    """Of the file system of `/`, or else of the largest."""
    disk_total_bytes: int | None
    """What of it users can have, used or not, as `df` counts it."""
    disk_read_bytes_per_second: float | None
    """Of all disks together."""
    disk_write_bytes_per_second: float | None
    network_receive_bytes_per_second: float | None
    """Of all interfaces together."""
    network_transmit_bytes_per_second: float | None
    gpu_count: int
    gpu_utilization: float | None
    """Mean of the GPUs that tell."""
    gpu_memory_used_bytes: int | None
    """Of all GPUs together, as is all that follows of them but the temperature."""
    gpu_memory_total_bytes: int | None
    gpu_temperature_celsius: float | None
    """Of the hottest."""
    gpu_power_watts: float | None
    models_loaded: int
    """Models that can answer."""
    slots_busy: int | None
    slots_total: int | None
    requests_deferred: int | None
    """Waiting inside the servers."""


def summarize(snapshot: Snapshot) -> Summary:
    """All of it."""
    host, gpus = snapshot.host, snapshot.gpus
    disk = main_file_system(host.file_systems if host else ())
    disks, networks = (host.disks, host.networks) if host else ((), ())
    used, total = gpu_memory_bytes(gpus)
    models = [model for server in snapshot.servers.values() if server.up for model in server.models]
    return Summary(
        cpu_utilization=host.cpu_utilization if host else None,
        load_1m=host.load_1m if host else None,
        memory_used_bytes=host.memory_used_bytes if host else None,
        memory_total_bytes=host.memory_total_bytes if host else None,
        disk_used_bytes=disk.used_bytes if disk else None,
        disk_total_bytes=disk.used_bytes + disk.free_bytes if disk else None,
        disk_read_bytes_per_second=over(sum, [each.read_bytes_per_second for each in disks]),
        disk_write_bytes_per_second=over(sum, [each.write_bytes_per_second for each in disks]),
        network_receive_bytes_per_second=over(sum, [each.receive_bytes_per_second for each in networks]),
        network_transmit_bytes_per_second=over(sum, [each.transmit_bytes_per_second for each in networks]),
        gpu_count=len(gpus),
        gpu_utilization=over(fmean, [gpu.utilization for gpu in gpus]),
        gpu_memory_used_bytes=used if total else None,
        gpu_memory_total_bytes=total or None,
        gpu_temperature_celsius=over(max, [gpu.temperature_celsius for gpu in gpus]),
        gpu_power_watts=over(sum, [gpu.power_watts for gpu in gpus]),
        models_loaded=count_answering(snapshot),
        slots_busy=over(sum, [model.busy_slots for model in models]),
        slots_total=over(sum, [model.slot_count for model in models]),
        requests_deferred=over(sum, [model.requests_deferred for model in models]),
    )


def main_file_system(file_systems: Sequence[FileSystem]) -> FileSystem | None:
    """That of `/`, or else the largest; None without any."""
    largest = max(file_systems, key=lambda each: each.total_bytes, default=None)
    return next((each for each in file_systems if each.mountpoint == "/"), largest)


def count_answering(snapshot: Snapshot) -> int:
    """Models that answer on servers that are up; one for a server that does not name its model."""
    tiers = count_models(tuple(snapshot.servers.values()), configured={})
    return sum(tier.available or 0 for tier in tiers.values())


def over(combine: Callable[[list[Number]], Number], figures: Iterable[Number | None]) -> Number | None:
    """Of those that are known; None where none is."""
    known = [each for each in figures if each is not None]
    return combine(known) if known else None
