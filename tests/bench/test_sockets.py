from __future__ import annotations

from tests.api.nextjs.live.stage import Stage
from tests.bench.readers import ReadingPlan
from tests.bench.sockets import SocketCrowd
from tests.serving import on_our_loop

COUNT = 60
"""More than are opened at once."""


@on_our_loop
async def test_clients_come_in_and_hear() -> None:
    stage = Stage()
    await stage.runtime.change({"metrics_interval_ms": 100})
    async with stage.open() as running:
        reading = await SocketCrowd(ReadingPlan(running.port, "/metrics", COUNT, 1.0)).run()
    assert (reading.connected, reading.errors) == (COUNT, {})
    assert 0 < reading.fewest <= reading.messages / COUNT
    assert reading.bytes > reading.messages * len('42/metrics,["metrics:update"')


@on_our_loop
async def test_whoever_is_refused_is_an_error() -> None:
    stage = Stage(max_readers=1)
    async with stage.open() as running:
        nowhere = await SocketCrowd(ReadingPlan(running.port, "/nowhere", 1, 0.0)).run()
        assert (nowhere.connected, nowhere.errors) == (0, {"refused": 1})
        too_many = await SocketCrowd(ReadingPlan(running.port, "/models", 2, 0.0)).run()
    assert (too_many.connected, too_many.errors) == (1, {"InvalidStatus": 1})
