from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from exporter.demo.engine import Engine
from exporter.demo.kinds import ROUTED_KINDS
from exporter.demo.traffic import (
    LEAVING_KINDS,
    STEADY_KINDS,
    ClientView,
    Exchange,
    Kind,
    Result,
    TrafficCounts,
    client,
    has_content,
    plan,
    play,
    play_all,
    run_traffic,
)
from exporter.tasks import cancel, spawn

STREAMS = {
    Kind.CHAT_STREAM,
    Kind.CONVERSATION,
    Kind.LONG_STREAM,
    Kind.COMPLETION_STREAM,
    Kind.NATIVE_STREAM,
    Kind.RESPONSES_STREAM,
    Kind.LEAVE_MIDWAY,
}
"""Of which llama-server always sends at least one chunk with content; a `/v1/messages` stream can end without any."""


@pytest.fixture(scope="module")
def busy_engine(start_engine: Callable[..., Engine]) -> Engine:
    """One of its own: clients that leave keep it busy for a while."""
    return start_engine(alias="tiny", seed=1)


@pytest.mark.parametrize("kind", sorted(STEADY_KINDS))
async def test_each_steady_kind_is_answered_as_expected(kind: Kind, busy_engine: Engine) -> None:
    requests = plan(11, 3, {kind})
    views = await play_all(busy_engine.url, requests, users=1, reuse=False)
    for request, view in zip(requests, views, strict=True):
        assert view.kind is kind
        assert view.error is None
        assert view.status == request.expected_status
        assert view.result is (Result.COMPLETED if view.status == 200 else Result.REFUSED)
        assert not view.aborted


@pytest.mark.parametrize("kind", sorted(STREAMS))
async def test_streams_have_a_time_to_first_token(kind: Kind, busy_engine: Engine) -> None:
    for view in await play_all(busy_engine.url, plan(12, 2, {kind}), users=1, reuse=False):
        assert view.ttft_seconds is not None
        assert 0 < view.ttft_seconds <= view.duration_seconds
        assert view.content_chunks >= 1


async def test_what_is_not_streamed_has_none(busy_engine: Engine) -> None:
    (view,) = await play_all(busy_engine.url, plan(12, 1, {Kind.CHAT}), users=1, reuse=False)
    assert (view.ttft_seconds, view.content_chunks) == (None, 0)


async def test_early_leavers_see_no_answer(busy_engine: Engine) -> None:
    for view in await play_all(busy_engine.url, plan(13, 3, {Kind.LEAVE_EARLY}), users=1, reuse=False):
        assert (view.result, view.status, view.aborted) == (Result.LEFT, None, True)
        assert view.duration_seconds < 1


async def test_midway_leavers_go_after_as_many_chunks_as_planned(busy_engine: Engine) -> None:
    requests = plan(14, 3, {Kind.LEAVE_MIDWAY})
    for request, view in zip(requests, await play_all(busy_engine.url, requests, users=1, reuse=False), strict=True):
        assert (view.result, view.status) == (Result.LEFT, 200)
        assert view.content_chunks == request.leave_after_chunks


async def test_conversations_hit_the_prompt_cache(start_engine: Callable[..., Engine]) -> None:
    engine = start_engine(parallel=3, seed=15)
    await play_all(engine.url, plan(15, 12, {Kind.CONVERSATION}), users=1, reuse=False)
    text = httpx.get(f"{engine.url}/metrics", trust_env=False).text
    counters = dict(line.split() for line in text.splitlines() if not line.startswith("#"))
    assert float(counters["llamacpp:prompt_tokens_cached_total"]) > float(counters["llamacpp:prompt_tokens_total"])


async def test_fixed_number_of_requests_is_played_by_several_users(busy_engine: Engine) -> None:
    counts = await run_traffic(busy_engine.url, seed=3, users=4, pace=0, count=42, reuse=False)
    assert counts.total == 42
    played = Counter({kind: sum(n for (k, _), n in counts.counts.items() if k is kind) for kind in Kind})
    assert played == Counter(request.kind for request in plan(3, 42))
    left = sum(n for (kind, result), n in counts.counts.items() if kind in LEAVING_KINDS and result is Result.LEFT)
    assert counts.by_result()[Result.LEFT] == left == 2


@pytest.mark.parametrize("kind", sorted(ROUTED_KINDS))
async def test_traffic_for_a_router_is_answered_by_an_engine_alone_as_well(kind: Kind, busy_engine: Engine) -> None:
    views = await play_all(busy_engine.url, plan(11, 3, {kind}), users=1, reuse=False)
    assert [(view.result, view.status) for view in views] == [(Result.COMPLETED, 200)] * 3


async def test_users_send_the_kinds_that_they_are_told(busy_engine: Engine) -> None:
    counts = await run_traffic(
        busy_engine.url, seed=5, users=2, pace=0, kinds={Kind.CHAT}, model="other", count=3, reuse=False
    )
    assert counts.counts == {(Kind.CHAT, Result.COMPLETED): 3}


async def test_endless_traffic_ends_when_cancelled_and_what_was_counted_is_kept(busy_engine: Engine) -> None:
    counts = TrafficCounts()
    traffic = spawn(run_traffic(busy_engine.url, seed=4, users=2, pace=0.001, counts=counts), name="traffic")
    async with asyncio.timeout(20):
        while counts.total < 5:
            await asyncio.sleep(0.01)
    await cancel(traffic)
    assert traffic.cancelled()
    assert counts.total >= 5


async def test_nobody_there_is_a_broken_exchange_not_an_error(free_port: int) -> None:
    (view,) = await play_all(f"http://127.0.0.1:{free_port}", plan(1, 1, {Kind.CHAT}), users=1)
    assert (view.result, view.status) == (Result.BROKEN, None)
    assert view.error is not None
    assert "ConnectError" in view.error


async def answer_once(raw: bytes) -> tuple[asyncio.Server, str]:
    """A server that sends these bytes, whatever it is asked, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


async def see(raw: bytes) -> ClientView:
    server, url = await answer_once(raw)
    async with server, client(url) as http:
        return await play(http, Exchange(Kind.CHAT_STREAM, "GET", "/", None, stream=True, expected_status=200))


async def test_lines_end_at_line_feeds_only() -> None:
    text = 'data: {"content":"a\N{LINE SEPARATOR}b\N{NEXT LINE}c"}\n\n: ping\n\ndata: [DONE]\n\n'.encode()
    view = await see(STREAM_HEAD + b"Connection: close\r\n\r\n" + text)
    assert (view.result, view.content_chunks) == (Result.COMPLETED, 1)


async def test_error_inside_a_stream_is_seen() -> None:
    view = await see(STREAM_HEAD + b'Connection: close\r\n\r\ndata: {"error":{"code":500}}\n\n')
    assert (view.result, view.status) == (Result.STREAM_ERROR, 200)


async def test_stream_that_breaks_off_is_broken() -> None:
    view = await see(STREAM_HEAD + b'Transfer-Encoding: chunked\r\n\r\n18\r\ndata: {"content":"a"}\n\n')
    assert (view.result, view.status) == (Result.BROKEN, 200)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"choices": [{"delta": {"content": "a"}}]}, True),
        ({"choices": [{"delta": {"role": "assistant", "content": None}}]}, False),
        ({"choices": [{"delta": {}}]}, False),
        ({"choices": []}, False),
        ({"choices": [{"text": "a"}]}, True),
        ({"choices": [{"text": ""}]}, False),
        ({"content": "a", "stop": False}, True),
        ({"content": "", "stop": True}, False),
        ({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}, True),
        ({"type": "message_start", "message": {"content": []}}, False),
        ({"type": "response.output_text.delta", "delta": "a"}, True),
        ({"type": "response.created", "response": {}}, False),
    ],
)
def test_content_is_told_from_everything_else(event: dict[str, Any], expected: bool) -> None:
    assert has_content(event) is expected
