"""A real llama-server in router mode, managed: started, listened to, restarted, stopped, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

import exporter
from exporter.models.server import process as server_process
from exporter.models.server.launch import Launch
from exporter.models.server.managed import ManagedServer, ServerStatus
from exporter.tasks import spawn
from tests.models.managing import PATIENCE_SECONDS, is_alive, make_launch, managing, shorten_pauses, until
from tests.models.real_router import router_binary, write_models

pytestmark = pytest.mark.router

ROOT = Path(exporter.__file__).parent.parent


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("gguf")
    return write_models(tmp_path_factory.mktemp("managed-models"), ("a", "b"))


@pytest.fixture
def launch(models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launch:
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "cache"))
    sections = [f"[{name}]\nmodel = {path}\nctx-size = 512\nthreads = 1\n" for name, path in models.items()]
    (tmp_path / "models.ini").write_text("".join([*sections, "[gone]\nmodel = /nope.gguf\n"]))
    return make_launch(router_binary(), tmp_path)


async def test_it_is_started_and_its_lines_have_levels_and_models(launch: Launch) -> None:
    launch.check()
    async with managing(launch) as running:
        assert running.managed.server() == ManagedServer(ServerStatus.INITIAL, 0, None, None, None)
        await running.until_ready()
        server = running.managed.server()
        assert (server.status, server.restarts, server.last_error) == (ServerStatus.READY, 0, None)
        assert psutil.Process(running.pid).cmdline() == launch.command(launch.models_max())

        await running.load("a")
        await until(lambda: running.book.has("info", "srv  llama_server: model loaded", "a"))
        assert running.book.has("info", "srv  llama_server: starting server in router mode")
        assert running.book.has("warn", "security: router mode enabled")
        assert running.book.has("info", "spawning server instance with name=a on port", "a")
        assert not any("\x1b" in line.message or line.message.startswith("0.") for line in running.book.lines)
        assert running.managed.last_words("a") is None
        server = running.managed.server()
    assert running.managed.server().pid is None
    assert not is_alive(server.pid or 0)


async def test_why_a_load_failed_is_known_until_the_next_one(launch: Launch, models: dict[str, Path]) -> None:
    async with managing(launch) as running:
        await running.until_ready()
        await running.load("gone")
        await until(lambda: running.book.has("error", "exiting due to model loading error", "gone"))
        words = running.managed.last_words("gone")
        assert words == "failed to open GGUF file '/nope.gguf' (No such file or directory)"
        assert (running.managed.last_words("a"), running.managed.last_words("unknown")) == (None, None)
        await running.load("a")
        assert running.managed.last_words("gone") == words

        text = launch.preset_file.read_text().replace("/nope.gguf", str(models["a"]))
        launch.preset_file.write_text(text)
        httpx.get(f"{running.url}/models?reload=1", timeout=PATIENCE_SECONDS)
        await running.load("gone")
        await until(lambda: running.book.has("info", "srv  llama_server: model loaded", "gone"))
        assert running.managed.last_words("gone") is None


async def test_killed_it_is_restarted_and_its_models_are_gone(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shorten_pauses(monkeypatch)
    async with managing(launch) as running:
        await running.until_ready()
        await running.load("a")
        pid, (child,) = running.pid, running.children()
        os.kill(child, signal.SIGSTOP)  # It would not see the end of its standard input.
        os.kill(pid, signal.SIGKILL)
        await running.until_ready(2)
        server = running.managed.server()
        assert (server.restarts, server.last_error) == (1, "killed by SIGKILL")
        assert server.pid != pid
        await until(lambda: not is_alive(child))
        await running.load("a")
    ended = [
        record
        for record in caplog.records
        if record.message == "llama-server has ended, or did not start; it is started again"
    ]
    assert [vars(record)["reason"] for record in ended] == ["killed by SIGKILL"]


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        (("--no-such-flag",), "ended with exit code 1: invalid argument: --no-such-flag"),
        (("--timeout", "soon"), 'ended with exit code 1: error while handling argument "--timeout": stoi'),
    ],
)
async def test_an_argument_that_it_does_not_take_is_named(
    launch: Launch, argument: tuple[str, ...], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_pauses(monkeypatch)
    wrong = make_launch(launch.binary, launch.preset_file.parent, argument)
    async with managing(wrong) as running:
        await until(lambda: running.managed.server().restarts >= 2)
        assert running.managed.server().last_error == why
        assert running.ready == 0


async def test_a_port_that_was_taken_meanwhile_is_why_it_is_not_started(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_pauses(monkeypatch)
    address = launch.url.removeprefix("http://").split(":")
    with socket.create_server((address[0], int(address[1]))):
        async with managing(launch) as running:
            await until(lambda: running.managed.server().restarts >= 1)
            assert "the port is in use by another process" in str(running.managed.server().last_error)
            assert running.ready == 0


async def test_stopping_ends_it_while_it_streams(launch: Launch) -> None:
    async with managing(launch) as running:
        await running.until_ready()
        await running.load("a")
        pid, children = running.pid, running.children()
        streaming = spawn(stream_for_ever(running.url), name="stream")
        await until(lambda: running.book.has("info", "slot launch_slot_", "a"))
        await running.managed.stop()
        assert [each for each in (pid, *children) if is_alive(each)] == []
        await streaming
        assert running.managed.server() == ManagedServer(ServerStatus.INITIAL, 0, None, None, None)


async def test_stopping_ends_a_model_that_hangs(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_process, "STOP_SECONDS", 1.0)
    async with managing(launch) as running:
        await running.until_ready()
        await running.load("a")
        pid, (child,) = running.pid, running.children()
        os.kill(child, signal.SIGSTOP)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await running.managed.stop()
        await until(lambda: not is_alive(child))
        assert not is_alive(pid)


async def stream_for_ever(url: str) -> None:
    question = {"model": "a", "messages": [{"role": "user", "content": "Go on"}], "stream": True, "ignore_eos": True}
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
        with contextlib.suppress(httpx.TransportError):
            while True:
                await client.post(f"{url}/v1/chat/completions", json=question | {"max_tokens": 400})


PARENT = """
import asyncio, ctypes, sys
from pathlib import Path
from exporter.models.server.launch import Launch
from exporter.models.server.managed import Managed
binary, url, preset, loop, reaper = sys.argv[1:]
if reaper == "reaper":
    assert ctypes.CDLL(None).prctl(36, 1) == 0
async def main():
    managed = Managed(Launch(binary, url, Path(preset), lambda: 2), lambda *_: None)
    managed.on_ready(lambda: print(managed.server().pid, flush=True))
    await managed.run()
if loop == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


def start_parent(launch: Launch, loop: str, reaper: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PARENT, launch.binary, launch.url, str(launch.preset_file), loop, reaper]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux does it")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_killed_ourselves_we_leave_nothing_behind(launch: Launch, loop: str) -> None:
    with start_parent(launch, loop) as parent:
        assert parent.stdout is not None
        router = int(await asyncio.to_thread(parent.stdout.readline))
        httpx.post(f"{launch.url}/models/load", json={"model": "a"}, timeout=PATIENCE_SECONDS)
        await until(lambda: psutil.Process(router).children())
        (child,) = psutil.Process(router).children()
        parent.kill()
    await until(lambda: not is_alive(router))
    await until(lambda: not is_alive(child.pid))
    launch.check()  # The port is free again.


@pytest.mark.skipif(sys.platform != "linux", reason="only there can a process adopt others")
async def test_as_the_first_process_of_a_container_we_collect_the_dead(launch: Launch) -> None:
    with start_parent(launch, "uvloop", "reaper") as parent:
        assert parent.stdout is not None
        router = int(await asyncio.to_thread(parent.stdout.readline))
        httpx.post(f"{launch.url}/models/load", json={"model": "a"}, timeout=PATIENCE_SECONDS)
        await until(lambda: psutil.Process(router).children())
        os.kill(router, signal.SIGKILL)
        again = int(await asyncio.to_thread(parent.stdout.readline))
        assert [each.pid for each in psutil.Process(parent.pid).children()] == [again]
        parent.terminate()
    await until(lambda: not is_alive(again))
