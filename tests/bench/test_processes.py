from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import psutil
import pytest

from tests.bench.processes import StartError, cpu_seconds, family, free_port, listens, resident_bytes, running


def test_a_process_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such upstream')"]
    with (
        pytest.raises(StartError, match="ended with status 1: no such upstream"),
        running(command, tmp_path / "log", lambda: False),
    ):
        pass


def test_a_process_lives_as_long_as_the_block(tmp_path: Path) -> None:
    started = tmp_path / "started"
    command = [sys.executable, "-c", f"import sys; open({str(started)!r}, 'w'); import time; time.sleep(60)"]
    with running(command, tmp_path / "log", started.exists) as pids:
        assert psutil.pid_exists(pids[0])
        assert resident_bytes(pids) > 1_000_000
        assert cpu_seconds(pids) > 0
        assert pids[0] in family(os.getpid())
    assert not psutil.pid_exists(pids[0])


def test_ports() -> None:
    port = free_port()
    assert not listens(port)
    with socket.create_server(("127.0.0.1", port)):
        assert listens(port)


def test_the_cpu_clock_agrees_with_the_process_clock() -> None:
    before = cpu_seconds([os.getpid()])
    while cpu_seconds([os.getpid()]) < before + 0.05:
        sum(range(10_000))
    times = psutil.Process().cpu_times()
    assert cpu_seconds([os.getpid()]) == pytest.approx(times.user + times.system, abs=0.5)
