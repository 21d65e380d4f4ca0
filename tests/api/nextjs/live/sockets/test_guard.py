"""Requests and packets that are no good, and who may come in."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from exporter.api.nextjs.live.sockets import clients, guard
from tests.api.nextjs.live.stage import Stage
from tests.api.nextjs.live.talker import HANDSHAKE, POLLING, packet, polling, talking
from tests.serving import Serving, until

NESTED = "[" * 60_000
GARBAGE = (
    "",
    "0",
    "2",
    "2probe",
    "5",
    "6",
    "9",
    "x",
    "3" + NESTED,
    "4",
    "4x",
    "4" + NESTED,
    "42",
    "42" + NESTED,
    '42{"a":1}',
    "42[]",
    "42[1]",
    "42[null,{}]",
    "42[[]]",
    '42["a"',
    '42["connect",{},{}]',
    '42["disconnect","x"]',
    '42["error"]',
    '42999999999999["a"]',
    '42/nowhere,["a"]',
    "40/metrics?x=1,{",
    "43[1]",
    "437[]",
    '44{"message":"no"}',
    '451-["a",{"_placeholder":true,"num":0}]',
    '4599999999-["a"]',
    "46",
    "b" + "AAAA",
    "²",
)


async def refused(running: Serving, path: str, **options: Any) -> int:
    """The status of a handshake that fails."""
    with pytest.raises(InvalidStatus) as caught:
        await connect(f"ws://127.0.0.1:{running.port}{path}", proxy=None, **options)
    return caught.value.response.status_code


def http(running: Serving) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", timeout=30, trust_env=False)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/socket.io/", 400),
        ("GET", "/socket.io/?EIO=3&transport=polling", 400),
        ("GET", "/socket.io/?EIO=4&transport=websocket", 400),
        ("GET", "/socket.io/?EIO=4&transport=carrier-pigeon", 400),
        ("GET", f"/socket.io/{POLLING}&j=0", 400),
        ("GET", f"/socket.io/{POLLING}&sid=nobody", 400),
        ("POST", f"/socket.io/{POLLING}&sid=nobody", 400),
        ("POST", f"/socket.io/{POLLING}", 400),
        ("GET", "/socket.io/?" + "&".join(f"x{number}=1" for number in range(30)), 400),
        ("PUT", f"/socket.io/{POLLING}", 405),
        ("HEAD", f"/socket.io/{POLLING}", 405),
        ("GET", f"/llamaproxws/{POLLING}", 400),
        ("GET", f"/llamaproxws{POLLING}", 400),
        ("GET", "/llamaproxws", 400),
        ("GET", f"/socket.io/more{POLLING}", 404),
    ],
)
async def test_requests_that_are_no_good(method: str, target: str, status: int) -> None:
    stage = Stage()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(stage.app), base_url="http://admin") as client:
        answer = await client.request(method, target)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert method == "HEAD" or answer.json()["status"] == status
    assert stage.live.readers() == 0


async def test_handshakes_that_are_no_good() -> None:
    stage = Stage()
    async with stage.open() as running:
        for path in ("/socket.io/", "/llamaproxws/", "/llamaproxws"):
            assert await refused(running, path) == 400
            assert await refused(running, f"{path}{POLLING}") == 400
            assert await refused(running, f"{path}?EIO=3&transport=websocket") == 400
            assert await refused(running, f"{path}{HANDSHAKE}&sid=nobody") == 400
    assert stage.live.readers() == 0


async def test_with_and_without_a_slash() -> None:
    async with Stage().open() as running:
        for path in ("/socket.io", "/socket.io/", "/llamaproxws", "/llamaproxws/"):
            async with talking(running, path=path):
                pass


async def test_garbage_over_a_websocket(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    async with stage.open() as running, talking(running, "/logs") as client:
        for text in GARBAGE:
            await client.socket.send(text)
        for data in (b"", b"\x00\xff", b'42["a"]', b"4" * 1000):
            await client.socket.send(data)
        assert await client.ask("logs:clear_filters") == {"success": True}
    await until(lambda: stage.live.readers() == 0)
    assert not [each for each in caplog.records if each.exc_info]


async def test_garbage_in_a_body(caplog: pytest.LogCaptureFixture) -> None:
    async with Stage().open() as running, polling(running, "/logs") as client:
        for text in GARBAGE:
            assert (await client.post(text)).status_code == 200
        assert (await client.post(*GARBAGE[:6], packet("logs:clear_filters", namespace="/logs", number=1))).is_success
        heard = ""
        while '43/logs,1[{"success":true}]' not in heard:
            heard = "\x1e".join(await client.get())
        assert (await client.post("42\udcff".encode("utf-8", "surrogateescape").decode("latin-1"))).is_success
        async with http(running) as other:
            assert (await other.post(client.query, content=b"\xff\xfe")).status_code == 400
            assert (await other.post(client.query, content=b"4" * 100_000)).status_code == 413
            assert (await other.post(client.query, content="\x1e".join(["3"] * 2000))).status_code == 413
    assert not [each for each in caplog.records if each.exc_info]


async def test_a_message_that_is_too_long() -> None:
    async with Stage().open() as running, talking(running) as client:
        assert client.opened["maxPayload"] == 65_536
        await client.socket.send(packet("x", "x" * 70_000))
        assert await client.closed() == 1009


async def test_a_client_that_says_too_much_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "MESSAGES_PER_MINUTE", 20)
    async with Stage().open() as running, talking(running, "/logs") as client:
        for _ in range(50):
            await client.say("logs:clear_filters")
        error = await client.hear("error")
        assert set(error) == {"code", "message", "reconnect", "retryIn"}
        assert (error["code"], error["reconnect"]) == ("RATE_LIMITED", False)
        assert 50_000 < error["retryIn"] <= 60_000
        assert (await client.socket.ping()) is not None


async def test_a_thousand_messages_at_once_are_listened_to() -> None:
    async with Stage().open() as running, talking(running, "/logs") as client:
        for _ in range(990):
            await client.say("logs:clear_filters")
        assert await client.ask("logs:clear_filters") == {"success": True}


async def test_a_flood_ends_the_connection() -> None:
    stage = Stage()
    async with stage.open() as running, talking(running) as client:
        with_everything = packet("x")
        for _ in range(guard.FRAMES_ALLOWED + 100):
            await client.socket.send(with_everything)
            if client.socket.close_code is not None:
                break
        assert await client.closed() == 1008
        await until(lambda: stage.live.readers() == 0)


async def test_a_flood_by_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "MESSAGES_PER_MINUTE", 30)
    async with Stage().open() as running, polling(running, "/logs") as client:
        assert (await client.post(*[packet("logs:clear_filters", namespace="/logs")] * 40)).is_success
        heard: list[str] = []
        while not any("RATE_LIMITED" in each for each in heard):
            heard = await client.get()


async def test_no_more_clients_than_may() -> None:
    stage = Stage(max_readers=2)
    async with stage.open() as running, talking(running) as one, talking(running, path="/llamaproxws"):
        assert await refused(running, f"/socket.io/{HANDSHAKE}") == 503
        async with http(running) as client:
            answer = await client.get(f"/socket.io/{POLLING}")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert "live.max_readers" in answer.text
        await one.socket.close()
        await until(lambda: stage.live.readers() == 1)
        async with polling(running):
            assert await refused(running, f"/socket.io/{HANDSHAKE}") == 503


async def test_keys() -> None:
    async with Stage(keys=("k",)).open() as running:
        for path in (f"/socket.io/{HANDSHAKE}", f"/llamaproxws{HANDSHAKE}"):
            assert await refused(running, path) == 401
        async with http(running) as client:
            assert (await client.get(f"/socket.io/{POLLING}")).status_code == 401
        async with talking(running, additional_headers={"Authorization": "Bearer k"}):
            pass


async def test_pages_of_other_origins() -> None:
    page = {"origin": "https://page.example"}
    async with Stage(origins=()).open() as running:
        assert await refused(running, f"/socket.io/{HANDSHAKE}", origin=page["origin"]) == 403
    async with Stage().open() as running, http(running) as client:
        answer = await client.get(f"/socket.io/{POLLING}", headers=page)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cache-control"] == "no-cache"
        assert "set-cookie" not in answer.headers
        session = answer.text.partition('"sid":"')[2].partition('"')[0]
        refusal = await client.post(f"/socket.io/{POLLING}&sid={session}", headers=page, content="40")
        assert refusal.status_code == 403
