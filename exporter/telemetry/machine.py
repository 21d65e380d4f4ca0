"""Families about the machine: host, file systems, disks, networks, the sidecar's process, GPUs, indexes, Redis.

`snapshot` calls it at each scrape with the newest samples. Names and labels follow OpenTelemetry's system, process and
hardware conventions (v1.44).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from exporter.system.nvidia import THROTTLE_REASONS
from exporter.system.snapshot import FileSystem, GpuSnapshot, HostSnapshot, IndexSnapshot, RedisSnapshot
from exporter.telemetry import catalog
from exporter.telemetry.catalog import Metric
from exporter.telemetry.guard import clean
from exporter.telemetry.sampled import Row, Sampled, single


def host_families(host: HostSnapshot, now: float) -> Iterator[Sampled]:
    """Everything about the host and the sidecar's process; `now` is UTC seconds since the epoch."""
    yield from _cpu(host)
    yield from _memory(host)
    yield from _file_systems(host.file_systems)
    yield from _disks(host)
    yield from _networks(host)
    yield single(catalog.SYSTEM_UPTIME, max(0.0, now - host.boot_time))
    yield from _process(host, now)


def _cpu(host: HostSnapshot) -> Iterator[Sampled]:
    yield Sampled(catalog.CPU_TIME, (((mode,), seconds) for mode, seconds in host.cpu_seconds.items()))
    yield single(catalog.CPU_UTILIZATION, host.cpu_utilization)
    yield single(catalog.LOGICAL_CPUS, host.cpu_count)
    yield single(catalog.LOAD_1M, host.load_1m)
    yield single(catalog.LOAD_5M, host.load_5m)
    yield single(catalog.LOAD_15M, host.load_15m)


def _memory(host: HostSnapshot) -> Iterator[Sampled]:
    yield Sampled(catalog.MEMORY_USAGE, (((state,), size) for state, size in host.memory_by_state_bytes.items()))
    yield single(catalog.MEMORY_LIMIT, host.memory_total_bytes)
    yield single(catalog.MEMORY_AVAILABLE, host.memory_available_bytes)
    swap = (("used", host.swap_used_bytes), ("free", host.swap_total_bytes - host.swap_used_bytes))
    yield Sampled(catalog.PAGING_USAGE, (((state,), size) for state, size in swap))


def _file_systems(systems: Sequence[FileSystem]) -> Iterator[Sampled]:
    named = [((clean(each.device), clean(each.mountpoint), clean(each.type)), each) for each in systems]
    yield Sampled(
        catalog.FILESYSTEM_USAGE,
        (((*labels, state), size) for labels, each in named for state, size in _space(each)),
    )
    yield Sampled(catalog.FILESYSTEM_LIMIT, ((labels, each.total_bytes) for labels, each in named))


def _space(system: FileSystem) -> tuple[tuple[str, int], ...]:
    """Space by state; together they are the whole, so what neither is used nor may be used is `reserved`."""
    reserved = system.total_bytes - system.used_bytes - system.free_bytes
    return ("used", system.used_bytes), ("free", system.free_bytes), ("reserved", max(0, reserved))


def _disks(host: HostSnapshot) -> Iterator[Sampled]:
    ways = ("read", "write")
    named = [(clean(each.device), each) for each in host.disks]
    yield _both_ways(catalog.DISK_IO, ways, [(name, disk.read_bytes, disk.write_bytes) for name, disk in named])
    yield _both_ways(catalog.DISK_OPERATIONS, ways, [(name, disk.reads, disk.writes) for name, disk in named])


def _networks(host: HostSnapshot) -> Iterator[Sampled]:
    ways = ("receive", "transmit")
    named = [(clean(each.interface), each) for each in host.networks]
    yield _both_ways(catalog.NETWORK_IO, ways, [(name, net.receive_bytes, net.transmit_bytes) for name, net in named])
    packets = [(name, net.receive_packets, net.transmit_packets) for name, net in named]
    yield _both_ways(catalog.NETWORK_PACKETS, ways, packets)
    errors = [(name, net.receive_errors, net.transmit_errors) for name, net in named]
    yield _both_ways(catalog.NETWORK_ERRORS, ways, errors)


def _both_ways(metric: Metric, ways: tuple[str, str], totals: Sequence[tuple[str, int, int]]) -> Sampled:
    rows: list[Row] = []
    for name, first, second in totals:
        rows += (((name, ways[0]), first), ((name, ways[1]), second))
    return Sampled(metric, rows)


def _process(host: HostSnapshot, now: float) -> Iterator[Sampled]:
    process = host.process
    yield single(catalog.PROCESS_CPU_TIME, process.cpu_seconds)
    yield single(catalog.PROCESS_MEMORY, process.resident_bytes)
    yield single(catalog.PROCESS_VIRTUAL_MEMORY, process.virtual_bytes)
    yield single(catalog.PROCESS_OPEN_FDS, process.open_fds)
    yield single(catalog.PROCESS_THREADS, process.threads)
    yield single(catalog.PROCESS_UPTIME, max(0.0, now - process.started_at))


def gpu_families(gpus: Sequence[GpuSnapshot]) -> Iterator[Sampled]:
    """Everything about the GPUs; a lost one keeps its status and loses the rest."""
    named = [((clean(gpu.id), clean(gpu.name), gpu.vendor, str(gpu.index)), gpu) for gpu in gpus]
    yield Sampled(catalog.GPU_INFO, (((*labels, gpu.driver_version or ""), 1) for labels, gpu in named))
    yield _of_gpus(catalog.GPU_STATUS, named, _status)
    yield Sampled(catalog.GPU_UTILIZATION, (((*labels, "general"), gpu.utilization) for labels, gpu in named))
    for metric, read in _GPU_FIGURES:
        yield Sampled(metric, _figures(read, named))
    yield _of_gpus(catalog.GPU_CLOCK, named, _clocks)
    yield _of_gpus(catalog.GPU_THROTTLE_REASON, named, _throttle_reasons)


def retrieval_families(index: IndexSnapshot | None, redis: RedisSnapshot | None) -> Iterator[Sampled]:
    """What applications keep beside the models."""
    yield single(catalog.INDEX_SIZE, index.bytes if index is not None else None)
    yield single(catalog.REDIS_USED_MEMORY, redis.used_memory_bytes if redis is not None else None)


_Named = Sequence[tuple[tuple[str, ...], GpuSnapshot]]
_Read = Callable[[GpuSnapshot], float | None]
_Figure = tuple[str, float | None]

_GPU_FIGURES: tuple[tuple[Metric, _Read], ...] = (
    (catalog.GPU_MEMORY_CONTROLLER, lambda gpu: gpu.memory_utilization),
    (catalog.GPU_MEMORY_USAGE, lambda gpu: gpu.memory_used_bytes),
    (catalog.GPU_MEMORY_LIMIT, lambda gpu: gpu.memory_total_bytes),
    (catalog.GPU_TEMPERATURE, lambda gpu: gpu.temperature_celsius),
    (catalog.GPU_POWER, lambda gpu: gpu.power_watts),
    (catalog.GPU_POWER_LIMIT, lambda gpu: gpu.power_limit_watts),
    (catalog.GPU_ENERGY, lambda gpu: gpu.energy_joules),
    (catalog.GPU_FAN, lambda gpu: gpu.fan_ratio),
)


def _figures(read: _Read, named: _Named) -> Iterator[Row]:
    return ((labels, read(gpu)) for labels, gpu in named)


def _of_gpus(metric: Metric, named: _Named, figures: Callable[[GpuSnapshot], Iterator[_Figure]]) -> Sampled:
    """A family with one more label: `figures` gives its values and theirs."""
    return Sampled(metric, (((*labels, key), value) for labels, gpu in named for key, value in figures(gpu)))


def _status(gpu: GpuSnapshot) -> Iterator[_Figure]:
    yield "ok", gpu.error is None
    yield "failed", gpu.error is not None


def _clocks(gpu: GpuSnapshot) -> Iterator[_Figure]:
    yield "graphics", gpu.graphics_clock_hertz
    yield "memory", gpu.memory_clock_hertz


def _throttle_reasons(gpu: GpuSnapshot) -> Iterator[_Figure]:
    if gpu.throttle_reasons is None:
        return
    for reason in dict.fromkeys((*THROTTLE_REASONS.values(), *gpu.throttle_reasons)):
        yield reason, reason in gpu.throttle_reasons
