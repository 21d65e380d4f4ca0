"""The machine now, in the contract's keys and units."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from exporter.api.nextjs.monitoring.machine import monitoring, written_latest
from exporter.api.views import Views
from exporter.models.model import Model, Status
from exporter.system.snapshot import GpuSnapshot, HostSnapshot, Snapshot
from tests import nextjs_document
from tests.api.nextjs import typed
from tests.api.synapse.desk import model, seen, server
from tests.api.views import make_live, make_views
from tests.telemetry.examples import HOST, SNAPSHOT, record

GIB = 1 << 30
MODELS = [
    Model("a", Status.RUNNING, memory_bytes=4 * GIB),
    Model("b", Status.IDLE),
    Model("c", Status.STOPPED, memory_bytes=GIB),
    Model("d", Status.LOADING),
]


def shown(snapshot: Snapshot = SNAPSHOT, **fields: Any) -> Any:
    return monitoring(make_views(**fields), snapshot, HOST, MODELS)


def test_every_documented_key_is_there_with_its_type() -> None:
    assert typed.differences(nextjs_document.MONITORING, shown()) == []


def test_memory_is_in_mb_and_disks_are_in_bytes() -> None:
    system = shown()["system"]
    total, used = HOST.memory_total_bytes, HOST.memory_used_bytes
    assert system["memory"] == {
        "used": round(used / 1048576, 2),
        "total": round(total / 1048576, 2),
        "free": round((total - used) / 1048576, 2),
        "usagePercent": 25.0,
    }
    disk = system["disk"]
    assert disk["used"] + disk["free"] == disk["total"]
    assert disk["usagePercent"] == 73.68
    assert system["cpu"] == {"usage": 12.5, "cores": 4, "loadAverage": [0.5, 0.25]}


def test_gpus_one_by_one() -> None:
    gpus = shown()["gpu"]
    assert [(gpu["id"], gpu["name"]) for gpu in gpus] == [(each.index, each.name) for each in SNAPSHOT.gpus]
    first = SNAPSHOT.gpus[0]
    assert first.memory_used_bytes is not None
    assert gpus[0]["memory"]["used"] == round(first.memory_used_bytes / 1048576, 2)
    assert gpus[0]["utilization"] == round(100 * (first.utilization or 0), 2)
    assert shown(replace(SNAPSHOT, gpus=()))["gpu"] == []
    lost = GpuSnapshot("GPU-9", 3, "lost", "nvidia", error="gpu_is_lost")
    assert shown(replace(SNAPSHOT, gpus=(lost,)))["gpu"] == [
        {
            "id": 3,
            "name": "lost",
            "memory": {"used": None, "total": None, "free": None, "usagePercent": None},
            "utilization": None,
            "temperature": None,
        }
    ]


def test_models_and_requests() -> None:
    live = make_live()
    live.record(record(duration_seconds=1.5))
    live.record(record(duration_seconds=0.5))
    document = monitoring(make_views(live), SNAPSHOT, HOST, MODELS)
    assert document["models"] == {"active": 2, "total": 4, "memoryUsage": 4096.0}
    assert document["requests"] == {"total": 2, "active": 0, "averageResponseTime": 1000.0}
    assert document["uptime"] == 90_061
    off = monitoring(make_views(live, recording=False), SNAPSHOT, HOST, MODELS)
    assert off["requests"]["total"] == 0


def test_the_time_is_that_of_the_sample() -> None:
    assert shown()["timestamp"] == "2026-11-20T08:32:25.000Z"


def test_a_first_sample_has_no_share_of_cpu_time() -> None:
    host = replace(HOST, cpu_utilization=None, load_1m=None, load_5m=None, load_15m=None, file_systems=())
    snapshot = replace(SNAPSHOT, host=host)
    system = monitoring(make_views(), snapshot, host, [])["system"]
    assert system["cpu"]["usage"] is None
    assert system["cpu"]["loadAverage"] == []
    assert system["disk"] == {"used": None, "total": None, "free": None, "usagePercent": None}


def read_page(document: Any) -> list[str]:
    """As the monitoring page of real front ends draws it: what it takes apart must be there, and a number."""
    system, models = document["system"], document["models"]
    running = [each for each in models if each["status"] == "running"]
    uptime = system["uptime"]
    return [
        f"{system['cpu']['usage']:.1f}%",
        f"{system['memory']['used']} GB",
        f"{system['disk']['used']} GB",
        f"{system['network']['rx'] / 1_000_000:.2f} MB",
        f"{system['network']['tx'] / 1_000_000:.2f} MB",
        f"{uptime // 3600}h {uptime % 3600 // 60}m",
        str(len(running)),
        f"{sum(each['memory'] for each in models):.1f} GB",
        str(sum(each["requests"] for each in models)),
    ]


async def latest(views: Views, snapshot: Snapshot, host: HostSnapshot, models: Sequence[Model]) -> Any:
    """As it is sent."""
    return json.loads(await written_latest(views, snapshot, host, models))


async def test_what_a_front_end_draws() -> None:
    live = make_live()
    live.record(record(upstream="engine", served_model="a"))
    live.record(record(upstream="other", served_model="a"))
    document = await latest(make_views(live), SNAPSHOT, HOST, MODELS)
    assert document["success"] is True
    assert document["data"] == {"system": document["system"], "models": document["models"]}
    received = sum(each.receive_bytes for each in HOST.networks)
    drawn = read_page(document)
    assert drawn[0] == "12.5%"
    assert drawn[1] == f"{round(HOST.memory_used_bytes / 1e9, 2)} GB"
    assert drawn[3] == f"{received / 1e6:.2f} MB"
    assert drawn[5:7] == ["25h 1m", "1"]
    assert drawn[7:] == ["4.3 GB", "2"]


async def test_it_can_be_drawn_whatever_is_not_known() -> None:
    host = replace(HOST, cpu_utilization=None, file_systems=(), networks=())
    document = await latest(make_views(), replace(SNAPSHOT, host=host), host, [Model("x", Status.ERROR)])
    assert len(read_page(document)) == 9


async def test_requests_are_counted_over_all_names_of_a_model() -> None:
    """It was asked for by its own name, by an alias, and, registered for its file, by the name that its server has."""
    live = make_live()
    for upstream, name in (("Q2", "tiny"), ("Q2", "small"), ("Q2", "small"), ("Q3", "a.gguf"), ("Q4", "tiny")):
        live.record(record(upstream=upstream, served_model=name))
    aliased = replace(model("tiny"), aliases=("tiny", "small"))
    filed = replace(model("a.gguf"), file_name="a.gguf")
    snapshot = seen(server("Q2", aliased), server("Q3", filed), host=HOST)
    models = [Model("tiny", Status.RUNNING, upstream="Q2"), Model("mine", Status.RUNNING, None, "Q3", "a.gguf")]
    document = await latest(make_views(live), snapshot, HOST, models)
    assert [(each["name"], each["requests"]) for each in document["models"]] == [("tiny", 4), ("mine", 1)]


async def test_a_name_of_its_own_is_no_alias() -> None:
    live = make_live()
    live.record(record(upstream="Q2", served_model="b"))
    snapshot = seen(server("Q2", replace(model("a"), aliases=("b",)), model("b")), host=HOST)
    models = [Model("a", Status.RUNNING, upstream="Q2"), Model("b", Status.RUNNING, upstream="Q2")]
    document = await latest(make_views(live), snapshot, HOST, models)
    assert [each["requests"] for each in document["models"]] == [0, 1]


async def test_very_many_models_are_shown_in_time_that_grows_with_them() -> None:
    """Each is written once, and the loop is not held."""
    many = [Model(f"m{number}", Status.STOPPED) for number in range(500)]
    found = await latest(make_views(), SNAPSHOT, HOST, many)
    assert [each["name"] for each in found["models"]] == [each.name for each in many]
    assert found["data"]["models"] == found["models"]
