from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("rich", reason="needs rich: pip install 'llama-exporter[demo]'")

from rich.console import Console

import exporter
from exporter.cli import main
from exporter.demo import run, summary
from exporter.demo.engines import Size
from exporter.demo.kinds import Kind
from exporter.demo.outage import Schedule
from exporter.demo.run import DemoOptions, demo, run_demo
from exporter.demo.sidecar import Address
from exporter.demo.views import Result, TrafficCounts
from exporter.errors import StartupError
from exporter.tasks import spawn

pytestmark = pytest.mark.engine
SMALL = (Size("Q2", 1, 32), Size("Q3", 1, 64), Size("Q4", 2, 64))
ROOT = Path(exporter.__file__).parent.parent

pytest.importorskip("xllamacpp", reason="needs xllamacpp: pip install 'llama-exporter[demo]'")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache directory, so that each model is written once."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def options(models: Path, find_port: Callable[[], int]) -> DemoOptions:
    """A quick demo: one small model, hasty users."""
    proxy, admin = (Address.parse(f"127.0.0.1:{find_port()}") for _ in range(2))
    return DemoOptions(proxy, admin, models, think_seconds=0.02, users=3, sizes=SMALL[-1:])


def children() -> set[int]:
    """Processes that we have started ourselves and that are not gone; a stage of other tests goes on starting some."""
    return {child.pid for child in psutil.Process().children()}


def child_named(part: str, *, but: set[int]) -> psutil.Process:
    """Our child that has this in its command line; not one of those of other tests."""
    (child,) = (c for c in psutil.Process().children() if c.pid not in but and part in c.cmdline())
    return child


def ended(process: psutil.Process) -> bool:
    """Also where nobody reaps orphans, as in some containers."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


async def until(condition: Callable[[], bool], demo: asyncio.Task[Any]) -> None:
    """Wait for this while the demo runs."""
    async with asyncio.timeout(20):
        while not condition():
            if demo.done():
                demo.result()
                pytest.fail("the demo ended")
            await asyncio.sleep(0.01)


def console() -> Console:
    return Console(file=io.StringIO(), width=100)


def written(to: Console) -> str:
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()


async def test_demo_runs_for_its_time_and_leaves_nothing(options: DemoOptions) -> None:
    before = children()
    screen = console()
    counts = await run_demo(replace(options, duration_seconds=2, outage=False, sizes=SMALL), screen)
    assert counts.total > 20
    assert set(counts.by_result()) <= {Result.COMPLETED, Result.REFUSED, Result.LEFT}
    assert (counts.cut_off, counts.failed) == (0, 0)
    assert f"curl -i {options.proxy.url}/v1/chat/completions" in written(screen)
    assert "killed" not in written(screen)
    assert re.search(r"The clients sent \d+ requests in \d+ s: \d+ completed", written(screen))
    assert children() == before


async def test_engine_dies_and_comes_back_and_nobody_is_refused(
    options: DemoOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "PLAIN_SECONDS", 0.1)
    monkeypatch.setattr(run, "schedule", lambda _: Schedule(first_after=0.5, lasts=0.5, every=1000))
    before = children()
    screen = console()
    running = spawn(run_demo(replace(options, sizes=SMALL), screen), name="demo")
    await until(lambda: "Q3 back" in written(screen), running)
    os.kill(os.getpid(), signal.SIGINT)
    counts = await running
    lines = written(screen).splitlines()
    assert "Q3 is killed after 0 s and started again 0 s later, every 1000 s." in lines
    assert [line[5:] for line in lines if re.match(r"\d:\d\d ", line)] == [
        "Q3 stopped: killed, as in a crash; back in 0 s",
        "Q3 back",
    ]
    fallbacks = [int(match[1]) for line in lines if (match := re.search(r"  fallbacks (\d+)$", line))]
    assert fallbacks[-1] > 0
    assert counts.failed == 0
    assert children() == before


async def test_signal_ends_the_demo(options: DemoOptions) -> None:
    screen = console()
    running = spawn(run_demo(options, screen), name="demo")
    await until(lambda: "Try" in written(screen), running)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(10):
        await running
    assert "The clients sent" in written(screen)


@pytest.mark.parametrize(
    ("part", "name"), [("tiny-q4", "engine of Q4"), ("exporter.demo.sidecar", "sidecar")], ids=["engine", "sidecar"]
)
async def test_server_that_dies_ends_the_demo(part: str, name: str, options: DemoOptions) -> None:
    before = children()
    screen = console()
    running = spawn(run_demo(options, screen), name="demo")
    await until(lambda: "Try" in written(screen), running)
    child_named(part, but=before).kill()
    with pytest.raises(StartupError, match=f"^the {name} died: "):
        async with asyncio.timeout(10):
            await running
    assert children() == before


@pytest.mark.parametrize("listener", ["proxy", "admin"])
async def test_taken_port_is_told_before_anything_is_started(
    listener: str, options: DemoOptions, tmp_path: Path
) -> None:
    taken: Address = getattr(options, listener)
    with (
        socket.create_server((taken.host, taken.port)),
        pytest.raises(StartupError, match=rf"{taken.text}: the port is in use by another process; see --proxy-listen"),
    ):
        await run_demo(replace(options, cache_dir=tmp_path), console())
    assert list(tmp_path.iterdir()) == []


async def test_failing_sidecar_takes_the_engines_with_it(options: DemoOptions) -> None:
    before = children()
    with pytest.raises(StartupError, match="the sidecar did not start"):
        await run_demo(replace(options, admin=options.proxy), console())
    assert children() == before


def test_missing_extra_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(StartupError, match=r"the demo needs rich: pip install '\.\[demo\]' in a checkout"):
        demo(1.0, "127.0.0.1:1", "127.0.0.1:2", tmp_path)


def test_command_line_turns_a_failure_into_one_line_and_exit_code_2(
    free_port: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", free_port)):
        assert main(["demo", "--proxy-listen", f"127.0.0.1:{free_port}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_command_ends_cleanly_at_ctrl_c(
    find_port: Callable[[], int], models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen = [f"--{name}-listen=127.0.0.1:{find_port()}" for name in ("proxy", "admin")]
    command = [sys.executable, "-m", "exporter", "demo", *listen]
    monkeypatch.setenv("XDG_CACHE_HOME", str(models))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        introduction = [process.stdout.readline() for _ in range(3)]
        started = psutil.Process(process.pid).children(recursive=True)
        folders = list(tmp_path.iterdir())
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        rest, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert errors == ""
    assert "llama.cpp" in introduction[0]
    assert "The clients sent" in rest
    assert time.monotonic() - began < 10
    assert len(started) == 4
    assert all(map(ended, started))
    assert len(folders) == 1
    assert not folders[0].exists()


def test_servers_do_not_outlive_a_killed_demo(
    find_port: Callable[[], int], models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(models))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    listen = [f"--{name}-listen=127.0.0.1:{find_port()}" for name in ("proxy", "admin")]
    with subprocess.Popen(
        [sys.executable, "-m", "exporter", "demo", *listen], cwd=ROOT, stdout=subprocess.PIPE
    ) as demo:
        assert demo.stdout is not None
        demo.stdout.readline()
        servers = psutil.Process(demo.pid).children()
        demo.kill()
    assert len(servers) == 4
    deadline = time.monotonic() + 15
    while not all(map(ended, servers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    left = [server for server in servers if not ended(server)]
    for server in left:
        server.kill()
    assert left == []


def test_outage_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def note(*_: object, outage: bool) -> int:
        asked.append(outage)
        return 0

    monkeypatch.setattr(run, "demo", note)
    assert [main(["demo", *options]) for options in ([], ["--no-outage"], ["--outage"])] == [0, 0, 0]
    assert asked == [True, False, True]


def test_conclusion_names_what_the_clients_saw() -> None:
    counts = TrafficCounts()
    assert run.conclusion(counts, 0.4) == "The clients sent 0 requests in 0 s: none was answered."
    counts.counts.update({(Kind.CHAT, Result.COMPLETED): 3, (Kind.MODELS, Result.COMPLETED): 1})
    counts.counts[Kind.LEAVE_EARLY, Result.LEFT] = 2
    assert (
        run.conclusion(counts, 9.6)
        == "The clients sent 6 requests in 10 s: 4 completed, 2 left (some were wrong on purpose)."
    )
    counts.cut_off = 2
    assert run.conclusion(counts, 9.6).endswith(
        "(some were wrong on purpose). Not on purpose: "
        "2 cut off in the middle of the answer, where no other engine can go on."
    )
    counts.failed = 3
    assert run.conclusion(counts, 9.6).endswith("can go on; 3 not answered as they should have been.")
