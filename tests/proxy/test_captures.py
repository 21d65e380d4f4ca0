"""Answers of a real llama-server, cut anywhere, reach the client as they were sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.record import AttemptResult, Outcome
from tests.fakes.answers import byte_by_byte, replay
from tests.fakes.captures import GOLDEN, Capture, capture
from tests.fakes.llama_server import FakeServer
from tests.proxy.harness import Proxy, ask, running_proxy

SEEDS = range(4)
CAPTURES = sorted(GOLDEN.glob("*.http"))


def request_of(real: Capture) -> bytes:
    """The request that the capture answered."""
    target, _, rest = real.request.partition("$BASE")[2].partition(" ")
    _, found, body = rest.partition(" -d ")
    if not found:
        return ask("GET", target or "/models/sse")
    return ask("POST", target, ("Content-Type", "application/json"), body=body.encode())


def end_to_end(real: Capture) -> list[tuple[bytes, bytes]]:
    hop_by_hop = ("connection", "keep-alive", "transfer-encoding")
    pairs = [(name.lower(), value) for name, value in real.headers]
    return [(name.encode(), value.encode("latin-1")) for name, value in pairs if name not in hop_by_hop]


async def receives(proxy: Proxy, real: Capture, request: bytes) -> None:
    """Ask, and compare."""
    async with await proxy.connect() as client:
        status, fields, body = await client.exchange(request)
    assert status == real.status
    assert [field for field in fields if field != (b"transfer-encoding", b"chunked")] == end_to_end(real)
    assert ((b"transfer-encoding", b"chunked") in fields) == real.chunked
    assert body == real.body


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
async def test_captures_pass_however_they_are_cut(path: Path) -> None:
    real = capture(path)
    request = request_of(real)
    script = [
        replay(real),
        *(replay(real, real.split(seed, pieces=4 << 2 * seed)) for seed in SEEDS),
        byte_by_byte(replay(real)),
    ]
    async with FakeServer(script) as server, running_proxy(server.url) as proxy:
        for _ in script:
            await receives(proxy, real, request)
        records = await proxy.until_records(len(script))
        assert {record.response_bytes for record in records} == {len(real.body)}
        assert {record.status_code for record in records} == {real.status}
        assert {record.attempts[-1].result for record in records} == {AttemptResult.ANSWERED}
        good = {Outcome.COMPLETED, Outcome.STREAM_ERROR} if real.status < 400 else {Outcome.UPSTREAM_ERROR}
        assert {record.outcome for record in records} <= good
        assert not proxy.forwarder.parse_errors.total()
        assert len({sent.body for sent in server.requests}) == 1
        assert request.endswith(server.requests[0].body)


def test_the_captures_are_there() -> None:
    """The test above would not notice an empty folder."""
    assert len(CAPTURES) > 40
