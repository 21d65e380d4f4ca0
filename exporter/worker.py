"""A daemon thread for calls that can block for ever (a statvfs on a dead NFS server, a sick GPU).

`sampler` gives every blocking collector one, `host` one more to the file systems. Not a `ThreadPoolExecutor`: the
interpreter waits for the threads of those when it ends, and a call that never returns would hold up the process's end.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
Job = tuple[Future[Any], Callable[[], Any]]
Jobs = queue.SimpleQueue[Job | None]


class Worker:
    """Runs jobs one after another in a thread of its own, which is started with the first job."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: Jobs = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Queue `job`; the future carries its result or its exception."""
        future: Future[T] = Future()
        self._jobs.put((future, job))
        if self._thread is None:
            self._thread = threading.Thread(target=_work, args=(self._jobs,), name=self._name, daemon=True)
            self._thread.start()
        return future

    def close(self) -> None:
        """End the thread after the jobs queued so far, without waiting for it. A later `submit` starts a new one."""
        if self._thread is not None:
            self._jobs.put(None)
            self._jobs = queue.SimpleQueue()
            self._thread = None


def outcome(job: Future[T]) -> asyncio.Future[T]:
    """What a job will have led to, to be awaited. Who waits may be cancelled: the job goes on, and, should it fail,
    nobody is told that nobody has heard of it."""
    answer = asyncio.wrap_future(job)
    answer.add_done_callback(lambda done: None if done.cancelled() else done.exception())
    return asyncio.shield(answer)


def _work(jobs: Jobs) -> None:
    while (item := jobs.get()) is not None:
        _run(*item)


def _run(future: Future[T], job: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = job()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
