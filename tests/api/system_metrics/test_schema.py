"""The validator refuses what the real one refuses, so that the other tests mean something."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.system_metrics.schema import faults

METRICS: dict[str, Any] = {
    "cpuUsage": 12.5,
    "memoryUsage": 25,
    "diskUsage": 100.0,
    "activeModels": 1,
    "totalRequests": 0,
    "avgResponseTime": 0.0,
    "uptime": 7,
    "timestamp": "2026-11-20T08:32:30.000Z",
}
GPU: dict[str, Any] = {
    "gpuUsage": 1.5,
    "gpuMemoryUsage": 2,
    "gpuMemoryTotal": 3,
    "gpuMemoryUsed": 4,
    "gpuPowerUsage": 5.5,
    "gpuPowerLimit": 6,
    "gpuTemperature": 7.5,
    "gpuName": "",
}
TIME = {"timestamp": "2026-11-20T08:32:30.123Z"}


@pytest.mark.parametrize(
    "document",
    [
        {"metrics": METRICS, **TIME},
        {"metrics": METRICS | GPU, **TIME},
        *({"metrics": METRICS | {key: value}, **TIME} for key, value in GPU.items()),
        {"error": "why", **TIME},
    ],
)
def test_it_accepts(document: object) -> None:
    assert faults(document) == []


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        {"metrics": METRICS},
        {"metrics": None, **TIME},
        {"metrics": METRICS, **TIME, "success": True},
        {"metrics": METRICS, **TIME, "error": None},
        {**TIME, "metrics": METRICS},
        {"error": {"message": "why"}, **TIME},
        {"error": "why", **TIME, "details": "more"},
        {"error": "why", "timestamp": 1},
    ],
)
def test_it_refuses(document: object) -> None:
    assert faults(document)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, None) for key in METRICS | GPU),
        *((key, "1") for key in METRICS | GPU if key not in ("timestamp", "gpuName")),
        *((key, -1) for key in METRICS | GPU),
        *((key, True) for key in METRICS | GPU),
        *((key, float("nan")) for key in METRICS | GPU),
        ("cpuUsage", 100.01),
        ("gpuMemoryUsage", 100.01),
        ("activeModels", 1.5),
        ("totalRequests", 2**53),
        ("timestamp", "2026-11-20T08:32:30.000+00:00"),
        ("timestamp", "2026-11-20T08:32:30Z"),
        ("timestamp", "2026-11-20T08:32:30.000z"),
        ("timestamp", "2026-11-20 08:32:30.000Z"),
        ("timestamp", "2026-02-30T08:32:30.000Z"),
        ("gpuFan", 1),
    ],
)
def test_it_refuses_figures(key: str, value: object) -> None:
    assert faults({"metrics": METRICS | GPU | {key: value}, **TIME})


@pytest.mark.parametrize("key", METRICS)
def test_it_misses_keys(key: str) -> None:
    assert faults({"metrics": {name: value for name, value in METRICS.items() if name != key}, **TIME})
