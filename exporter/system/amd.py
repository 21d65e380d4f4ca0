"""AMD GPUs through sysfs (`/sys/class/drm/card*/device/`, driver amdgpu); `sampler` runs it in a thread.

Every figure is one small file; what is missing, unreadable or vanishes while we look is None.
"""

from __future__ import annotations

import re
from pathlib import Path

from exporter.system.snapshot import GpuSnapshot

AMD_VENDOR = "0x1002"
CARD = re.compile(r"^card(\d+)$")
"""A GPU; its connectors are called card0-DP-1 and so on."""
PCI_ADDRESS = re.compile(r"^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$", re.IGNORECASE)


class AmdCollector:
    """All AMD GPUs below a root of sysfs."""

    name = "amd"

    def __init__(self, *, sysfs: Path = Path("/sys")) -> None:
        self._sysfs = sysfs

    def collect(self) -> tuple[GpuSnapshot, ...]:
        """One snapshot per AMD card by card number; empty where there is none."""
        driver_version = _text(self._sysfs / "module/amdgpu/version")
        cards = sorted(self._cards().items())
        amd = [(number, device) for number, device in cards if _text(device / "vendor") == AMD_VENDOR]
        return tuple(_read_gpu(index, number, device, driver_version) for index, (number, device) in enumerate(amd))

    def close(self) -> None:
        """Nothing is held open."""

    def _cards(self) -> dict[int, Path]:
        try:
            entries = list((self._sysfs / "class/drm").iterdir())
        except OSError:
            return {}
        return {int(match[1]): entry / "device" for entry in entries if (match := CARD.match(entry.name))}


def _read_gpu(index: int, number: int, device: Path, driver_version: str | None) -> GpuSnapshot:
    identity = GpuSnapshot(
        id=_pci_address(device) or f"card{number}",
        index=index,
        name=_text(device / "product_name") or f"AMD GPU {_text(device / 'device') or number}",
        vendor="amd",
        driver_version=driver_version,
    )
    # Reading the sensors of a laptop's sleeping GPU would switch it on.
    return identity if _text(device / "power/runtime_status") == "suspended" else _with_figures(identity, device)


def _with_figures(identity: GpuSnapshot, device: Path) -> GpuSnapshot:
    sensors = _hwmon(device)
    power = _number(sensors / "power1_average", per=1_000_000)
    fan, fan_limit = _number(sensors / "fan1_input"), _number(sensors / "fan1_max")
    return GpuSnapshot(
        id=identity.id,
        index=identity.index,
        name=identity.name,
        vendor=identity.vendor,
        driver_version=identity.driver_version,
        utilization=_number(device / "gpu_busy_percent", per=100),
        memory_utilization=_number(device / "mem_busy_percent", per=100),
        memory_total_bytes=_integer(device / "mem_info_vram_total"),
        memory_used_bytes=_integer(device / "mem_info_vram_used"),
        temperature_celsius=_number(sensors / "temp1_input", per=1000),
        # Newer chips give the power of the moment only.
        power_watts=power if power is not None else _number(sensors / "power1_input", per=1_000_000),
        power_limit_watts=_number(sensors / "power1_cap", per=1_000_000),
        fan_ratio=fan / fan_limit if fan is not None and fan_limit else None,
        graphics_clock_hertz=_number(sensors / "freq1_input"),
        memory_clock_hertz=_number(sensors / "freq2_input"),
    )


def _pci_address(device: Path) -> str | None:
    """`device` is a link to ../../../0000:03:00.0."""
    name = device.resolve().name
    return name if PCI_ADDRESS.match(name) else None


def _hwmon(device: Path) -> Path:
    try:
        return min((device / "hwmon").iterdir())
    except (OSError, ValueError):
        return device / "hwmon"  # there is none: every figure in it will be None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:
        return None


def _integer(path: Path) -> int | None:
    try:
        return int(_text(path) or "")
    except ValueError:
        return None


def _number(path: Path, *, per: int = 1) -> float | None:
    value = _integer(path)
    return None if value is None else value / per
