"""The real Socket.IO client under Node, run as its users run it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.programs import program

PROJECT = Path(__file__).parent / "node"
INSTALLED = PROJECT / "node_modules" / ".installed"
"""What of package-lock.json is installed; kept between runs, and git does not see it."""
OFFLINE = re.compile(r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH)\b")
PATIENCE_SECONDS = 20.0


def install() -> None:
    """Install the client, unless it is there; skips the test where that is impossible."""
    wanted = sha256((PROJECT / "package-lock.json").read_bytes()).hexdigest()
    if INSTALLED.exists() and INSTALLED.read_text() == wanted:
        return
    command = [program("npm"), "ci", "--ignore-scripts"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0 and OFFLINE.search(done.stderr):
        pytest.skip("npm cannot reach its registry")
    assert done.returncode == 0, done.stderr
    INSTALLED.write_text(wanted)


class NodeClient:
    """One socket of the Node process."""

    def __init__(self, process: NodeClients, name: str) -> None:
        self.heard: list[tuple[str, list[Any]]] = []
        self.seen: Counter[str] = Counter()
        """How often each event has come."""
        self._process = process
        self._name = name
        self._arrived = asyncio.Event()

    def take(self, event: str, data: list[Any]) -> None:
        self.heard.append((event, data))
        self.seen[event] += 1
        self._arrived.set()

    async def emit(self, event: str, *data: Any) -> None:
        await self._process.tell({"do": "emit", "id": self._name, "event": event, "data": data})

    async def ask(self, event: str, *data: Any) -> Any:
        """Say something that wants an acknowledgement."""
        await self._process.tell({"do": "ask", "id": self._name, "event": event, "data": data})
        return (await self.next(f"ack {event}"))[0]

    async def close(self) -> None:
        await self._process.tell({"do": "close", "id": self._name})

    async def next(self, event: str) -> list[Any]:
        """The first of that name that was not asked for yet; what came before it is dropped. Those from the server
        begin with `< `."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                for number, (name, data) in enumerate(self.heard):
                    if name == event:
                        del self.heard[: number + 1]
                        return data
                self._arrived.clear()
                await self._arrived.wait()

    async def hear(self, event: str) -> Any:
        """The argument of the next event of that name from the server."""
        return (await self.next(f"< {event}"))[0]


class NodeClients:
    """The Node process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._clients: dict[str, NodeClient] = {}

    async def tell(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()

    async def open(self, url: str, **options: Any) -> NodeClient:
        """A client, which may not be connected yet."""
        name = str(len(self._clients))
        client = self._clients[name] = NodeClient(self, name)
        await self.tell({"do": "open", "id": name, "url": url, "options": options})
        return client

    async def read(self) -> None:
        """Give each client what it hears, until the process ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            told = json.loads(line)
            if told["id"]:
                self._clients[told["id"]].take(told["event"], told["data"])


@contextlib.asynccontextmanager
async def node_clients() -> AsyncIterator[NodeClients]:
    """The process, while the test runs."""
    install()
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        program("node"), str(PROJECT / "clients.mjs"), stdin=pipe, stdout=pipe, limit=1 << 24
    )
    clients = NodeClients(process)
    reading = asyncio.get_running_loop().create_task(clients.read())
    try:
        yield clients
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 10)
        await reading
