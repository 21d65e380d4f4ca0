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
    """From one moment to another: the scheduler's clock forgets threads that have ended."""
    own = psutil.Process()
    before, times_before = cpu_seconds([own.pid]), own.cpu_times()
    while cpu_seconds([own.pid]) < before + 0.2:
        sum(range(10_000))
    used, times = cpu_seconds([own.pid]) - before, own.cpu_times()
    ticks = times.user + times.system - times_before.user - times_before.system
    assert used == pytest.approx(ticks, abs=0.1)
