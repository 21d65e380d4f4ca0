"""One record per request, and what it says of the traffic; what stays out of the traffic's way."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from exporter.observe.observation import Observation
from exporter.proxy.forward import Limits
from exporter.record import AttemptResult, Outcome
from tests.fakes.answers import Answer, close, hang, json_reply, reply, request_received, sse_reply
from tests.fakes.llama_server import FakeServer
from tests.fakes.wire import chunk, head, last_chunk
from tests.proxy.harness import Proxy, ask, running_proxy

OK = json_reply({"ok": True})
CHAT = ask(
    "POST", "/v1/chat/completions", body=b'{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}'
)
FRAMES = [b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', b"data: [DONE]\n\n"]


async def test_an_answered_request() -> None:
    before = time.time()
    async with (
        FakeServer(sse_reply(FRAMES)) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        _, _, body = await client.exchange(CHAT)
        record = await proxy.only_record()
        assert record.outcome is Outcome.COMPLETED
        assert (record.method, record.path, record.operation) == ("POST", "/v1/chat/completions", "chat")
        assert (record.requested_model, record.stream) == ("m", True)
        assert record.request_bytes == len(server.requests[0].body)
        assert record.response_bytes == len(body)
        assert (record.upstream, record.provider, record.tier) == ("u1", "llama_cpp", "Q4")
        assert record.status_code == 200
        (attempt,) = record.attempts
        assert (attempt.upstream, attempt.result, attempt.status_code) == ("u1", AttemptResult.ANSWERED, 200)
        assert 0 <= attempt.seconds <= record.duration_seconds
        assert before - 1 < record.started_at < time.time() + 1
        assert record.error_type is None
        assert record.overhead_seconds is not None
        assert record.first_byte_seconds is not None
        assert 0 <= record.overhead_seconds < record.first_byte_seconds <= record.duration_seconds
        assert len(record.request_id) == 16
        assert int(record.request_id, 16) >= 0


async def test_overhead_is_the_sidecars_alone() -> None:
    """Neither the upstream's thinking, nor a client that is slow to read or to send, is counted."""

    async def think(connection: object) -> None:
        await asyncio.sleep(0.15)

    script = Answer(request_received, think, *OK.steps)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        data = ask("POST", "/v1/chat/completions", body=b"{}")
        await client.send(data[:-1])
        async with asyncio.timeout(5):
            while not len(proxy.active):
                await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        await client.exchange(data[-1:])
        overhead = (await proxy.only_record()).overhead_seconds
        assert overhead is not None
        assert 0 <= overhead < 0.1


async def test_overhead_of_many_is_small() -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        for _ in range(50):
            await client.exchange(CHAT)
        overheads = sorted(record.overhead_seconds or 0.0 for record in await proxy.until_records(50))
        assert overheads[0] > 0
        assert overheads[25] < 0.01


async def test_the_first_upstream_is_used() -> None:
    async with (
        FakeServer(OK) as first,
        FakeServer(OK) as second,
        running_proxy(first.url, second.url) as proxy,
        await proxy.connect() as client,
    ):
        await client.exchange(CHAT)
        assert (len(first.requests), len(second.requests)) == (1, 0)
        assert (await proxy.only_record()).upstream == "u1"


async def test_ids_differ() -> None:
    async with FakeServer(OK) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        for _ in range(30):
            await client.exchange(ask("GET", "/health"))
        assert len({record.request_id for record in await proxy.until_records(30)}) == 30


async def test_who_is_in_flight_is_known() -> None:
    gate = asyncio.Event()
    async with (
        FakeServer(Answer(request_received, gate, *OK.steps)) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(CHAT)
        await server.until(lambda: len(server.requests) == 1)
        (observation,) = proxy.active
        assert observation.upstream == "u1"
        assert not proxy.records
        gate.set()
        await client.head()
        record = await proxy.only_record()
        assert record.request_id == observation.request_id


async def test_a_record_is_emitted_only_when_the_answer_is_complete() -> None:
    gate = asyncio.Event()
    script = Answer(request_received, head(200, [("Transfer-Encoding", "chunked")]), chunk(b"a"), gate, last_chunk())
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(CHAT)
        await client.head()
        await anext(client.chunks())
        assert not proxy.records
        gate.set()
        assert (await proxy.only_record()).response_bytes == 1


STEPS: dict[str, tuple[Answer, int | None]] = {
    "answered": (OK, 200),
    "streamed": (sse_reply(FRAMES), 200),
    "error": (json_reply({"error": {"code": 500, "message": "x", "type": "server_error"}}, 500), 500),
    "closed": (Answer(request_received, close), 502),
    "garbage": (Answer(request_received, b"garbage\r\n\r\n"), 502),
    "silent": (Answer(request_received, hang), 504),
    "broken off": (Answer(request_received, head(200, [("Content-Length", "9")]), b"half", close), 200),
    "silent within": (Answer(request_received, head(200, [("Content-Length", "9")]), b"half", hang), 200),
}


@pytest.mark.parametrize("name", STEPS)
async def test_without_recording_traffic_flows_and_nothing_is_recorded(name: str) -> None:
    answer, status = STEPS[name]
    async with (
        FakeServer(answer) as server,
        running_proxy(server.url, recording=False, limits=Limits(idle_seconds=0.1)) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(CHAT)
        assert (await client.head())[0] == status
        async with asyncio.timeout(5):
            while len(proxy.active):
                await asyncio.sleep(0)
        assert proxy.records == []


async def test_without_recording_a_client_that_leaves_is_noticed() -> None:
    async with FakeServer(Answer(hang)) as server, running_proxy(server.url, recording=False) as proxy:
        async with await proxy.connect() as client:
            await client.send(CHAT)
            await server.until(lambda: len(server.requests) == 1)
        await server.until(lambda: server.live == 0, timeout_seconds=1)
        assert proxy.records == []
        assert len(proxy.active) == 0


NONSENSE: dict[str, tuple[bytes, str, list[bytes]]] = {
    "request is not JSON": (b'{"model": "x', "application/json", [b'{"choices":[]}']),
    "request is not UTF-8": (b"\xff\xfe\x00{", "application/json", [b"{}"]),
    "request is a list": (b"[1,2,3]", "application/json", [b"{}"]),
    "request is nested deeply": (b"[" * 100_000, "application/json", [b"{}"]),
    "request has odd types": (b'{"model":{},"stream":"x","messages":7,"n":-1}', "application/json", [b"{}"]),
    "answer is not JSON": (b"{}", "application/json", [b"<html>"]),
    "answer is not UTF-8": (b"{}", "application/json", [b'{"model":"\xff\xfe"}']),
    "answer is nested deeply": (b"{}", "application/json", [b'{"usage":' * 50_000]),
    "answer is empty": (b"{}", "application/json", [b""]),
    "answer has odd types": (b"{}", "application/json", [b'{"choices":{"a":1},"usage":[],"timings":"x","model":[]}']),
    "answer has odd numbers": (
        b"{}",
        "application/json",
        [b'{"usage":{"prompt_tokens":1e999,"completion_tokens":-5}}'],
    ),
    "stream is not SSE": (b'{"stream":true}', "text/event-stream", [b"what", b"ever\n\n\n\n", b"\x00\xff"]),
    "frames are not JSON": (
        b'{"stream":true}',
        "text/event-stream",
        [b"data: {\n\n", b"data: }\n\n", b"data: [DONE]\n\n"],
    ),
    "frames have odd types": (b'{"stream":true}', "text/event-stream", [b'data: {"choices":7}\n\n', b"data: null\n\n"]),
    "a frame is endless": (b'{"stream":true}', "text/event-stream", [b"data: " + b"x" * 3_000_000]),
    "type is wrong": (b"{}", "text/event-stream", [b'{"choices":[{"message":{"content":"x"}}]}']),
    "type is odd": (b"{}", ";;;=,", [b"{}"]),
}


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/completion", "/v1/messages", "/v1/responses", "/v1/embeddings"]
)
async def test_what_cannot_be_understood_passes_all_the_same(path: str) -> None:
    for name, (sent, kind, pieces) in NONSENSE.items():
        answer = reply(200, [("Content-Type", kind)], [piece for piece in pieces if piece], framing="chunked")
        async with FakeServer(answer) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
            status, _, body = await client.exchange(ask("POST", path, ("Content-Type", "application/json"), body=sent))
            assert (name, status, body) == (name, 200, b"".join(pieces))
            assert server.requests[0].body == sent
            record = await proxy.only_record()
            assert record.response_bytes == len(body)
            assert record.outcome in (Outcome.COMPLETED, Outcome.STREAM_ERROR)


def broken(*_: Any, **__: Any) -> None:
    raise RuntimeError("an observer's fault")


async def still_streams(proxy: Proxy) -> bytes:
    async with await proxy.connect() as client:
        status, _, body = await client.exchange(CHAT)
        assert status == 200
        assert (await client.exchange(CHAT))[2] == body
    return body


async def test_a_failing_observer_does_not_stop_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Observation, "feed", broken)
    frames = [b"data: %d\n\n" % n for n in range(20)]
    async with FakeServer(sse_reply(frames)) as server, running_proxy(server.url) as proxy:
        assert await still_streams(proxy) == b"".join(frames)
        records = await proxy.until_records(2)
        assert {(record.outcome, record.status_code) for record in records} == {(Outcome.COMPLETED, 200)}
        assert sum(proxy.forwarder.parse_errors.values()) == 2
        assert len(server.connections) == 1


async def test_a_failing_observer_does_not_spoil_our_own_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Observation, "feed", broken)
    async with (
        FakeServer(OK) as server,
        running_proxy(server.url, keys=["k"]) as proxy,
        await proxy.connect() as client,
    ):
        assert (await client.exchange(CHAT))[0] == 401
        await server.stop_listening()
        assert (await client.exchange(ask("GET", "/", ("x-api-key", "k"))))[0] == 502
        assert len(await proxy.until_records(2)) == 2


@pytest.mark.parametrize("method", ["feed_request", "end_request", "answer"])
async def test_an_observer_that_fails_elsewhere_does_not_stop_the_stream(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(Observation, method, broken)
    async with FakeServer(sse_reply(FRAMES)) as server, running_proxy(server.url) as proxy:
        assert await still_streams(proxy) == b"".join(FRAMES)


async def test_a_failing_sink_does_not_stop_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """`finish` or `emit` fails: the answer is out already, and the next request is served."""
    monkeypatch.setattr(Observation, "finish", broken)
    async with FakeServer(sse_reply(FRAMES)) as server, running_proxy(server.url) as proxy:
        assert await still_streams(proxy) == b"".join(FRAMES)
        async with asyncio.timeout(5):
            while len(proxy.active):
                await asyncio.sleep(0)
