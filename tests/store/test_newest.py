"""The requests that were stored last: what a filter admits, newest first; and no more is looked at than is wanted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, event, select, text

from exporter.record import Outcome
from exporter.store import migration, retention
from exporter.store.batch import Writing
from exporter.store.database import Database
from exporter.store.figures import Filter, StoredCourse
from exporter.store.newest import read_newest
from exporter.store.reader import Reader, kept_since
from exporter.store.rows import Finished, request_row
from exporter.store.schema import REQUESTS
from tests.databases import PostgreSQL
from tests.store.requests import MIDNIGHT_US, WRITING, Told, Traced, clear, finished, write
from tests.store.strategies import INSTANCES, batches, ends, told

Batch = tuple[str, list[Finished]]
MANY = 1_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"
LONG = "ä" * 256

filters = st.builds(
    Filter,
    instance=st.sampled_from([None, *INSTANCES, "nobody"]),
    model=st.sampled_from([None, None, None, "", "stop", "ä", "'; --"]),
    tier=st.sampled_from([None, None, None, "Q2", "Q4", "Q9"]),
    outcomes=st.sampled_from([(), (), (), ("completed",), ("upstream_error", "stream_error", "timeout"), ("nothing",)]),
    behind=st.just(0),
)


class Asked(NamedTuple):
    """A question; what it goes on behind is told once there are rows."""

    which: Filter
    behind: int
    """So many rows from the oldest on are left out."""
    most: int
    """That are wanted."""
    searched: int


asked = st.builds(Asked, filters, st.sampled_from([0, 0, 1, 7]), st.integers(1, 9), st.sampled_from([1, 3, MANY]))


def ask(
    database: Database, which: Filter | None = None, *, count: int = MANY, searched: int = MANY
) -> list[StoredCourse]:
    with database.read() as connection:
        return read_newest(connection, which or Filter(), count, since_us=kept_since(connection), searched=searched)


def numbers(database: Database) -> list[int]:
    """Of all rows, in the order of writing."""
    with database.read() as connection:
        return list(connection.execute(select(REQUESTS.c.id).order_by(REQUESTS.c.id)).scalars())


def course(written: Told, number: int) -> StoredCourse:
    """A request as it is shown."""
    row = {**request_row(written.finished, 1, written.instance), "id": number}
    return StoredCourse(**{name: row[name] for name in StoredCourse._fields})


def admits(which: Filter, written: Told, number: int) -> bool:
    """Whether a filter lets a request through."""
    return (
        which.instance in (None, written.instance)
        and (which.model is None or which.model == (written.finished.model or ""))
        and which.tier in (None, written.record.tier)
        and (not which.outcomes or written.record.outcome.value in which.outcomes)
        and number > which.behind
    )


def ids(rows: Sequence[StoredCourse]) -> list[str]:
    return [row.request_id for row in rows]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=batches, questions=st.lists(asked, min_size=1, max_size=9), floor=st.none() | ends)
def test_any_filter_of_anything(
    database: Database, written: list[Batch], questions: list[Asked], floor: int | None
) -> None:
    clear(database)
    for instance, batch in written:
        write(database, batch, writing=Writing(INSTANCES.index(instance), instance))
    everything = list(zip([each for batch in written for each in told(batch)], numbers(database), strict=True))
    if floor is not None:
        with database.write() as connection:
            retention.hide(connection, floor)
    for each in questions:
        last = everything[: each.behind][-1:]
        which = each.which._replace(behind=last[0][1] if last else 0)
        own = [pair for pair in everything if which.instance in (None, pair[0].instance)]
        newest = [pair for pair in own if pair[1] > which.behind][::-1][: each.searched]
        seen = [pair for pair in newest if pair[0].finished_us >= (floor or 0) and admits(which, *pair)]
        expected = [course(*pair) for pair in seen[: each.most]]
        assert ask(database, which, count=each.most, searched=each.searched) == expected


@pytest.fixture
def mixed(database: Database) -> Database:
    """Every model of every tier of every sidecar, once with each of three outcomes; each is named after what it is."""
    for instance in ("a:1", "b:1"):
        some = [
            finished(request_id=f"{instance} {model} {tier} {outcome}", model=model, tier=tier, outcome=outcome)
            for model, tier, outcome in product(
                ("tiny", "big"), ("Q2", "Q4"), (Outcome.COMPLETED, Outcome.TIMEOUT, Outcome.REJECTED)
            )
        ]
        write(database, some, writing=WRITING._replace(instance=instance))
    return database


@pytest.mark.parametrize(
    ("which", "words"),
    [
        (Filter(instance="b:1"), [{"b:1"}]),
        (Filter(model="big"), [{"big"}]),
        (Filter(tier="Q4"), [{"Q4"}]),
        (Filter(outcomes=("timeout",)), [{"timeout"}]),
        (Filter(outcomes=("timeout", "rejected")), [{"timeout", "rejected"}]),
        (
            Filter("a:1", "tiny", "Q2", ("rejected", "completed")),
            [{"a:1"}, {"tiny"}, {"Q2"}, {"rejected", "completed"}],
        ),
    ],
)
def test_each_filter_alone_and_all_together(mixed: Database, which: Filter, words: list[set[str]]) -> None:
    everything = ids(ask(mixed))
    assert len(everything) == 24
    expected = [name for name in everything if all(set(name.split()) & some for some in words)]
    assert 0 < len(expected) < len(everything)
    assert ids(ask(mixed, which)) == expected


@pytest.mark.parametrize(
    "which", [Filter("c:1"), Filter(model="tin"), Filter(model="TINY"), Filter(tier=""), Filter(outcomes=("",))]
)
def test_a_filter_that_admits_nothing(mixed: Database, which: Filter) -> None:
    assert ask(mixed, which) == []


def test_what_was_stored_last_comes_first_whenever_it_finished(database: Database) -> None:
    """So that who goes on behind the newest number does not miss a long request, which began before others."""
    write(database, [finished(MIDNIGHT_US + at, request_id=str(at)) for at in (5, 9, 1, 5)])
    assert ids(ask(database)) == ["5", "1", "9", "5"]
    assert ids(ask(database, count=2)) == ["5", "1"]


def test_going_on_behind_the_newest(database: Database) -> None:
    write(database, [finished(request_id="1"), finished(request_id="2")])
    newest = ask(database, count=1)[0].id
    assert ask(database, Filter(behind=newest)) == []
    write(database, [finished(request_id="3"), finished(request_id="4", model="big"), finished(request_id="5")])
    assert ids(ask(database, Filter(behind=newest))) == ["5", "4", "3"]
    assert ids(ask(database, Filter(model="tiny", behind=newest))) == ["5", "3"]
    assert ids(ask(database, Filter(behind=newest), searched=2)) == ["5", "4"]


def test_so_many_requests_are_searched_and_no_more(database: Database) -> None:
    """Requests are counted, not numbers: some of these are never used, or are no more."""
    write(database, [finished(request_id=str(each), model="rare" if each < 3 else "tiny") for each in range(10)])
    with database.write() as connection:
        connection.execute(delete(REQUESTS).where(REQUESTS.c.request_id.in_(["4", "5", "6"])))
    rare = Filter(model="rare")
    assert [len(ask(database, rare, searched=searched)) for searched in (4, 5, 6, 7)] == [0, 1, 2, 3]
    assert ids(ask(database, searched=6)) == ["9", "8", "7", "3", "2", "1"]


def test_busy_sidecars_hide_nothing_of_a_quiet_one(database: Database) -> None:
    """So many of its own are searched."""
    for instance, batch in (("quiet:1", "abc"), ("busy:1", "defghi"), ("quiet:1", "j"), ("busy:1", "klmnop")):
        some = [finished(request_id=each, model="rare" if each in "bo" else "tiny") for each in batch]
        write(database, some, writing=WRITING._replace(instance=instance))
    quiet = Filter("quiet:1")
    assert ids(ask(database, quiet, searched=3)) == ["j", "c", "b"]
    assert ids(ask(database, quiet._replace(model="rare"), searched=3)) == ["b"]
    assert ids(ask(database, quiet._replace(model="rare"), searched=2)) == []
    assert ids(ask(database, quiet._replace(behind=numbers(database)[1]), searched=3)) == ["j", "c"]
    assert ids(ask(database, searched=3)) == ["p", "o", "n"]


def test_what_retention_hides_is_not_shown_and_not_made_up_for(database: Database) -> None:
    write(database, [finished(MIDNIGHT_US + each, request_id=str(each)) for each in (3, 4, 1, 2)])
    with database.write() as connection:
        retention.hide(connection, MIDNIGHT_US + 3)
    assert ids(ask(database)) == ["4", "3"]
    assert ids(ask(database, searched=3)) == ["4"]


@pytest.mark.parametrize("name", [LONG, "a\0b", "a\ud800"])
def test_names_that_were_made_harmless_are_found(database: Database, name: str) -> None:
    """Whoever asks for the name that the client has sent."""
    write(database, [finished(request_id="odd", model=name, tier=name), finished(request_id="other")])
    assert ids(ask(database, Filter(model=name))) == ["odd"]
    assert ids(ask(database, Filter(tier=name))) == ["odd"]
    assert ask(database, Filter(instance=name, outcomes=(name,))) == []


def test_requests_without_a_model(database: Database) -> None:
    write(database, [finished(request_id="none", model=None), finished(request_id="other")])
    assert ids(ask(database, Filter(model=""))) == ["none"]


async def test_a_reader_shapes_them(database: Database) -> None:
    """With a trace, where it was sampled."""
    traces = [Traced(TRACE), Traced(TRACE, sampled=False), None]
    write(database, [finished(request_id=str(number), trace=trace) for number, trace in enumerate(traces)])
    reader = Reader(database)

    def shape(rows: Sequence[StoredCourse]) -> dict[str, str | None]:
        return {row.request_id: row.trace_id for row in rows}

    assert await reader.newest(Filter(), 5, shape) == {"0": TRACE, "1": None, "2": None}
    assert await reader.newest(Filter(), 2, shape) == {"1": None, "2": None}
    with database.write() as connection:
        retention.hide(connection, MIDNIGHT_US + 1)
    assert await reader.newest(Filter(), 5, len) == 0


async def test_a_shape_that_fails_is_for_who_asked(database: Database) -> None:
    reader = Reader(database)

    def fail(rows: Sequence[StoredCourse]) -> int:
        return 1 // len(rows)

    for _ in range(10):  # more often than there are threads
        with pytest.raises(ZeroDivisionError):
            await reader.newest(Filter(), 5, fail)
    assert await reader.newest(Filter(), 5, len) == 0


class Steps:
    """What SQLite does for a question, in hundreds of instructions of its machine."""

    def __init__(self, database: Database) -> None:
        self.taken = 0
        self._database = database

    def of(self, which: Filter, searched: int = MANY) -> int:
        with self._database.read() as connection:
            driver: Any = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            self.taken = 0
            driver.set_progress_handler(self._count, 100)
            read_newest(connection, which, 200, since_us=0, searched=searched)
            driver.set_progress_handler(None, 0)
        return self.taken

    def _count(self) -> int:
        self.taken += 1
        return 0


def test_no_more_is_looked_at_than_is_searched(tmp_path: Path) -> None:
    """Neither of those before the last one that is known, nor of those before the newest ones."""
    database = Database(f"sqlite:///{tmp_path / 'history.db'}")
    migration.migrate(database)
    write(database, [finished(MIDNIGHT_US + each) for each in range(4000)])
    nobody, known, steps = Filter(model="nobody"), numbers(database)[-11], Steps(database)
    assert steps.of(nobody) > 200  # all of them
    assert steps.of(nobody._replace(behind=known)) < 10
    assert steps.of(nobody, searched=10) < 10
    write(database, [finished() for _ in range(5)], writing=WRITING._replace(instance="quiet:1"))
    write(database, [finished() for _ in range(100)])
    quiet, busy = Filter("quiet:1", "nobody"), Filter(WRITING.instance, "nobody")
    assert steps.of(quiet) < 10
    assert steps.of(busy, searched=10) < 10
    assert steps.of(busy._replace(behind=numbers(database)[-11])) < 10
    database.close()


@pytest.fixture(scope="module")
def uneven(postgresql: PostgreSQL) -> Iterator[Database]:
    """A sidecar has written a quarter of all requests, the oldest ones, and the server knows how many."""
    url = postgresql.create(postgresql.migrated)
    with closing(Database(url)) as database:
        for name, many in (("silent:1", 1000), ("busy:1", 3000)):
            write(database, [finished() for _ in range(many)], writing=WRITING._replace(instance=name))
        with database.write() as connection:
            connection.execute(text("ANALYZE requests"))
        yield database
    postgresql.drop(url)


@pytest.mark.parametrize("behind", [0, 3995])
@pytest.mark.parametrize("instance", [None, "silent:1", "busy:1", "nobody:1"])
def test_what_the_server_looks_at(uneven: Database, instance: str | None, behind: int) -> None:
    """Never past what others have written since."""
    plans: list[dict[str, Any]] = []

    def explain(connection: Connection, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        found = cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).fetchone()
        plans.append(found[0][0]["Plan"])

    with uneven.read() as connection:
        event.listen(connection, "before_cursor_execute", explain)
        read_newest(connection, Filter(instance, "nobody", behind=behind), 200, since_us=0, searched=10)
    scans = [node for node in nodes(plans[0]) if "Relation Name" in node]
    assert {node["Relation Name"] for node in scans} == {"requests"}
    assert max(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in scans) <= 10


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan of PostgreSQL, step by step."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)
