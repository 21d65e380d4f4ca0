"""Child processes that cannot outlive their parent, and whose last words are kept for the case that they fail.

`engine.Engine` and `sidecar.Sidecar` are such children. The parent holds the write end of the child's standard input;
when it closes, by `stop` or because the parent died (SIGKILL included), `end_with_parent` ends the child.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import exporter
from exporter.config import environment_without_settings
from exporter.errors import StartupError
from exporter.tasks import spawn

KEPT_LINES = 200
POLL_SECONDS = 0.01
LAST_WORDS_LINES = 3


class Child(ABC):
    """One server in a process of its own, to be used with `with` or `async with`: ready inside, gone after."""

    start_limit_seconds = 30.0
    stop_limit_seconds = 1.0
    """How long after SIGTERM until SIGKILL."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """`name` is for people; `arguments` are those of the Python interpreter (`-m`, module, ...); `environment` is
        what it has beside ours."""
        self.name = name
        self._arguments = arguments
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """Process id. Raises RuntimeError when it was never started."""
        if self._process is None:
            raise RuntimeError(f"the {self.name} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def output(self) -> list[str]:
        """The last lines of its standard output and error, together."""
        return list(self._lines)

    def last_words(self) -> str:
        """What it said last, as one line."""
        said = [line.strip() for line in self.output() if line.strip()]
        return "; ".join(said[-LAST_WORDS_LINES:]) or "it said nothing"

    @abstractmethod
    def ready(self) -> bool:
        """Whether it serves. Asked again and again while it starts."""

    def start(self) -> None:
        """Start the process and wait until it serves. Raises StartupError, with its last words, when it does not."""
        # The directory puts this package on the child's path, also in a source tree that is not installed; the process
        # group keeps a terminal's Ctrl-C from the child, which is stopped in its turn instead.
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=Path(exporter.__file__).parent.parent,
            env={**environment_without_settings(), **self._environment},
            process_group=0,
        )
        self._reader = threading.Thread(target=self._keep_lines, name=f"{self.name} output", daemon=True)
        self._reader.start()
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the process for sure, and return when it is gone. Harmless when it was never started or has ended."""
        if self._process is None:
            return
        with contextlib.suppress(BrokenPipeError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(self.stop_limit_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._reader is not None:
            self._reader.join(self.stop_limit_seconds)

    def kill(self) -> None:
        """End the process as a crash would: at once, without a word to its clients. Harmless as `stop` is."""
        if self._process is not None:
            self._process.kill()
        self.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def launch(self) -> None:
        """`start`, in a thread. When it is cancelled, nothing is left behind."""
        starting = spawn(asyncio.to_thread(self.start), name=f"start {self.name}")
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread cannot be interrupted; without waiting for it the process would be left behind.
            with contextlib.suppress(StartupError):
                await starting
            await asyncio.to_thread(self.stop)
            raise

    async def __aenter__(self) -> Self:
        await self.launch()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.start_limit_seconds
        while not self.ready():
            if not self.running:
                self._join_reader()
                raise StartupError(f"the {self.name} did not start: {self.last_words()}")
            if time.monotonic() > deadline:
                raise StartupError(
                    f"the {self.name} was not ready within {self.start_limit_seconds:.0f} s: {self.last_words()}"
                )
            time.sleep(POLL_SECONDS)

    def _join_reader(self) -> None:
        if self._reader is not None:
            self._reader.join(self.stop_limit_seconds)

    def _keep_lines(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        with self._process.stdout as stream:
            for line in stream:
                self._lines.append(line.decode(errors="replace").rstrip("\r\n"))


def http_status(url: str, *, timeout_seconds: float = 1.0) -> int | None:
    """Status of a GET, None when nobody answers."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_seconds)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def end_with_parent(*, grace_seconds: float = 5.0) -> None:
    """For the child: have this process end when its standard input does, by SIGTERM and, after the grace, at once.

    Not by Linux's PR_SET_PDEATHSIG: it fires when the parent's *thread* ends, and children are started from worker
    threads.
    """
    threading.Thread(target=_await_end, args=(grace_seconds,), name="parent watch", daemon=True).start()


def _await_end(grace_seconds: float) -> None:
    # Not sys.stdin: a daemon thread that holds its lock makes the interpreter abort when it shuts down.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_seconds)
    os._exit(1)
