"""The shapes of `/api/metrics`: what is sampled and counted, in the keys and units of the contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any, TypeVar, cast

from exporter.api.documents import percent
from exporter.api.system_metrics.documents import (
    Data,
    EnvelopedMetrics,
    Gpu,
    Metrics,
    NestedMetrics,
    Network,
    SystemMetrics,
)
from exporter.api.views import Views
from exporter.live.totals import Sums
from exporter.system.availability import count_models
from exporter.system.snapshot import FileSystem, GpuSnapshot, HostSnapshot, Snapshot, gpu_memory_bytes
from exporter.utc import utc

Number = TypeVar("Number", int, float)

MB = 1e6
MIB = 1 << 20
DIGITS = 2
NESTED_GPU = {
    "gpuUsage": "usage",
    "gpuMemoryUsed": "memoryUsed",
    "gpuMemoryTotal": "memoryTotal",
    "gpuPowerUsage": "powerUsage",
    "gpuPowerLimit": "powerLimit",
    "gpuTemperature": "temperature",
    "gpuName": "name",
}
"""What later front ends call it within `gpu`."""


def system_metrics(views: Views, snapshot: Snapshot) -> SystemMetrics:
    """What is known now. What is not known is 0; of the GPUs, absent."""
    wall, now, host = views.wall(), views.clock(), snapshot.host
    sums = views.totals.whole() if views.recording else Sums()
    metrics: Metrics = {
        "cpuUsage": percent(host.cpu_utilization if host else None, DIGITS),
        "memoryUsage": percent(_share(host.memory_used_bytes, host.memory_total_bytes) if host else None, DIGITS),
        "diskUsage": percent(disk_share(host.file_systems) if host else None, DIGITS),
        "activeModels": active_models(snapshot),
        "totalRequests": sums.requests,
        "avgResponseTime": round(sums.mean_seconds * 1000, DIGITS),
        "uptime": views.uptime_seconds,
        "timestamp": utc(wall - _host_age_seconds(snapshot, now)),
    }
    return {"metrics": cast(Metrics, {**metrics, **gpu_figures(snapshot.gpus)}), "timestamp": utc(wall)}


def in_envelope(document: SystemMetrics, host: HostSnapshot | None) -> EnvelopedMetrics:
    """The same with `success`, and with `data` as all front ends that there were read it."""
    metrics = document["metrics"]
    return {**document, "success": True, "data": cast(Data, {**metrics, **nested_figures(metrics, host)})}


def nested_figures(metrics: Metrics, host: HostSnapshot | None) -> NestedMetrics:
    """The figures under the keys of later front ends; `gpu` is absent without a GPU."""
    nested: NestedMetrics = {
        "cpu": {"usage": metrics["cpuUsage"]},
        "memory": {"used": metrics["memoryUsage"]},
        "disk": {"used": metrics["diskUsage"]},
        "network": network_rates(host),
    }
    if "gpuName" in metrics:
        nested["gpu"] = nested_gpu(metrics)
    return nested


def active_models(snapshot: Snapshot) -> int:
    """Models that answer on servers that are up; one for a server that does not name its model."""
    tiers = count_models(tuple(snapshot.servers.values()), configured={})
    return sum(tier.available or 0 for tier in tiers.values())


def disk_share(file_systems: Sequence[FileSystem]) -> float | None:
    """Of `/`, or else of the largest: used of what users can have (0 to 1), as `df` counts it; None without any."""
    largest = max(file_systems, key=lambda each: each.total_bytes, default=None)
    chosen = next((each for each in file_systems if each.mountpoint == "/"), largest)
    return None if chosen is None else _share(chosen.used_bytes, chosen.used_bytes + chosen.free_bytes)


def network_rates(host: HostSnapshot | None) -> Network:
    """Of all interfaces together; 0 as long as there are no rates."""
    networks = host.networks if host else ()
    received = sum(each.receive_bytes_per_second or 0.0 for each in networks)
    sent = sum(each.transmit_bytes_per_second or 0.0 for each in networks)
    return {"rx": round(received / MB, 3), "tx": round(sent / MB, 3)}


def gpu_figures(gpus: Sequence[GpuSnapshot]) -> dict[str, Any]:
    """All GPUs as one, by key. Each figure is taken over the GPUs that have it, and left out where none has."""
    figures = {
        "gpuUsage": _percent(_over(fmean, [gpu.utilization for gpu in gpus])),
        "gpuMemoryUsage": _percent(_share(*gpu_memory_bytes(gpus))),
        "gpuMemoryTotal": _over(sum, [gpu.memory_total_bytes for gpu in gpus]),
        "gpuMemoryUsed": _over(sum, [gpu.memory_used_bytes for gpu in gpus]),
        "gpuPowerUsage": _rounded(_over(sum, [gpu.power_watts for gpu in gpus])),
        "gpuPowerLimit": _rounded(_over(sum, [gpu.power_limit_watts for gpu in gpus])),
        "gpuTemperature": _rounded(_over(max, [gpu.temperature_celsius for gpu in gpus])),
        "gpuName": gpu_name(gpus),
    }
    return {key: figure for key, figure in figures.items() if figure is not None}


def gpu_name(gpus: Sequence[GpuSnapshot]) -> str | None:
    """`NVIDIA H200`; of two `NVIDIA H200 x2`, whatever the second is, and whether or not it can be read."""
    if not gpus:
        return None
    return gpus[0].name if len(gpus) == 1 else f"{gpus[0].name} x{len(gpus)}"


def nested_gpu(metrics: Metrics) -> Gpu:
    """What `metrics` says of the GPUs in the form of later front ends, whose memory is in MiB."""
    flat = cast(dict[str, Any], metrics)
    found = {name: flat[key] for key, name in NESTED_GPU.items() if key in flat}
    for name in ("memoryUsed", "memoryTotal"):
        if name in found:
            found[name] = round(found[name] / MIB, DIGITS)
    return cast(Gpu, found)


def _host_age_seconds(snapshot: Snapshot, now: float) -> float:
    """Since the machine was looked at; 0 where it is not."""
    status = snapshot.collectors.get("host")
    return 0.0 if status is None or status.sampled_at is None else max(0.0, now - status.sampled_at)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _over(combine: Callable[[list[Number]], Number], figures: Sequence[Number | None]) -> Number | None:
    known = [each for each in figures if each is not None]
    return combine(known) if known else None


def _percent(share: float | None) -> float | None:
    return None if share is None else percent(share, DIGITS)


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(max(0.0, figure), DIGITS)
