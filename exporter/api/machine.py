"""What several contracts show of the machine, its GPUs and the requests, in the same units: pure figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exporter.api.documents import percent
from exporter.api.views import Views
from exporter.live.totals import Sums
from exporter.system.snapshot import GpuSnapshot, Snapshot
from exporter.system.summary import Summary, over

MB = 1e6
MIB = 1 << 20
DIGITS = 2
BUCKETS_A_MINUTE = 6
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


def sampled_at(views: Views, snapshot: Snapshot) -> float:
    """When the machine was looked at, in UTC seconds since the epoch; now where it is not."""
    status = snapshot.collectors.get("host")
    age = 0.0 if status is None or status.sampled_at is None else max(0.0, views.clock() - status.sampled_at)
    return views.wall() - age


def sums_of(views: Views) -> Sums:
    """Requests since the start; none where nothing is recorded."""
    return views.totals.whole() if views.recording else Sums()


def requests_last_minute(views: Views) -> int:
    """That have ended."""
    buckets = views.windows.recent(views.clock(), views.wall(), BUCKETS_A_MINUTE)
    return sum(bucket.queries for bucket in buckets)


def share(part: float | None, whole: float | None) -> float | None:
    """0 to 1; None where one of both is not known, or the whole is nothing."""
    return part / whole if part is not None and whole else None


def known_percent(part: float | None) -> float | None:
    """A share from 0 to 1 in percent; None where it is not known."""
    return None if part is None else percent(part, DIGITS)


def rounded(figure: float | None) -> float | None:
    """Never below 0; None where it is not known."""
    return None if figure is None else round(max(0.0, figure), DIGITS)


def network_rates(summary: Summary) -> dict[str, float]:
    """`rx` and `tx` of all interfaces together, in MB a second; 0 as long as there are no rates."""
    received, sent = summary.network_receive_bytes_per_second, summary.network_transmit_bytes_per_second
    return {"rx": round((received or 0.0) / MB, 3), "tx": round((sent or 0.0) / MB, 3)}


def gpu_figures(summary: Summary, gpus: Sequence[GpuSnapshot]) -> dict[str, Any]:
    """All GPUs as one, by key; memory in bytes. Each figure is taken over the GPUs that have it, and left out where
    none has."""
    used, total = summary.gpu_memory_used_bytes, summary.gpu_memory_total_bytes
    figures = {
        "gpuUsage": known_percent(summary.gpu_utilization),
        "gpuMemoryUsage": known_percent(share(used, total)),
        "gpuMemoryTotal": over(sum, [gpu.memory_total_bytes for gpu in gpus]),
        "gpuMemoryUsed": over(sum, [gpu.memory_used_bytes for gpu in gpus]),
        "gpuPowerUsage": rounded(summary.gpu_power_watts),
        "gpuPowerLimit": rounded(over(sum, [gpu.power_limit_watts for gpu in gpus])),
        "gpuTemperature": rounded(summary.gpu_temperature_celsius),
        "gpuName": gpu_name(gpus),
    }
    return {key: figure for key, figure in figures.items() if figure is not None}


def gpu_name(gpus: Sequence[GpuSnapshot]) -> str | None:
    """`NVIDIA H200`; of two `NVIDIA H200 x2`, whatever the second is, and whether or not it can be read."""
    if not gpus:
        return None
    return gpus[0].name if len(gpus) == 1 else f"{gpus[0].name} x{len(gpus)}"


def nested_gpu(flat: dict[str, Any]) -> dict[str, Any]:
    """What `gpu_figures` says, in the form of later front ends, whose memory is in MiB; empty without a GPU."""
    found = {name: flat[key] for key, name in NESTED_GPU.items() if key in flat}
    for name in ("memoryUsed", "memoryTotal"):
        if name in found:
            found[name] = round(found[name] / MIB, DIGITS)
    return found
