"""The frozen results of sampling: what each collector saw the last time it looked.

Collectors make these, `sampler.Sampler.latest` holds the newest, the rooms under `api/` and `telemetry.snapshot` read
them.
Unknown is `None`. Sizes are bytes, shares are 0 to 1, rates are per second of the collector's own monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class FileSystem:
    """One mounted file system of the host."""

    device: str
    mountpoint: str
    type: str
    total_bytes: int
    used_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class DiskIO:
    """Totals since boot of one block device, and rates since the sample before (None in the first one)."""

    device: str
    read_bytes: int
    write_bytes: int
    reads: int
    writes: int
    read_bytes_per_second: float | None
    write_bytes_per_second: float | None


@dataclass(frozen=True, slots=True)
class NetworkIO:
    """Totals since boot of one network interface, and rates since the sample before (None in the first one)."""

    interface: str
    receive_bytes: int
    transmit_bytes: int
    receive_packets: int
    transmit_packets: int
    receive_errors: int
    transmit_errors: int
    receive_bytes_per_second: float | None
    transmit_bytes_per_second: float | None


@dataclass(frozen=True, slots=True)
class ProcessSnapshot:
    """The sidecar's own process."""

    cpu_seconds: float
    resident_bytes: int
    virtual_bytes: int
    open_fds: int | None
    threads: int
    started_at: float
    """UTC seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class HostSnapshot:
    """The machine the sidecar runs on."""

    cpu_count: int
    """Logical CPUs."""
    cpu_seconds: Mapping[str, float]
    """CPU time since boot by mode (user, system, idle, iowait, ...), summed over CPUs."""
    cpu_utilization: float | None
    """Share of all CPU time spent busy since the sample before; None in the first one."""
    memory_total_bytes: int
    memory_available_bytes: int
    memory_used_bytes: int
    """Total less available."""
    memory_by_state_bytes: Mapping[str, int]
    """used, free, cached, buffers, as the OTel system conventions name the states."""
    swap_total_bytes: int
    swap_used_bytes: int
    load_1m: float | None
    load_5m: float | None
    load_15m: float | None
    boot_time: float
    """UTC seconds since the epoch."""
    file_systems: tuple[FileSystem, ...]
    disks: tuple[DiskIO, ...]
    networks: tuple[NetworkIO, ...]
    process: ProcessSnapshot


@dataclass(frozen=True, slots=True)
class GpuSnapshot:
    """One GPU. A figure that the driver does not give is None; a lost GPU has `error` set and keeps its identity."""

    id: str
    """Stable identity: UUID (NVIDIA), PCI address (AMD)."""
    index: int
    name: str
    vendor: str
    """nvidia or amd."""
    driver_version: str | None = None
    error: str | None = None
    """Why this GPU could not be read, as a low-cardinality word (gpu_is_lost, unknown, ...)."""
    utilization: float | None = None
    """0 to 1."""
    memory_utilization: float | None = None
    """Share of time in which memory was read or written, 0 to 1."""
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    energy_joules: float | None = None
    """Since the driver was loaded."""
    fan_ratio: float | None = None
    graphics_clock_hertz: float | None = None
    memory_clock_hertz: float | None = None
    throttle_reasons: tuple[str, ...] | None = None
    """Reasons now active (sw_power_cap, hw_slowdown, sw_thermal, ...); empty when none; None when not known."""


def gpu_memory_bytes(gpus: Iterable[GpuSnapshot]) -> tuple[int, int]:
    """Used and total, over the GPUs that tell both."""
    known = [
        (gpu.memory_used_bytes, gpu.memory_total_bytes)
        for gpu in gpus
        if gpu.memory_used_bytes is not None and gpu.memory_total_bytes is not None
    ]
    return sum(used for used, _ in known), sum(total for _, total in known)


class ServerState(StrEnum):
    """What `/health` of an upstream says."""

    READY = "ready"
    LOADING = "loading"
    """It answers 503 while the model is loading."""
    BUSY = "busy"
    """It does not answer in time, while it works on requests of ours."""
    UNREACHABLE = "unreachable"
    ERROR = "error"
    """It answers, but not as a healthy llama-server does."""


class ModelState(StrEnum):
    """State of a model; the words of llama-server's router mode."""

    UNLOADED = "unloaded"
    LOADING = "loading"
    LOADED = "loaded"
    SLEEPING = "sleeping"
    DOWNLOADING = "downloading"
    FAILED = "failed"


ANSWERING = frozenset((ModelState.LOADED, ModelState.SLEEPING))
"""States in which a model answers without being loaded first."""


@dataclass(frozen=True, slots=True)
class SlotSnapshot:
    """One slot of one model, from `/slots`."""

    id: int
    processing: bool
    context_size: int | None
    context_used: int | None
    """Tokens of prompt and answer now in the slot's context, as far as the build tells."""


@dataclass(frozen=True, slots=True)
class MirroredSample:
    """One sample of llama-server's own `/metrics`, kept under its own name."""

    name: str
    type: str
    """As its TYPE line says: counter or gauge."""
    help: str
    labels: tuple[tuple[str, str], ...]
    value: float


@dataclass(frozen=True, slots=True)
class ModelSnapshot:
    """One model that an upstream serves or could serve."""

    id: str
    """The name that clients use."""
    state: ModelState
    aliases: tuple[str, ...] = ()
    file_name: str | None = None
    """Last part of the model's path; never the whole path."""
    quantization: str | None = None
    """As users choose it (Q4_K_M): from the router's tag or the file's name, else from llama-server's `model_ftype`."""
    parameters: int | None = None
    size_bytes: int | None = None
    context_size: int | None = None
    """`n_ctx` of a slot."""
    training_context_size: int | None = None
    slots: tuple[SlotSnapshot, ...] = ()
    total_slots: int | None = None
    """From `/props`, also where `/slots` is off."""
    requests_processing: int | None = None
    requests_deferred: int | None = None
    mirrored: tuple[MirroredSample, ...] = ()
    file_type: str | None = None
    """llama-server's own `model_ftype` as it says it (`Q4_K - Medium`, `all F32`); can contradict `quantization`."""
    tier: str = "unknown"
    """As configured for its upstream, else from its quantization; `unknown` where that does not tell."""
    vision: bool | None = None
    """Whether it takes images."""
    audio: bool | None = None
    """Whether it takes sound."""
    tools: bool | None = None
    """Whether its chat template knows tools; None also while a router has it unloaded."""
    routed_name: str | None = None
    """Behind a router, the exact name to ask it for; `id` may be shorter. None where the upstream is no router."""

    @property
    def slot_count(self) -> int | None:
        """Requests that it can work on at once; None where nothing tells."""
        return len(self.slots) or self.total_slots

    @property
    def busy_slots(self) -> int | None:
        """Slots that work; where `/slots` is off, requests that the server works on."""
        return sum(slot.processing for slot in self.slots) if self.slots else self.requests_processing

    @property
    def context_tokens(self) -> int | None:
        """Tokens that all slots together have room for; None where nothing tells."""
        if self.slots:
            return sum(slot.context_size or self.context_size or 0 for slot in self.slots) or None
        return (self.context_size or 0) * (self.total_slots or 0) or None

    @property
    def context_tokens_used(self) -> int | None:
        """Tokens in the slots that work, as far as the build tells: what idle ones hold is a cache. None where nobody
        tells of slots."""
        return sum(slot.context_used or 0 for slot in self.slots if slot.processing) if self.slots else None


@dataclass(frozen=True, slots=True)
class LlamaServerSnapshot:
    """One upstream as its own endpoints describe it."""

    upstream: str
    tiers: tuple[str, ...]
    """Tiers of its models, each once; while it is down or loading, those that it had last. At least one."""
    state: ServerState
    health_seconds: float | None = None
    """Round trip of the health check; None when there was no answer."""
    router: bool = False
    """Whether it runs in router mode (several models)."""
    build: str | None = None
    models: tuple[ModelSnapshot, ...] = ()
    error: str | None = None
    """Why it is not ready, in words that an operator understands, without the address."""

    @property
    def up(self) -> bool:
        """Whether requests can be answered now."""
        return self.state is ServerState.READY or self.state is ServerState.BUSY

    @property
    def only_model(self) -> ModelSnapshot | None:
        """The one that it answers everything with, whatever it is asked for; None of a router."""
        return self.models[0] if len(self.models) == 1 and not self.router else None


@dataclass(frozen=True, slots=True)
class HealthSnapshot:
    """One health check of one upstream."""

    upstream: str
    state: ServerState
    """READY also where there is no `/health`, but an answer."""
    health_seconds: float | None = None
    """Round trip; None when there was no answer."""


@dataclass(frozen=True, slots=True)
class IndexSnapshot:
    """The vector indexes beside which the sidecar runs."""

    bytes: int
    """Of all files in the configured paths together."""


@dataclass(frozen=True, slots=True)
class RedisSnapshot:
    """The Redis that applications cache in."""

    used_memory_bytes: int
    """What Redis has allocated for everything it holds."""


@dataclass(frozen=True, slots=True)
class CollectorStatus:
    """How a collector's last run went."""

    name: str
    success: bool
    duration_seconds: float
    sampled_at: float | None
    """Monotonic time of the last *successful* run, for the age of the sample; None when there was none."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that was sampled last. Parts that were never sampled are empty or None."""

    host: HostSnapshot | None = None
    gpus: tuple[GpuSnapshot, ...] = ()
    servers: Mapping[str, LlamaServerSnapshot] = field(default_factory=dict)
    """By upstream name, in configured order."""
    collectors: Mapping[str, CollectorStatus] = field(default_factory=dict)
    """By collector name: host, nvidia, amd, index, redis, `health:<upstream>` and `llama_server:<upstream>`."""
    index: IndexSnapshot | None = None
    redis: RedisSnapshot | None = None

    def only_models(self) -> dict[str, str]:
        """The model of each upstream that answers everything with it, whatever it is asked for."""
        only = ((name, server.only_model) for name, server in self.servers.items())
        return {name: model.id for name, model in only if model is not None}
