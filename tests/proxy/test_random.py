"""Whatever is legal passes: random fields, bodies and chunking, both ways."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.record import Outcome
from tests.fakes.answers import Answer, close, request_received
from tests.fakes.llama_server import FakeServer
from tests.fakes.wire import LAST_CHUNK, chunk, head, split_randomly
from tests.proxy.harness import running_proxy

MEANINGFUL = {
    "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    "content-length", "host", "expect", "date", "server",
}  # fmt: skip
TOKEN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"
NAMES = st.text(TOKEN, min_size=1, max_size=20).filter(lambda name: name.lower() not in MEANINGFUL)
VALUES = st.text([chr(code) for code in [9, *range(32, 127), *range(128, 256)]], max_size=60).map(
    lambda value: value.strip(" \t")
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=12).map(lambda fields: fields + fields[:2])
BODIES = st.lists(st.binary(min_size=1, max_size=3000), max_size=6)
PATHS = st.text(TOKEN.replace("#", "").replace("`", "").replace("|", "").replace("^", "") + "/%:@=,;()", max_size=40)
QUERIES = st.none() | st.text("abcXYZ019-._~%!$&'()*+,;=:@/?", min_size=1, max_size=40)
SEEDS = st.integers(0, 1 << 16)


def framed(pieces: list[bytes], *, chunked: bool) -> tuple[tuple[str, str], bytes]:
    if chunked:
        return ("Transfer-Encoding", "chunked"), b"".join(map(chunk, pieces)) + LAST_CHUNK
    body = b"".join(pieces)
    return ("Content-Length", str(len(body))), body


def lower(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in fields]


async def exchange(
    line: tuple[str, str, str | None],
    up: tuple[list[tuple[str, str]], list[bytes], bool, int],
    down: tuple[list[tuple[str, str]], list[bytes], bool, int],
    status: int,
) -> None:
    method, path, query = line
    target = f"/{path}" + ("" if query is None else f"?{query}")
    request_fields, request_pieces, request_chunked, request_seed = up
    answer_fields, answer_pieces, answer_chunked, answer_seed = down
    request_framing, request_wire = framed(request_pieces, chunked=request_chunked)
    answer_framing, answer_wire = framed(answer_pieces, chunked=answer_chunked)
    names = [("Host", "any.test"), *request_fields, request_framing]
    request_head = "\r\n".join([f"{method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in names), "", ""]).encode(
        "latin-1"
    )
    answer = head(status, [*answer_fields, answer_framing]) + answer_wire
    script = Answer(request_received, *split_randomly(answer, answer_seed))
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        for _ in range(2):
            for piece in split_randomly(request_head + request_wire, request_seed):
                await client.send(piece)
            received, fields = await client.head()
            body = await client.body(fields)
            assert received == status
            assert [(n.decode(), v.decode("latin-1")) for n, v in fields] == lower([*answer_fields, answer_framing])
            assert body == b"".join(answer_pieces)
        for request in server.requests:
            assert request.line == f"{method} {target} HTTP/1.1"
            assert lower(request.headers) == lower(names)
            assert request.body == b"".join(request_pieces)
        records = await proxy.until_records(2)
        assert [r.response_bytes for r in records] == [len(b"".join(answer_pieces))] * 2
        assert [r.request_bytes for r in records] == [len(b"".join(request_pieces))] * 2
        assert {r.outcome is Outcome.UPSTREAM_ERROR for r in records} == {status >= 400}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    line=st.tuples(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]), PATHS, QUERIES),
    up=st.tuples(FIELDS, BODIES, st.booleans(), SEEDS),
    down=st.tuples(FIELDS, BODIES, st.booleans(), SEEDS),
    status=st.sampled_from([200, 201, 400, 404, 500, 503]),
)
async def test_any_exchange_passes_unchanged(
    line: tuple[str, str, str | None],
    up: tuple[list[tuple[str, str]], list[bytes], bool, int],
    down: tuple[list[tuple[str, str]], list[bytes], bool, int],
    status: int,
) -> None:
    await exchange(line, up, down, status)


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
ANSWERS = [
    head(200, [("Set-Cookie", "a"), ("Content-Length", "5")]) + b"hello",
    head(200, [("Transfer-Encoding", "chunked"), ("X-A", "1")]) + chunk(b"hello") + chunk(b"again") + LAST_CHUNK,
    head(200, [("Connection", "close")]) + b"hello",
    b"HTTP/1.1 100 Continue\r\n\r\n" + head(404, [("Keep-Alive", "timeout=5, max=2"), ("Content-Length", "2")]) + b"{}",
]
REQUESTS = [
    b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"hello") + LAST_CHUNK,
    b"PUT /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, x-a\r\nUpgrade: h2c\r\nX-A: 1\r\nContent-Length: 2\r\n\r\n{}",
]
EDITS = st.lists(
    st.tuples(
        st.integers(0, 1 << 16), st.integers(0, 3), st.sampled_from([b"", b"\r\n", b"0", b":", b" ", b"\0", b"f", b","])
    ),
    min_size=1,
    max_size=4,
)


def edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Some bytes cut out, others put in."""
    for where, cut, put in edits:
        start = where % (len(data) + 1)
        data = data[:start] + put + data[start + cut :]
    return data


class Crashes(logging.Handler):
    """Counts what uvicorn had to catch."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and not isinstance(record.exc_info[1], asyncio.CancelledError):
            self.texts.append(logging.Formatter().format(record))


@contextlib.contextmanager
def no_crash() -> Iterator[None]:
    crashes = Crashes()
    logger = logging.getLogger("uvicorn.error")
    logger.addHandler(crashes)
    try:
        yield
    finally:
        logger.removeHandler(crashes)
    assert not crashes.texts


async def survives_answer(data: bytes, seed: int) -> None:
    """Whatever an upstream sends: one record, nobody in flight, and the next client is served."""
    script = [
        Answer(request_received, *split_randomly(data, seed), close),
        Answer(request_received, head(200, [("Content-Length", "2")]) + b"ok"),
    ]
    with no_crash():
        async with FakeServer(script) as server, running_proxy(server.url) as proxy:
            async with await proxy.connect() as client:
                await client.send(GET)
                await proxy.until_records(1)
            async with await proxy.connect() as client:
                assert (await client.exchange(GET))[::2] == (200, b"ok")
            assert len(await proxy.until_records(2)) == 2


async def survives_request(data: bytes) -> None:
    """Whatever a client sends: the upstream gets well-formed requests (the fake checks), each with a record."""
    answer = Answer(request_received, head(200, [("Content-Length", "2")]) + b"ok")
    with no_crash():
        async with FakeServer(answer) as server, running_proxy(server.url) as proxy:
            async with await proxy.connect() as client:
                await client.send(data)
                with contextlib.suppress(TimeoutError, ConnectionError):  # what is not complete has no answer
                    await asyncio.wait_for(client.reader.read(1), 0.02)
            async with await proxy.connect() as client:
                assert (await client.exchange(GET))[::2] == (200, b"ok")
            async with asyncio.timeout(5):
                while len(proxy.active):
                    await asyncio.sleep(0)
            assert len(proxy.records) >= len(server.requests)


@settings(max_examples=50, deadline=None)
@given(data=st.binary(min_size=1, max_size=400), seed=SEEDS)
async def test_no_answer_is_so_odd_that_the_proxy_breaks(data: bytes, seed: int) -> None:
    await survives_answer(data, seed)


@settings(max_examples=150, deadline=None)
@given(answer=st.sampled_from(ANSWERS), edits=EDITS, seed=SEEDS)
async def test_no_damage_to_an_answer_breaks_the_proxy(
    answer: bytes, edits: list[tuple[int, int, bytes]], seed: int
) -> None:
    await survives_answer(edited(answer, edits), seed)


@settings(max_examples=50, deadline=None)
@given(data=st.binary(min_size=1, max_size=400))
async def test_no_request_is_so_odd_that_the_proxy_breaks(data: bytes) -> None:
    await survives_request(data)


@settings(max_examples=150, deadline=None)
@given(request=st.sampled_from(REQUESTS), edits=EDITS)
async def test_no_damage_to_a_request_breaks_the_proxy(request: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    await survives_request(edited(request, edits))
