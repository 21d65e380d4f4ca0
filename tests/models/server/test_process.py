"""One process: its lines, whatever they are, and its end, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from exporter.models.server import leash
from exporter.models.server import process as server_process
from exporter.models.server.process import ServerProcess
from exporter.tasks import spawn
from tests.models.managing import is_alive, until, write_program

Start = Callable[[str], contextlib.AbstractAsyncContextManager[ServerProcess]]
HANG = "os.write(1, b'hanging\\n')\nwhile True: time.sleep(60)"


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def start(tmp_path: Path, heard: list[str]) -> Start:
    @contextlib.asynccontextmanager
    async def run(program: str) -> AsyncIterator[ServerProcess]:
        path = write_program(tmp_path, program)
        process = await ServerProcess.start([str(path)], {"ANSWER": "42"}, heard.append)
        try:
            yield process
        finally:
            await process.end()
            assert not is_alive(process.pid)

    return run


async def test_it_has_its_environment_no_input_and_a_group_of_its_own(start: Start, heard: list[str]) -> None:
    async with start(
        "print(os.environ['ANSWER'], sys.stdin.read() == '', os.getpgid(0) == os.getsid(0) == os.getpid(),"
        "signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    ) as process:
        assert await process.ended() == 0
    assert heard == ["42 True True True"]


@pytest.mark.parametrize(("program", "code"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), signal.SIGABRT)", -6)])
async def test_how_it_ended(start: Start, program: str, code: int) -> None:
    async with start(program) as process:
        assert await process.ended() == code
        assert await process.ended() == code


async def test_what_cannot_be_executed_says_so(tmp_path: Path, heard: list[str]) -> None:
    path = tmp_path / "text"
    path.write_text("just a text")
    path.chmod(0o755)
    process = await ServerProcess.start([str(path)], {}, heard.append)
    assert await process.ended() == 1
    await process.end()
    assert heard == [f"error: {path} cannot be executed: Exec format error"]


async def test_all_lines_arrive_also_the_last_one_without_an_end(start: Start, heard: list[str]) -> None:
    program = (
        "for n in range(20000): print(n)\nsys.stdout.write('last')\n"
        "sys.stderr.buffer.write(b'\\xff odd\\r\\n\\n'); sys.stderr.write('worst')"
    )
    async with start(program) as process:
        assert await process.ended() == 0
    odd, worst = "\N{REPLACEMENT CHARACTER} odd", "worst"
    assert [line for line in heard if line not in (odd, worst)] == [*map(str, range(20000)), "last"]
    assert [line for line in heard if line in (odd, worst)] == [odd, worst]


async def test_a_line_without_end_takes_no_memory_and_holds_up_nobody(start: Start, heard: list[str]) -> None:
    program = "for _ in range(160): sys.stdout.write('x' * 65536)\nprint(); print('next', flush=True); time.sleep(60)"
    async with start(program) as process:
        most = 0
        while "next" not in heard:
            most = max(most, *(len(waiting) for waiting in process._waiting.values()))
            await asyncio.sleep(0)
    assert [len(line) for line in heard] == [8192, 4]
    assert most < 1 << 20


async def test_sigterm_ends_it(start: Start, heard: list[str]) -> None:
    program = "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'goodbye\\n'), os._exit(0)))\n"
    async with start(program + HANG) as process:
        await until(lambda: heard)
        await process.end()
        assert await process.ended() == 0
        await process.end()
    assert heard == ["hanging", "goodbye"]


async def test_a_second_sigterm_is_tried_before_sigkill(
    start: Start, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_process, "STOP_SECONDS", 0.1)
    program = (
        "def again(*_): signal.signal(signal.SIGTERM, lambda *_: os._exit(7)); os.write(1, b'once\\n')\n"
        "signal.signal(signal.SIGTERM, again)\n"
    )
    async with start(program + HANG) as process:
        await until(lambda: heard)
        await process.end()
        assert await process.ended() == 7
    assert heard == ["hanging", "once"]


async def test_what_does_not_end_is_killed(
    start: Start, heard: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_process, "STOP_SECONDS", 0.1)
    monkeypatch.setattr(server_process, "STOP_AGAIN_SECONDS", 0.1)
    async with start("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + HANG) as process:
        await until(lambda: heard)
        await process.end()
        assert await process.ended() == -signal.SIGKILL
    assert caplog.messages == ["llama-server does not end, and is killed"]


async def test_who_is_in_a_hurry_has_it_killed_at_once(start: Start, heard: list[str]) -> None:
    async with start("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + HANG) as process:
        await until(lambda: heard)
        ending = spawn(process.end(), name="end")
        await asyncio.sleep(0)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        assert await process.ended() == -signal.SIGKILL


async def test_what_it_leaves_behind_is_ended_and_keeps_nobody_waiting(start: Start, heard: list[str]) -> None:
    program = (
        "child = os.fork()\n"
        "if child == 0:\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    time.sleep(600)\n"
        "print(child, flush=True)\n"
    )
    async with start(program) as process:
        assert await process.ended() == 0
        (child,) = heard
        await until(lambda: not is_alive(int(child)))


async def test_a_cancelled_start_leaves_nothing_behind(tmp_path: Path) -> None:
    path, mark = write_program(tmp_path, "open(sys.argv[1], 'w').write(str(os.getpid()))\n" + HANG), tmp_path / "pid"
    before = set(psutil.Process().children())
    for turns in range(12):
        starting = spawn(ServerProcess.start([str(path), str(mark)], {}, lambda _: None), name="start")
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await starting).end()
        assert not mark.exists() or not is_alive(int(mark.read_text()))
        assert not [each.pid for each in psutil.Process().children() if each not in before and is_alive(each.pid)]


@pytest.mark.skipif(sys.platform == "win32", reason="needs processes as POSIX has them")
def test_a_leash_whose_holder_is_gone_runs_nothing(tmp_path: Path) -> None:
    path = write_program(tmp_path, "print('running')")
    command = [sys.executable, "-I", "-S", str(leash.__file__), "1234567", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: whoever started this is gone\n")
