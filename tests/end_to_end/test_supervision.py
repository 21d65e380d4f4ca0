"""However whoever has started a stage ends, nothing is left of it. Shown with a stage that has one program."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.end_to_end import prometheus
from tests.end_to_end.prometheus import background, wait_until

ROOT = Path(__file__).parent.parent.parent
STAGE = """
import json, os, time
from tests.end_to_end.prometheus import background
from tests.end_to_end.supervision import supervised

with supervised("trivial-stage-") as folder:
    with background(["sleep", "600"], folder / "log", lambda: True):
        print(json.dumps({"folder": str(folder), "pid": os.getpid()}), flush=True)
        time.sleep(600)
"""
OWNER = f"""
import time
from exporter.demo.process import Child

class Stage(Child):
    def ready(self):
        return any(line.startswith("{{") for line in self.output())

stage = Stage("stage", ["-c", {STAGE!r}])
stage.start()
print(stage.output()[-1], flush=True)
time.sleep(600)
"""


@contextmanager
def owner() -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """A process that has started a stage, and what the stage said."""
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def all_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The stage and its program."""

    def names() -> list[str]:
        return [each.name() for each in psutil.Process(process.pid).children(recursive=True)]

    wait_until(lambda: "sleep" in names(), lambda: str(names()))
    return psutil.Process(process.pid).children(recursive=True)


def left(folder: str, processes: list[psutil.Process]) -> list[str]:
    """What is still there of a stage."""
    alive = [each.name() for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    return alive + ([folder] if Path(folder).exists() else [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_owner_is_killed(number: signal.Signals) -> None:
    with owner() as (process, said):
        processes = all_of(process)
        assert {each.nice() for each in processes} == {19}
        process.send_signal(number)
        wait_until(lambda: not left(said["folder"], processes), lambda: str(left(said["folder"], processes)))


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (Debian package util-linux)")
def test_no_program_is_left_when_the_stage_itself_is_killed() -> None:
    with owner() as (process, said):
        processes = all_of(process)
        os.kill(said["pid"], signal.SIGKILL)
        wait_until(lambda: left(said["folder"], processes) == [said["folder"]], lambda: str(processes))
    shutil.rmtree(said["folder"])


def test_a_program_that_does_not_want_to_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "STOP_SECONDS", 0.2)
    log = tmp_path / "log"
    stubborn = ["sh", "-c", "trap '' TERM; echo $$; while true; do sleep 0.1; done"]
    with background(stubborn, log, lambda: log.read_text().endswith("\n")):
        pid = int(log.read_text())
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)


def test_a_program_that_ends_too_early_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(TimeoutError, match="sh does not serve: no such luck"),
        background(["sh", "-c", "echo no such luck"], tmp_path / "log", lambda: False),
    ):
        pytest.fail("it is not ready")
