"""What the manager's own pages read, and what they would break on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exporter.api.nextjs.live.pages import documents as page_documents
from exporter.api.nextjs.live.pages.activity import Activity
from exporter.api.nextjs.live.sockets.packets import Text
from exporter.live.logbook import Line
from exporter.models.model import Model, Registered, Status
from exporter.models.server.managed import ManagedServer, ServerStatus
from exporter.system.snapshot import (
    CollectorStatus,
    FileSystem,
    GpuSnapshot,
    LlamaServerSnapshot,
    NetworkIO,
    ServerState,
    Snapshot,
)
from tests.api.nextjs.live.stage import BESIDE, NOW, RUNNING
from tests.api.nextjs.live.test_documents import host
from tests.api.views import Clock, make_views

GIB = 1 << 30
FLAT = {"cpuUsage", "memoryUsage", "diskUsage", "activeModels", "totalRequests", "avgResponseTime"}
NESTED = {"cpu", "memory", "disk", "network", "uptime", "timestamp"}
GPU = {
    "gpuUsage": 85.5,
    "gpuMemoryUsage": 40.0,
    "gpuMemoryUsed": 4096,
    "gpuMemoryTotal": 10240,
    "gpuPowerUsage": 200.0,
    "gpuPowerLimit": 320.0,
    "gpuTemperature": 72.0,
    "gpuName": "NVIDIA GeForce RTX 3080",
}


def shown_model(found: Model) -> dict[str, Any]:
    return page_documents.model(found, Activity(make_views()))


def metrics(**fields: Any) -> dict[str, Any]:
    snapshot = Snapshot(**fields)
    return page_documents.metrics(make_views(snapshot=lambda: snapshot))


def test_figures_for_earlier_and_for_later_pages() -> None:
    disk = FileSystem("/dev/sda", "/", "ext4", 1000, 469, 531)
    network = NetworkIO("eth0", 0, 0, 0, 0, 0, 0, 1_500_000.0, 250_000.0)
    figures = metrics(host=host(file_systems=(disk,), networks=(network,)))
    assert set(figures) == FLAT | NESTED
    assert (figures["cpuUsage"], figures["memoryUsage"], figures["diskUsage"]) == (45.21, 67.8, 46.9)
    assert (figures["cpu"], figures["memory"], figures["disk"]) == ({"usage": 45.21}, {"used": 67.8}, {"used": 46.9})
    assert figures["network"] == {"rx": 1.5, "tx": 0.25}
    assert figures["uptime"] == 90_061


def test_no_figure_is_made_up() -> None:
    """Pages take null for none; that of GPUs would break earlier ones, and later ones need the objects."""
    figures = metrics()
    assert set(figures) == FLAT | NESTED
    assert {key for key in FLAT if figures[key] is None} == {"cpuUsage", "memoryUsage", "diskUsage"}
    assert (figures["cpu"], figures["memory"], figures["disk"]) == ({"usage": None}, {"used": None}, {"used": None})
    assert figures["network"] == {"rx": None, "tx": None}
    unrecorded = page_documents.metrics(make_views(recording=False))
    assert (unrecorded["totalRequests"], unrecorded["avgResponseTime"]) == (None, None)


def test_metrics_carry_the_time_of_their_sample() -> None:
    clock = Clock()
    snapshot = Snapshot(collectors={"host": CollectorStatus("host", True, 0.1, clock.now)})
    clock.now += 60
    views = make_views(clock=clock, snapshot=lambda: snapshot)
    assert page_documents.metrics(views)["timestamp"] == "2026-11-20T08:32:30.000Z"


def test_figures_of_a_gpu() -> None:
    gpu = GpuSnapshot(
        "GPU-1",
        0,
        "NVIDIA GeForce RTX 3080",
        "nvidia",
        utilization=0.855,
        memory_used_bytes=4 * GIB,
        memory_total_bytes=10 * GIB,
        temperature_celsius=72.0,
        power_watts=200.0,
        power_limit_watts=320.0,
    )
    figures = metrics(gpus=(gpu,))
    assert {key: figures[key] for key in GPU} == GPU
    assert figures["gpu"] == {
        "usage": 85.5,
        "memoryUsed": 4096,
        "memoryTotal": 10240,
        "powerUsage": 200.0,
        "powerLimit": 320.0,
        "temperature": 72.0,
        "name": "NVIDIA GeForce RTX 3080",
    }


def test_a_lost_gpu_has_a_name() -> None:
    lost = GpuSnapshot("GPU-1", 0, "lost", "nvidia", error="gpu_is_lost")
    figures = metrics(gpus=(lost, lost))
    assert {key for key in figures if key.startswith("gpu")} == {"gpuName", "gpu"}
    assert figures["gpuName"] == "lost x2"


def test_a_model() -> None:
    shown = shown_model(RUNNING)
    assert shown == {
        "id": page_documents.model_id(RUNNING.name),
        "name": "llama-2-7b-chat",
        "type": "llama",
        "status": "running",
        "size": 4_000_000_000,
        "createdAt": "2026-11-20T08:32:30.000Z",
        "updatedAt": "2026-11-20T08:32:30.000Z",
        "path": "/srv/llama-2-7b-chat.gguf",
        "parameters": {"file_size_bytes": 4_000_000_000, "quantization_type": "Q4_K_M"},
        "memoryUsed": "4096 MB",
        "activeRequests": 0,
    }


def test_a_model_of_which_little_is_known() -> None:
    shown = shown_model(BESIDE)
    assert shown == {
        "id": page_documents.model_id("beside"),
        "name": "beside",
        "type": "other",
        "status": "idle",
        "parameters": {},
        "activeRequests": 0,
    }


def test_how_far_a_model_is_and_why_it_is_not() -> None:
    loading = shown_model(replace(RUNNING, status=Status.LOADING, progress=0.5))
    assert loading["progress"] == 50.0
    failed = shown_model(replace(RUNNING, status=Status.ERROR, error="out of memory", progress=0.5))
    assert (failed["status"], failed["error"]) == ("error", "out of memory")
    assert "progress" not in failed


@pytest.mark.parametrize("word", Status)
def test_pages_know_five_words(word: Status) -> None:
    assert page_documents.status(word) in {"running", "idle", "loading", "error", "stopped"}


def test_ids_are_numbers_for_pages_and_the_same_after_a_restart() -> None:
    assert page_documents.model_id("llama-2-7b-chat") == "63119930171079"
    found = {page_documents.model_id(f"model-{number}") for number in range(2000)}
    assert len(found) == 2000
    assert all(str(int(each)) == each and 0 < int(each) < 2**53 for each in found)


def test_a_line() -> None:
    line = Line(7, NOW, "warn", "proxy", "slow", {"seconds": 2})
    assert page_documents.log_entry(line) == {
        "id": "log_7",
        "level": "warn",
        "message": "slow",
        "timestamp": "2026-11-20T08:32:30.000Z",
        "source": "proxy",
        "context": {"seconds": 2, "source": "proxy"},
    }


def test_the_managed_server() -> None:
    server = ManagedServer(ServerStatus.CRASHED, 3, "out of memory", NOW - 60, None)
    assert page_documents.llama_status(make_views(), server, Text("[]")) == {
        "status": "crashed",
        "models": "[]",
        "lastError": "out of memory",
        "retries": 3,
        "uptime": 60,
        "startedAt": "2026-11-20T08:31:30.000Z",
    }


@pytest.mark.parametrize(
    ("states", "word"),
    [
        ((), "initial"),
        ((ServerState.UNREACHABLE,), "error"),
        ((ServerState.UNREACHABLE, ServerState.LOADING), "starting"),
        ((ServerState.UNREACHABLE, ServerState.READY), "ready"),
    ],
)
def test_servers_that_are_only_watched(states: tuple[ServerState, ...], word: str) -> None:
    servers = {str(number): LlamaServerSnapshot(str(number), ("Q4",), state) for number, state in enumerate(states)}
    snapshot = Snapshot(servers=servers)
    shown = page_documents.llama_status(make_views(snapshot=lambda: snapshot), None, Text("[]"))
    assert (shown["status"], shown["startedAt"], shown["uptime"]) == (word, None, 0)


def test_a_model_that_was_registered_without_a_time() -> None:
    shown = shown_model(Model("x", Status.STOPPED, Registered("x", created_at=NOW)))
    assert shown["updatedAt"] == shown["createdAt"]
