"""Upstreams behind TLS, and at IPv6 addresses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.proxy.transport import UpstreamTransport
from exporter.record import AttemptResult, Outcome
from tests.proxy.harness import ask, running_proxy

CHAT = ask("POST", "/v1/chat/completions", body=b'{"stream":true}')


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A stream of 200 kB for each request."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(15)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(20):
                writer.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
            writer.write(b"0\r\n\r\n")
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def listening(host: str, certificate: Path | None = None) -> AsyncIterator[int]:
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    server = await asyncio.start_server(answer, host, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a self-signed certificate for `localhost`, in one file."""
    path = tmp_path / "localhost.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(path), "-out", str(tmp_path / "public.pem")]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    path.write_text(path.read_text() + (tmp_path / "public.pem").read_text())
    return path


async def test_a_trusted_upstream_behind_tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with listening("localhost", certificate) as port, running_proxy(f"https://localhost:{port}") as proxy:
        async with await proxy.connect() as client:
            for _ in range(2):
                status, _, body = await client.exchange(CHAT)
                assert (status, body) == (200, b"x" * 200_000)
        records = await proxy.until_records(2)
        assert [record.attempts[0].reused for record in records] == [False, True]
        await proxy.transport.aclose()
        await until_closed(proxy.transport)


async def test_an_upstream_that_is_not_trusted(certificate: Path) -> None:
    async with listening("localhost", certificate) as port, running_proxy(f"https://localhost:{port}") as proxy:
        async with await proxy.connect() as client:
            status, _, body = await client.exchange(CHAT)
        assert status == 502
        message = json.loads(body)["error"]["message"]
        assert "u1" in message
        assert "localhost" not in message
        assert str(port) not in message
        record = await proxy.only_record()
        assert (record.outcome, record.attempts[0].result) == (Outcome.UPSTREAM_ERROR, AttemptResult.CONNECT_ERROR)
        await until_closed(proxy.transport)


async def test_an_upstream_that_does_not_speak_tls() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server, running_proxy(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}") as proxy:
        async with await proxy.connect() as client:
            assert (await client.exchange(CHAT))[0] == 502
        assert (await proxy.only_record()).attempts[0].result is AttemptResult.CONNECT_ERROR


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
async def test_an_upstream_at_an_ipv6_address() -> None:
    async with (
        listening("::1") as port,
        running_proxy(f"http://[::1]:{port}") as proxy,
        await proxy.connect() as client,
    ):
        status, _, body = await client.exchange(CHAT)
        assert (status, len(body)) == (200, 200_000)
        await proxy.transport.aclose()
        await until_closed(proxy.transport)


async def until_closed(transport: UpstreamTransport) -> None:
    """Let the upstream see that it is over, so that nothing of it is left behind."""
    async with asyncio.timeout(5):
        while transport.open_connections:
            await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
