from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from random import Random

import httpx
import pytest

from exporter import tasks
from exporter.errors import CollectorError
from exporter.system.health_check import HealthCollector
from exporter.system.host import HostCollector
from exporter.system.llama_server import LlamaServerCollector
from exporter.system.sampler import AsyncCollector, BlockingCollector, Part, Sampler
from exporter.system.snapshot import GpuSnapshot, LlamaServerSnapshot, ServerState, Snapshot

LIMIT_SECONDS = 10.0
"""Longest wait for something that must happen."""


def gpu(vendor: str, index: int = 0) -> GpuSnapshot:
    return GpuSnapshot(f"{vendor}-{index}", index, "GPU", vendor)


class Gpus:
    """A blocking collector that does what it is told: `parts` in order, the last for ever; exceptions are raised."""

    def __init__(self, name: str, *parts: tuple[GpuSnapshot, ...] | Exception) -> None:
        self.name = name
        self.parts = list(parts)
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Semaphore(0)
        self.threads: list[threading.Thread] = []
        self.closed = False

    def collect(self) -> Part:
        self.threads.append(threading.current_thread())
        self.started.release()
        self.gate.wait(timeout=30)
        part = self.parts.pop(0) if len(self.parts) > 1 else self.parts[0]
        if isinstance(part, Exception):
            raise part
        return part

    def close(self) -> None:
        self.closed = True


class Server:
    """An async collector that can be held up."""

    def __init__(self, upstream: str, error: Exception | None = None, *, at_least_every: float = math.inf) -> None:
        self.name = f"llama_server:{upstream}"
        self.longest_interval_seconds = at_least_every
        self.upstream = upstream
        self.error = error
        self.gate = asyncio.Event()
        self.gate.set()
        self.runs = 0
        self.closed = False

    async def collect(self) -> Part:
        self.runs += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return LlamaServerSnapshot(self.upstream, ("large",), ServerState.READY)

    async def close(self) -> None:
        self.closed = True


class Spread(Random):
    """Notes what it is asked for, and always gives the same share of an interval."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.bounds: list[tuple[float, float]] = []

    def uniform(self, a: float, b: float) -> float:
        self.bounds.append((a, b))
        return self.share if a < b else a


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@contextlib.asynccontextmanager
async def running(sampler: Sampler) -> AsyncIterator[None]:
    work = tasks.spawn(sampler.run(), name="sampler")
    try:
        yield
    finally:
        await tasks.cancel(work)
        await sampler.close()


async def until(sampler: Sampler, holds: Callable[[Snapshot], bool]) -> Snapshot:
    """Wait for a snapshot of which something holds."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not holds(sampler.latest):
            await asyncio.sleep(0.005)
    return sampler.latest


async def test_one_sample_of_everything_is_put_together_in_the_order_of_the_collectors() -> None:
    clock, host = Clock(), HostCollector()
    nvidia, amd = Gpus("nvidia", (gpu("nvidia", 0), gpu("nvidia", 1))), Gpus("amd", (gpu("amd"),))
    first, second = Server("b"), Server("a")
    sampler = Sampler([host, nvidia, amd, first, second], clock=clock)
    assert sampler.latest == Snapshot()
    snapshot = await sampler.sample_once()
    assert snapshot is sampler.latest
    assert snapshot.host is not None
    assert [each.id for each in snapshot.gpus] == ["nvidia-0", "nvidia-1", "amd-0"]
    assert list(snapshot.servers) == ["b", "a"]
    assert list(snapshot.collectors) == ["host", "nvidia", "amd", "llama_server:b", "llama_server:a"]
    assert {(each.success, each.error, each.sampled_at) for each in snapshot.collectors.values()} == {
        (True, None, 100.0)
    }
    await sampler.close()
    assert all(each.closed for each in (nvidia, amd, first, second))


async def test_the_snapshot_is_replaced_and_never_changed() -> None:
    sampler = Sampler([Gpus("nvidia", (gpu("nvidia", 0),), (gpu("nvidia", 1),))])
    first = await sampler.sample_once()
    second = await sampler.sample_once()
    assert [each.id for each in first.gpus] == ["nvidia-0"]
    assert [each.id for each in second.gpus] == ["nvidia-1"]
    assert first.collectors is not second.collectors
    await sampler.close()


@pytest.mark.parametrize(
    ("failure", "words"),
    [(CollectorError("NVML does not start: unknown"), "NVML does not start: unknown"), (OSError("/secret"), "OSError")],
)
async def test_a_failing_collector_keeps_its_last_good_part_whose_age_grows(
    failure: Exception, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    sampler = Sampler([Gpus("nvidia", (gpu("nvidia"),), failure, failure, (gpu("nvidia", 1),))], clock=clock)
    good = await sampler.sample_once()
    with caplog.at_level(logging.WARNING):
        clock.now = 105.0
        await sampler.sample_once()
        clock.now = 110.0
        failed = await sampler.sample_once()
    assert failed.gpus == good.gpus
    status = failed.collectors["nvidia"]
    assert (status.success, status.error, status.sampled_at) == (False, words, 100.0)
    assert [record.getMessage() for record in caplog.records] == ["a collector failed"]  # once, not at every sample
    clock.now = 115.0
    again = await sampler.sample_once()
    assert [each.id for each in again.gpus] == ["nvidia-1"]
    assert (again.collectors["nvidia"].success, again.collectors["nvidia"].sampled_at) == (True, 115.0)
    await sampler.close()


async def test_a_collector_that_never_succeeded_has_no_age() -> None:
    sampler = Sampler([Server("a", RuntimeError("http://10.0.0.7 is secret"))])
    snapshot = await sampler.sample_once()
    assert snapshot.servers == {}
    status = snapshot.collectors["llama_server:a"]
    assert (status.success, status.sampled_at, status.error) == (False, None, "RuntimeError")
    await sampler.close()


async def test_each_blocking_collector_has_one_thread_and_it_is_not_ours() -> None:
    nvidia, amd = Gpus("nvidia", ()), Gpus("amd", ())
    sampler = Sampler([nvidia, amd])
    for _ in range(3):
        await sampler.sample_once()
    threads = {id(thread) for thread in (*nvidia.threads, *amd.threads)}
    assert (len(nvidia.threads), len(amd.threads), len(threads)) == (3, 3, 2)
    assert id(threading.current_thread()) not in threads
    await sampler.close()


async def test_a_collector_that_hangs_holds_up_neither_the_others_nor_the_loop() -> None:
    stuck, server = Gpus("nvidia", (gpu("nvidia"),)), Server("a")
    stuck.gate.clear()
    sampler = Sampler([stuck, server], interval_seconds=0.5)
    async with running(sampler):
        snapshot = await until(sampler, lambda latest: server.runs >= 3)
        assert snapshot.gpus == ()
        status = (await until(sampler, lambda latest: "nvidia" in latest.collectors)).collectors["nvidia"]
        assert (status.success, status.error, status.sampled_at) == (False, "still running", None)
        assert status.duration_seconds >= 0.5
        assert len(stuck.threads) == 1  # skipped, not started once more
        stuck.gate.set()
        await until(sampler, lambda latest: latest.collectors["nvidia"].success)
        assert [each.id for each in sampler.latest.gpus] == ["nvidia-0"]


async def test_an_async_collector_that_hangs_is_still_running_too() -> None:
    stuck = Server("a")
    stuck.gate.clear()
    sampler = Sampler([stuck])
    snapshot = await sampler.sample_once(limit_seconds=0.01)
    assert snapshot.collectors["llama_server:a"].error == "still running"
    await sampler.sample_once(limit_seconds=0.01)
    assert stuck.runs == 1
    stuck.gate.set()
    assert (await sampler.sample_once()).servers["a"].up
    await sampler.close()


async def test_the_first_samples_are_taken_at_once_and_then_one_per_interval() -> None:
    server = Server("a")
    sampler = Sampler([server], interval_seconds=0.5, random=Spread(1.0))
    loop = asyncio.get_running_loop()
    async with running(sampler):
        started = loop.time()
        await until(sampler, lambda latest: "a" in latest.servers)
        assert loop.time() - started < 0.4
        await until(sampler, lambda latest: server.runs == 3)
        assert 0.9 < loop.time() - started < 5


async def test_a_shorter_interval_counts_at_once() -> None:
    server, stuck = Server("a"), Server("b")
    stuck.gate.clear()
    sampler = Sampler([server, stuck], interval_seconds=3600.0)
    async with running(sampler):
        await until(sampler, lambda latest: server.runs == 1)
        sampler.set_interval(1800.0)
        sampler.set_interval(0.5)
        await until(sampler, lambda latest: server.runs == 3)
        assert sampler.latest.collectors["llama_server:b"].error == "still running"
    assert sampler.interval_seconds == 0.5


async def test_an_async_collector_may_be_in_more_of_a_hurry_than_the_sampler() -> None:
    hurried, patient, gpus = Server("a", at_least_every=0.1), Server("b", at_least_every=7200.0), Gpus("nvidia", ())
    sampler = Sampler([hurried, patient, gpus], interval_seconds=3600.0)
    async with running(sampler):
        await until(sampler, lambda latest: hurried.runs == 4)
        assert (patient.runs, len(gpus.threads)) == (1, 1)
        assert sampler.interval_seconds == 3600.0
        sampler.set_interval(0.5)
        await until(sampler, lambda latest: patient.runs == 2)


async def test_the_turns_of_async_collectors_vary_by_a_tenth_and_those_of_the_others_do_not() -> None:
    server, gpus, spread = Server("a"), Gpus("nvidia", ()), Spread(0.0001)
    sampler = Sampler([server, gpus], interval_seconds=1000.0, random=spread)
    async with running(sampler):
        await until(sampler, lambda latest: server.runs == 4)
        assert len(gpus.threads) == 1
    assert Counter(spread.bounds) == {(0.9, 1.1): server.runs, (1.0, 1.0): 1}


async def test_a_collector_can_be_had_look_again_before_its_turn_but_not_again_and_again() -> None:
    server, other = Server("a"), Server("b")
    sampler = Sampler([server, other], interval_seconds=3600.0)
    async with running(sampler):
        await until(sampler, lambda latest: server.runs == 1)
        for _ in range(100):
            sampler.hasten("llama_server:a")
        sampler.hasten("llama_server:unheard-of")
        await until(sampler, lambda latest: server.runs == 2)
        assert (server.runs, other.runs) == (2, 1), "a hundred times within half a second are once"
        sampler.hasten("llama_server:a")
        await until(sampler, lambda latest: server.runs == 3)
        assert other.runs == 1


@pytest.mark.parametrize("seconds", [0.0, 0.49, 3601.0, -1.0, float("nan"), float("inf")])
async def test_intervals_out_of_bounds_are_refused(seconds: float) -> None:
    sampler = Sampler([])
    with pytest.raises(ValueError, match=r"0\.5 to 3600 s"):
        sampler.set_interval(seconds)
    assert sampler.interval_seconds == 5.0
    with pytest.raises(ValueError, match="sampling interval"):
        Sampler([], interval_seconds=seconds)


async def test_without_collectors_there_is_nothing_to_do_and_no_end_to_it() -> None:
    sampler = Sampler([])
    assert await sampler.sample_once() == Snapshot()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await sampler.run()
    await sampler.close()


async def test_it_can_be_run_again_after_it_was_stopped() -> None:
    gpus = Gpus("nvidia", ())
    sampler = Sampler([gpus], interval_seconds=0.5)
    for runs in (1, 2):
        work = tasks.spawn(sampler.run(), name="sampler")
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(gpus.threads) < runs:
                await asyncio.sleep(0.005)
        await tasks.cancel(work)
    assert len(gpus.threads) == 2
    await sampler.close()


async def test_closing_waits_a_moment_for_a_blocked_collector_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.system.sampler.CLOSE_SECONDS", 0.05)
    stuck, waiting = Gpus("nvidia", ()), Server("a")
    stuck.gate.clear()
    waiting.gate.clear()
    sampler = Sampler([stuck, waiting])
    await sampler.sample_once(limit_seconds=0.01)
    async with asyncio.timeout(LIMIT_SECONDS):
        await sampler.close()
    assert not stuck.closed
    stuck.gate.set()
    stuck.threads[0].join(timeout=LIMIT_SECONDS)


async def test_a_collector_that_does_not_close_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    class Stubborn(Gpus):
        def close(self) -> None:
            raise OSError("no")

    sampler = Sampler([Stubborn("nvidia", ())])
    await sampler.sample_once()
    with caplog.at_level(logging.WARNING):
        await sampler.close()
    assert [record.getMessage() for record in caplog.records] == ["a collector did not close"]


async def test_a_collector_that_is_cancelled_by_someone_else_has_failed() -> None:
    class Cancelled(Server):
        async def collect(self) -> Part:
            raise asyncio.CancelledError

    sampler = Sampler([Cancelled("a")])
    assert (await sampler.sample_once()).collectors["llama_server:a"].error == "CancelledError"
    await sampler.close()


async def test_the_real_collectors_are_collectors() -> None:
    # For mypy: the protocols fit.
    blocking: list[BlockingCollector] = [HostCollector(), Gpus("nvidia", ())]
    assert all(collector.name for collector in blocking)
    async with httpx.AsyncClient() as client:
        polled: list[AsyncCollector] = [
            Server("a"),
            HealthCollector("b", "http://127.0.0.1:1", client, interval_seconds=2.5, is_working=lambda: False),
            LlamaServerCollector("c", lambda _: "Q4", "http://127.0.0.1:1", client),
        ]
        assert [collector.longest_interval_seconds for collector in polled] == [math.inf, 2.5, math.inf]


async def test_a_listener_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Part) -> None:
        raise IndexError("tuple index out of range")

    sampler = Sampler([Server("a"), Server("b")], on_sample=fail)
    assert len((await sampler.sample_once()).servers) == 2
    assert [record.getMessage() for record in caplog.records] == ["a sample could not be used"] * 2
    await sampler.close()


async def test_whoever_asked_is_told_of_every_good_sample() -> None:
    told: list[Part] = []
    collectors = [Gpus("nvidia", (gpu("nvidia"),)), Gpus("amd", CollectorError("gone"))]
    sampler = Sampler(collectors, on_sample=told.append)
    await sampler.sample_once()
    await sampler.sample_once()
    await sampler.close()
    assert told == [(gpu("nvidia"),), (gpu("nvidia"),)]
