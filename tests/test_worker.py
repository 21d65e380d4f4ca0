from __future__ import annotations

import threading

import pytest

from exporter.worker import Worker


def test_jobs_run_in_order_in_one_daemon_thread_of_their_own() -> None:
    worker = Worker("reader")
    threads = [worker.submit(threading.current_thread) for _ in range(3)]
    first, *others = [future.result(timeout=5) for future in threads]
    assert all(thread is first for thread in others)
    assert first is not threading.current_thread()
    assert (first.name, first.daemon) == ("reader", True)
    worker.close()
    first.join(timeout=5)
    assert not first.is_alive()


def test_an_exception_reaches_the_caller_and_the_thread_goes_on() -> None:
    worker = Worker("reader")
    with pytest.raises(ZeroDivisionError):
        worker.submit(lambda: 1 // 0).result(timeout=5)
    assert worker.submit(lambda: 7).result(timeout=5) == 7
    worker.close()


def test_a_job_that_was_cancelled_while_it_waited_is_not_run() -> None:
    worker, gate, ran = Worker("reader"), threading.Event(), []
    blocked = worker.submit(gate.wait)
    waiting = worker.submit(lambda: ran.append("waiting"))
    assert waiting.cancel()
    last = worker.submit(lambda: ran.append("last"))
    gate.set()
    assert blocked.result(timeout=5)
    last.result(timeout=5)
    assert ran == ["last"]
    worker.close()


def test_closing_does_not_wait_for_a_blocked_job_and_a_later_job_gets_a_new_thread() -> None:
    worker, gate = Worker("reader"), threading.Event()
    blocked = worker.submit(gate.wait)
    worker.close()
    assert worker.submit(lambda: "fresh").result(timeout=5) == "fresh"
    assert not blocked.done()
    gate.set()
    assert blocked.result(timeout=5)
    worker.close()
    worker.close()
