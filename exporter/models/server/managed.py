"""The llama-server that the sidecar runs itself: started in router mode, restarted when it ends, stopped with us; its
lines go into the logbook. `app` runs `Managed.run` in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import httpx

from exporter.errors import StartupError
from exporter.models.server.launch import Launch
from exporter.models.server.process import ServerProcess
from exporter.models.server.words import ServerWords, Sink
from exporter.tasks import cancel, spawn
from exporter.worker import Worker, outcome

log = logging.getLogger(__name__)

PAUSE_FIRST_SECONDS = 1.0
PAUSE_LIMIT_SECONDS = 60.0
WELL_SECONDS = 60.0
"""Who was ready for so long is started again without a longer pause than the first."""
LOOK_FIRST_SECONDS = 0.05
LOOK_LIMIT_SECONDS = 1.0
"""Between two looks whether it is ready."""
ANSWER_SECONDS = 5.0
START_SECONDS = 10.0
"""One that does not answer for so long after its start is not ready, like any other."""


class ServerStatus(StrEnum):
    """What it is doing; the words of the contract's real clients."""

    INITIAL = "initial"
    STARTING = "starting"
    READY = "ready"
    CRASHED = "crashed"
    """It has ended, and is to be started again."""
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class ManagedServer:
    """The managed llama-server as it is now."""

    status: ServerStatus
    restarts: int
    """Since the sidecar was started."""
    last_error: str | None
    """Why it ended the last time, in its own last words."""
    started_at: float | None
    """UTC seconds since the epoch at which the running process was started; None while there is none."""
    pid: int | None
    models_max: int | None = None
    """Models that it keeps loaded at once, as it was told at its start; 0: any number. None while there is none."""

    def is_starting(self, wall: float) -> bool:
        """Whether it need not answer yet, by UTC seconds since the epoch."""
        age = 0.0 if self.started_at is None else wall - self.started_at
        return self.status in (ServerStatus.INITIAL, ServerStatus.STARTING) and age < START_SECONDS


class Managed:
    """Keeps one llama-server running, from the start of `run` until `stop`."""

    def __init__(
        self,
        launch: Launch,
        sink: Sink,
        *,
        on_restart: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`sink` is given every line that llama-server writes; `on_restart` is called whenever it is started again."""
        self._launch = launch
        self._words = ServerWords(sink, clock)
        self._on_restart = on_restart
        self._clock = clock
        self._wall = wall
        self._worker = Worker("llama-server-start")
        self._ready_listeners: list[Callable[[], None]] = []
        self._keeper: asyncio.Task[None] | None = None
        self._stopped = False
        self._status = ServerStatus.INITIAL
        self._restarts = 0
        self._last_error: str | None = None
        self._started_at: float | None = None
        self._pid: int | None = None
        self._models_max = 0
        self._ready_since: float | None = None

    def check(self) -> None:
        """Whether it can be started at all; to be asked before anything is. Raises StartupError in one line."""
        self._launch.check()

    def server(self) -> ManagedServer:
        """As it is now."""
        models_max = None if self._pid is None else self._models_max
        return ManagedServer(self._status, self._restarts, self._last_error, self._started_at, self._pid, models_max)

    def last_words(self, model: str) -> str | None:
        """Why the last load of a model failed, or its process has ended, in llama-server's words; None where it has
        said nothing, or a load has begun since."""
        return self._words.last_words(model)

    def on_ready(self, listener: Callable[[], None]) -> None:
        """Have it told, in the event loop, each time that it has become ready."""
        self._ready_listeners.append(listener)

    async def run(self) -> None:
        """Keep it running, until `stop`, which tells it to end; or until this is cancelled, which ends it as well."""
        if not self._stopped:
            self._keeper = spawn(self._keep(), name="llama-server keeper")
            try:
                await asyncio.wait({self._keeper})
            finally:
                await cancel(self._keeper)
            if not self._stopped:
                self._keeper.result()
        await asyncio.Event().wait()

    async def stop(self, hurry: asyncio.Event | None = None) -> None:
        """End it for good, in at most `STOP_SECONDS` and a few more, or at once as soon as `hurry` is set; to be called
        when no request is in flight."""
        self._stopped = True
        if self._keeper is not None:
            self._status = ServerStatus.STOPPING
            self._keeper.cancel()
            hurried = spawn((hurry or asyncio.Event()).wait(), name="llama-server stop")
            await asyncio.wait({self._keeper, hurried}, return_when=asyncio.FIRST_COMPLETED)
            await cancel(hurried)
            await cancel(self._keeper)
        self._worker.close()
        self._status = ServerStatus.INITIAL

    async def _keep(self) -> None:
        pause = PAUSE_FIRST_SECONDS
        while True:
            if await self._live() >= WELL_SECONDS:
                pause = PAUSE_FIRST_SECONDS
            self._status = ServerStatus.CRASHED
            reason = {"reason": self._last_error, "delay_seconds": pause}
            log.warning("llama-server has ended, or did not start; it is started again", extra=reason)
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSE_LIMIT_SECONDS)
            self._restarts += 1
            self._on_restart()

    async def _live(self) -> float:
        """One life of it. Returned is for how many seconds it was ready."""
        self._status = ServerStatus.STARTING
        self._words.begin()
        try:
            await outcome(self._worker.submit(self._launch.prepare))
            self._models_max = self._launch.models_max()
            command, environment = self._launch.command(self._models_max), self._launch.environment()
            process = await ServerProcess.start(command, environment, self._words.hear)
        except (StartupError, OSError) as error:
            self._last_error = str(error)
            return 0.0
        self._pid, self._started_at = process.pid, self._wall()
        log.info("llama-server is started", extra={"pid": process.pid, "url": self._launch.url})
        looking = spawn(self._await_ready(), name="llama-server readiness")
        try:
            self._last_error = self._explain(await process.ended())
        finally:
            looking.cancel()
            await process.end()
            await asyncio.wait({looking})
            if self._status is ServerStatus.STOPPING:
                log.info("llama-server is stopped", extra={"pid": process.pid})
            ready_since, self._ready_since = self._ready_since, None
            self._pid, self._started_at = None, None
        return 0.0 if ready_since is None else self._clock() - ready_since

    async def _await_ready(self) -> None:
        pause = LOOK_FIRST_SECONDS
        async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"{self._launch.url.rstrip('/')}/health")).status_code == httpx.codes.OK:
                        break
                await asyncio.sleep(pause)
                pause = min(pause * 2, LOOK_LIMIT_SECONDS)
        self._became_ready()

    def _became_ready(self) -> None:
        self._status, self._ready_since = ServerStatus.READY, self._clock()
        self._words.settle()
        log.info("llama-server is ready", extra={"pid": self._pid})
        for listener in self._ready_listeners:
            try:
                listener()
            except Exception:
                log.exception("what was to be done as soon as llama-server is ready has failed")

    def _explain(self, code: int) -> str:
        """Why it has ended, in plain words."""
        try:
            what = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        except ValueError:
            what = f"killed by signal {-code}"
        words = None if -code == signal.SIGKILL else self._words.own_words()  # that comes without warning
        return what if words is None else f"{what}: {words}"
