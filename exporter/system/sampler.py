"""Runs every collector on a timer of its own and keeps the newest snapshot; the only writer of `latest`.

The composition root makes one, hands `run` to `tasks.Supervisor` and closes it at the end. Others read `latest`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, TypeVar, cast

from exporter import tasks
from exporter.errors import CollectorError
from exporter.system.snapshot import (
    CollectorStatus,
    GpuSnapshot,
    HealthSnapshot,
    HostSnapshot,
    IndexSnapshot,
    LlamaServerSnapshot,
    RedisSnapshot,
    Snapshot,
)
from exporter.worker import Worker

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0
SHORTEST_INTERVAL_SECONDS = 0.5
LONGEST_INTERVAL_SECONDS = 3600.0
JITTER = 0.1
"""Share by which the turns of what is asked over the network vary, so that several sidecars do not ask in step."""
CLOSE_SECONDS = 1.0
"""How long `close` waits for a collector that is blocked."""

Part = HostSnapshot | tuple[GpuSnapshot, ...] | LlamaServerSnapshot | HealthSnapshot | IndexSnapshot | RedisSnapshot
"""What one collector contributes to the snapshot."""
P = TypeVar("P")


class BlockingCollector(Protocol):
    """Reads with calls that block; gets a thread of its own."""

    @property
    def name(self) -> str:
        """Under which its status is shown."""
        ...

    def collect(self) -> Part:
        """Look once. Raises what it likes; CollectorError says why in words that may be shown."""
        ...

    def close(self) -> None:
        """Let go of what it holds, in its thread."""
        ...


class AsyncCollector(Protocol):
    """Reads over the network, in the event loop."""

    @property
    def name(self) -> str:
        """Under which its status is shown."""
        ...

    @property
    def longest_interval_seconds(self) -> float:
        """It is sampled at least this often, whatever the sampler's interval; infinite where that alone counts."""
        ...

    async def collect(self) -> Part:
        """Look once. Raises as for BlockingCollector."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


@dataclass(slots=True, eq=False)
class _Entry:
    """One collector and how it is doing."""

    name: str
    start: Callable[[], asyncio.Future[Part]]
    close: Callable[[], asyncio.Future[None]]
    longest_interval_seconds: float = math.inf
    jitter: float = 0.0
    running: asyncio.Future[Part] | None = None
    started_at: float = 0.0
    part: Part | None = None
    status: CollectorStatus | None = None


class Sampler:
    """Holds the collectors; all its methods belong to the event loop that `run` runs in."""

    def __init__(
        self,
        collectors: Iterable[BlockingCollector | AsyncCollector],
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        on_sample: Callable[[Part], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        random: Random | None = None,
    ) -> None:
        """`on_sample` is told of every new sample, once. `random` spreads the turns of async collectors."""
        self.latest = Snapshot()
        """Replaced as a whole after every sample of any collector, never changed."""
        self.interval_seconds = interval_seconds
        self._on_sample = on_sample
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - only spreads polls over time, nobody gains by guessing it
        self._entries = [_entry(collector) for collector in collectors]
        self._interval_changed: asyncio.Future[None] | None = None
        self._hastened: set[str] = set()
        self.set_interval(interval_seconds)

    def set_interval(self, seconds: float) -> None:
        """Change the time between two samples of a collector, at once. Raises ValueError outside of 0.5 to 3600."""
        if not SHORTEST_INTERVAL_SECONDS <= seconds <= LONGEST_INTERVAL_SECONDS:
            raise ValueError(
                f"the sampling interval must be {SHORTEST_INTERVAL_SECONDS} to {LONGEST_INTERVAL_SECONDS:.0f} s"
            )
        if seconds != self.interval_seconds:
            log.info("the sampling interval was changed", extra={"interval_seconds": seconds})
        self.interval_seconds = seconds
        self._wake()

    def hasten(self, name: str) -> None:
        """Have a collector look again without waiting for its turn, though no more often than the shortest interval
        allows: what it looks at has just changed."""
        self._hastened.add(name)
        self._wake()

    async def run(self) -> None:
        """Sample every collector now and then once per interval, until cancelled.

        The interval of an async collector is its own where that is shorter, and each time up to a tenth more or less.
        """
        self._interval_changed = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.TaskGroup() as loops:
                for entry in self._entries:
                    loops.create_task(self._keep_sampling(entry), name=f"sampler:{entry.name}")
                if not self._entries:
                    await asyncio.Event().wait()  # returning would be taken for a failure
        finally:
            self._interval_changed = None

    async def sample_once(self, *, limit_seconds: float = 10.0) -> Snapshot:
        """Run every collector once, now, side by side; one that takes longer than the limit counts as still running."""
        for entry in self._entries:
            if entry.running is None:
                self._begin(entry)
        await _wait_for([entry.running for entry in self._entries if entry.running is not None], limit_seconds)
        for entry in self._entries:
            self._finish(entry)
            if entry.running is not None:
                self._note_still_running(entry)
        return self.latest

    async def close(self) -> None:
        """Stop what is running and let the collectors close what they hold; waits a second for one that is blocked."""
        running = [entry.running for entry in self._entries if entry.running is not None]
        for collecting in running:
            collecting.cancel()
        closing = [entry.close() for entry in self._entries]
        await _wait_for([*running, *closing], CLOSE_SECONDS)
        for future in closing:
            if not future.done():
                future.cancel()
            elif (error := future.exception()) is not None:
                log.warning("a collector did not close", exc_info=error)

    async def _keep_sampling(self, entry: _Entry) -> None:
        while True:
            turn = self._clock()
            if entry.running is None:
                self._begin(entry)
            else:
                self._note_still_running(entry)
            await self._wait_until_next_turn(entry, turn)

    async def _wait_until_next_turn(self, entry: _Entry, turn: float) -> None:
        """Ends one interval after `turn`, whether or not the collector is done by then."""
        spread = self._random.uniform(1 - entry.jitter, 1 + entry.jitter)
        while (remaining := turn + self._interval_of(entry, spread) - self._clock()) > 0:
            changed = self._changed()
            awaited: list[asyncio.Future[Any]] = [changed] if entry.running is None else [changed, entry.running]
            await asyncio.wait(awaited, timeout=remaining, return_when=asyncio.FIRST_COMPLETED)
            self._finish(entry)

    def _interval_of(self, entry: _Entry, spread: float) -> float:
        if entry.name in self._hastened:
            return SHORTEST_INTERVAL_SECONDS
        return min(self.interval_seconds, entry.longest_interval_seconds) * spread

    def _wake(self) -> None:
        """Have everybody who waits for a turn look when that is."""
        if self._interval_changed is not None and not self._interval_changed.done():
            self._interval_changed.set_result(None)

    def _changed(self) -> asyncio.Future[None]:
        """Done when the interval changes the next time, or somebody is hastened."""
        if self._interval_changed is None or self._interval_changed.done():
            self._interval_changed = asyncio.get_running_loop().create_future()
        return self._interval_changed

    def _begin(self, entry: _Entry) -> None:
        self._hastened.discard(entry.name)
        entry.started_at = self._clock()
        entry.running = entry.start()

    def _finish(self, entry: _Entry) -> None:
        """Take over the result of a collector that is done."""
        if entry.running is None or not entry.running.done():
            return
        done, entry.running = entry.running, None
        error = asyncio.CancelledError("cancelled") if done.cancelled() else done.exception()
        if error is None:
            entry.part = done.result()
            self._note(entry, error=None)
            self._tell(entry)
        else:
            self._note(entry, error=_words(error), cause=None if isinstance(error, CollectorError) else error)

    def _tell(self, entry: _Entry) -> None:
        """Whoever listens must not end the sampling of everything else."""
        try:
            self._on_sample(cast(Part, entry.part))
        except Exception:
            log.exception("a sample could not be used", extra={"collector": entry.name})

    def _note_still_running(self, entry: _Entry) -> None:
        self._note(entry, error="still running")

    def _note(self, entry: _Entry, *, error: str | None, cause: BaseException | None = None) -> None:
        before = entry.status
        if error is not None and (before is None or before.error != error):
            log.warning("a collector failed", extra={"collector": entry.name, "reason": error}, exc_info=cause)
        last_good = before.sampled_at if before is not None else None
        entry.status = CollectorStatus(
            name=entry.name,
            success=error is None,
            duration_seconds=self._clock() - entry.started_at,
            sampled_at=entry.started_at if error is None else last_good,
            error=error,
        )
        self.latest = _snapshot(self._entries)


def _entry(collector: BlockingCollector | AsyncCollector) -> _Entry:
    if inspect.iscoroutinefunction(collector.collect):
        return _async_entry(cast(AsyncCollector, collector))
    return _blocking_entry(cast(BlockingCollector, collector))


def _async_entry(collector: AsyncCollector) -> _Entry:
    def start() -> asyncio.Future[Part]:
        return tasks.spawn(collector.collect(), name=f"collect:{collector.name}")

    def close() -> asyncio.Future[None]:
        return tasks.spawn(collector.close(), name=f"close:{collector.name}")

    return _Entry(collector.name, start, close, collector.longest_interval_seconds, JITTER)


def _blocking_entry(collector: BlockingCollector) -> _Entry:
    worker = Worker(f"collect-{collector.name}")

    def start() -> asyncio.Future[Part]:
        return asyncio.wrap_future(worker.submit(collector.collect))

    def close() -> asyncio.Future[None]:
        closing = asyncio.wrap_future(worker.submit(collector.close))
        worker.close()
        return closing

    return _Entry(collector.name, start, close)


def _snapshot(entries: Iterable[_Entry]) -> Snapshot:
    entries = list(entries)
    parts = [entry.part for entry in entries if entry.part is not None]
    fresh = [entry.part for entry in entries if entry.part is not None and entry.status and entry.status.success]
    return Snapshot(
        host=_only(HostSnapshot, parts),
        gpus=tuple(gpu for part in parts if isinstance(part, tuple) for gpu in part),
        servers={part.upstream: part for part in parts if isinstance(part, LlamaServerSnapshot)},
        collectors={entry.name: entry.status for entry in entries if entry.status is not None},
        index=_only(IndexSnapshot, fresh),  # whether these are there at all is what one wants to know of them
        redis=_only(RedisSnapshot, fresh),
    )


def _only(kind: type[P], parts: Iterable[Part]) -> P | None:
    """The part of a kind of which there is one at most."""
    return next((part for part in parts if isinstance(part, kind)), None)


def _words(error: BaseException) -> str:
    """What went wrong, without what may hold addresses: only our own errors are known to be clean."""
    return str(error) if isinstance(error, CollectorError) else type(error).__name__


async def _wait_for(futures: Sequence[asyncio.Future[Any]], limit_seconds: float) -> None:
    if futures:
        await asyncio.wait(futures, timeout=limit_seconds)
