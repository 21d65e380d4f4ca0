"""A store that cannot be written for a while, in all ways that we know to make, and what clients notice of it.

`test_store_trouble` has each for a moment, `measure store` for longer.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.arithmetic import percentile
from tests.databases import PostgreSQL
from tests.end_to_end.sidecar import Sidecar
from tests.end_to_end.store_books import Books
from tests.end_to_end.store_traffic import Seen, Traffic
from tests.end_to_end.store_views import dropped, until_written

TROUBLE = "the store cannot be written; traffic goes on, records wait"
BACK = "the store is back"
OPEN = "the store is open"
NOBODY = 65534
QUIET_REQUESTS = 60
"""Asked before and after."""
TROUBLED_REQUESTS = 20
"""Asked meanwhile, at least."""
Trouble = Callable[[], AbstractContextManager[object]]


class NotPermittedError(Exception):
    """This cannot be made here; the message says why."""


@contextmanager
def small_disk(megabytes: int = 4) -> Iterator[Path]:
    """A file system of its own. Raises NotPermittedError."""
    with tempfile.TemporaryDirectory(prefix="small-disk-") as folder:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise NotPermittedError(f"no file system can be mounted here: {made.stderr.strip()}")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Not a byte is left on it."""
    ballast = disk / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                _write_all(file.write, bytes(size))
        yield
    finally:
        ballast.unlink()


def _write_all(write: Callable[[bytes], int | None], piece: bytes) -> None:
    try:
        while write(piece):
            pass
    except OSError:
        return


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another process writes it. SQLite's locks are a process's own, and the sidecar is another one."""
    connection = sqlite3.connect(file, isolation_level=None, timeout=10)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("COMMIT")
    finally:
        connection.close()


@contextmanager
def read_only(file: Path) -> Iterator[None]:
    """Nobody but root may write it, or into its folder."""
    paths = [file.parent, *file.parent.glob(f"{file.name}*")]
    modes = [path.stat().st_mode for path in paths]
    try:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode & 0o555)
        yield
    finally:
        for path, mode in zip(paths, modes, strict=True):
            if path.exists():
                path.chmod(mode)


@contextmanager
def stopped(server: PostgreSQL, how: str = "fast") -> Iterator[None]:
    """PostgreSQL is not there."""
    server.stop(how)
    try:
        yield
    finally:
        server.start()


def unprivileged() -> Sequence[str]:
    """What a command begins with that is to run as nobody, for root may write everything. Raises NotPermittedError."""
    if os.geteuid():
        return ()
    prefix = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    try:
        tried = subprocess.run([*prefix, sys.executable, "-c", "import exporter"], capture_output=True, check=False)
    except FileNotFoundError:
        raise NotPermittedError("needs setpriv (Debian package util-linux)") from None
    if tried.returncode:
        raise NotPermittedError("nobody but root may read this tree or its interpreter")
    return prefix


@dataclass(frozen=True, slots=True)
class Phase:
    """The requests of a while. Seconds."""

    requests: int
    failed: int
    p50: float | None
    p99: float | None
    longest: float

    @classmethod
    def of(cls, seen: Sequence[Seen]) -> Phase:
        """Of these."""
        seconds = [each.seconds for each in seen]
        failed = sum(not each.complete or each.status != 200 for each in seen)
        return cls(
            len(seen), failed, median(seconds) if seconds else None, percentile(seconds, 99), max(seconds, default=0.0)
        )


@dataclass(frozen=True, slots=True)
class Course:
    """How it went."""

    quiet: Phase
    troubled: Phase
    again: Phase
    recovery_seconds: float
    """From the end of the trouble until the sidecar said so."""
    requests: int
    rows: int
    """Of these requests."""
    dropped: float
    said: list[str]
    """The warnings and what is worse, and that the store is back."""
    reason: str
    """What the sidecar said was wrong."""
    faults: list[str]
    """Also tracebacks."""

    @property
    def good(self) -> bool:
        """Whether nothing was lost without being counted, and nobody was told twice or harmed."""
        phases = (self.quiet, self.troubled, self.again)
        told = self.said.count(TROUBLE) == 1 and self.said.count(BACK) == 1
        return (
            told
            and not self.faults
            and not any(phase.failed for phase in phases)
            and self.rows + self.dropped == self.requests
        )


def ride_out(sidecar: Sidecar, url: str, trouble: Trouble, seconds: float = 0.0) -> Course:
    """Traffic before, during and after a trouble of so many seconds, or until it was noticed and traffic went on. The
    sidecar's store is open."""
    traffic = Traffic(sidecar.proxy, pause_seconds=0.01)
    heard, there = len(sidecar.log), len(Books(url).column("id"))
    with traffic.running():
        sidecar.wait_until(lambda: len(traffic.seen) >= QUIET_REQUESTS)
        first = len(traffic.seen)
        with trouble():
            began = time.monotonic()
            sidecar.wait_until(lambda: _said(sidecar, TROUBLE, heard))
            sidecar.wait_until(lambda: len(traffic.seen) >= first + TROUBLED_REQUESTS)
            time.sleep(max(0.0, seconds - (time.monotonic() - began)))
            last = len(traffic.seen)
        over = time.monotonic()
        sidecar.wait_until(lambda: _said(sidecar, BACK, heard), 30)
        recovery = time.monotonic() - over
        enough = len(traffic.seen) + QUIET_REQUESTS
        sidecar.wait_until(lambda: len(traffic.seen) >= enough)
    until_written(sidecar, there + len(traffic.seen))
    entries = list(sidecar.log)[heard:]
    return Course(
        quiet=Phase.of(traffic.seen[:first]),
        troubled=Phase.of(traffic.seen[first:last]),
        again=Phase.of(traffic.seen[last:]),
        recovery_seconds=recovery,
        requests=len(traffic.seen),
        rows=len(Books(url).column("id")) - there,
        dropped=dropped(sidecar),
        said=[entry["message"] for entry in entries if entry.get("level") != "info" or entry["message"] == BACK],
        reason=next((str(entry["reason"]) for entry in entries if entry["message"] == TROUBLE), ""),
        faults=[*Books(url).faults(), *tracebacks(entries)],
    )


def _said(sidecar: Sidecar, message: str, heard: int) -> bool:
    """Whether it is among the entries after so many."""
    return any(entry["message"] == message for entry in list(sidecar.log)[heard:])


def tracebacks(entries: Sequence[dict[str, Any]]) -> list[str]:
    """What is no line of a log that an operator should see."""
    return [str(entry) for entry in entries if "exception" in entry or "level" not in entry]
