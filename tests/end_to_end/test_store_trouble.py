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

from exporter.store.database import FILE_GONE
from tests.databases import PASSWORD, PostgreSQL
from tests.end_to_end.sidecar import Sidecar
from tests.end_to_end.store_books import Books
from tests.end_to_end.store_fill import fill
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


def test_the_disk_is_full(canned_upstream: str) -> None:
    with permitted(), small_disk() as disk:
        url = f"sqlite:///{disk / 'history.db'}"
        check(ridden_out(canned_upstream, url, lambda: full(disk)), "database or disk is full")


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
        fill(url, 5, days=1.0)
        if prefix:
            os.chown(folder / "history.db", NOBODY, NOBODY)
        with ExitStack() as trouble:
            trouble.enter_context(read_only(folder / "history.db"))
            with Sidecar("--upstream", canned_upstream, "--store", url, prefix=prefix) as sidecar:
                starts_troubled(sidecar, url, trouble.close, "history.db: permission denied")
                assert figures(sidecar.admin)["total_requests"] == 25


def test_postgresql_is_down_at_the_start_and_once_more(canned_upstream: str, postgresql: PostgreSQL) -> None:
    url = postgresql.create()
    with ExitStack() as trouble:
        trouble.enter_context(stopped(postgresql))
        with Sidecar("--upstream", canned_upstream, "--store", url) as sidecar:
            starts_troubled(sidecar, url, trouble.close, "onnection refused")
            check(ride_out(sidecar, url, lambda: stopped(postgresql, "immediate")), "")
            assert sidecar.stop() == 0
            shown = sidecar.said(TROUBLE)[0]["store"]
            assert shown.endswith(f"//tester:***@{url.partition('@')[2]}")
            assert PASSWORD not in str(sidecar.log)


UNLIMITED = {"LLAMA_EXPORTER_RATE_LIMIT__REQUESTS_PER_MINUTE": "0"}
"""So that tests may poll."""


def health(sidecar: Sidecar) -> tuple[int, str]:
    """What the model manager's contract says: the status of the answer, and the store's."""
    answer = httpx.get(f"{sidecar.admin}/api/health", timeout=10)
    return answer.status_code, answer.json()["services"]["database"]["status"]


@contextmanager
def away(file: Path) -> Iterator[None]:
    """It lies in another place, as on a volume that is not there for a while."""
    elsewhere = file.with_suffix(".elsewhere")
    file.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(file)


def test_the_file_is_moved_away_and_put_back(canned_upstream: str, tmp_path: Path) -> None:
    file = tmp_path / "history.db"
    check(ridden_out(canned_upstream, f"sqlite:///{file}", lambda: away(file)), FILE_GONE)


def test_the_file_is_removed(canned_upstream: str, tmp_path: Path) -> None:
    """It is noticed at once, also while there are no requests, and what is not written then is counted."""
    file = tmp_path / "history.db"
    store = "--store", f"sqlite:///{file}"
    with Sidecar("--upstream", canned_upstream, *store, environment=UNLIMITED) as sidecar:
        sidecar.wait_until(lambda: sidecar.said(OPEN))
        Traffic(sidecar.proxy).ask(5)
        until_written(sidecar, 5)
        sidecar.wait_until(lambda: health(sidecar) == (200, "healthy"))
        file.unlink()
        sidecar.wait_until(lambda: health(sidecar) == (503, "unhealthy"))
        traffic = Traffic(sidecar.proxy, "late")
        traffic.ask(20)
        assert len(traffic.good) == 20
        sidecar.wait_until(lambda: sidecar.said(TROUBLE))
        assert FILE_GONE in sidecar.said(TROUBLE)[0]["reason"]
        assert sidecar.metrics().sum("llm_sidecar_store_up") == 0
        assert httpx.get(f"{sidecar.admin}/completion_requests").status_code == 503
        assert httpx.get(f"{sidecar.admin}/-/ready").status_code == 200  # requests are answered
        assert health(sidecar) == (503, "unhealthy")
        assert sidecar.stop() == 0
    told = [entry for entry in sidecar.log if entry["logger"].startswith("exporter.store")]
    assert [entry["message"] for entry in told] == [OPEN, TROUBLE, LOST]
    assert told[-1]["records"] >= 20
    assert not file.exists()
    assert not tracebacks(sidecar.log)


def test_another_process_holds_the_file(canned_upstream: str, tmp_path: Path) -> None:
    """For so long that the queue is full: what finishes then is dropped, and counted."""
    file = tmp_path / "history.db"
    settings = {"LLAMA_EXPORTER_STORE__QUEUE_RECORDS": "100", "LLAMA_EXPORTER_SAMPLING__INTERVAL_SECONDS": "60"}
    store = "--store", f"sqlite:///{file}"
    with Sidecar("--upstream", canned_upstream, *store, environment={**settings, **UNLIMITED}) as sidecar:
        sidecar.wait_until(lambda: sidecar.said(OPEN))
        traffic = Traffic(sidecar.proxy)
        with locked(file):
            traffic.ask(120)
            sidecar.wait_until(lambda: sidecar.said(TROUBLE))
            sidecar.wait_until(lambda: health(sidecar) == (503, "unhealthy"))  # though it can be read
            traffic.ask(80)
            assert len(traffic.good) == 200
            assert max(each.seconds for each in traffic.seen) < HARMLESS_SECONDS
            sidecar.wait_until(lambda: dropped(sidecar) == 100)
        sidecar.wait_until(lambda: sidecar.said(BACK))
        sidecar.wait_until(lambda: health(sidecar) == (200, "healthy"))
        until_written(sidecar, 200)
        assert len(rows(sidecar.admin)) == 100
        told = [entry for entry in sidecar.log if entry["logger"].startswith("exporter.store")]
        assert sorted(entry["message"] for entry in told) == sorted([OPEN, FULL, TROUBLE, BACK])
        assert sidecar.said(TROUBLE)[0]["reason"] == "database is locked"
        assert sidecar.said(BACK)[0]["dropped"] == 100
        assert not tracebacks(sidecar.log)
    assert not Books(f"sqlite:///{file}").faults()
