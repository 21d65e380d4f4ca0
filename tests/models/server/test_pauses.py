"""How long a managed server that ends is left alone before it is started again."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from exporter.models.server import managed
from exporter.models.server.managed import Managed, ServerStatus
from exporter.tasks import cancel, spawn
from tests.models.managing import SERVER, Book, make_launch, managing, until, write_program


class Steps:
    """Pauses that are over at once, and noted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        self.pauses: list[float] = []
        self._most = most
        self._sleep = asyncio.sleep
        monkeypatch.setattr(managed.asyncio, "sleep", self.pause)  # type: ignore[attr-defined]

    async def pause(self, seconds: float) -> None:
        current = asyncio.current_task()
        if current is not None and current.get_name() == "llama-server keeper" and seconds >= 1:
            self.pauses.append(seconds)
            await self._sleep(3600 if len(self.pauses) >= self._most else 0)
        else:
            await self._sleep(seconds)


async def test_pauses_grow_up_to_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch, 8)
    async with managing(make_launch(write_program(tmp_path, "sys.exit('error: no')"), tmp_path)) as running:
        await until(lambda: len(steps.pauses) == 8)
        server = running.managed.server()
        assert (server.status, server.restarts, server.pid, server.started_at) == (ServerStatus.CRASHED, 7, None, None)
        assert server.last_error == "ended with exit code 1: no"
    assert steps.pauses == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_pauses_begin_anew_after_a_minute_in_which_it_was_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps(monkeypatch, 6)
    count = tmp_path / "count"
    program = f"""
answers = lambda: True
with open({str(count)!r}, "a") as file:
    file.write("x")
    lives = file.tell()
if lives != 4:
    sys.exit(1)
{SERVER}
server.handle_request()
server.serve_forever()
"""
    launch = make_launch(write_program(tmp_path, program), tmp_path)
    now = 0.0
    live = Managed(launch, Book(), clock=lambda: now)

    def ready() -> None:
        nonlocal now
        now += managed.WELL_SECONDS
        asyncio.get_running_loop().call_later(0, end, live)

    live.on_ready(ready)
    running = spawn(live.run(), name="run")
    await until(lambda: len(steps.pauses) == 6)
    await live.stop()
    await cancel(running)
    assert steps.pauses == [1, 2, 4, 1, 2, 4]
    assert live.server().restarts == 5


def end(live: Managed) -> None:
    os.kill(live.server().pid or 0, signal.SIGKILL)
