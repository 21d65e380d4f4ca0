"""NVIDIA GPUs through NVML (`pynvml` of nvidia-ml-py); `sampler` runs it in a thread.

The library is loaded at the first sample, never at import. A machine without the driver has no GPUs, which is a good
answer; it is asked again once a minute, so a driver that is loaded later is found. A GPU that falls off the bus is a
good answer too: it keeps its identity and says why it cannot be read, until it comes back.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pynvml

from exporter.errors import CollectorError
from exporter.system.snapshot import GpuSnapshot

log = logging.getLogger(__name__)

RETRY_SECONDS = 60.0
"""Loading the library and starting NVML can take seconds on a large machine: not at every sample."""

THROTTLE_REASONS = {
    0x002: "applications_clocks_setting",
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal",
    0x040: "hw_thermal",
    0x080: "hw_power_brake",
    0x100: "display_clock_setting",
}
"""Bits of NVML's clocks event reasons. 0x001, GPU idle, is left out: an idle GPU is not being held back."""

NO_DRIVER = frozenset({pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED})
DRIVER_GONE = frozenset({pynvml.NVML_ERROR_UNINITIALIZED, pynvml.NVML_ERROR_DRIVER_NOT_LOADED})
NOT_GIVEN = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        pynvml.NVML_ERROR_NO_DATA,
        pynvml.NVML_ERROR_DEPRECATED,
    }
)
"""What a GPU or driver answers for a figure that it does not have; nothing is wrong with the GPU."""


class NvidiaCollector:
    """All GPUs that NVML lists, and those that it listed before and no longer does."""

    name = "nvidia"

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, retry_seconds: float = RETRY_SECONDS) -> None:
        self.available = False
        """Whether NVML is running."""
        self._clock = clock
        self._retry_seconds = retry_seconds
        self._next_try: float | None = None
        self._start_error: str | None = None
        self._known: dict[str, GpuSnapshot] = {}
        self._id_at: dict[int, str] = {}
        self._told = False

    def collect(self) -> tuple[GpuSnapshot, ...]:
        """One snapshot per GPU in NVML's order, empty without a driver. Raises CollectorError if NVML fails."""
        if not self._start():
            return self._missing("driver_not_loaded")
        try:
            return self._read()
        except pynvml.NVMLError as error:
            if error.value in DRIVER_GONE:
                self.close()
                return self._missing(error_word(error))  # reloaded under us, it may be back at the next sample
            self._stop()
            self._start_error = f"NVML: {error_word(error)}"
            raise CollectorError(self._start_error) from None

    def close(self) -> None:
        """Let go of NVML; the next `collect` starts it again."""
        self._stop()
        self._next_try = None

    def _stop(self) -> None:
        if self.available:
            self.available = False
            with contextlib.suppress(pynvml.NVMLError):
                pynvml.nvmlShutdown()

    def _start(self) -> bool:
        """Whether NVML is running, after trying to start it if that is due. Raises CollectorError while it fails to."""
        if self.available:
            return True
        now = self._clock()
        if self._next_try is None or now >= self._next_try:
            self._next_try = now + self._retry_seconds
            self._start_error = self._try_to_start()
        if self._start_error is not None:
            raise CollectorError(self._start_error)
        return self.available

    def _try_to_start(self) -> str | None:
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            if error.value not in NO_DRIVER:
                return f"NVML does not start: {error_word(error)}"
            if not self._told:
                self._told = True
                log.info("no NVIDIA driver here, so no NVIDIA GPUs", extra={"reason": error_word(error)})
        else:
            self.available = True
            self._told = False
        return None

    def _read(self) -> tuple[GpuSnapshot, ...]:
        driver_version = _text(pynvml.nvmlSystemGetDriverVersion())
        gpus = [self._read_gpu(index, driver_version) for index in range(pynvml.nvmlDeviceGetCount())]
        ids = {gpu.id for gpu in gpus}
        gpus += [_lost(gpu, "gpu_is_lost") for gpu in self._known.values() if gpu.id not in ids]
        if any(gpu.error for gpu in gpus):
            self._start_afresh_when_due()
        return tuple(gpus)

    def _read_gpu(self, index: int, driver_version: str) -> GpuSnapshot:
        gpu = self._identity(index, driver_version)
        try:
            device = pynvml.nvmlDeviceGetHandleByIndex(index)
            gpu = read_identity(device, index, driver_version)
            self._known[gpu.id], self._id_at[index] = gpu, gpu.id
            return read_figures(device, gpu)
        except pynvml.NVMLError as error:
            if error.value in DRIVER_GONE:
                raise
            return _lost(gpu, error_word(error))

    def _identity(self, index: int, driver_version: str) -> GpuSnapshot:
        """Who the GPU at `index` was; one that was never readable has no better identity than its number."""
        unknown = GpuSnapshot(f"nvidia-{index}", index, "NVIDIA GPU", "nvidia", driver_version)
        return self._known.get(self._id_at.get(index, ""), unknown)

    def _start_afresh_when_due(self) -> None:
        """A lost GPU comes back only to a fresh start of NVML; not at every sample, since that is slow."""
        now = self._clock()
        if self._next_try is not None and now >= self._next_try:
            self.close()

    def _missing(self, reason: str) -> tuple[GpuSnapshot, ...]:
        return tuple(_lost(gpu, reason) for gpu in self._known.values())


@dataclass(slots=True)
class _Figures:
    """Reads figures one by one: what is not given is None; remembers whether anything was given, or failed."""

    device: Any
    given: int = 0
    failure: pynvml.NVMLError | None = None

    def read(self, function: str, *arguments: Any) -> Any:
        """The answer of one NVML function. Raises NVMLError when the GPU or the driver is gone."""
        try:
            answer = getattr(pynvml, function)(self.device, *arguments)
        except pynvml.NVMLError as error:
            if error.value == pynvml.NVML_ERROR_GPU_IS_LOST or error.value in DRIVER_GONE:
                raise
            if error.value not in NOT_GIVEN:
                self.failure = error
            return None
        except AttributeError:
            return None  # an nvidia-ml-py that is older than the function
        self.given += 1
        return answer

    def number(self, function: str, *arguments: Any, times: int = 1, per: int = 1) -> float | None:
        """A single number, converted to another unit."""
        answer = self.read(function, *arguments)
        return None if answer is None else answer * times / per


def read_identity(device: Any, index: int, driver_version: str) -> GpuSnapshot:
    """Who a GPU is, without its figures. Raises NVMLError."""
    return GpuSnapshot(
        id=_text(pynvml.nvmlDeviceGetUUID(device)),
        index=index,
        name=_text(pynvml.nvmlDeviceGetName(device)),
        vendor="nvidia",
        driver_version=driver_version,
    )


def read_figures(device: Any, identity: GpuSnapshot) -> GpuSnapshot:
    """`identity` with its figures. Raises NVMLError when the GPU is lost, or gives nothing at all because it fails.

    The figures are those of nvidia-smi. On an H200 with driver 580, utilization is that of the last 0.2 s, power the
    mean of the last second, and energy is counted every 0.1 s; reading the energy is most of the 4 ms of a sample.
    """
    figures = _Figures(device)
    utilization = figures.read("nvmlDeviceGetUtilizationRates")
    # Version 2 does not count what the driver keeps for itself as used; drivers before 510 lack it.
    memory = figures.read("nvmlDeviceGetMemoryInfo", pynvml.nvmlMemory_v2) or figures.read("nvmlDeviceGetMemoryInfo")
    temperature = figures.number("nvmlDeviceGetTemperature", pynvml.NVML_TEMPERATURE_GPU)
    if temperature is None:
        temperature = figures.number("nvmlDeviceGetTemperatureV", pynvml.NVML_TEMPERATURE_GPU)
    # The same figure under its new name; drivers before 535 know the old one only.
    reasons = figures.read("nvmlDeviceGetCurrentClocksEventReasons")
    if reasons is None:
        reasons = figures.read("nvmlDeviceGetCurrentClocksThrottleReasons")
    gpu = replace(
        identity,
        utilization=utilization.gpu / 100 if utilization else None,
        memory_utilization=utilization.memory / 100 if utilization else None,
        memory_total_bytes=memory.total if memory else None,
        memory_used_bytes=memory.used if memory else None,
        temperature_celsius=temperature,
        power_watts=figures.number("nvmlDeviceGetPowerUsage", per=1000),
        power_limit_watts=figures.number("nvmlDeviceGetEnforcedPowerLimit", per=1000),
        energy_joules=figures.number("nvmlDeviceGetTotalEnergyConsumption", per=1000),
        fan_ratio=figures.number("nvmlDeviceGetFanSpeed", per=100),
        graphics_clock_hertz=figures.number("nvmlDeviceGetClockInfo", pynvml.NVML_CLOCK_GRAPHICS, times=1_000_000),
        memory_clock_hertz=figures.number("nvmlDeviceGetClockInfo", pynvml.NVML_CLOCK_MEM, times=1_000_000),
        throttle_reasons=None if reasons is None else throttle_reasons(reasons),
    )
    if figures.given == 0 and figures.failure is not None:
        raise figures.failure
    return gpu


def throttle_reasons(bits: int) -> tuple[str, ...]:
    """Names of the set bits that hold the clocks back; bits that NVML adds later are left out."""
    return tuple(name for bit, name in THROTTLE_REASONS.items() if bits & bit)


def error_word(error: pynvml.NVMLError) -> str:
    """`gpu_is_lost` for NVMLError_GpuIsLost, and so on; `unknown` for codes that nvidia-ml-py does not know."""
    name = type(error).__name__.removeprefix("NVMLError").lstrip("_")
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() or "unknown"


def _lost(gpu: GpuSnapshot, reason: str) -> GpuSnapshot:
    return GpuSnapshot(gpu.id, gpu.index, gpu.name, gpu.vendor, gpu.driver_version, error=reason)


def _text(value: str | bytes) -> str:
    # nvidia-ml-py's releases differ in whether they decode.
    return value.decode(errors="replace") if isinstance(value, bytes) else value
