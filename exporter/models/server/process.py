"""One running llama-server: its process, its lines, and its end, of which nothing is left over. `managed` starts it.

It leads a process group of its own: Ctrl-C in a terminal does not reach it, and its models' processes, which are in the
group, can be ended for sure. When the sidecar is killed, Linux kills it (`leash`); its models see that their standard
input is closed, and end. That signal is bound to the *thread* that starts the process, so it has to be started by an
event loop that lives as long as the sidecar: that of the main thread. Elsewhere than on Linux a llama-server whose
sidecar was killed stays, and the next start of the sidecar says that its port is in use.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from exporter.models.server import leash
from exporter.models.server.lines import Cutter
from exporter.tasks import spawn

STOP_SECONDS = 12.0
"""After SIGTERM: llama-server gives its models 10 s."""
STOP_AGAIN_SECONDS = 2.0
"""After a second SIGTERM, at which it ends at once; then SIGKILL."""
KILL_SECONDS = 5.0
"""For the kernel to end what was killed, and for the last lines to arrive."""
REAP_TRIES, REAP_SECONDS = 100, 0.01
PIECE_BYTES = 8192
"""Of each pipe that are read in one turn of the event loop: a flood of lines does not hold up streams."""
HELD_BYTES = 65_536
"""Of each pipe that wait at most; then llama-server waits."""
STDOUT, STDERR = 1, 2

log = logging.getLogger(__name__)


class ServerProcess(asyncio.SubprocessProtocol):
    """`await ServerProcess.start(...)`; then `ended`, and in any case `end`."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        self._hear = hear
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.SubprocessTransport | None = None
        # Standard error goes first: there the router says which model a port belongs to, whose lines are on the other.
        self._cutters = {STDERR: Cutter(), STDOUT: Cutter()}
        self._waiting = {STDERR: bytearray(), STDOUT: bytearray()}
        self._open = {STDERR, STDOUT}
        self._turning = False
        self._exited = self._loop.create_future()
        self._silent = self._loop.create_future()

    @classmethod
    async def start(
        cls, command: Sequence[str], environment: Mapping[str, str], hear: Callable[[str], None]
    ) -> ServerProcess:
        """Start it; `hear` is called with each of its lines. Raises OSError."""
        leashed = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *command]
        start = asyncio.get_running_loop().subprocess_exec(
            lambda: cls(hear),
            *leashed,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
        )
        starting = spawn(start, name="llama-server start")
        try:
            return (await asyncio.shield(starting))[1]
        except asyncio.CancelledError:
            _, process = await starting  # else it would be there, and nobody's
            await process.end()
            raise

    @property
    def pid(self) -> int:
        """Process id, also of one that has ended."""
        return self._own().get_pid()

    async def ended(self) -> int:
        """Wait for its end and its last lines. Returned is its exit code, or, negative, the signal that killed it."""
        await asyncio.wait({self._exited})
        await asyncio.wait({self._silent}, timeout=KILL_SECONDS)
        return cast(int, self._own().get_returncode())

    async def end(self) -> None:
        """End it for sure: kindly, again, and by force. Cancelled, it is killed at once. Harmless when it has ended."""
        cancelled: asyncio.CancelledError | None = None
        try:
            for seconds in (STOP_SECONDS, STOP_AGAIN_SECONDS):
                if not self._exited.done():
                    self._terminate()
                    await asyncio.wait({self._exited}, timeout=seconds)
        except asyncio.CancelledError as error:
            cancelled = error
        if not self._exited.done():
            log.warning("llama-server does not end, and is killed", extra={"pid": self.pid})
        self._end_group()
        await asyncio.wait({self._exited, self._silent}, timeout=KILL_SECONDS)
        self._own().close()
        await self._reap()
        if cancelled is not None:
            raise cancelled

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It runs."""
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It has said something; that is read in the next turn."""
        waiting = self._waiting[fd]
        waiting += data
        if len(waiting) > HELD_BYTES:
            self._pipe(fd).pause_reading()
        self._turn_soon()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """It will say no more."""
        self._open.discard(fd)
        self._turn_soon()

    def process_exited(self) -> None:
        """It has ended; of what it started nothing shall go on, and hold memory, ports, or our pipes."""
        self._end_group()
        if not self._exited.done():
            self._exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, and its pipes have; asyncio wants to be told that nobody needs the rest, even where `end` was
        cancelled."""
        self._own().close()

    def _own(self) -> asyncio.SubprocessTransport:
        assert self._transport is not None  # noqa: S101 - `start` returns after `connection_made`
        return self._transport

    def _pipe(self, fd: int) -> asyncio.ReadTransport:
        return cast(asyncio.ReadTransport, self._own().get_pipe_transport(fd))

    def _turn_soon(self) -> None:
        if not self._turning:
            self._turning = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turning = False
        for fd, waiting in self._waiting.items():
            if waiting:
                self._read(fd, waiting)
        if any(self._waiting.values()):
            self._turn_soon()
        elif not self._open and not self._silent.done():
            for cutter in self._cutters.values():
                self._say(cutter.rest())
            self._silent.set_result(None)

    def _read(self, fd: int, waiting: bytearray) -> None:
        held = len(waiting) > HELD_BYTES
        piece = bytes(waiting[:PIECE_BYTES])
        del waiting[:PIECE_BYTES]
        if held and len(waiting) <= HELD_BYTES and fd in self._open:
            self._pipe(fd).resume_reading()
        self._say(self._cutters[fd].feed(piece))

    def _say(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._hear(line)

    def _terminate(self) -> None:
        """Not by the transport: asyncio's looks whether the process has ended, and takes its exit code from under the
        thread that waits for it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    async def _reap(self) -> None:
        """As process 1 of a container we inherit what it has left behind: dead, but still counted until asked for."""
        for _ in range(REAP_TRIES):
            if not self._has_heirs():
                return
            await asyncio.sleep(REAP_SECONDS)

    def _has_heirs(self) -> bool:
        """Whether some of the group are still our children, beside those that are dead."""
        try:
            while os.waitpid(-self.pid, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return False
        return True

    def _end_group(self) -> None:
        """Its number is not given to another group as long as there is anybody in it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
