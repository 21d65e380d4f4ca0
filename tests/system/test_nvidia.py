from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.system.nvidia import error_word, throttle_reasons
from tests.system.fake_nvml import compile_library

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

Build = Callable[..., Path]
Results = list[dict[str, Any]]

FIRST = "GPU-00000000-aaaa-bbbb-cccc-dddddddddddd"
SECOND = "GPU-00000001-aaaa-bbbb-cccc-dddddddddddd"
FIGURES = (
    "utilization",
    "memory_utilization",
    "memory_total_bytes",
    "memory_used_bytes",
    "temperature_celsius",
    "power_watts",
    "power_limit_watts",
    "energy_joules",
    "fan_ratio",
    "graphics_clock_hertz",
    "memory_clock_hertz",
    "throttle_reasons",
)


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    built: dict[tuple[str, ...], Path] = {}

    def compile_once(*defines: str) -> Path:
        if defines not in built:
            built[defines] = compile_library(tmp_path_factory.mktemp("nvml"), *defines)
        return built[defines]

    return compile_once


def step(now: float = 0.0, *, close: bool = False, **settings: object) -> dict[str, Any]:
    environment = {f"FAKE_NVML_{name}": None if value is None else str(value) for name, value in settings.items()}
    return {"now": now, "close": close, "environment": environment}


def sample(folder: Path, *steps: dict[str, Any]) -> Results:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("FAKE_NVML", "LD_LIBRARY"))
    }
    environment |= {"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(ROOT)}
    if "coverage" in sys.modules and sys.modules["coverage"].Coverage.current() is not None:
        environment["COVERAGE_SETTINGS"] = str(ROOT / "pyproject.toml")
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", str(HERE / "nvml_steps.py"), json.dumps(steps)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: Results = json.loads(done.stdout)
    return results


def figures(gpu: dict[str, Any]) -> dict[str, Any]:
    return {name: gpu[name] for name in FIGURES}


def test_every_value_of_two_gpus(build: Build) -> None:
    [result] = sample(build(), step(THROTTLE=0x1 | 0x8 | 0x40 | 0x4000))
    first, second = result["gpus"]
    assert first == {
        "id": FIRST,
        "index": 0,
        "name": "NVIDIA H200",
        "vendor": "nvidia",
        "driver_version": "570.86.15",
        "error": None,
        "utilization": 0.87,
        "memory_utilization": 0.41,
        "memory_total_bytes": 24_000_000_000,
        "memory_used_bytes": 14_400_000_000,
        "temperature_celsius": 64,
        "power_watts": 612.345,
        "power_limit_watts": 700,
        "energy_joules": 123456.789,
        "fan_ratio": 0.35,
        "graphics_clock_hertz": 1_980_000_000,
        "memory_clock_hertz": 3_201_000_000,
        "throttle_reasons": ["sw_thermal"],
    }
    assert (second["id"], second["index"], second["name"]) == (SECOND, 1, "NVIDIA L4")
    # Nothing is not unknown: an idle GPU draws no energy that NVML counted, its fan stands, and it uses no cycles.
    assert (second["utilization"], second["energy_joules"], second["fan_ratio"]) == (0, 0, 0)
    assert (second["power_watts"], second["power_limit_watts"], second["temperature_celsius"]) == (16.5, 72, 38)
    assert second["throttle_reasons"] == ["hw_slowdown", "hw_thermal"]
    assert (result["available"], result["closed"], result["starts"]) == (True, True, 1)


def test_an_idle_gpu_is_not_throttled(build: Build) -> None:
    [result] = sample(build(), step(THROTTLE=0x1))
    assert result["gpus"][1]["throttle_reasons"] == []


def test_a_machine_without_the_library_has_no_gpus_and_says_so_once(tmp_path: Path) -> None:
    # Where this runs on a machine with a GPU, its library must not be found: the loader gives up at a broken one.
    (tmp_path / "libnvidia-ml.so.1").write_text("not a library")
    results = sample(tmp_path, step(0), step(5), step(61))
    assert [(result["gpus"], result["error"], result["available"]) for result in results] == [([], None, False)] * 3
    assert results[-1]["log"] == ["INFO no NVIDIA driver here, so no NVIDIA GPUs"]


def test_a_driver_that_is_loaded_later_is_found_within_a_minute(build: Build) -> None:
    driver_not_loaded = 9
    results = sample(build(), step(0, INIT=driver_not_loaded), step(59.9, INIT=None), step(60))
    assert [len(result["gpus"]) for result in results] == [0, 0, 2]
    assert [result["starts"] for result in results] == [1, 1, 2]


def test_nvml_that_does_not_start_fails_the_collector_and_is_tried_again_once_a_minute(build: Build) -> None:
    version_mismatch = 18
    results = sample(build(), step(0, INIT=version_mismatch), step(5), step(60), step(120, INIT=None))
    words = "NVML does not start: lib_rm_version_mismatch"
    assert [result["error"] for result in results] == [words, words, words, None]
    assert [result["starts"] for result in results] == [1, 1, 2, 3]
    assert len(results[-1]["gpus"]) == 2


def test_figures_that_are_not_supported_are_unknown(build: Build) -> None:
    # As on GPUs that share their memory with the CPU, or in MIG mode.
    not_supported = 3
    [result] = sample(build(), step(FIGURES=not_supported, FIGURES_OF=0))
    first, second = result["gpus"]
    assert (first["id"], first["name"], first["error"]) == (FIRST, "NVIDIA H200", None)
    assert figures(first) == dict.fromkeys(FIGURES)
    assert all(value is not None for value in figures(second).values())


def test_gpus_that_work_can_be_changed_while_they_are_read(build: Build, tmp_path: Path) -> None:
    """Whoever looks at the GPUs of a running sidecar relies on it."""
    (cool, hot) = (tmp_path / "cool", tmp_path / "hot")
    cool.write_text("")
    hot.write_text("TEMPERATURE0=96\nUTILIZATION0=100\nPOWER1=50000\n")
    (first, second), (changed, other) = (
        result["gpus"] for result in sample(build(), step(0, FILE=cool), step(5, FILE=hot))
    )
    assert all(value is not None for gpu in (first, second) for value in figures(gpu).values())
    for gpu in (first, second):
        assert 0 < gpu["utilization"] < 1
        assert 0 < gpu["power_watts"] < gpu["power_limit_watts"]
        assert 0 < gpu["memory_used_bytes"] < gpu["memory_total_bytes"]
    assert (changed["temperature_celsius"], changed["utilization"], changed["power_watts"]) == (96, 1, 700)
    assert changed["throttle_reasons"] == ["sw_thermal"]
    assert other["power_watts"] == 50
    assert changed["energy_joules"] > first["energy_joules"] > 0
    assert other["energy_joules"] > second["energy_joules"] > 0


def test_a_gpu_that_fails_at_every_figure_says_why(build: Build) -> None:
    unknown_error = 999
    [result] = sample(build(), step(FIGURES=unknown_error, FIGURES_OF=1))
    first, second = result["gpus"]
    assert (first["error"], first["utilization"]) == (None, 0.87)
    assert (second["error"], second["id"]) == ("unknown", SECOND)
    assert figures(second) == dict.fromkeys(FIGURES)


def test_an_old_driver_lacks_single_figures_only(build: Build) -> None:
    [result] = sample(build("OLD_DRIVER"), step())
    first = result["gpus"][0]
    assert first["energy_joules"] is None
    assert first["memory_used_bytes"] == 15_000_000_000  # version 1 counts what the driver keeps as used
    assert (first["memory_total_bytes"], first["temperature_celsius"]) == (24_000_000_000, 64)
    assert first["throttle_reasons"] == ["sw_power_cap"]
    assert (first["error"], first["utilization"]) == (None, 0.87)


def test_a_driver_without_the_deprecated_functions_is_read_by_the_new_ones(build: Build) -> None:
    [result] = sample(build("NEW_DRIVER"), step())
    first = result["gpus"][0]
    assert (first["temperature_celsius"], first["throttle_reasons"]) == (65, ["sw_thermal"])


def test_a_gpu_lost_in_the_middle_keeps_its_identity_and_comes_back_after_a_fresh_start(build: Build) -> None:
    results = sample(build(), step(0), step(5, LOST=1), step(10, LOST=None), step(60), step(65), step(70))
    seconds = [result["gpus"][1] for result in results]
    assert [gpu["error"] for gpu in seconds] == [None, "gpu_is_lost", "gpu_is_lost", "gpu_is_lost", None, None]
    assert {(gpu["id"], gpu["name"], gpu["index"], gpu["driver_version"]) for gpu in seconds} == {
        (SECOND, "NVIDIA L4", 1, "570.86.15")
    }
    assert figures(seconds[1]) == dict.fromkeys(FIGURES)
    assert figures(seconds[4]) == figures(seconds[0])
    # The other one is read all the time, and NVML was not started again before a minute had passed.
    assert [result["gpus"][0]["utilization"] for result in results] == [0.87] * 6
    assert [result["starts"] for result in results] == [1, 1, 1, 1, 2, 2]


def test_a_gpu_lost_from_the_start_is_known_by_its_number(build: Build) -> None:
    [result] = sample(build(), step(LOST=0))
    lost, good = result["gpus"]
    assert (lost["id"], lost["error"], lost["name"]) == ("nvidia-0", "gpu_is_lost", "NVIDIA GPU")
    assert (good["id"], good["error"]) == (SECOND, None)


def test_a_gpu_that_is_no_longer_listed_is_lost(build: Build) -> None:
    results = sample(build(), step(0), step(5, COUNT=1, FIRST=1), step(10, COUNT=2, FIRST=0))
    gone, back = results[1]["gpus"], results[2]["gpus"]
    assert [(gpu["id"], gpu["index"], gpu["error"]) for gpu in gone] == [(SECOND, 0, None), (FIRST, 0, "gpu_is_lost")]
    assert [(gpu["id"], gpu["index"], gpu["error"]) for gpu in back] == [(FIRST, 0, None), (SECOND, 1, None)]


@pytest.mark.parametrize(("code", "word"), [(1, "uninitialized"), (9, "driver_not_loaded")])
def test_a_driver_reloaded_under_us_is_started_again_at_the_next_sample(build: Build, code: int, word: str) -> None:
    results = sample(build(), step(0), step(5, SYSTEM=code), step(10, SYSTEM=None))
    assert [gpu["error"] for gpu in results[1]["gpus"]] == [word, word]
    assert [gpu["id"] for gpu in results[1]["gpus"]] == [FIRST, SECOND]
    assert [gpu["error"] for gpu in results[2]["gpus"]] == [None, None]
    assert [result["starts"] for result in results] == [1, 1, 2]


@pytest.mark.parametrize(("code", "words"), [(1, ["uninitialized"] * 2), (15, [None, "gpu_is_lost"])])
def test_a_gpu_or_driver_that_goes_while_figures_are_read(build: Build, code: int, words: list[str | None]) -> None:
    results = sample(build(), step(0, FIGURES=code, FIGURES_OF=1), step(5, FIGURES=None))
    assert [gpu["error"] for gpu in results[0]["gpus"]] == words
    assert [(gpu["id"], gpu["error"]) for gpu in results[1]["gpus"]] == [(FIRST, None), (SECOND, None)]


def test_the_gpus_of_a_driver_that_stays_away_are_remembered(build: Build) -> None:
    results = sample(build(), step(0), step(5, SYSTEM=9), step(10, INIT=9), step(15))
    assert [gpu["error"] for gpu in results[-1]["gpus"]] == ["driver_not_loaded"] * 2
    assert results[-1]["starts"] == 2


def test_another_failure_of_the_system_fails_the_collector(build: Build) -> None:
    results = sample(build(), step(0), step(5, SYSTEM=999), step(10, SYSTEM=None), step(60))
    assert [result["error"] for result in results] == [None, "NVML: unknown", "NVML: unknown", None]
    assert len(results[3]["gpus"]) == 2


def test_a_closed_collector_starts_again(build: Build) -> None:
    results = sample(build(), step(0), step(5, close=True))
    assert [gpu["error"] for gpu in results[1]["gpus"]] == [None, None]
    assert results[1]["starts"] == 2


def test_names_of_reasons_and_errors() -> None:
    import pynvml  # noqa: PLC0415 (only to make its errors)

    assert throttle_reasons(0x3FF) == (
        "applications_clocks_setting",
        "sw_power_cap",
        "hw_slowdown",
        "sync_boost",
        "sw_thermal",
        "hw_thermal",
        "hw_power_brake",
        "display_clock_setting",
    )
    assert error_word(pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)) == "gpu_is_lost"
    assert error_word(pynvml.NVMLError(4711)) == "unknown"
