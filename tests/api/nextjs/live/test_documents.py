"""What the namespaces say, beside the contract's own examples."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from exporter.api.nextjs.live import documents
from exporter.live.logbook import Line
from exporter.models.model import Model, Status
from exporter.system.snapshot import CollectorStatus, GpuSnapshot, HostSnapshot, ProcessSnapshot, Snapshot
from tests.api.views import WALL, Clock, make_live, make_views
from tests.telemetry.examples import record

AT = 1_705_312_800.0
"""2024-01-15T10:00:00Z"""
EXAMPLES: dict[str, Any] = {
    "metrics:update": {"timestamp": "2024-01-15T10:00:00Z", "cpu": 45.2, "memory": 67.8, "gpu": 85.5, "requests": 15},
    "models:update": {
        "models": [
            {
                "id": "llama-2-7b-chat",
                "status": "running",
                "memoryUsage": 4096,
                "lastActivity": "2024-01-15T10:00:00Z",
            }
        ]
    },
    "model:loading": {
        "modelId": "llama-2-7b-chat",
        "progress": 75,
        "stage": "loading_weights",
        "estimatedTimeRemaining": 15,
    },
    "model:loaded": {"modelId": "llama-2-7b-chat", "loadTime": 45, "memoryUsage": 4096},
    "logs:update": {
        "logs": [
            {
                "id": "log_12345",
                "timestamp": "2024-01-15T10:00:00Z",
                "level": "info",
                "source": "llama-server",
                "message": "Model loaded successfully",
                "metadata": {"model": "llama-2-7b-chat", "loadTime": 45},
            }
        ]
    },
}
LLAMA = Model("llama-2-7b-chat", Status.RUNNING, memory_bytes=4096 << 20, last_used_at=AT, load_seconds=45.0)


def same(document: Any, example: Any) -> bool:
    """Whether it reads as the example does, with milliseconds in its times."""
    return bool(json.loads(json.dumps(document).replace(".000Z", "Z")) == example)


def host(**fields: Any) -> HostSnapshot:
    values: dict[str, Any] = {
        "cpu_count": 8,
        "cpu_seconds": {},
        "cpu_utilization": 0.4521,
        "memory_total_bytes": 1000,
        "memory_available_bytes": 322,
        "memory_used_bytes": 678,
        "memory_by_state_bytes": {},
        "swap_total_bytes": 0,
        "swap_used_bytes": 0,
        "load_1m": None,
        "load_5m": None,
        "load_15m": None,
        "boot_time": 0.0,
        "file_systems": (),
        "disks": (),
        "networks": (),
        "process": ProcessSnapshot(0.0, 0, 0, None, 1, 0.0),
    }
    return HostSnapshot(**(values | fields))


def test_metrics_are_those_of_the_machine_and_of_the_last_minute() -> None:
    clock = Clock()
    live = make_live(clock)
    for _ in range(15):
        live.record(record())
    clock.now += 30
    gpu = GpuSnapshot("GPU-1", 0, "NVIDIA GeForce RTX 3080", "nvidia", utilization=0.855)
    snapshot = Snapshot(host=host(), gpus=(gpu,))
    views = make_views(live, clock, snapshot=lambda: snapshot)
    example = EXAMPLES["metrics:update"] | {"timestamp": "2026-11-20T08:33:00Z"}
    assert same(documents.metrics_update(views), example)
    clock.now += 60
    assert documents.metrics_update(views)["requests"] == 0


def test_metrics_of_a_machine_that_nobody_has_looked_at() -> None:
    assert documents.metrics_update(make_views()) == {
        "timestamp": "2026-11-20T08:32:30.000Z",
        "cpu": None,
        "memory": None,
        "requests": 0,
    }
    assert WALL == 1_795_163_550


def test_metrics_carry_the_time_of_their_sample() -> None:
    clock = Clock()
    snapshot = Snapshot(collectors={"host": CollectorStatus("host", True, 0.1, clock.now)})
    clock.now += 60
    shown = documents.metrics_update(make_views(clock=clock, snapshot=lambda: snapshot))
    assert shown["timestamp"] == "2026-11-20T08:32:30.000Z"


def test_requests_that_nobody_records_are_not_none() -> None:
    assert documents.metrics_update(make_views(recording=False))["requests"] is None


def test_a_gpu_that_tells_nothing_is_left_out() -> None:
    snapshot = Snapshot(gpus=(GpuSnapshot("GPU-1", 0, "lost", "nvidia", error="gpu_is_lost"),))
    assert "gpu" not in documents.metrics_update(make_views(snapshot=lambda: snapshot))


def test_models() -> None:
    assert same({"models": [documents.model_update(LLAMA)]}, EXAMPLES["models:update"])
    unknown = documents.model_update(Model("x", Status.STOPPED))
    assert unknown == {"id": "x", "status": "stopped", "memoryUsage": None, "lastActivity": None}


def test_what_happens_to_a_model() -> None:
    loading = replace(LLAMA, status=Status.LOADING, progress=0.75, stage="loading_weights", remaining_seconds=15.0)
    assert same(documents.model_loading(LLAMA.name, loading), EXAMPLES["model:loading"])
    assert same(documents.model_loaded(LLAMA.name, LLAMA), EXAMPLES["model:loaded"])
    assert documents.model_loading("x", None) == {
        "modelId": "x",
        "progress": 0,
        "stage": "loading",
        "estimatedTimeRemaining": None,
    }
    assert documents.model_loaded("x", None) == {"modelId": "x", "loadTime": None, "memoryUsage": None}


def test_lines() -> None:
    fields = {"model": "llama-2-7b-chat", "loadTime": 45}
    line = Line(12345, AT, "info", "llama-server", "Model loaded successfully", fields)
    assert same(documents.logs_update([line]), EXAMPLES["logs:update"])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.5, 1.5),
        (True, True),
        (None, None),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ((1, 2), [1, 2]),
        ([True, None, 1.5, float("nan"), "x"], [True, None, 1.5, "nan", "x"]),
        ([["a"], {"b": (object,)}], [["a"], {"b": ["<class 'object'>"]}]),
        (AT, AT),
        ("\ud800", "\ud800"),
    ],
)
def test_whatever_stands_beside_a_line(value: Any, shown: Any) -> None:
    assert documents.plain({"key": value}) == {"key": shown}
