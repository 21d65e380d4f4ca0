"""What becomes of a managed server that ends, and of one that is stopped; with programs that do nothing but that.
`test_managed_real` has a real llama-server."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from exporter.models.server import process as server_process
from exporter.models.server.managed import Managed, ManagedServer, ServerStatus
from exporter.tasks import cancel, spawn
from tests.models.managing import (
    READY,
    SERVER,
    Book,
    is_alive,
    make_launch,
    managing,
    shorten_pauses,
    until,
    write_program,
)

HANG = "os.write(1, b'hanging\\n')\nwhile True: time.sleep(60)"


async def test_it_is_ready_when_it_says_so(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    program = (
        f"answers = lambda: os.path.exists({str(mark)!r})\n{SERVER}print('here', flush=True)\nserver.serve_forever()"
    )
    async with managing(make_launch(write_program(tmp_path, program), tmp_path)) as running:
        await until(lambda: running.book.has("info", "here"))
        server = running.managed.server()
        assert (server.status, running.ready) == (ServerStatus.STARTING, 0)
        assert server.pid is not None
        assert server.started_at is not None
        mark.touch()
        await running.until_ready()


async def test_a_listener_that_fails_keeps_nobody_from_hearing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with managing(make_launch(write_program(tmp_path, READY), tmp_path)) as running:

        def fail() -> None:
            raise ValueError("broken")

        running.managed._ready_listeners.insert(0, fail)
        await running.until_ready()
    (record,) = [each for each in caplog.records if each.levelname == "ERROR"]
    assert record.message == "what was to be done as soon as llama-server is ready has failed"


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("sys.exit(0)", "ended with exit code 0"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV"),
        ("os.kill(os.getpid(), 40)", "killed by signal 40"),
        ("print('error: memory', flush=True)\nos.kill(os.getpid(), signal.SIGABRT)", "killed by SIGABRT: memory"),
        ("print('error: memory', flush=True)\nos.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
    ],
)
async def test_why_it_has_ended(
    tmp_path: Path, program: str, why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shorten_pauses(monkeypatch)
    async with managing(make_launch(write_program(tmp_path, program), tmp_path)) as running:
        await until(lambda: running.managed.server().restarts)
        assert running.managed.server().last_error == why
    ended = [vars(record)["reason"] for record in caplog.records if record.levelname == "WARNING"]
    assert set(ended) == {why}


async def test_a_binary_that_has_vanished_is_said_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_pauses(monkeypatch)
    launch = make_launch(tmp_path / "llama-server", tmp_path)
    async with managing(launch) as running:
        await until(lambda: running.managed.server().restarts >= 2)
        why = f"models.llama_server: {launch.binary}: there is no such file"
        assert running.managed.server().last_error == why
        write_program(tmp_path, READY)
        await running.until_ready()
        assert running.managed.server().last_error == why


async def test_how_many_models_it_may_keep_is_asked_at_each_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_pauses(monkeypatch)
    most = iter(range(100))
    program = write_program(tmp_path, "print(sys.argv[-1])")
    async with managing(make_launch(program, tmp_path, models_max=lambda: next(most))) as running:
        await until(lambda: running.book.has("info", "3"))
    assert [line.message for line in running.book.lines][:4] == ["0", "1", "2", "3"]


async def test_the_key_is_said_to_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    program = "print(os.environ['LLAMA_API_KEY'] == 'geheim', 'geheim' in sys.argv, flush=True)\n" + READY
    async with managing(make_launch(write_program(tmp_path, program), tmp_path, api_key="geheim")) as running:
        await running.until_ready()
        assert running.book.has("info", "True False")
    assert "geheim" not in caplog.text
    assert not any("geheim" in str(vars(record)) for record in caplog.records)


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 10, 50])
async def test_it_can_be_stopped_at_any_moment_and_is_not_started_again(tmp_path: Path, turns: int) -> None:
    mark = tmp_path / "pid"
    program = f"open({str(mark)!r}, 'w').write(str(os.getpid()))\n{HANG}"
    async with managing(make_launch(write_program(tmp_path, program), tmp_path)) as running:
        for _ in range(turns):
            await asyncio.sleep(0.001 if turns == 50 else 0)
        await running.managed.stop()
        assert running.managed.server().status is ServerStatus.INITIAL
        assert not mark.exists() or not is_alive(int(mark.read_text()))
        await running.managed.stop()
        await asyncio.sleep(0.01)
        assert running.managed.server().pid is None


async def test_it_can_be_stopped_just_when_it_ends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_pauses(monkeypatch)
    stops = []

    class Ending(Managed):
        def _explain(self, code: int) -> str:
            stops.append(spawn(self.stop(), name="stop"))
            return super()._explain(code)

    live = Ending(make_launch(write_program(tmp_path, ""), tmp_path), Book())
    running = spawn(live.run(), name="run")
    await until(lambda: stops and stops[0].done())
    assert (len(stops), live.server().restarts) == (1, 0)
    await cancel(running)


async def test_stopped_before_it_was_started_it_never_is(tmp_path: Path) -> None:
    live = Managed(make_launch(write_program(tmp_path, READY), tmp_path), Book())
    await live.stop()
    running = spawn(live.run(), name="run")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(running), 0.05)
    assert live.server().status is ServerStatus.INITIAL
    assert not running.done()
    await cancel(running)


async def test_cancelled_it_leaves_nothing_behind(tmp_path: Path) -> None:
    live = Managed(make_launch(write_program(tmp_path, READY), tmp_path), Book())
    running = spawn(live.run(), name="run")
    await until(lambda: live.server().status is ServerStatus.READY)
    pid = live.server().pid
    assert pid is not None
    await cancel(running)
    assert not is_alive(pid)
    assert live.server().pid is None


async def test_while_it_is_being_stopped_it_says_so(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    program = (
        f"answers = lambda: True\n{SERVER}\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (open({str(mark)!r}, 'w').close(), time.sleep(0.3), os._exit(0)))\n"
        "server.serve_forever()"
    )
    async with managing(make_launch(write_program(tmp_path, program), tmp_path)) as running:
        await running.until_ready()
        stopping = spawn(running.managed.stop(), name="stop")
        await until(mark.exists)
        server = running.managed.server()
        assert (server.status, server.pid is not None, server.last_error) == (ServerStatus.STOPPING, True, None)
        await stopping


async def test_whoever_is_in_a_hurry_does_not_wait_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_process, "STOP_SECONDS", 600.0)
    program = (
        f"answers = lambda: True\n{SERVER}\nsignal.signal(signal.SIGTERM, lambda *_: None)\nserver.serve_forever()"
    )
    async with managing(make_launch(write_program(tmp_path, program), tmp_path)) as running:
        await running.until_ready()
        pid, hurry = running.pid, asyncio.Event()
        stopping = spawn(running.managed.stop(hurry), name="stop")
        await until(lambda: running.managed.server().status is ServerStatus.STOPPING)
        assert is_alive(pid)
        hurry.set()
        await asyncio.wait_for(stopping, 60)
        assert not is_alive(pid)


async def test_restarts_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_pauses(monkeypatch)
    told: list[None] = []
    live = Managed(make_launch(write_program(tmp_path, ""), tmp_path), Book(), on_restart=lambda: told.append(None))
    running = spawn(live.run(), name="run")
    await until(lambda: len(told) >= 2)
    assert len(told) == live.server().restarts
    await cancel(running)


async def test_a_fault_of_ours_reaches_the_supervisor(tmp_path: Path) -> None:
    def broken() -> int:
        raise ValueError("broken")

    live = Managed(make_launch(write_program(tmp_path, READY), tmp_path, models_max=broken), Book())
    with pytest.raises(ValueError, match="broken"):
        await asyncio.wait_for(live.run(), 30)


@pytest.mark.parametrize(
    ("status", "started_at", "starting"),
    [
        (ServerStatus.INITIAL, None, True),
        (ServerStatus.STARTING, 1000.0, True),
        (ServerStatus.STARTING, 990.0, False),
        (ServerStatus.READY, 1000.0, False),
        (ServerStatus.CRASHED, None, False),
    ],
)
def test_who_has_just_been_started_need_not_answer(
    status: ServerStatus, started_at: float | None, starting: bool
) -> None:
    assert ManagedServer(status, 0, None, started_at, None).is_starting(1000.0) is starting
