"""The shapes of `/api/metrics`: what is sampled and counted, in the keys and units of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

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
from exporter.system.snapshot import GpuSnapshot, Snapshot
from exporter.system.summary import Summary, over, summarize
from exporter.utc import utc

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
    wall, summary = views.wall(), summarize(snapshot)
    sums = views.totals.whole() if views.recording else Sums()
    metrics: Metrics = {
        "cpuUsage": percent(summary.cpu_utilization, DIGITS),
        "memoryUsage": percent(_share(summary.memory_used_bytes, summary.memory_total_bytes), DIGITS),
        "diskUsage": percent(_share(summary.disk_used_bytes, summary.disk_total_bytes), DIGITS),
        "activeModels": summary.models_loaded,
        "totalRequests": sums.requests,
        "avgResponseTime": round(sums.mean_seconds * 1000, DIGITS),
        "uptime": views.uptime_seconds,
        "timestamp": utc(wall - _host_age_seconds(snapshot, views.clock())),
    }
    return {"metrics": cast(Metrics, {**metrics, **gpu_figures(summary, snapshot.gpus)}), "timestamp": utc(wall)}


def in_envelope(document: SystemMetrics, snapshot: Snapshot) -> EnvelopedMetrics:
    """The same with `success`, and with `data` as all front ends that there were read it."""
    metrics = document["metrics"]
    return {
        **document,
        "success": True,
        "data": cast(Data, {**metrics, **nested_figures(metrics, summarize(snapshot))}),
    }


def nested_figures(metrics: Metrics, summary: Summary) -> NestedMetrics:
    """The figures under the keys of later front ends; `gpu` is absent without a GPU."""
    nested: NestedMetrics = {
        "cpu": {"usage": metrics["cpuUsage"]},
        "memory": {"used": metrics["memoryUsage"]},
        "disk": {"used": metrics["diskUsage"]},
        "network": network_rates(summary),
    }
    if "gpuName" in metrics:
        nested["gpu"] = nested_gpu(metrics)
    return nested


def network_rates(summary: Summary) -> Network:
    """Of all interfaces together; 0 as long as there are no rates."""
    received, sent = summary.network_receive_bytes_per_second, summary.network_transmit_bytes_per_second
    return {"rx": round((received or 0.0) / MB, 3), "tx": round((sent or 0.0) / MB, 3)}


def gpu_figures(summary: Summary, gpus: Sequence[GpuSnapshot]) -> dict[str, Any]:
    """All GPUs as one, by key. Each figure is taken over the GPUs that have it, and left out where none has."""
    used, total = summary.gpu_memory_used_bytes, summary.gpu_memory_total_bytes
    figures = {
        "gpuUsage": _percent(summary.gpu_utilization),
        "gpuMemoryUsage": _percent(_share(used, total)),
        "gpuMemoryTotal": over(sum, [gpu.memory_total_bytes for gpu in gpus]),
        "gpuMemoryUsed": over(sum, [gpu.memory_used_bytes for gpu in gpus]),
        "gpuPowerUsage": _rounded(summary.gpu_power_watts),
        "gpuPowerLimit": _rounded(over(sum, [gpu.power_limit_watts for gpu in gpus])),
        "gpuTemperature": _rounded(summary.gpu_temperature_celsius),
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


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _percent(share: float | None) -> float | None:
    return None if share is None else percent(share, DIGITS)


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(max(0.0, figure), DIGITS)
