"""A Socket.IO client made of bare messages, for what the real one would never say; and one that polls."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.serving import Serving

PATIENCE_SECONDS = 20.0
HANDSHAKE = "?EIO=4&transport=websocket"
POLLING = "?EIO=4&transport=polling"


def packet(event: str, *data: Any, namespace: str = "/", number: int | None = None) -> str:
    """The message that carries an event."""
    place = "" if namespace == "/" else f"{namespace},"
    return f"42{place}{'' if number is None else number}{json.dumps([event, *data])}"


class Talker:
    """One WebSocket in one namespace. Pings are answered."""

    def __init__(self, socket: ClientConnection, namespace: str) -> None:
        self.socket = socket
        self.namespace = namespace
        self.place = "" if namespace == "/" else f"{namespace},"
        self.opened: dict[str, Any] = {}

    async def join(self) -> Talker:
        """The handshakes of Engine.IO and of Socket.IO."""
        self.opened = json.loads((await self.text())[1:])
        await self.socket.send(f"40{self.place}")
        assert (await self.text()).startswith(f"40{self.place}")
        return self

    async def text(self) -> str:
        """The next message."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (text := await self.socket.recv()) == "2":
                await self.socket.send("3")
        assert isinstance(text, str)
        return text

    async def next(self) -> tuple[str, Any]:
        """The next event."""
        text = await self.text()
        assert text.startswith(f"42{self.place}"), text
        event, document = json.loads(text[2 + len(self.place) :])
        return event, document

    async def hear(self, event: str) -> Any:
        """The next event of that name; others are passed over."""
        while (found := await self.next())[0] != event:
            pass
        return found[1]

    async def say(self, event: str, *data: Any) -> None:
        await self.socket.send(packet(event, *data, namespace=self.namespace))

    async def ask(self, event: str, *data: Any) -> Any:
        """Say something that wants an acknowledgement; events that come before it are dropped."""
        await self.socket.send(packet(event, *data, namespace=self.namespace, number=7))
        while not (text := await self.text()).startswith(f"43{self.place}7"):
            pass
        return json.loads(text[3 + len(self.place) :])[0]

    async def closed(self) -> int | None:
        """The code with which the server ends it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await self.socket.recv()
        return self.socket.close_code


@contextlib.asynccontextmanager
async def talking(
    running: Serving, namespace: str = "/", path: str = "/socket.io/", **options: Any
) -> AsyncIterator[Talker]:
    """A client that is in."""
    address = f"ws://127.0.0.1:{running.port}{path}{HANDSHAKE}"
    async with connect(address, proxy=None, ping_interval=None, max_queue=None, **options) as socket:
        yield await Talker(socket, namespace).join()


class Poller:
    """A session without a WebSocket, request by request."""

    def __init__(self, http: httpx.AsyncClient, session: str) -> None:
        self.session = session
        self._http = http

    @property
    def query(self) -> str:
        return f"/socket.io/{POLLING}&sid={self.session}"

    async def post(self, *packets: str) -> httpx.Response:
        return await self._http.post(self.query, content="\x1e".join(packets))

    async def get(self) -> list[str]:
        answer = await self._http.get(self.query)
        assert answer.status_code == 200, answer.text
        return answer.text.split("\x1e")


@contextlib.asynccontextmanager
async def polling(running: Serving, namespace: str = "/") -> AsyncIterator[Poller]:
    """A client that polls and is in."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", timeout=30, trust_env=False) as http:
        answer = await http.get(f"/socket.io/{POLLING}")
        assert answer.status_code == 200, answer.text
        poller = Poller(http, json.loads(answer.text[1:])["sid"])
        place = "" if namespace == "/" else f"{namespace},"
        assert (await poller.post(f"40{place}")).text == "OK"
        assert (await poller.get())[0].startswith(f"40{place}")
        yield poller
