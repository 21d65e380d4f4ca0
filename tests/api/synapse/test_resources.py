"""The machine, slots and contexts."""

from __future__ import annotations

from dataclasses import replace

from exporter.system.snapshot import DiskIO, GpuSnapshot, ModelState, NetworkIO, ServerState, Snapshot
from tests.api.synapse.desk import GIB, MIB, Desk, model, seen, server, slot
from tests.telemetry.examples import HOST

GPU = GpuSnapshot(id="0", index=0, name="", vendor="nvidia", memory_total_bytes=24 * GIB, memory_used_bytes=6 * GIB)


async def test_nothing_is_known_before_the_first_sample() -> None:
    document = await Desk().read("resources")
    nothing = {"used": 0.0, "total": 0.0, "percent": 0.0}
    assert document == {
        "vram": nothing,
        "cpu": {"percent": 0.0, "cores": 0},
        "memory": nothing,
        "faissIndexSize": 0,
        "redisCacheSize": 0,
        "activeConnections": 0,
        "threadPoolStatus": {"active": 0, "queued": 0},
        "diskIO": {"readMBps": 0.0, "writeMBps": 0.0},
        "networkThroughput": {"rxMBps": 0.0, "txMBps": 0.0},
    }


async def test_vram_is_that_of_gpus_that_tell() -> None:
    lost = replace(GPU, error="gpu_is_lost", memory_used_bytes=None)
    desk = Desk(snapshot=Snapshot(gpus=(GPU, replace(GPU, memory_used_bytes=7 * GIB), lost)))
    assert (await desk.read("resources"))["vram"] == {"used": 13.0, "total": 48.0, "percent": 27.1}


async def test_rates_are_summed_and_unknown_ones_are_nothing() -> None:
    host = replace(
        HOST,
        disks=(DiskIO("a", 0, 0, 0, 0, 1.5 * MIB, None), DiskIO("b", 0, 0, 0, 0, 0.126 * MIB, 2.0 * MIB)),
        networks=(NetworkIO("x", 0, 0, 0, 0, 0, 0, None, None), NetworkIO("y", 0, 0, 0, 0, 0, 0, MIB / 2, 1.0)),
    )
    document = await Desk(snapshot=Snapshot(host=host)).read("resources")
    assert document["diskIO"] == {"readMBps": 1.63, "writeMBps": 2.0}
    assert document["networkThroughput"] == {"rxMBps": 0.5, "txMBps": 0.0}
    assert document["cpu"] == {"percent": 12.5, "cores": 4}
    assert document["memory"] == {"used": 3.73, "total": 14.9, "percent": 25.0}


async def test_slots_of_servers_that_answer() -> None:
    two_busy = model("a", slots=(slot(0, busy=True), slot(1, busy=True), slot(2, busy=False)), requests_processing=9)
    told = model("b", requests_processing=4, requests_deferred=3)
    silent = model("c")
    snapshot = seen(
        server("one", two_busy, told, silent),
        server("two", told, state=ServerState.UNREACHABLE),
        server("three", model("d", requests_deferred=2, requests_processing=1), state=ServerState.BUSY),
    )
    document = await Desk(snapshot=snapshot).read("resources")
    assert document["threadPoolStatus"] == {"active": 2 + 4 + 1, "queued": 3 + 2}


async def test_context_of_what_works_now() -> None:
    """An idle slot holds a cache of what it did; that is free for whoever comes."""
    slots = (slot(0, busy=True, used=1024), slot(1, busy=False, used=4000), slot(2, busy=True, used=None))
    snapshot = seen(
        server("one", model("a", slots=slots)),
        server("two", model("b", context_size=2048, total_slots=2), model("c", state=ModelState.UNLOADED)),
        server("three", model("d", context_size=8192, total_slots=1, state=ModelState.SLEEPING)),
        server("four", model("e", slots=slots), state=ServerState.UNREACHABLE),
    )
    desk = Desk(snapshot=snapshot)
    observation = desk.begin("one", "a")
    observation.inference = True
    desk.begin("one", "a").inference = False
    assert await desk.read("context") == {
        "percentage": 6.2,
        "tokensUsed": 1024,
        "tokensTotal": 3 * 4096 + 2 * 2048,
        "activeQueries": 1,
    }


async def test_slots_of_which_only_the_model_tells_the_size() -> None:
    silent = slot(0, busy=True, used=512, size=None)
    desk = Desk(snapshot=seen(server("one", model(slots=(silent, silent), context_size=1024))))
    document = await desk.read("context")
    assert (document["tokensUsed"], document["tokensTotal"], document["percentage"]) == (1024, 2048, 50.0)


async def test_context_that_nobody_knows() -> None:
    used = slot(0, busy=True, used=100, size=None)
    desk = Desk(snapshot=seen(server("one", model(slots=(used,)))))
    assert await desk.read("context") == {"percentage": 0.0, "tokensUsed": 0, "tokensTotal": 0, "activeQueries": 0}


async def test_connections_are_the_sidecars() -> None:
    assert (await Desk(connections=lambda: 7).read("resources"))["activeConnections"] == 7
