from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest

import exporter
from exporter.demo.process import KEPT_LINES, Child, http_status
from exporter.errors import StartupError
from exporter.tasks import spawn

ROOT = Path(exporter.__file__).parent.parent


class Script(Child):
    """A child that runs the given program and is ready when it has said so."""

    stop_limit_seconds = 0.3
    start_limit_seconds = 20.0

    def __init__(self, program: str, environment: Mapping[str, str] | None = None) -> None:
        super().__init__("script", ["-c", program], environment)

    def ready(self) -> bool:
        return "ready" in self.output()


SLEEP = "import time; print('ready', flush=True); time.sleep(60)"


def await_true(condition: Callable[[], bool], *, limit_seconds: float = 10.0) -> None:
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def test_child_runs_inside_the_block_and_is_gone_after() -> None:
    with Script(SLEEP) as child:
        assert psutil.pid_exists(child.pid)
    assert not child.running
    assert not psutil.pid_exists(child.pid)


def test_child_that_ignores_sigterm_is_killed() -> None:
    program = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SLEEP
    child = Script(program)
    child.start()
    began = time.monotonic()
    child.stop()
    assert not child.running
    assert time.monotonic() - began < 2


def test_killed_child_has_no_last_words() -> None:
    child = Script("import signal; signal.signal(signal.SIGTERM, lambda *_: print('goodbye', flush=True));" + SLEEP)
    child.kill()
    child.start()
    child.kill()
    assert not child.running
    assert child.last_words() == "ready"


def test_child_has_the_environment_that_it_was_given() -> None:
    child = Script("import os; print(os.environ['ANSWER']);" + SLEEP, {"ANSWER": "42"})
    with child:
        assert child.output() == ["42", "ready"]


def test_stopping_twice_or_before_the_start_is_harmless() -> None:
    child = Script(SLEEP)
    child.stop()
    with child:
        pass
    child.stop()
    assert not child.running


def test_last_words_of_a_child_that_fails_are_in_the_error() -> None:
    program = "import sys; print('reading'); print('no such thing', file=sys.stderr); sys.exit(3)"
    with pytest.raises(StartupError, match=r"^the script did not start: .*no such thing"):
        Script(program).start()


def test_silent_failure_is_told_as_such() -> None:
    with pytest.raises(StartupError, match="did not start: it said nothing"):
        Script("").start()


def test_child_that_is_never_ready_is_ended() -> None:
    child = Script("import time; print('still loading', flush=True); time.sleep(60)")
    child.start_limit_seconds = 0.5
    with pytest.raises(StartupError, match="not ready within"):
        child.start()
    assert not child.running


def test_output_is_bounded_and_survives_broken_text() -> None:
    program = (
        "import sys; [print(n) for n in range(5000)]; sys.stdout.flush();"
        "sys.stdout.buffer.write(b'\\xff broken\\n'); sys.stdout.buffer.flush();" + SLEEP
    )
    with Script(program) as child:
        assert len(child.output()) == KEPT_LINES
        assert child.output()[-2:] == ["\N{REPLACEMENT CHARACTER} broken", "ready"]


def test_pid_of_a_child_that_never_started_is_not_made_up() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        _ = Script(SLEEP).pid


async def test_cancelled_start_leaves_no_process_behind() -> None:
    child = Script("import time; time.sleep(0.3);" + SLEEP)
    starting = spawn(child.__aenter__(), name="start")
    while child._process is None:
        await asyncio.sleep(0.005)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not child.running


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_engine_does_not_outlive_its_parent(death: signal.Signals, tiny_model: Path) -> None:
    program = (
        "import time; from pathlib import Path; from exporter.demo.engine import Engine, EngineOptions;"
        f"engine = Engine(EngineOptions(model=Path({str(tiny_model)!r}))); engine.start();"
        "print(engine.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        orphan = int(parent.stdout.readline())
        assert psutil.pid_exists(orphan)
        parent.send_signal(death)
        parent.wait(5)
    try:
        await_true(lambda: not is_alive(orphan), limit_seconds=5)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(orphan, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Also without an init that reaps orphans, as in a container."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_child_that_hangs_after_its_parent_died_is_ended_after_the_grace(tmp_path: Path) -> None:
    program = (
        "import signal, time; from exporter.demo.process import end_with_parent;"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); end_with_parent(grace_seconds=0.2);"
        "print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == b"ready\n"
        child.stdin.close()
        assert child.wait(10) == 1


def test_http_status_is_that_of_the_answer_and_none_without_one(free_port: int) -> None:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503 if self.path == "/loading" else 200)
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass  # not on standard error

    assert http_status(f"http://127.0.0.1:{free_port}/health") is None
    with HTTPServer(("127.0.0.1", free_port), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        assert http_status(f"http://127.0.0.1:{free_port}/health") == 200
        assert http_status(f"http://127.0.0.1:{free_port}/loading") == 503
        server.shutdown()
        thread.join()
