"""What psutil says of the machine and of our own process; `sampler` runs it in a thread.

Nothing here relies on psutil's own memory of earlier calls (`cpu_percent`, `nowrap`): that is shared by everyone in the
process, so a second caller would spoil the rates. In a container the figures are the host's, as far as the kernel shows
them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import psutil

from exporter.system.file_systems import FileSystemReader
from exporter.system.rates import SHORTEST_SECONDS, Rates
from exporter.system.snapshot import DiskIO, HostSnapshot, NetworkIO, ProcessSnapshot

T = TypeVar("T")

IGNORED_DISKS = re.compile(r"^(?:z?ram|loop|fd|(?:h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$")
"""node_exporter's default (--collector.diskstats.device-exclude): memory, loops, floppies, partitions."""
IGNORED_INTERFACES = frozenset({"lo", "lo0"})

CPU_MODES = {"irq": "interrupt", "softirq": "interrupt", "dpc": "interrupt"}
"""psutil's names that the OTel conventions (`cpu.mode`) know under another one; the others are the same in both."""
CPU_MODES_COUNTED_TWICE = frozenset({"guest", "guest_nice"})
"""Linux counts these in user and nice as well."""
IDLE_MODES = ("idle", "iowait")


class HostCollector:
    """CPU, memory, load, file systems, disks, networks, and the sidecar's own process."""

    name = "host"

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        file_systems: FileSystemReader | None = None,
    ) -> None:
        self._clock = clock
        self._cpu = CpuMeter()
        # From now to the first sample is a first share: who asks early should not be told that nobody works here.
        self._cpu.update(clock(), cpu_seconds(psutil.cpu_times()._asdict()))
        self._disk_rates = Rates()
        self._network_rates = Rates()
        self._file_systems = file_systems or FileSystemReader()
        self._process = psutil.Process()

    def collect(self) -> HostSnapshot:
        """Read everything once. What the platform lacks is None or empty; raises only without CPU or memory."""
        seconds = cpu_seconds(psutil.cpu_times()._asdict())
        utilization = self._cpu.update(self._clock(), seconds)
        memory = psutil.virtual_memory()
        swap = _unless_missing(psutil.swap_memory)
        load = _unless_missing(psutil.getloadavg)
        return HostSnapshot(
            cpu_count=psutil.cpu_count() or 1,
            cpu_seconds=seconds,
            cpu_utilization=utilization,
            memory_total_bytes=memory.total,
            memory_available_bytes=memory.available,
            memory_used_bytes=memory.total - memory.available,
            memory_by_state_bytes=memory_states(memory._asdict()),
            swap_total_bytes=swap.total if swap else 0,
            swap_used_bytes=swap.used if swap else 0,
            load_1m=load[0] if load else None,
            load_5m=load[1] if load else None,
            load_15m=load[2] if load else None,
            boot_time=psutil.boot_time(),
            file_systems=_unless_missing(self._file_systems.read) or (),
            disks=_unless_missing(self._read_disks) or (),
            networks=_unless_missing(self._read_networks) or (),
            process=read_process(self._process),
        )

    def close(self) -> None:
        """End the thread that reads the file systems."""
        self._file_systems.close()

    def _read_disks(self) -> tuple[DiskIO, ...]:
        # nowrap=True would keep a history that is shared with every other caller in the process.
        counters = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
        kept = {device: io for device, io in sorted(counters.items()) if not IGNORED_DISKS.match(device)}
        totals = {device: (float(io.read_bytes), float(io.write_bytes)) for device, io in kept.items()}
        rates = self._disk_rates.update(self._clock(), totals)
        return tuple(
            DiskIO(device, io.read_bytes, io.write_bytes, io.read_count, io.write_count, *rates[device])
            for device, io in kept.items()
        )

    def _read_networks(self) -> tuple[NetworkIO, ...]:
        counters = psutil.net_io_counters(pernic=True, nowrap=False)
        kept = {name: io for name, io in sorted(counters.items()) if name not in IGNORED_INTERFACES}
        totals = {name: (float(io.bytes_recv), float(io.bytes_sent)) for name, io in kept.items()}
        rates = self._network_rates.update(self._clock(), totals)
        return tuple(
            NetworkIO(
                interface=name,
                receive_bytes=io.bytes_recv,
                transmit_bytes=io.bytes_sent,
                receive_packets=io.packets_recv,
                transmit_packets=io.packets_sent,
                receive_errors=io.errin,
                transmit_errors=io.errout,
                receive_bytes_per_second=rates[name][0],
                transmit_bytes_per_second=rates[name][1],
            )
            for name, io in kept.items()
        )


class CpuMeter:
    """Share of CPU time spent busy between two readings of the per-mode totals."""

    def __init__(self) -> None:
        self._time: float | None = None
        self._seconds: Mapping[str, float] = {}
        self._last: float | None = None

    def update(self, now: float, seconds: Mapping[str, float]) -> float | None:
        """0 to 1, or None in the first reading; within 0.1 s the share known before, as for `Rates`.

        Idle and waiting for disks are not busy. A mode that goes backwards by a little (Linux warns of that for iowait)
        counts as nothing.
        """
        if self._time is not None and now - self._time < SHORTEST_SECONDS:
            return self._last
        spent = {mode: max(0.0, total - self._seconds.get(mode, total)) for mode, total in seconds.items()}
        whole = sum(spent.values())
        idle = sum(spent.get(mode, 0.0) for mode in IDLE_MODES)
        self._last = (whole - idle) / whole if self._time is not None and whole > 0 else None
        self._time, self._seconds = now, seconds
        return self._last


def cpu_seconds(times: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds since boot by mode in the words of the OTel conventions; guests are left in user and nice."""
    seconds: dict[str, float] = {}
    for mode, value in times.items():
        if mode not in CPU_MODES_COUNTED_TWICE:
            name = CPU_MODES.get(mode, mode)
            seconds[name] = seconds.get(name, 0.0) + value
    return seconds


def memory_states(memory: Mapping[str, int]) -> dict[str, int]:
    """Bytes by state; they add up to the total, which psutil's own `used` does not do on every platform and version."""
    states = {state: memory[state] for state in ("free", "cached", "buffers") if state in memory}
    return {"used": max(0, memory["total"] - sum(states.values())), **states}


def read_process(process: psutil.Process) -> ProcessSnapshot:
    """Our own CPU time, memory, descriptors and threads."""
    with process.oneshot():
        times, memory = process.cpu_times(), process.memory_info()
        return ProcessSnapshot(
            cpu_seconds=times.user + times.system,
            resident_bytes=memory.rss,
            virtual_bytes=memory.vms,
            open_fds=_unless_missing(lambda: _open_fds(process)),
            threads=process.num_threads(),
            started_at=process.create_time(),
        )


def _open_fds(process: psutil.Process) -> int:
    return process.num_fds()  # the attribute itself is missing on some platforms


def _unless_missing(read: Callable[[], T]) -> T | None:
    """What `read` gives, or None where the platform or the container does not let us read it."""
    try:
        return read()
    except (OSError, psutil.Error, AttributeError, NotImplementedError, RuntimeError, ValueError):
        return None
