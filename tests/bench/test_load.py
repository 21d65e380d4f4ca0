"""The load generator against a real socket: it must count what came, and call a failure a failure."""

from __future__ import annotations

import json
import os

import pytest

from tests.bench.load import Plan, run
from tests.fakes.answers import Answer, close, replay, reply
from tests.fakes.captures import golden
from tests.fakes.llama_server import FakeServer


def plan(server: FakeServer, *, requests: int, connections: int = 1, models: int = 1, stream: bool = False) -> Plan:
    return Plan(server.port, "/x", stream, connections, 5.0, 0.0, requests=requests, models=models)


@pytest.mark.parametrize("name", ["chat", "chat-stream"])
async def test_answers_are_counted_however_they_are_cut(name: str) -> None:
    script = [replay(golden(name), golden(name).split(seed)) for seed in range(20)]
    async with FakeServer(script) as server:
        sample = await run(plan(server, requests=20, connections=4))
    assert (sample.completed, sample.answers, sample.errors) == (20, 20.0, {})
    assert len(server.requests) == 20
    assert len(server.connections) == 4
    assert sample.p50 is not None
    assert sample.ttfb_p50 is not None
    assert 0 < sample.ttfb_p50 <= sample.p50
    assert sample.reads >= 20


async def test_model_names_take_turns() -> None:
    async with FakeServer(replay(golden("chat"))) as server:
        await run(plan(server, requests=6, models=3, stream=True))
    bodies = [json.loads(request.body) for request in server.requests]
    assert sorted(body["model"] for body in bodies) == sorted(2 * ["model-00000", "model-00001", "model-00002"])
    assert all(body["stream"] is True for body in bodies)


async def test_failures_are_counted() -> None:
    broken = Answer(golden("chat").head, close)
    async with FakeServer([broken, reply(503), replay(golden("chat"))]) as server:
        sample = await run(plan(server, requests=3))
        assert [request.connection for request in server.requests] == [1, 2, 2]
    assert sample.errors == {"connection lost": 1, "status 503": 1}
    assert sample.completed == 2


async def test_an_announced_close_is_no_failure() -> None:
    async with FakeServer(reply(200, [("Connection", "close")], b"ok").then(close)) as server:
        sample = await run(plan(server, requests=3))
        assert len(server.connections) == 3
    assert (sample.completed, sample.errors) == (3, {})


async def test_nobody_there() -> None:
    async with FakeServer(reply()) as server:
        await server.stop_listening()
        sample = await run(Plan(server.port, "/", connections=2, seconds=0.01, warmup_seconds=0.01))
    assert sample.errors == {"connect: ConnectionRefusedError": 2}
    assert (sample.completed, sample.p50) == (0, None)


async def test_cpu_time_is_measured() -> None:
    async with FakeServer(replay(golden("chat"))) as server:
        sample = await run(Plan(server.port, "/", seconds=5.0, warmup_seconds=0.0, requests=300, pids=(os.getpid(),)))
    assert 0 < sample.cpu_seconds <= sample.seconds * 4
