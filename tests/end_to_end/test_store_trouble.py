"""A store that cannot be written: traffic is unharmed, what finishes waits or is counted, and the log has one line for
the trouble and one for its end.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.databases import PASSWORD, PostgreSQL
from tests.end_to_end.sidecar import Sidecar
from tests.end_to_end.store_books import Books
from tests.end_to_end.store_traffic import Traffic
from tests.end_to_end.store_trouble import (
    BACK,
    NOBODY,
    OPEN,
    TROUBLE,
    Course,
    NotPermittedError,
    Trouble,
    full,
    locked,
    read_only,
    ride_out,
    small_disk,
    stopped,
    tracebacks,
    unprivileged,
)
from tests.end_to_end.store_views import dropped, figures, rows, until_written

FULL = "the store's queue is full; what finishes is dropped until it is back"
LOST = "the store could not be written at the end; records are lost"
HARMLESS_SECONDS = 0.5
"""What a request may take in the worst case on a machine that is busy with other things."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@contextmanager
def permitted() -> Iterator[None]:
    """Skips where a trouble cannot be made."""
    try:
        yield
    except NotPermittedError as error:
        pytest.skip(str(error))


def ridden_out(upstream: str, url: str, trouble: Trouble) -> Course:
    with Sidecar("--upstream", upstream, "--store", url) as sidecar:
        sidecar.wait_until(lambda: sidecar.said(OPEN))
        return ride_out(sidecar, url, trouble)


def check(course: Course, reason: str) -> None:
    assert course.good, course
    assert course.said == [TROUBLE, BACK]
    assert reason in course.reason
    assert course.dropped == 0
    assert course.troubled.requests > 0
    assert course.troubled.longest < HARMLESS_SECONDS


def test_another_process_holds_the_file(canned_upstream: str, file: Path) -> None:
    check(ridden_out(canned_upstream, f"sqlite:///{file}", lambda: locked(file)), "database is locked")


def test_the_disk_is_full(canned_upstream: str) -> None:
    with permitted(), small_disk() as disk:
        url = f"sqlite:///{disk / 'history.db'}"
        check(ridden_out(canned_upstream, url, lambda: full(disk)), "database or disk is full")


def test_postgresql_is_stopped_and_started(canned_upstream: str, postgresql: PostgreSQL) -> None:
    course = ridden_out(canned_upstream, postgresql.create(), lambda: stopped(postgresql, "immediate"))
    check(course, "")
    assert PASSWORD not in str(course)


@contextmanager
def folder_of_nobody() -> Iterator[tuple[Path, Sequence[str]]]:
    """A folder, and what a command begins with whose process has no rights but to write there."""
    with permitted():
        prefix = unprivileged()
    with tempfile.TemporaryDirectory(prefix="store-") as name:
        if prefix:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name), prefix


def starts_troubled(sidecar: Sidecar, url: str, end_trouble: Callable[[], object], reason: str) -> None:
    """It serves at once, says what is wrong, and catches up."""
    traffic = Traffic(sidecar.proxy, f"after-{time.monotonic_ns()}")
    traffic.ask(20)
    assert len(traffic.good) == 20
    sidecar.wait_until(lambda: sidecar.said(TROUBLE))
    assert reason in sidecar.said(TROUBLE)[0]["reason"]
    assert sidecar.metrics().sum("llm_sidecar_store_up") == 0
    answer = httpx.get(f"{sidecar.admin}/completion_requests")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    end_trouble()
    sidecar.wait_until(lambda: sidecar.said(OPEN))
    until_written(sidecar, 20)
    assert {each.origin for each in traffic.seen} <= {row["origin"] for row in rows(sidecar.admin)}
    assert [entry["message"] for entry in sidecar.log if entry["logger"].startswith("exporter.store")] == [
        TROUBLE,
        OPEN,
    ]
    assert not Books(url).faults()
    assert not tracebacks(sidecar.log)


def test_a_file_that_may_not_be_written(canned_upstream: str) -> None:
    with folder_of_nobody() as (folder, prefix):
        url = f"sqlite:///{folder / 'history.db'}"
        arguments = "--upstream", canned_upstream, "--store", url
        with Sidecar(*arguments, prefix=prefix) as sidecar:
            Traffic(sidecar.proxy).ask(5)
            until_written(sidecar, 5)
            assert sidecar.stop() == 0
        with ExitStack() as trouble:
            trouble.enter_context(read_only(folder / "history.db"))
            with Sidecar(*arguments, prefix=prefix) as sidecar:
                starts_troubled(sidecar, url, trouble.close, "attempt to write a readonly database")
                assert figures(sidecar.admin)["total_requests"] == 25


def test_postgresql_is_down_at_the_start(canned_upstream: str, postgresql: PostgreSQL) -> None:
    url = postgresql.create()
    with ExitStack() as trouble:
        trouble.enter_context(stopped(postgresql))
        with Sidecar("--upstream", canned_upstream, "--store", url) as sidecar:
            starts_troubled(sidecar, url, trouble.close, "onnection refused")
            assert PASSWORD not in str(sidecar.log)


def test_what_finds_the_queue_full_is_dropped_and_counted(canned_upstream: str, file: Path) -> None:
    """And what is in it when the sidecar stops, which does not wait for a store that is away."""
    url = f"sqlite:///{file}"
    settings = {"LLAMA_EXPORTER_STORE__QUEUE_RECORDS": "100", "LLAMA_EXPORTER_SAMPLING__INTERVAL_SECONDS": "60"}
    with Sidecar("--upstream", canned_upstream, "--store", url, environment=settings) as sidecar:
        sidecar.wait_until(lambda: sidecar.said(OPEN))
        traffic = Traffic(sidecar.proxy)
        with locked(file):
            traffic.ask(120)
            sidecar.wait_until(lambda: sidecar.said(TROUBLE))
            traffic.ask(80)
            assert len(traffic.good) == 200
            sidecar.wait_until(lambda: dropped(sidecar) == 100)
        sidecar.wait_until(lambda: sidecar.said(BACK))
        until_written(sidecar, 200)
        assert len(rows(sidecar.admin)) == 100
        assert len(sidecar.said(FULL)) == 1
        assert sidecar.said(BACK)[0]["dropped"] == 100
        with locked(file):
            traffic.ask(7)
            began = time.monotonic()
            assert sidecar.stop() == 0
            assert time.monotonic() - began < 8
        assert [entry["records"] for entry in sidecar.said(LOST)] == [7]
        assert not tracebacks(sidecar.log)
    assert not Books(url).faults()
