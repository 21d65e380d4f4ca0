"""An upstream that has failed is left out until a single request finds it well again."""

from __future__ import annotations

import asyncio
import json

import pytest

from exporter.proxy.forward import Limits
from exporter.record import AttemptResult, Outcome, RequestRecord
from exporter.settings.routing import RoutingSettings
from tests.fakes.answers import Answer, close, hang, json_reply, reply, request_received
from tests.fakes.llama_server import FakeServer
from tests.fakes.wire import chunk, head, last_chunk
from tests.proxy.harness import Clock, Proxy, ask, running_proxy
from tests.proxy.unreachable import refusing, unused_port

TIERS = ("Q3", "Q4")
OK = json_reply({"ok": True})
CLOSES = Answer(request_received, close)
CHAT = ask("POST", "/v1/chat/completions", ("X-Routing-Tier", "Q3"), body=b'{"messages":[]}')
FIRST_BACK_OFF, SECOND_BACK_OFF = 1.0, 2.0


async def served_by(proxy: Proxy, request_bytes: bytes = CHAT) -> list[str]:
    """Ask; who was tried, the last of them with success."""
    count = len(proxy.records)
    async with await proxy.connect() as client:
        status, _, _ = await client.exchange(request_bytes)
    assert status == 200
    record = (await proxy.until_records(count + 1))[count]
    assert record.outcome is Outcome.COMPLETED
    return [attempt.upstream for attempt in record.attempts]


def tried(record: RequestRecord) -> list[tuple[str, AttemptResult]]:
    return [(attempt.upstream, attempt.result) for attempt in record.attempts]


BAD = {
    "closed": CLOSES,
    "garbage": Answer(request_received, b"garbage\r\n\r\n"),
    "502": reply(502),
    "503": reply(503),
    "504": reply(504),
}


@pytest.mark.parametrize("name", BAD)
async def test_after_one_failure_it_is_left_out(name: str) -> None:
    clock = Clock()
    async with (
        FakeServer(BAD[name]) as first,
        FakeServer(OK) as second,
        running_proxy(first.url, second.url, tiers=TIERS, clock=clock) as proxy,
    ):
        assert await served_by(proxy) == ["u1", "u2"]
        first.script = OK
        clock.ahead_seconds += FIRST_BACK_OFF - 0.5
        for _ in range(3):
            assert await served_by(proxy) == ["u2"]
        assert len(first.requests) == 1
        decisions = [record.decision for record in proxy.records]
        assert [decision and (decision.wanted_tier, decision.fallback) for decision in decisions] == [("Q3", True)] * 4
        clock.ahead_seconds += 0.6
        assert await served_by(proxy) == ["u1"]
        assert await served_by(proxy) == ["u1"]
        assert proxy.records[-1].decision is not None
        assert not proxy.records[-1].decision.fallback


async def test_after_a_refused_connection_it_is_left_out() -> None:
    clock = Clock()
    async with (
        refusing() as first,
        FakeServer(OK) as second,
        running_proxy(first, second.url, tiers=TIERS, clock=clock) as proxy,
    ):
        assert await served_by(proxy) == ["u1", "u2"]
        assert await served_by(proxy) == ["u2"]
        assert await served_by(proxy, ask("GET", "/props")) == ["u2"]
        clock.ahead_seconds += FIRST_BACK_OFF + 0.1
        assert await served_by(proxy) == ["u1", "u2"]
        clock.ahead_seconds += FIRST_BACK_OFF + 0.1
        assert await served_by(proxy) == ["u2"]
        clock.ahead_seconds += SECOND_BACK_OFF - FIRST_BACK_OFF
        assert await served_by(proxy, ask("GET", "/props")) == ["u1", "u2"]


@pytest.mark.parametrize("status", [200, 400, 404, 429, 500, 501])
async def test_any_other_answer_is_a_sign_of_life(status: int) -> None:
    async with (
        FakeServer(reply(status)) as first,
        FakeServer(OK) as second,
        running_proxy(first.url, second.url, tiers=TIERS) as proxy,
        await proxy.connect() as client,
    ):
        for _ in range(3):
            assert (await client.exchange(CHAT))[0] == status
        assert (len(first.requests), len(second.requests)) == (3, 0)


async def test_an_answer_that_breaks_off_does_not_speak_against_it() -> None:
    half = Answer(request_received, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", close)
    async with (
        FakeServer([half, OK]) as first,
        FakeServer(OK) as second,
        running_proxy(first.url, second.url, tiers=TIERS) as proxy,
    ):
        async with await proxy.connect() as client:
            await client.send(CHAT)
            await client.head()
            await client.rest()
        assert await served_by(proxy) == ["u1"]


@pytest.mark.parametrize("trial", [OK, CLOSES, reply(503)], ids=["good", "closed", "503"])
async def test_one_of_many_tries_it_again(trial: Answer) -> None:
    """The others do not wait for how that goes."""
    clock, gate = Clock(), asyncio.Event()
    async with (
        FakeServer([CLOSES, Answer(request_received, gate, *trial.steps), OK]) as first,
        FakeServer(OK) as second,
        running_proxy(first.url, second.url, tiers=TIERS, clock=clock) as proxy,
    ):
        assert await served_by(proxy) == ["u1", "u2"]
        clock.ahead_seconds += FIRST_BACK_OFF + 0.1
        clients = [await proxy.connect() for _ in range(6)]
        for client in clients:
            await client.send(CHAT)
        await proxy.until_records(6)
        assert [tried(record) for record in proxy.records[1:]] == [[("u2", AttemptResult.ANSWERED)]] * 5
        assert proxy.loads == {"u1": 1, "u2": 0}
        gate.set()
        for client in clients:
            assert (await client.head())[0] == 200
            client.abort()
        assert len(first.requests) == 2
        record = (await proxy.until_records(7))[6]
        assert [attempt.upstream for attempt in record.attempts] == (["u1"] if trial is OK else ["u1", "u2"])
        assert await served_by(proxy) == (["u1"] if trial is OK else ["u2"])


async def test_with_the_head_of_its_answer_the_trial_has_succeeded() -> None:
    """The others need not wait for the end of a stream; and the next failure is a first one again."""
    clock, gate = Clock(), asyncio.Event()
    chunked = head(200, [("Transfer-Encoding", "chunked")])
    stream = Answer(request_received, chunked, chunk(b"a"), gate, last_chunk())
    async with (
        FakeServer([reply(503), reply(503), stream, OK, OK, reply(503), OK]) as first,
        FakeServer(OK) as second,
        running_proxy(first.url, second.url, tiers=TIERS, clock=clock) as proxy,
        await proxy.connect() as client,
    ):
        assert await served_by(proxy) == ["u1", "u2"]
        clock.ahead_seconds += FIRST_BACK_OFF + 0.1
        assert await served_by(proxy) == ["u1", "u2"]
        clock.ahead_seconds += SECOND_BACK_OFF + 0.1
        await client.send(CHAT)
        _, fields = await client.head()
        async with await proxy.connect() as other, await proxy.connect() as another:
            await asyncio.gather(other.exchange(CHAT), another.exchange(CHAT))
        assert [tried(record) for record in await proxy.until_records(4)][2:] == [[("u1", AttemptResult.ANSWERED)]] * 2
        gate.set()
        assert await client.body(fields) == b"a"
        await proxy.until_records(5)
        assert await served_by(proxy) == ["u1", "u2"]
        assert await served_by(proxy) == ["u2"]
        clock.ahead_seconds += FIRST_BACK_OFF + 0.1
        assert await served_by(proxy) == ["u1"]


async def test_many_that_find_it_gone_are_one_failure() -> None:
    """The back-off does not double for each of them."""
    clock, gate = Clock(), asyncio.Event()
    async with (
        FakeServer(Answer(request_received, gate, close)) as first,
        FakeServer(OK) as second,
        running_proxy(first.url, second.url, tiers=TIERS, clock=clock) as proxy,
    ):
        clients = [await proxy.connect() for _ in range(5)]
        for client in clients:
            await client.send(CHAT)
        await first.until(lambda: len(first.requests) == 5)
        gate.set()
        for client in clients:
            assert (await client.head())[0] == 200
            client.abort()
        await proxy.until_records(5)
        first.script = OK
        assert await served_by(proxy) == ["u2"]
        clock.ahead_seconds += FIRST_BACK_OFF + 0.1
        assert await served_by(proxy) == ["u1"]


async def test_a_client_that_leaves_during_a_trial_leaves_the_next_one_to_another() -> None:
    clock = Clock()
    async with (
        FakeServer([CLOSES, Answer(request_received, hang), OK]) as first,
        FakeServer(OK) as second,
        running_proxy(first.url, second.url, tiers=TIERS, clock=clock) as proxy,
        await proxy.connect() as client,
    ):
        assert await served_by(proxy) == ["u1", "u2"]
        clock.ahead_seconds += FIRST_BACK_OFF + 0.1
        await client.send(CHAT)
        await first.until(lambda: len(first.requests) == 2)
        assert await served_by(proxy) == ["u2"]
        client.abort()
        record = (await proxy.until_records(3))[2]
        assert tried(record) == [("u1", AttemptResult.ABANDONED)]
        assert await served_by(proxy) == ["u1"]
        assert await served_by(proxy) == ["u1"]


async def test_silence_does_not_speak_against_it() -> None:
    """A prompt may be long."""
    async with (
        FakeServer([Answer(request_received, hang), OK]) as first,
        FakeServer(OK) as second,
        running_proxy(first.url, second.url, tiers=TIERS, limits=Limits(idle_seconds=0.1)) as proxy,
    ):
        async with await proxy.connect() as client:
            assert (await client.exchange(CHAT))[0] == 504
        assert await served_by(proxy) == ["u1"]


async def test_silence_does_not_speak_for_it_either() -> None:
    """As a trial it has failed."""
    clock = Clock()
    async with (
        FakeServer([CLOSES, Answer(request_received, hang), OK]) as first,
        FakeServer(OK) as second,
        running_proxy(first.url, second.url, tiers=TIERS, clock=clock, limits=Limits(idle_seconds=0.1)) as proxy,
    ):
        assert await served_by(proxy) == ["u1", "u2"]
        clock.ahead_seconds += FIRST_BACK_OFF + 0.1
        async with await proxy.connect() as client:
            assert (await client.exchange(CHAT))[0] == 504
        clock.ahead_seconds += FIRST_BACK_OFF + 0.1
        assert await served_by(proxy) == ["u2"]
        clock.ahead_seconds += SECOND_BACK_OFF - FIRST_BACK_OFF
        assert await served_by(proxy) == ["u1"]


async def test_nobody_is_known_to_be_well() -> None:
    """That is said at once, with the time after which it is worth another try."""
    clock = Clock()
    async with (
        unused_port() as one,
        unused_port() as two,
        running_proxy(f"http://127.0.0.1:{one}", f"http://127.0.0.1:{two}", tiers=TIERS, clock=clock) as proxy,
        await proxy.connect() as client,
    ):
        assert (await client.exchange(CHAT))[0] == 502
        for number, request_bytes in enumerate([CHAT, ask("GET", "/props"), ask("POST", "/tokenize", body=b"{}")], 1):
            status, fields, body = await client.exchange(request_bytes)
            assert status == 503
            assert dict(fields)[b"retry-after"] == b"1"
            assert dict(fields)[b"content-type"].startswith(b"application/json")
            error = json.loads(body)["error"]
            assert (error["code"], error["type"]) == (503, "no_upstream_available")
            assert "u1" in error["message"]
            everything = body + b"".join(name + value for name, value in fields)
            assert not [each for each in ("127.0.0.1", str(one), str(two)) if each.encode() in everything]
            record = (await proxy.until_records(number + 1))[number]
            assert (record.outcome, record.error_type) == (Outcome.UPSTREAM_ERROR, "no_upstream_available")
            assert (record.attempts, record.upstream, record.decision) == ((), None, None)
            assert (record.status_code, record.tier, record.response_bytes) == (
                503,
                "Q3" if number == 1 else "unknown",
                len(body),
            )
            assert record.overhead_seconds is None
            assert record.first_byte_seconds is None
        clock.ahead_seconds += FIRST_BACK_OFF + 0.1
        assert (await client.exchange(CHAT))[0] == 502
        assert len((await proxy.until_records(5))[4].attempts) == 2
        status, fields, _ = await client.exchange(CHAT)
        assert (status, dict(fields)[b"retry-after"]) == (503, b"2")


async def test_nobody_of_the_tier_is_known_to_be_well() -> None:
    async with (
        refusing() as first,
        FakeServer(OK) as second,
        running_proxy(first, second.url, tiers=TIERS, routing=RoutingSettings(fallback="tier")) as proxy,
        await proxy.connect() as client,
    ):
        assert (await client.exchange(CHAT))[0] == 502
        status, fields, body = await client.exchange(CHAT)
        assert (status, dict(fields)[b"retry-after"]) == (503, b"1")
        message = json.loads(body)["error"]["message"]
        assert "u1" in message
        assert "u2" not in message
        assert second.requests == []


async def test_one_alone_is_always_tried() -> None:
    """Nobody else could answer, and its own word is better than ours."""
    async with FakeServer([CLOSES, reply(503, [], b"busy"), OK]) as server, running_proxy(server.url) as proxy:
        async with await proxy.connect() as client:
            assert (await client.exchange(CHAT))[0] == 502
            assert (await client.exchange(CHAT))[::2] == (503, b"busy")
            assert (await client.exchange(CHAT))[0] == 200
        assert [record.decision for record in await proxy.until_records(3)] == [None] * 3
