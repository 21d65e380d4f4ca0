"""One batch as one transaction: the rows, and what they add to the roll-ups and the running totals.

`writer` runs it in its thread. The sums are made by the database from the rows that it has just been given, so they can
neither miss one nor count one twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, Dialect, Select, Table, bindparam, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.sql.elements import ClauseElement

from exporter.errors import StoreError
from exporter.store.database import Database
from exporter.store.prepared import Prepared
from exporter.store.rows import Finished, request_row, sample_row
from exporter.store.sample import Sample
from exporter.store.schema import REQUESTS, ROLLUPS, SAMPLES, TOTALS
from exporter.store.spans import STEPS
from exporter.store.sums import ADDENDS, TOTAL_ADDENDS, rolled_up, totalled

ROWS_AT_A_TIME = 500
"""That are turned into parameters before the database gets them."""
REFUSALS = (DataError, IntegrityError, ValueError, OverflowError)
"""What a value that a database cannot hold is answered with, by it or by its library."""
Row = dict[str, Any]
MakeRow = Callable[[], Row]


class Writing(NamedTuple):
    """Who writes."""

    run: int
    """A random number for this run of the process."""
    instance: str


class Written(NamedTuple):
    """What became of a batch."""

    after: int
    """The highest row number of the run now."""
    refused: list[str]
    """Why the database did not take a row, for each that it did not."""


def write(
    database: Database,
    writing: Writing,
    after: int,
    finished: Sequence[Finished],
    samples: Sequence[Sample],
    *,
    again: bool = False,
) -> Written:
    """Write all of it or, raising, nothing. `after` is the highest row number of the run so far. `again`: it may have
    been written by a try whose end nobody heard. A row that is not to the database's taste is left out.

    Raises StoreError when the database is away.
    """
    try:
        return _write(database, writing, after, finished, samples, insert_rows=_insert, again=again)
    except StoreError:
        raise
    except Exception:  # whatever it is, it must not keep the others from being written
        return _write(database, writing, after, finished, samples, insert_rows=_insert_one_by_one, again=again)


def _write(
    database: Database,
    writing: Writing,
    after: int,
    finished: Sequence[Finished],
    samples: Sequence[Sample],
    *,
    insert_rows: Callable[[Connection, Prepared, Iterable[MakeRow]], list[str]],
    again: bool,
) -> Written:
    with database.write() as connection:
        prepared = _prepare(connection)
        if not database.is_sqlite:
            # A try that nobody heard the end of can still be at work: what it does is seen below, or undone.
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({writing.run})")
        if again:
            newest = prepared.newest.run(connection, run=writing.run, after=after).scalar() if finished else None
            if newest is not None or _has_sample(connection, prepared, writing, samples):
                return Written(newest or after, [])
        refused = []
        if finished:
            # Ours come after all that there are: what other sidecars have written meanwhile need not be looked through.
            after = max(after, prepared.last.run(connection).scalar() or 0)
        for first in range(0, len(finished), ROWS_AT_A_TIME):
            some = finished[first : first + ROWS_AT_A_TIME]
            refused += insert_rows(
                connection, prepared.request, (partial(request_row, each, *writing) for each in some)
            )
        if finished:
            for add in prepared.sums:
                add.run(connection, run=writing.run, after=after)
        rows = (partial(sample_row, sample, writing.instance) for sample in samples)
        refused += insert_rows(connection, prepared.sample, rows)
        newest = prepared.newest.run(connection, run=writing.run, after=after).scalar() if finished else None
        return Written(newest or after, refused)


def _has_sample(connection: Connection, prepared: _Statements, writing: Writing, samples: Sequence[Sample]) -> bool:
    """Whether the batch has been written, as far as its samples show it."""
    if not samples:
        return False
    found = prepared.same_sample.run(connection, instance=writing.instance, taken_us=samples[0].taken_us)
    return found.scalar() is not None


def _insert(connection: Connection, statement: Prepared, makes: Iterable[MakeRow]) -> list[str]:
    rows = [make() for make in makes]
    if rows:
        statement.run_for_each(connection, rows)
    return []


def _insert_one_by_one(connection: Connection, statement: Prepared, makes: Iterable[MakeRow]) -> list[str]:
    """Leave out what the database does not take; returned is why."""
    refused = []
    for make in makes:
        try:
            row = make()
        except Exception as error:
            refused.append(type(error).__name__)
            continue
        try:
            with connection.begin_nested():
                statement.run(connection, **row)
        except REFUSALS as error:
            refused.append(type(error).__name__)
    return refused


class _Statements(NamedTuple):
    """All that a batch needs, for one kind of database."""

    request: Prepared
    sample: Prepared
    sums: tuple[Prepared, ...]
    """Add the requests of `run` beyond `after` to roll-ups and totals."""
    newest: Prepared
    """The highest number of these rows; None without any."""
    last: Prepared
    """The highest number of all rows."""
    same_sample: Prepared
    """The number of a sample that `instance` took at `taken_us`; None without any."""


_STATEMENTS: dict[str, _Statements] = {}


def _prepare(connection: Connection) -> _Statements:
    dialect = connection.dialect
    found = _STATEMENTS.get(dialect.name)
    if found is None:
        written = REQUESTS.c.id > bindparam("after"), REQUESTS.c.run == bindparam("run")
        same = SAMPLES.c.instance == bindparam("instance"), SAMPLES.c.taken_us == bindparam("taken_us")
        sums = [_adding(dialect, ROLLUPS, rolled_up(step, *written), list(ADDENDS)) for step in STEPS]
        sums.append(_adding(dialect, TOTALS, totalled(*written), list(TOTAL_ADDENDS), latest="last_started_us"))
        found = _STATEMENTS[dialect.name] = _Statements(
            request=_inserting(dialect, REQUESTS),
            sample=_inserting(dialect, SAMPLES),
            sums=tuple(Prepared.of(each, dialect) for each in sums),
            newest=Prepared.of(select(func.max(REQUESTS.c.id)).where(*written), dialect),
            last=Prepared.of(select(func.max(REQUESTS.c.id)), dialect),
            same_sample=Prepared.of(select(func.max(SAMPLES.c.id)).where(*same), dialect),
        )
    return found


def _inserting(dialect: Dialect, table: Table) -> Prepared:
    return Prepared.of(insert(table), dialect, [column.name for column in table.columns if column.name != "id"])


def _adding(
    dialect: Dialect, table: Table, sums: Select[Any], added: list[str], latest: str | None = None
) -> ClauseElement:
    """Inserts the sums, or adds them to those that are there."""
    is_sqlite = dialect.name == "sqlite"
    statement: postgresql.Insert | sqlite.Insert = (sqlite if is_sqlite else postgresql).insert(table)
    statement = statement.from_select([column.name for column in sums.selected_columns], sums)
    new = statement.excluded
    changes: dict[str, Any] = {name: table.c[name] + new[name] for name in added}
    if latest is not None:
        both = (table.c[latest], new[latest])
        changes[latest] = func.max(*both) if is_sqlite else func.greatest(*both)
    return statement.on_conflict_do_update(index_elements=table.primary_key, set_=changes)
