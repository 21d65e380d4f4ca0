from __future__ import annotations

from pathlib import Path

import pytest

from exporter.system.amd import AmdCollector
from exporter.system.snapshot import GpuSnapshot

DEVICE = {
    "vendor": "0x1002",
    "device": "0x744c",
    "product_name": "Radeon RX 7900 XTX",
    "gpu_busy_percent": "97",
    "mem_busy_percent": "41",
    "mem_info_vram_total": "25753026560",
    "mem_info_vram_used": "21474836480",
    "power/runtime_status": "active",
}
HWMON = {
    "temp1_input": "68000",
    "power1_average": "322000000",
    "power1_cap": "339000000",
    "fan1_input": "1500",
    "fan1_max": "3000",
    "freq1_input": "2482000000",
    "freq2_input": "1249000000",
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")


def add_card(sysfs: Path, number: int, address: str, device: dict[str, str], hwmon: dict[str, str]) -> Path:
    """A card as the kernel shows it: card<n>/device is a link to the PCI device."""
    pci = sysfs / "devices/pci0000:00" / address
    write(pci, device)
    if hwmon:
        write(pci / f"hwmon/hwmon{number + 3}", hwmon)
    card = sysfs / "class/drm" / f"card{number}"
    card.mkdir(parents=True)
    (card / "device").symlink_to(pci)
    return pci


def test_every_figure(tmp_path: Path) -> None:
    add_card(tmp_path, 0, "0000:03:00.0", DEVICE, HWMON)
    write(tmp_path / "module/amdgpu", {"version": "6.12.12"})
    assert AmdCollector(sysfs=tmp_path).collect() == (
        GpuSnapshot(
            id="0000:03:00.0",
            index=0,
            name="Radeon RX 7900 XTX",
            vendor="amd",
            driver_version="6.12.12",
            error=None,
            utilization=0.97,
            memory_utilization=0.41,
            memory_total_bytes=25753026560,
            memory_used_bytes=21474836480,
            temperature_celsius=68.0,
            power_watts=322.0,
            power_limit_watts=339.0,
            energy_joules=None,
            fan_ratio=0.5,
            graphics_clock_hertz=2482000000.0,
            memory_clock_hertz=1249000000.0,
            throttle_reasons=None,
        ),
    )


def test_only_amd_cards_count_in_the_order_of_their_numbers_and_connectors_are_no_cards(tmp_path: Path) -> None:
    add_card(tmp_path, 10, "0000:c3:00.0", {"vendor": "0x1002", "device": "0x1586"}, {})
    add_card(tmp_path, 2, "0000:03:00.0", DEVICE, HWMON)
    add_card(tmp_path, 0, "0000:00:02.0", {"vendor": "0x8086"}, {})
    (tmp_path / "class/drm/card2-DP-1").mkdir()
    (tmp_path / "class/drm/renderD128").mkdir()
    gpus = AmdCollector(sysfs=tmp_path).collect()
    assert [(gpu.id, gpu.index, gpu.name) for gpu in gpus] == [
        ("0000:03:00.0", 0, "Radeon RX 7900 XTX"),
        ("0000:c3:00.0", 1, "AMD GPU 0x1586"),
    ]
    assert gpus[1] == GpuSnapshot("0000:c3:00.0", 1, "AMD GPU 0x1586", "amd")


def test_newer_chips_give_the_power_of_the_moment(tmp_path: Path) -> None:
    hwmon = {name: value for name, value in HWMON.items() if name != "power1_average"}
    add_card(tmp_path, 0, "0000:03:00.0", DEVICE, hwmon | {"power1_input": "55000000"})
    assert AmdCollector(sysfs=tmp_path).collect()[0].power_watts == 55.0


@pytest.mark.parametrize("missing", [*DEVICE, *HWMON])
def test_a_file_that_is_missing_or_cannot_be_read_is_one_unknown_figure(tmp_path: Path, missing: str) -> None:
    pci = add_card(tmp_path, 0, "0000:03:00.0", DEVICE, HWMON)
    whole = AmdCollector(sysfs=tmp_path).collect()[0]
    path = next(path for path in pci.rglob("*") if path.is_file() and str(path).endswith(missing))
    path.unlink()
    path.mkdir()  # reading a folder fails, for root as well
    gpus = AmdCollector(sysfs=tmp_path).collect()
    if missing == "vendor":
        assert gpus == ()
        return
    changed = {name for name in GpuSnapshot.__slots__ if getattr(gpus[0], name) != getattr(whole, name)}
    harmless = {"device", "power/runtime_status"}
    assert len(changed) == (0 if missing in harmless else 1)
    assert gpus[0].id == "0000:03:00.0"


def test_words_where_numbers_should_be_are_unknown(tmp_path: Path) -> None:
    add_card(tmp_path, 0, "0000:03:00.0", DEVICE | {"gpu_busy_percent": "busy"}, HWMON | {"fan1_max": "0"})
    gpu = AmdCollector(sysfs=tmp_path).collect()[0]
    assert (gpu.utilization, gpu.fan_ratio, gpu.memory_utilization) == (None, None, 0.41)


def test_a_gpu_that_is_switched_off_is_not_woken_by_looking(tmp_path: Path) -> None:
    add_card(tmp_path, 0, "0000:03:00.0", DEVICE | {"power/runtime_status": "suspended"}, HWMON)
    assert AmdCollector(sysfs=tmp_path).collect() == (GpuSnapshot("0000:03:00.0", 0, "Radeon RX 7900 XTX", "amd"),)


def test_a_card_that_is_no_link_to_a_pci_device_is_known_by_its_number(tmp_path: Path) -> None:
    write(tmp_path / "class/drm/card7/device", {"vendor": "0x1002"})
    collector = AmdCollector(sysfs=tmp_path)
    assert collector.collect() == (GpuSnapshot("card7", 0, "AMD GPU 7", "amd"),)
    collector.close()


def test_a_card_whose_device_is_gone_is_no_card(tmp_path: Path) -> None:
    add_card(tmp_path, 0, "0000:03:00.0", DEVICE, HWMON)
    card = tmp_path / "class/drm/card1"
    card.mkdir()
    (card / "device").symlink_to(tmp_path / "devices/unplugged")
    assert [gpu.id for gpu in AmdCollector(sysfs=tmp_path).collect()] == ["0000:03:00.0"]


def test_a_machine_without_graphics_has_no_gpus(tmp_path: Path) -> None:
    assert AmdCollector(sysfs=tmp_path).collect() == ()
