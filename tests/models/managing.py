"""A managed llama-server for tests: a real one with tiny models, or a program that a test writes itself."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil

from exporter.logs import Level
from exporter.models.server import managed
from exporter.models.server.launch import Launch
from exporter.models.server.managed import Managed, ServerStatus
from exporter.tasks import Supervisor
from tests.ports import free_ports

PATIENCE_SECONDS = 60.0
SERVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if answers() else 503)
        self.end_headers()
    def log_request(self, *_):
        pass
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
server = http.server.HTTPServer((options["--host"], int(options["--port"])), Handler)
"""
READY = "answers = lambda: True\n" + SERVER + "server.serve_forever()"
"""Programs for `write_program`: what answers at the address that it is given, once `answers` says so; and at once."""


class Noted(NamedTuple):
    level: Level
    message: str
    model: str | None


class Book:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.lines: list[Noted] = []

    def __call__(self, level: Level, message: str, fields: Mapping[str, Any] | None = None) -> None:
        self.lines.append(Noted(level, message, (fields or {}).get("model")))

    def has(self, level: Level, part: str, model: str | None = None) -> bool:
        return any(line.level == level and part in line.message and line.model == model for line in self.lines)


class Running:
    """What `managing` gives."""

    def __init__(self, launch: Launch) -> None:
        self.book = Book()
        self.managed = Managed(launch, self.book)
        self.url = launch.url
        self.ready = 0
        """How often it has become ready."""
        self.managed.on_ready(self._note)

    @property
    def pid(self) -> int:
        pid = self.managed.server().pid
        assert pid is not None
        return pid

    def children(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.pid).children(recursive=True)]

    async def until_ready(self, times: int = 1) -> None:
        await until(lambda: self.ready >= times and self.managed.server().status is ServerStatus.READY)

    async def load(self, name: str) -> None:
        """Load a model; return when that is over."""
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
            response = await client.post(f"{self.url}/models/load", json={"model": name})
            assert response.status_code == 200, response.text
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await self._state(client, name) == "loading":
                    await asyncio.sleep(0.02)

    async def _state(self, client: httpx.AsyncClient, name: str) -> str:
        listed = (await client.get(f"{self.url}/models")).json()["data"]
        return next(str(each["status"]["value"]) for each in listed if each["id"] == name)

    def _note(self) -> None:
        self.ready += 1


@contextlib.asynccontextmanager
async def managing(launch: Launch) -> AsyncIterator[Running]:
    """One that runs under a supervisor, as in the sidecar; at the end it is stopped, if it was not."""
    running, supervisor = Running(launch), Supervisor()
    supervisor.start("llama_server", running.managed.run)
    try:
        yield running
        assert supervisor.restarts == {"llama_server": 0}
    finally:
        await running.managed.stop()
        await supervisor.stop()


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that has to come true."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process is there; one that nobody has reaped, as in a container without an init, is not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def make_launch(binary: str | Path, folder: Path, arguments: Sequence[str] = (), **others: Any) -> Launch:
    """At a free port of this machine, with the presets of `folder`."""
    url = f"http://127.0.0.1:{next(free_ports())}"
    values: dict[str, Any] = {"url": url, "models_max": lambda: 2, "preset_file": folder / "models.ini"} | others
    return Launch(binary=str(binary), arguments=tuple(arguments), **values)


def write_program(folder: Path, text: str) -> Path:
    """A program in Python that can be started like a llama-server."""
    path = folder / "llama-server"
    path.write_text(f"#!{sys.executable} -I\nimport os, signal, sys, time\n{text}\n")
    path.chmod(0o755)
    return path


def shorten_pauses(monkeypatch: Any) -> None:
    """Start again at once."""
    monkeypatch.setattr(managed, "PAUSE_FIRST_SECONDS", 0.01)
