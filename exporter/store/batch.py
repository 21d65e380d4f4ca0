"""One batch as one transaction: the rows, and what they add to the roll-ups and the running totals.

`writer` runs it in its thread. The sums are made by the database from the rows that it has just been given, so they can
neither miss one nor count one twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Table, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError

from exporter.store.database import Database
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
    except REFUSALS:
        return _write(database, writing, after, finished, samples, insert_rows=_insert_one_by_one, again=again)


def _write(
    database: Database,
    writing: Writing,
    after: int,
    finished: Sequence[Finished],
    samples: Sequence[Sample],
    *,
    insert_rows: Callable[[Connection, Table, Sequence[Row]], list[str]],
    again: bool,
) -> Written:
    with database.write() as connection:
        if again:
            newest = _newest(connection, writing, after)
            if newest is not None:
                return Written(newest, [])
        refused = []
        for first in range(0, len(finished), ROWS_AT_A_TIME):
            some = finished[first : first + ROWS_AT_A_TIME]
            refused += insert_rows(connection, REQUESTS, [request_row(each, *writing) for each in some])
        if finished:
            written = REQUESTS.c.id > after, REQUESTS.c.run == writing.run
            for step in STEPS:
                _add(connection, ROLLUPS, rolled_up(step, *written), list(ADDENDS))
            _add(connection, TOTALS, totalled(*written), list(TOTAL_ADDENDS), latest="last_started_us")
        refused += insert_rows(connection, SAMPLES, [sample_row(sample, writing.instance) for sample in samples])
        return Written(_newest(connection, writing, after) or after, refused)


def _insert(connection: Connection, table: Table, rows: Sequence[Row]) -> list[str]:
    """As the driver wants it: SQLAlchemy would look at each of a row's forty values, which costs as much as all else."""
    if rows:
        compiled = insert(table).compile(dialect=connection.dialect, column_keys=list(rows[0]))
        names = compiled.positiontup or ()
        connection.exec_driver_sql(str(compiled), [tuple(row[name] for name in names) for row in rows])
    return []


def _insert_one_by_one(connection: Connection, table: Table, rows: Sequence[Row]) -> list[str]:
    """Leave out what the database does not take; returned is why."""
    refused = []
    for row in rows:
        try:
            with connection.begin_nested():
                connection.execute(insert(table), row)
        except REFUSALS as error:
            refused.append(type(error).__name__)
    return refused


def _newest(connection: Connection, writing: Writing, after: int) -> int | None:
    """The highest row number of the run beyond `after`."""
    newest = select(func.max(REQUESTS.c.id)).where(REQUESTS.c.id > after, REQUESTS.c.run == writing.run)
    return connection.execute(newest).scalar()


def _add(connection: Connection, table: Table, sums: Select[Any], added: list[str], latest: str | None = None) -> None:
    """Insert the sums, or add them to those that are there."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).from_select([column.name for column in sums.selected_columns], sums)
    new = statement.excluded
    changes: dict[str, Any] = {name: table.c[name] + new[name] for name in added}
    if latest is not None:
        both = (table.c[latest], new[latest])
        changes[latest] = func.max(*both) if dialect is sqlite else func.greatest(*both)
    connection.execute(statement.on_conflict_do_update(index_elements=table.primary_key, set_=changes))
