"""The stream on the real server: what it tells and when, to readers of every kind."""

from __future__ import annotations

import asyncio
import json
import random
import time
from itertools import pairwise
from typing import Any

import pytest

from exporter.observe.observation import Observation
from tests.api.vandamme.streams import HEARTBEAT, PATH, Reader, Stream, streaming
from tests.api.vandamme.test_snapshot import event
from tests.api.vandamme.traffic import answer, in_flight
from tests.proxy.harness import ask
from tests.serving import on_both_loops, until
from tests.telemetry.examples import DECISION

ID = "{:016x}".format
TOKEN = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "a"})


@on_both_loops
async def test_starts_and_ends() -> None:
    async with streaming() as stream:
        reader = await stream.read()
        assert await reader.update() == {}
        assert reader.headers == {
            "cache-control": "no-cache",
            "x-accel-buffering": "no",
            "content-type": "text/event-stream; charset=utf-8",
            "transfer-encoding": "chunked",
        }
        one = stream.start(1, model="tiny", stream=True)
        assert (await reader.update())[one]["model"] == "tiny"
        two = stream.start(2)
        assert set(await reader.update()) == {one, two}
        stream.end(one)
        assert set(await reader.update()) == {two}
        stream.end(two)
        assert await reader.update() == {}


@pytest.mark.parametrize("silence", [False, True])
async def test_tokens(silence: bool) -> None:
    """Nobody is woken for a token, whether the update before is just out or long ago."""
    async with streaming(heartbeat_seconds=1.0) as stream:
        request = in_flight(1, model="tiny", stream=True)
        stream.active.start(request)
        reader = await stream.read()
        assert (await reader.update())[ID(1)]["output_tokens"] == 0
        if silence:
            assert await reader.next() == HEARTBEAT
            await asyncio.sleep(0.1)  # until it only waits for starts and ends
        began = time.monotonic()
        answer(request, TOKEN)
        assert (await reader.update())[ID(1)]["output_tokens"] == 1
        assert time.monotonic() - began < 3
        for _ in range(7):
            request.feed(request.started + 0.2, TOKEN)
        assert (await reader.update())[ID(1)]["output_tokens"] == 8


async def test_what_becomes_known_later() -> None:
    """Body, upstream and model of a request come after its start, and nobody is woken for them."""
    async with streaming() as stream:
        request = in_flight(1, upstream=None)
        stream.active.start(request)
        reader = await stream.read()
        assert (await reader.update())[ID(1)]["model"] == "unknown"
        request.feed_request(json.dumps({"model": "tiny", "messages": ["a", "b"]}).encode())
        request.end_request()
        row = (await reader.update())[ID(1)]
        assert (row["model"], row["message_count"], row["resolved_model"]) == ("tiny", 2, "tiny")
        request.route(upstream="Q2", provider="other", tier="Q2", model="tiny-q2", decision=DECISION)
        row = (await reader.update())[ID(1)]
        assert (row["provider"], row["resolved_model"]) == ("other", "tiny-q2")


async def test_what_a_request_asks_for_is_waited_for_a_moment() -> None:
    """Its body comes a turn or two after its head."""
    async with streaming(interval_seconds=0.05) as stream:
        reader = await stream.read()
        assert await reader.update() == {}
        await asyncio.sleep(0.1)  # silence: the next change is told at once
        request = in_flight(1, upstream=None)
        stream.active.start(request)
        await asyncio.sleep(0.001)
        request.feed_request(json.dumps({"model": "tiny", "messages": ["a"]}).encode())
        request.end_request()
        assert (await reader.update())[ID(1)]["model"] == "tiny"


async def test_nothing_is_told_of_what_has_no_row() -> None:
    async with streaming(heartbeat_seconds=0.5) as stream:
        reader = await stream.read()
        await reader.update()
        for number in range(100):
            request = in_flight(number, path="/tokenize")
            stream.active.start(request)
            await asyncio.sleep(0.002)
            stream.active.end(request, 0.0)
        assert await reader.next() == HEARTBEAT
        assert stream.clock.looks < 60, "it looks again, but not each time"


async def test_time_that_passes_is_no_change_but_told_to_whoever_comes() -> None:
    async with streaming(heartbeat_seconds=0.3) as stream:
        one = stream.start(1)
        first = await stream.read()
        assert (await first.update())[one]["duration_ms"] == 0
        stream.clock.now += 60
        assert await first.next() == HEARTBEAT
        second = await stream.read()
        assert (await second.update())[one]["duration_ms"] == 60_000
        assert second.seen[0]["timestamp"] - first.seen[0]["timestamp"] == 60
        assert await first.next() == HEARTBEAT


async def test_one_update_per_interval() -> None:
    interval = 0.2
    async with streaming(interval_seconds=interval) as stream:
        reader = await stream.read()
        await reader.update()
        for number in range(50):
            stream.start(number, model="tiny")
        assert len(await reader.update()) == 50
        for number in range(50, 100):
            stream.start(number, model="tiny")
            await asyncio.sleep(0)
        assert len(await reader.update()) == 100
        gaps = [later - sooner for sooner, later in pairwise(reader.times)]
        assert all(gap > interval - 0.02 for gap in gaps), gaps


async def test_a_change_after_silence_is_told_at_once() -> None:
    async with streaming(interval_seconds=2, heartbeat_seconds=2.1) as stream:
        reader = await stream.read()
        await reader.update()
        assert await reader.next() == HEARTBEAT
        began = time.monotonic()
        stream.start(2)
        await reader.update()
        assert time.monotonic() - began < 1.2


async def test_heartbeats() -> None:
    beat = 0.15
    async with streaming(heartbeat_seconds=beat) as stream:
        reader = await stream.read()
        await reader.update()
        times = [time.monotonic()]
        for _ in range(3):
            assert await reader.next() == HEARTBEAT
            times.append(time.monotonic())
        stream.start(1)
        await reader.update()
        told = time.monotonic()
        assert await reader.next() == HEARTBEAT
        times += [told, time.monotonic()]
    silences = [later - sooner for sooner, later in pairwise(times)]
    assert all(beat - 0.02 < silence < beat + 2 for silence in (*silences[:3], silences[4])), silences


async def test_heartbeats_between_rare_updates() -> None:
    async with streaming(interval_seconds=60, heartbeat_seconds=0.05) as stream:
        reader = await stream.read()
        await reader.update()
        stream.start(1)
        for _ in range(3):
            assert await reader.next() == HEARTBEAT


async def test_head_and_get_on_one_connection() -> None:
    async with streaming() as stream:
        raw = await stream.running.connect()
        await raw.send(ask("HEAD", PATH))
        status, fields = await raw.head()
        assert status == 200
        assert (b"content-type", b"text/event-stream; charset=utf-8") in fields
        assert stream.room.readers() == 0
        await raw.send(ask("GET", PATH))
        assert (await raw.head())[0] == 200
        assert (await anext(raw.chunks())).startswith(b"event: update\n")


async def test_no_more_readers_than_allowed() -> None:
    async with streaming(max_readers=2) as stream:
        readers = [await stream.read(), await stream.read()]
        raw = await stream.running.connect()
        status, fields, body = await raw.exchange(ask("GET", PATH))
        assert status == 503
        assert (b"content-type", b"application/json") in fields
        assert list(json.loads(body)) == ["detail"]
        await readers[0].raw.close()
        await stream.until_readers(1)
        assert await (await stream.read()).update() == {}


@on_both_loops
async def test_the_stop_ends_every_stream_cleanly() -> None:
    async with streaming() as stream:
        readers = [await stream.read() for _ in range(5)]
        for reader in readers:
            await reader.update()
        seconds = await stream.running.stop()
        for reader in readers:
            with pytest.raises(StopAsyncIteration):  # the last chunk, and then the end of the connection
                await reader.next()
            assert await reader.raw.rest() == b""
        assert stream.room.readers() == 0
        assert seconds < 2


async def test_nobody_joins_after_the_stop() -> None:
    async with streaming() as stream:
        stream.room.close()
        status, _, _ = await (await stream.running.connect()).exchange(ask("GET", PATH))
        assert status == 503


async def test_nobody_looks_while_nobody_reads() -> None:
    async with streaming(heartbeat_seconds=0.05) as stream:
        stream.start(1)
        assert stream.clock.looks == 0
        readers = [await stream.read() for _ in range(3)]
        for reader in readers:
            assert set(await reader.update()) == {ID(1)}
        for reader in readers:
            reader.raw.reset()
        await stream.until_readers(0)
        await asyncio.sleep(0.1)  # what was under way ends
        looks = stream.clock.looks
        stream.start(2)
        await asyncio.sleep(0.2)
        assert stream.clock.looks == looks
        assert set(await (await stream.read()).update()) == {ID(1), ID(2)}


async def test_many_readers_share_one_encoding() -> None:
    async with streaming(interval_seconds=1.0) as stream:
        stream.start(1)
        readers = [await stream.read() for _ in range(60)]
        pieces = [await reader.next() for reader in readers]
        stream.start(2)
        later = [await reader.next() for reader in readers]
        assert len(set(pieces)) <= 2
        assert len(set(later)) == 1
        assert stream.clock.looks <= 6


async def test_whoever_has_seen_more_than_the_others_is_told_the_rest() -> None:
    """A request is over before those were told of it who did not join in between."""
    async with streaming(interval_seconds=0.3) as stream:
        first = await stream.read()
        assert await first.update() == {}
        one = stream.start(1)
        second = await stream.read()
        assert set(await second.update()) == {one}
        stream.end(one)
        await second.until(set())


async def test_a_slow_reader_ends_at_the_last_state_and_disturbs_nobody() -> None:
    async with streaming(heartbeat_seconds=0.5) as stream:
        for number in range(500):
            stream.start(number, model="x" * 200)
        slow, quick = await stream.read(receive_buffer=4096), await stream.read()
        await quick.update()
        request = next(iter(stream.active))
        for count in range(1, 31):
            request.message_count = count
            while (await quick.update(silence=True))[request.request_id]["message_count"] < count:
                pass
        assert await quick.next() == HEARTBEAT  # of which the slow one hears nothing
        rows = await slow.update()
        while rows[request.request_id]["message_count"] < 30:
            rows = await slow.update()
        assert len(slow.seen) < 20, "updates in between were passed over"
        counts = [_count_of(data, request) for data in slow.seen]
        assert counts == sorted(counts)


def _count_of(data: dict[str, Any], request: Observation) -> int:
    rows = {row["request_id"]: row["message_count"] for row in data["active_requests"]}
    return int(rows[request.request_id])


CHANGES = 10_000


async def _change(stream: Stream, versions: dict[int, set[str]], odds: random.Random) -> None:
    """10,000 starts and ends in bursts. A request that stays in flight carries the number of changes so far."""
    marker = in_flight(0)
    marker.message_count = 0
    flying: list[str] = []
    stream.active.start(marker)
    for number in range(1, CHANGES + 1):
        marker.message_count = number
        if flying and odds.random() < len(flying) / 40:
            stream.end(flying.pop(odds.randrange(len(flying))))
        else:
            flying.append(stream.start(number))
        versions[number] = {marker.request_id, *flying}
        if odds.random() < 0.02:
            await asyncio.sleep(odds.choice((0, 0.001, 0.004)))


async def _follow(reader: Reader, versions: dict[int, set[str]]) -> list[int]:
    """Read to the last version. The versions that were seen."""
    seen: list[int] = []
    while not seen or seen[-1] < CHANGES:
        rows = await reader.update()
        if ID(0) in rows:
            seen.append(rows[ID(0)]["message_count"])
            assert set(rows) == versions[seen[-1]]
    return seen


@on_both_loops
async def test_ten_thousand_changes() -> None:
    """Whenever a reader joins: what it is told was so, never goes back, and the last of it is the last there was."""
    odds = random.Random(20261120)
    versions = {0: {ID(0)}}
    async with streaming(interval_seconds=0.05) as stream:
        began = time.monotonic()
        following = [asyncio.ensure_future(_follow(await stream.read(), versions)) for _ in range(3)]
        changing = asyncio.ensure_future(_change(stream, versions, odds))
        while not changing.done():
            await asyncio.sleep(0.03)
            if len(following) < 20:
                following.append(asyncio.ensure_future(_follow(await stream.read(), versions)))
        await changing
        everything = await asyncio.gather(*following)
        seconds = time.monotonic() - began
    assert len(following) > 5
    for seen in everything:
        assert seen == sorted(seen)
        assert seen[-1] == CHANGES
        assert len(seen) <= seconds / 0.05 + 3
    assert len(everything[0]) > 5


async def test_a_client_that_goes_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    async with streaming() as stream:
        stay, leave = await stream.read(), await stream.read()
        await leave.update()
        await stay.update()
        stream.start(1)
        leave.raw.reset()
        await until(lambda: stream.room.readers() == 1)
        await stay.until({ID(1)})
        assert not caplog.records
