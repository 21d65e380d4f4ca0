"""The processes of a benchmark: starting them, waiting until they answer, their CPU time and memory, ending them."""

from __future__ import annotations

import resource
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil

READY_SECONDS = 15.0
STOP_SECONDS = 5.0
STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class StartError(Exception):
    """A process did not start; the message says what it said."""


def raise_file_limit() -> None:
    """Let this process and its children open as many files as the system allows: 1,000 streams need 2,000 sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port() -> int:
    """A loopback port that nobody listens on at the moment."""
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def listens(port: int) -> bool:
    """Whether connections are accepted on a loopback port."""
    with closing(socket.socket()) as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(command: Sequence[str], log: Path, ready: Callable[[], bool]) -> Iterator[tuple[int, ...]]:
    """Run a command until the block ends; its process ids, its children's included, once it is ready.

    Raises StartError with the last lines of its output when it ends or is not ready in time.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            _wait(process, log, ready)
            yield family(process.pid)
        finally:
            _stop(process)


def _wait(process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not ready():
        if process.poll() is not None:
            raise StartError(f"ended with status {process.returncode}: {_last_lines(log)}")
        if time.monotonic() > deadline:
            raise StartError(f"not ready after {READY_SECONDS:.0f} s: {_last_lines(log)}")
        time.sleep(0.05)


def _last_lines(log: Path) -> str:
    return " | ".join(log.read_text(errors="replace").splitlines()[-3:]) or "it said nothing"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def family(pid: int) -> tuple[int, ...]:
    """A process and all its descendants."""
    return (pid, *(child.pid for child in psutil.Process(pid).children(recursive=True)))


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time, user and system, that the threads of these processes have used so far."""
    return sum(map(_process_cpu_seconds, pids))


def _process_cpu_seconds(pid: int) -> float:
    """From the scheduler's clock (nanoseconds) where Linux offers it, else from psutil (ticks of 10 ms)."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((thread / "schedstat").read_bytes().split()[0]) for thread in threads) / 1e9
    except OSError:
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)


def resident_bytes(pids: Iterable[int]) -> int:
    """Resident memory of these processes."""
    return sum(int(psutil.Process(pid).memory_info().rss) for pid in pids)


def forget_peak() -> None:
    """Have `peak_bytes` begin anew; nothing is done where the system does not keep it."""
    with suppress(OSError):
        FORGET.write_text("5")


def peak_bytes() -> int | None:
    """Resident memory of this process at most, since `forget_peak`; None where the system does not keep it. What
    `getrusage` says would be that of whoever has started it, where that was more."""
    with suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None
