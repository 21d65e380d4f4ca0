from __future__ import annotations

import asyncio
import contextlib
import errno
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest

from exporter.system.answers import (
    LIMIT_BYTES,
    Answer,
    BadAnswerError,
    Endpoints,
    NoAnswerError,
    NoConnectionError,
    SilenceError,
    is_refused,
    is_shortage,
    translate,
    words_for,
)
from tests.system.scripted_server import Reply, json_reply, raw_server, scripted_server


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as made:
        yield made


def free_port_that_refuses() -> int:
    import socket  # noqa: PLC0415

    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


async def test_an_answer_is_read_whole_with_the_key_and_never_compressed(client: httpx.AsyncClient) -> None:
    async with scripted_server() as server:
        server.replies["/llama/props"] = json_reply({"a": [1]})
        answer = await Endpoints(client, server.url + "/llama/", api_key="secret").ask("/props")
    assert (answer.status, answer.document()) == (200, {"a": [1]})
    assert 0 < answer.seconds < 5
    head = server.heads[0].lower()
    assert "authorization: bearer secret\r\n" in head
    assert "accept-encoding: identity\r\n" in head


async def test_a_question_about_a_routers_model_never_loads_it(client: httpx.AsyncClient) -> None:
    async with scripted_server() as server:
        await Endpoints(client, server.url).ask("/slots", "org/gemma:Q4_K_M")
    [asked] = server.asked
    assert httpx.URL(asked).params.multi_items() == [("model", "org/gemma:Q4_K_M"), ("autoload", "false")]
    assert "authorization" not in server.heads[0].lower()


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a":', b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_json_is_no_document(body: bytes) -> None:
    assert Answer(200, body, 0.0).document() is None


async def test_nobody_listens(client: httpx.AsyncClient) -> None:
    with pytest.raises(NoConnectionError) as caught:
        await Endpoints(client, f"http://127.0.0.1:{free_port_that_refuses()}").ask("/health")
    assert str(caught.value) == "connection refused"


async def test_no_such_name(client: httpx.AsyncClient) -> None:
    with pytest.raises(NoConnectionError, match=r"^name not found$"):
        await Endpoints(client, "http://no-such-host.invalid").ask("/health")


async def test_plain_http_where_tls_was_expected(client: httpx.AsyncClient) -> None:
    async with scripted_server(health=Reply()) as server:
        with pytest.raises(NoConnectionError, match=r"^TLS error$"):
            await Endpoints(client, server.url.replace("http:", "https:")).ask("/health")


async def test_silence_ends_with_the_limit(client: httpx.AsyncClient) -> None:
    async with scripted_server(health=Reply(after=asyncio.Event())) as server:
        with pytest.raises(NoAnswerError, match=r"^timed out$") as caught:
            await Endpoints(client, server.url).ask("/health", limit_seconds=0.05)
    assert not isinstance(caught.value, NoConnectionError)


async def test_a_tls_handshake_that_nobody_answers_is_a_timeout(client: httpx.AsyncClient) -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(listen) as port:
        with pytest.raises(NoAnswerError, match=r"^timed out$"):
            await Endpoints(client, f"https://127.0.0.1:{port}").ask("/health", limit_seconds=0.5)


async def test_an_answer_that_drips_for_ever_ends_with_the_limit(client: httpx.AsyncClient) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not reader.at_eof():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with raw_server(drip) as port:
        with pytest.raises(NoAnswerError, match=r"^timed out$"):
            await Endpoints(client, f"http://127.0.0.1:{port}").ask("/metrics", limit_seconds=0.2)


async def test_noise_that_is_not_http(client: httpx.AsyncClient) -> None:
    async with scripted_server(health=Reply(raw=b"SSH-2.0-OpenSSH_9.2\r\n\r\n")) as server:
        with pytest.raises(BadAnswerError, match=r"^answer is not HTTP$"):
            await Endpoints(client, server.url).ask("/health")


async def test_a_giant_answer_is_not_read_to_its_end(client: httpx.AsyncClient) -> None:
    async with scripted_server(
        slots=Reply(body=bytes(LIMIT_BYTES + 1)), props=Reply(body=bytes(LIMIT_BYTES))
    ) as server:
        endpoints = Endpoints(client, server.url)
        with pytest.raises(BadAnswerError, match=r"^answer too large$"):
            await endpoints.ask("/slots")
        assert len((await endpoints.ask("/props")).body) == LIMIT_BYTES


async def test_a_connection_that_died_while_idle_is_not_noticed(client: httpx.AsyncClient) -> None:
    async with scripted_server(health=Reply(body=b"{}")) as server:
        server.die_on_reuse = True
        endpoints = Endpoints(client, server.url)
        for _ in range(4):
            assert (await endpoints.ask("/health")).status == 200
    assert server.connections == 4


async def test_a_server_that_hangs_up_every_time_gives_no_answer(client: httpx.AsyncClient) -> None:
    async with scripted_server(health=Reply(raw=b"")) as server:
        with pytest.raises(NoAnswerError, match=r"^connection closed$"):
            await Endpoints(client, server.url).ask("/health")
    assert len(server.asked) == 2


@pytest.mark.parametrize("status", [404, 501])
async def test_a_feature_that_is_off_is_asked_again_after_a_minute(client: httpx.AsyncClient, status: int) -> None:
    now = 100.0
    async with scripted_server(metrics=Reply(status), slots=Reply(body=b"[]")) as server:
        endpoints = Endpoints(client, server.url, clock=lambda: now)
        first = await endpoints.feature("/metrics")
        assert first is not None
        assert first.status == status
        now = 159.9
        assert await endpoints.feature("/metrics") is None
        assert await endpoints.feature("/metrics", "another") is not None  # each model of a router for itself
        assert await endpoints.feature("/slots") is not None
        assert len(server.take_asked()) == 3
        now = 160.0
        assert await endpoints.feature("/metrics") is not None
        endpoints.forget()
        assert await endpoints.feature("/metrics") is not None
        assert len(server.take_asked()) == 2


async def test_a_feature_that_fails_once_is_asked_again_at_once(client: httpx.AsyncClient) -> None:
    async with scripted_server(metrics=Reply(raw=b"noise\r\n\r\n"), slots=Reply(500)) as server:
        endpoints = Endpoints(client, server.url)
        assert await endpoints.feature("/metrics") is None
        answer = await endpoints.feature("/slots")
        assert answer is not None
        assert answer.status == 500
        server.replies["/metrics"] = Reply(body=b"fine")
        answer = await endpoints.feature("/metrics")
        assert answer is not None
        assert answer.body == b"fine"


async def test_a_feature_of_a_server_that_is_gone_says_so(client: httpx.AsyncClient) -> None:
    with pytest.raises(NoConnectionError):
        await Endpoints(client, f"http://127.0.0.1:{free_port_that_refuses()}").feature("/metrics")


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OSError(errno.EHOSTUNREACH, "No route to host"), NoConnectionError, "no route to host"),
        (httpx.UnsupportedProtocol("ftp://"), NoConnectionError, "cannot connect"),
        (httpx.ConnectTimeout(""), NoConnectionError, "timed out"),
        (httpx.ReadTimeout(""), SilenceError, "timed out"),
        (httpx.ReadError(""), NoAnswerError, "connection closed"),
        (ConnectionResetError(), NoAnswerError, "connection closed"),
        (ssl.SSLCertVerificationError(), NoConnectionError, "TLS error"),
        (httpx.DecodingError(""), BadAnswerError, "answer is not HTTP"),
        (BadAnswerError("answer too large"), BadAnswerError, "answer too large"),
        (ExceptionGroup("all attempts", [ConnectionRefusedError()]), NoConnectionError, "connection refused"),
    ],
)
def test_errors_in_words(error: Exception, kind: type[NoAnswerError], words: str) -> None:
    translated = translate(error)
    assert (type(translated), str(translated)) == (kind, words)


def caused(error: Exception) -> Exception:
    wrapped = httpx.ConnectError("all connection attempts failed")
    wrapped.__cause__ = error
    return wrapped


@pytest.mark.parametrize(
    ("error", "refused", "short"),
    [
        (ConnectionRefusedError(), True, False),
        (ExceptionGroup("all attempts", [ConnectionRefusedError(), ConnectionRefusedError()]), True, False),
        (ExceptionGroup("all attempts", [ConnectionRefusedError(), TimeoutError()]), False, False),
        (ExceptionGroup("all attempts", [ConnectionRefusedError(), OSError(errno.EMFILE, "")]), False, True),
        (OSError(errno.EMFILE, "Too many open files"), False, True),
        (OSError(errno.EHOSTUNREACH, "No route to host"), False, False),
        (TimeoutError(), False, False),
    ],
)
def test_only_a_refused_connection_proves_that_nobody_is_there(error: Exception, refused: bool, short: bool) -> None:
    assert (is_refused(caused(error)), is_shortage(caused(error))) == (refused, short)
    assert not is_refused(httpx.ConnectTimeout(""))


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert words_for(first) is None
