"""One moment of the machine and the servers, as it is stored: needs no database."""

from __future__ import annotations

from typing import NamedTuple


class Sample(NamedTuple):
    """Shares are 0 to 1. None: unknown, or there is none."""

    taken_us: int
    """UTC microseconds since the epoch."""
    cpu_utilization: float | None = None
    load_1m: float | None = None
    memory_used_bytes: float | None = None
    memory_total_bytes: float | None = None
    disk_used_bytes: float | None = None
    """Of the file system of `/`, or else of the largest."""
    disk_total_bytes: float | None = None
    """What of it users can have, used or not."""
    disk_read_bytes_per_second: float | None = None
    disk_write_bytes_per_second: float | None = None
    network_receive_bytes_per_second: float | None = None
    network_transmit_bytes_per_second: float | None = None
    gpu_count: float | None = None
    gpu_utilization: float | None = None
    """Mean of all GPUs."""
    gpu_memory_used_bytes: float | None = None
    """Of all GPUs together."""
    gpu_memory_total_bytes: float | None = None
    gpu_temperature_celsius: float | None = None
    """Of the hottest."""
    gpu_power_watts: float | None = None
    """Of all GPUs together."""
    models_loaded: float | None = None
    """Models that can answer."""
    slots_busy: float | None = None
    slots_total: float | None = None
    requests_deferred: float | None = None
    """Waiting inside the servers."""
    requests_in_flight: float | None = None
    """At the sidecar."""
