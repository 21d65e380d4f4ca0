"""Every legal way to frame an answer, and some that are not: what the client gets is what was meant."""

from __future__ import annotations

import asyncio
import random
from typing import Literal

import pytest

from exporter.record import Outcome
from tests.fakes.answers import (
    Answer,
    by_path,
    close,
    json_reply,
    reply,
    request_received,
    resume_reading,
    stop_reading,
)
from tests.fakes.llama_server import FakeServer
from tests.fakes.wire import CONTINUE, chunk, early_hints, head, last_chunk
from tests.proxy.harness import Proxy, RawClient, ask, running_proxy

OK = reply(200, [], b"ok")
GET = ask("GET", "/")
NOISE = random.Random(7).randbytes(3_000_000)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("size", [0, 1, 3_000_000])
async def test_an_answer_that_ends_with_its_connection_arrives_whole(version: str, size: int) -> None:
    body = NOISE[:size]
    pieces = [body[start : start + 70_001] for start in range(0, size, 70_001)]
    answer = reply(200, [("X-A", "1")], pieces, framing="close", version=version)
    async with FakeServer(answer) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        for _ in range(2):
            status, fields, received = await client.exchange(GET)
            assert (status, fields) == (200, [(b"x-a", b"1"), (b"transfer-encoding", b"chunked")])
            assert received == body
        records = await proxy.until_records(2)
        assert [(r.outcome, r.response_bytes) for r in records] == [(Outcome.COMPLETED, size)] * 2


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_000])
async def test_framing_is_kept(framing: Literal["length", "chunked"], size: int) -> None:
    answer = reply(200, [], [NOISE[:size]], framing=framing)
    async with FakeServer(answer) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        for _ in range(2):
            _, fields, body = await client.exchange(GET)
            name = b"content-length" if framing == "length" else b"transfer-encoding"
            assert fields == [(name, str(size).encode() if framing == "length" else b"chunked")]
            assert body == NOISE[:size]
        assert len(server.connections) == 1


async def followed_by_another(proxy: Proxy, client: RawClient, first: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Send a request whose answer has no body, then another on the same connection; the first one's head."""
    await client.send(first)
    status, fields = await client.head()
    assert (await client.exchange(ask("GET", "/next")))[::2] == (200, b"ok")
    records = await proxy.until_records(2)
    assert records[0].response_bytes == 0
    assert records[0].outcome is Outcome.COMPLETED
    return status, fields


NO_BODY = {
    "204": (204, [("X-A", "1")]),
    "204 with length": (204, [("X-A", "1"), ("Content-Length", "0")]),
    "304": (304, [("ETag", '"x"')]),
    "304 with length": (304, [("ETag", '"x"'), ("Content-Length", "626")]),
    "304 with length 0": (304, [("ETag", '"x"'), ("Content-Length", "0")]),
    "304 chunked": (304, [("ETag", '"x"'), ("Transfer-Encoding", "chunked")]),
}


@pytest.mark.parametrize("name", NO_BODY)
async def test_answers_that_have_no_body_by_their_status(name: str) -> None:
    status, fields = NO_BODY[name]
    script = by_path({"/none": Answer(request_received, head(status, fields))}, OK)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        received, found = await followed_by_another(proxy, client, ask("GET", "/none"))
        assert received == status
        assert [field for field in found if field[0] in (b"x-a", b"etag")] == [
            (fields[0][0].lower().encode(), fields[0][1].encode())
        ]


HEADS = {
    "length": [("Content-Length", "626")],
    "length 0": [("Content-Length", "0")],
    "chunked": [("Transfer-Encoding", "chunked")],
    "nothing": [],
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("status", [200, 404])
async def test_head_gets_the_head(name: str, status: int) -> None:
    fields = [("Content-Type", "text/plain"), *HEADS[name], ("X-Last", "1")]
    script = by_path({"/file": Answer(request_received, head(status, fields))}, OK)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(ask("HEAD", "/file"))
        received, found = await client.head()
        assert received == status
        expected = [(n.lower().encode(), v.encode()) for n, v in fields if n != "Transfer-Encoding"]
        assert [field for field in found if field[0] != b"transfer-encoding"] == expected
        assert (await client.exchange(ask("GET", "/next")))[::2] == (200, b"ok")
        first, _ = await proxy.until_records(2)
        assert (first.method, first.status_code, first.response_bytes) == ("HEAD", status, 0)


async def test_head_of_an_upstream_that_closes() -> None:
    script = by_path({"/file": Answer(request_received, head(200, [("Content-Length", "9")]), close)}, OK)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        status, fields = await followed_by_another(proxy, client, ask("HEAD", "/file"))
        assert (status, fields) == (200, [(b"content-length", b"9")])


async def test_trailers_and_chunk_extensions_break_nothing() -> None:
    wire = b"3;x=y\r\nabc\r\n" + chunk(b"de") + last_chunk([("X-Sum", "9"), ("Set-Cookie", "late=1")])
    answer = Answer(request_received, head(200, [("Trailer", "X-Sum"), ("Transfer-Encoding", "chunked")]) + wire)
    async with FakeServer(answer) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        for _ in range(3):
            _, fields, body = await client.exchange(GET)
            assert (fields, body) == ([(b"transfer-encoding", b"chunked")], b"abcde")
        assert len(server.connections) == 1


STATUSES = [200, 201, 206, 226, 299, 300, 307, 400, 401, 418, 422, 429, 451, 500, 501, 503, 529, 599]


async def test_every_status_passes() -> None:
    answers = {f"/{status}": Answer(request_received, head_of(status), b"{}") for status in STATUSES}
    script = by_path(answers)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        for status in STATUSES:
            received, fields, body = await client.exchange(ask("GET", f"/{status}"))
            assert (received, body) == (status, b"{}")
            assert fields == [(b"retry-after", b"1"), (b"content-length", b"2")]
        records = await proxy.until_records(len(STATUSES))
        assert [record.status_code for record in records] == STATUSES
        assert [record.outcome is Outcome.COMPLETED for record in records] == [status < 400 for status in STATUSES]


def head_of(status: int) -> bytes:
    return head(status, [("Retry-After", "1"), ("Content-Length", "2")], reason="Something")


@pytest.mark.parametrize("line", [b"HTTP/1.1 200\r\n", b"HTTP/1.1 200 \r\n", b"HTTP/1.1 200 Fine by me \xe9\r\n"])
async def test_a_reason_may_be_missing_or_odd(line: bytes) -> None:
    answer = Answer(request_received, line + b"Content-Length: 2\r\n\r\nok")
    async with FakeServer(answer) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert (await client.exchange(GET))[::2] == (200, b"ok")


@pytest.mark.parametrize("status", [600, 999])
async def test_a_status_that_does_not_exist_is_no_crash(status: int) -> None:
    """RFC 9110 knows 100 to 599. It may pass or be called an upstream's error, but not be ours."""
    answer = Answer(request_received, b"HTTP/1.1 %d Odd\r\nContent-Length: 2\r\n\r\n{}" % status)
    async with FakeServer(answer) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        received, _, _ = await client.exchange(GET)
        assert received in (status, 502)
        record = await proxy.only_record()
        assert (record.outcome, record.status_code) == (Outcome.UPSTREAM_ERROR, received)
        assert record.error_type != "internal_error"


async def test_a_body_where_none_may_be_goes_nowhere() -> None:
    """A 204 ends with its head whatever the head says (RFC 9112, 6.3); what follows is nobody's answer."""
    script = by_path({"/none": Answer(request_received, head(204, [("Content-Length", "2")]) + b"ok")}, OK)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        assert (await followed_by_another(proxy, client, ask("GET", "/none")))[0] == 204


INTERIM = {
    "hints": early_hints("</a.css>", "</b.js>"),
    "hints twice": early_hints("</a>") + early_hints("</b>"),
    "continue unasked": CONTINUE,
    "processing": b"HTTP/1.1 102 Processing\r\n\r\n",
    "all": CONTINUE + b"HTTP/1.1 102 Processing\r\nX-Interim: 1\r\n\r\n" + early_hints("</a>"),
}


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("name", INTERIM)
async def test_interim_answers_do_not_confuse(name: str, together: bool) -> None:
    final = head(200, [("X-A", "1"), ("Content-Length", "2")]) + b"ok"
    pieces = [INTERIM[name] + final] if together else [INTERIM[name], final]
    async with (
        FakeServer(Answer(request_received, *pieces)) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        for _ in range(3):
            await client.send(ask("POST", "/", body=b"{}"))
            status, fields = await client.head()
            while status < 200:  # may be passed on; the final answer counts
                status, fields = await client.head()
            assert fields == [(b"x-a", b"1"), (b"content-length", b"2")]
            assert await client.body(fields) == b"ok"
        records = await proxy.until_records(3)
        assert [(r.status_code, r.outcome) for r in records] == [(200, Outcome.COMPLETED)] * 3
        assert len(server.connections) == 1


ASKED = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ASKED_IN_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
UNASKED = b"HTTP/1.1 500 No\r\nX-Poison: 1\r\nContent-Length: 4\r\n\r\nevil"
TWO = {
    "together": [ASKED + UNASKED],
    "apart": [ASKED, UNASKED],
    "in chunks": [ASKED_IN_CHUNKS + UNASKED],
    "junk": [ASKED + b"\r\n\r\njunk"],
}


@pytest.mark.parametrize("name", TWO)
async def test_an_answer_that_nobody_asked_for_goes_nowhere(name: str) -> None:
    """Else it would be taken for the answer to somebody else's request."""
    script = by_path({"/two": Answer(request_received, *TWO[name])}, OK)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        status, _, body = await client.exchange(ask("GET", "/two"))
        assert (status, body) == (200, b"ok")
        for _ in range(2):
            assert (await client.exchange(ask("GET", "/other")))[::2] == (200, b"ok")
        records = await proxy.until_records(3)
        assert [(r.status_code, r.response_bytes) for r in records] == [(200, 2)] * 3


TOO_LARGE = json_reply({"error": {"code": 413, "message": "too large", "type": "invalid_request_error"}}, 413)
EARLY = Answer(*TOO_LARGE.steps[1:])


async def upload(client: RawClient, body: bytes) -> None:
    """Send as far as the connection lives."""
    try:
        for start in range(0, len(body), 65_536):
            await client.send(body[start : start + 65_536])
    except ConnectionError:
        pass


@pytest.mark.parametrize("name", ["keeps reading", "stops reading", "closes"])
async def test_an_answer_before_the_end_of_the_upload_reaches_the_client(name: str) -> None:
    then = {"keeps reading": (), "stops reading": (), "closes": (close,)}[name]
    first = (stop_reading,) if name == "stops reading" else ()
    body = NOISE * 3
    async with FakeServer(Answer(*first, *EARLY.steps, *then)) as server, running_proxy(server.url) as proxy:
        async with await proxy.connect() as client, asyncio.TaskGroup() as group:
            await client.send(ask("POST", "/", ("Content-Length", str(len(body)))))
            uploading = group.create_task(upload(client, body))
            status, fields = await client.head()
            assert status == 413
            assert await client.body(fields) == TOO_LARGE.steps[-1]
            uploading.cancel()
        record = await proxy.only_record()
        assert (record.status_code, record.outcome) == (413, Outcome.UPSTREAM_ERROR)
        assert len(server.requests) == 1


@pytest.mark.parametrize("name", ["keeps reading", "closes"])
async def test_a_client_that_finishes_its_upload_first_sees_the_early_answer_too(name: str) -> None:
    """Many clients read only when they have written all; the connection then serves the next request."""
    early = Answer(*EARLY.steps, *((close,) if name == "closes" else ()))
    body = NOISE * 2
    script = by_path({"/upload": early}, OK)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(ask("POST", "/upload", body=body))
        status, fields = await client.head()
        assert (status, await client.body(fields)) == (413, TOO_LARGE.steps[-1])
        assert (await client.exchange(ask("GET", "/next")))[::2] == (200, b"ok")


async def test_an_early_stream_goes_on_while_the_upload_does() -> None:
    """An answer that begins before the request is complete, and ends after it."""
    body = NOISE
    script = Answer(
        head(200, [("Transfer-Encoding", "chunked")]), chunk(b"first"), request_received, chunk(b"last"), last_chunk()
    )
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(ask("POST", "/", ("Content-Length", str(len(body)))) + body[:2_000_000])
        assert (await client.head())[0] == 200
        chunks = client.chunks()
        assert await anext(chunks) == b"first"
        await client.send(body[2_000_000:])
        assert [piece async for piece in chunks] == [b"last"]
        assert server.requests[0].body == body
        record = await proxy.only_record()
        assert (record.outcome, record.request_bytes, record.response_bytes) == (Outcome.COMPLETED, len(body), 9)


async def test_a_stream_is_passed_on_as_it_comes() -> None:
    """Each frame is with the client before the next one exists."""
    gates = [asyncio.Event() for _ in range(5)]
    steps = [step for n, gate in enumerate(gates) for step in (chunk(b"data: %d\n\n" % n), gate)]
    answer = Answer(request_received, head(200, [("Transfer-Encoding", "chunked")]), *steps, last_chunk())
    async with FakeServer(answer) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(ask("POST", "/v1/chat/completions", body=b'{"stream":true}'))
        await client.head()
        chunks = client.chunks()
        for n, gate in enumerate(gates):
            assert await anext(chunks) == b"data: %d\n\n" % n
            gate.set()
        assert [piece async for piece in chunks] == []
        assert (await proxy.only_record()).response_bytes == 45


async def test_pieces_of_any_size_and_the_end_arrive_in_any_company() -> None:
    """The last piece with the end, without it, behind a pause; small after large; many in one packet."""
    pause = b""
    wire: list[bytes] = [
        chunk(b"a"),
        chunk(b"b") + chunk(b"c"),
        chunk(NOISE[:400_000]) + chunk(b"d"),
        chunk(b"e")[:3],
        chunk(b"e")[3:] + chunk(b"f")[:1],
        chunk(b"f")[1:],
        pause,
    ]
    expected = b"abc" + NOISE[:400_000] + b"def"
    for ending in ([last_chunk()], [chunk(b"g") + last_chunk()], [b"0\r", b"\n\r\n"]):
        gates = [asyncio.Event() for _ in [*wire, *ending]]
        steps = [step for gate, piece in zip(gates, [*wire, *ending], strict=True) for step in (gate, piece)]
        answer = Answer(request_received, head(200, [("Transfer-Encoding", "chunked")]), *steps)
        async with FakeServer(answer) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
            for _ in range(2):
                for gate in gates:
                    gate.clear()
                await client.send(GET)
                _, fields = await client.head()
                async with asyncio.TaskGroup() as group:
                    reading = group.create_task(client.body(fields))
                    for gate in gates:
                        gate.set()
                        for _ in range(10):
                            await asyncio.sleep(0)
                assert reading.result() == expected + (b"g" if ending[0].startswith(b"1") else b"")
            assert len(server.connections) == 1
            assert {record.outcome for record in await proxy.until_records(2)} == {Outcome.COMPLETED}


async def test_a_head_is_passed_on_before_the_body_begins() -> None:
    gate = asyncio.Event()
    answer = Answer(request_received, head(200, [("Content-Length", "2")]), gate, b"ok")
    async with FakeServer(answer) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(GET)
        _, fields = await client.head()
        gate.set()
        assert await client.body(fields) == b"ok"


async def test_an_upload_goes_on_where_the_upstream_reads_late() -> None:
    gate = asyncio.Event()
    script = Answer(stop_reading, gate, resume_reading, request_received, *OK.steps)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        async with asyncio.TaskGroup() as group:
            group.create_task(client.send(ask("POST", "/", body=NOISE * 3)))
            await server.until(lambda: len(server.requests) == 1)
            gate.set()
            assert (await client.head())[0] == 200
        assert server.requests[0].body == NOISE * 3
