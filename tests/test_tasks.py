"""Supervised tasks: restarted with growing pauses, counted, stopped."""

from __future__ import annotations

import asyncio

import pytest

from exporter import tasks
from exporter.tasks import Supervisor


async def test_failed_work_is_restarted_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "BACKOFF_FIRST_SECONDS", 0.001)
    runs = 0
    reached = asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 4:
            reached.set()
            await asyncio.Event().wait()
        if runs % 2:
            raise ValueError("broken")

    supervisor = Supervisor()
    supervisor.start("worker", work)
    await asyncio.wait_for(reached.wait(), 5)
    assert supervisor.restarts == {"worker": 3}
    await supervisor.stop()


async def test_pauses_double_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    enough = asyncio.Event()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 8:
            enough.set()
            await asyncio.Event().wait()

    async def work() -> None:
        raise ValueError("broken")

    monkeypatch.setattr("exporter.tasks.asyncio.sleep", sleep)
    supervisor = Supervisor()
    supervisor.start("worker", work)
    await asyncio.wait_for(enough.wait(), 5)
    await supervisor.stop()
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_stop_ends_everything_in_reverse_order() -> None:
    ended: list[str] = []

    def worker(name: str) -> None:
        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(name)

        supervisor.start(name, work)

    supervisor = Supervisor()
    worker("first")
    worker("second")
    await asyncio.sleep(0)
    await supervisor.stop()
    assert ended == ["second", "first"]


async def test_a_name_is_given_once() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    supervisor = Supervisor()
    supervisor.start("worker", work)
    with pytest.raises(ValueError, match="worker"):
        supervisor.start("worker", work)
    await supervisor.stop()


async def test_who_waits_for_a_cancelled_task_can_be_cancelled() -> None:
    """As when a background task is stopped just while it ends another."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            begun.set()
            await may_end.wait()

    inner = tasks.spawn(stubborn(), name="stubborn")
    await asyncio.sleep(0)
    outer = tasks.spawn(tasks.cancel(inner), name="outer")
    await begun.wait()
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    may_end.set()
    await asyncio.wait({inner})


async def test_what_a_cancelled_task_fails_with_is_dropped() -> None:
    async def fail() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("at the end")

    task = tasks.spawn(fail(), name="fail")
    await asyncio.sleep(0)
    await tasks.cancel(task)
    assert isinstance(task.exception(), ValueError)
