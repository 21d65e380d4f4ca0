"""Whether the store agrees with itself: roll-ups and running totals with the rows that they stand for.

`commands` runs it. It goes day by day, a transaction each, so that a sidecar can write meanwhile: rows and what they
add to the sums are committed together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Integer, Select, case, func, literal_column, or_, select, union_all
from sqlalchemy.exc import DatabaseError

from exporter.errors import StoreError
from exporter.store.database import Database, be_patient
from exporter.store.reader import kept_since
from exporter.store.schema import REQUESTS, ROLLUPS, SAMPLES, TOTALS
from exporter.store.spans import DAY, STEPS
from exporter.store.sums import ADDENDS, KEYS, TOTAL_ADDENDS, TOTAL_KEYS, rolled_up, totalled

SECOND_US = 1_000_000
DAY_US = DAY * SECOND_US
LISTED = 10
"""Differences of one kind of roll-up in one day that are told one by one."""
DAMAGES = 20
"""That SQLite is asked for, before it gives up."""

TotalsKey = tuple[str, str, str, bool]
"""Instance, provider, model ('' where it is unknown), streamed."""
Totals = dict[TotalsKey, tuple[int, ...]]
"""Sums in the order of `TOTAL_ADDENDS`."""


class Difference(NamedTuple):
    """One roll-up that is not what its rows add up to."""

    step: int
    start_us: int
    keys: tuple[Any, ...]
    """In the order of `KEYS`."""
    sums: dict[str, tuple[int, int]]
    """Those that differ: as stored, and as the rows have it."""


class Day(NamedTuple):
    """One day of the store, as far as it is kept."""

    start_us: int
    totals: Totals
    """Over the rows of the day."""
    oldest_us: int | None
    """None: there are roll-ups, and no requests."""
    newest_us: int | None
    differences: tuple[Difference, ...]
    """The first of them."""
    differing: int
    """How many there are."""


class Extent(NamedTuple):
    """What there is at all."""

    first_us: int | None
    """The first moment with requests or roll-ups; None: there are none."""
    last_us: int | None
    samples: int

    @property
    def days(self) -> int:
        """From the first to the last."""
        return (
            0 if self.first_us is None or self.last_us is None else self.last_us // DAY_US - self.first_us // DAY_US + 1
        )

    def reached(self, day: Day) -> int:
        """How many of them are behind us at the end of one."""
        return day.start_us // DAY_US - (self.first_us or 0) // DAY_US + 1


class Stored(NamedTuple):
    """The running totals at one moment."""

    totals: Totals
    kept_since_us: int
    """0: nothing was ever deleted."""


def damages(database: Database) -> list[str] | None:
    """What SQLite finds wrong with its file, line by line; None for a server. Raises StoreError."""
    if not database.is_sqlite:
        return None
    try:
        with database.read() as connection:
            lines = connection.exec_driver_sql(f"PRAGMA integrity_check({DAMAGES})").scalars().all()
    except StoreError as error:  # so badly damaged that it cannot say how
        if isinstance(error.__cause__, DatabaseError) and "malformed" in str(error):
            return [str(error)]
        raise
    return [line for line in lines if line != "ok"]


def extent(database: Database) -> Extent:
    """How much there is to look at. Raises StoreError."""
    with database.read() as connection:
        be_patient(connection)
        since = kept_since(connection)
        newest = [connection.execute(select(func.max(REQUESTS.c.finished_us))).scalar()]
        newest += [
            connection.execute(select(func.max(ROLLUPS.c.start_us)).where(ROLLUPS.c.step == step)).scalar()
            for step in STEPS
        ]
        first = _next(connection, since)
        last = max((moment for moment in newest if moment is not None), default=None) if first is not None else None
        return Extent(first, last, _samples(connection, since))


def days(database: Database) -> Iterator[Day]:
    """Every day that has requests or roll-ups, in order. Raises StoreError."""
    start_us = 0
    while (day := _look(database, start_us)) is not None:
        yield day
        start_us = day.start_us + DAY_US


def stored_totals(database: Database) -> Stored:
    """The running totals now. Raises StoreError."""
    with database.read() as connection:
        query = select(*(TOTALS.c[name] for name in (*TOTAL_KEYS, *TOTAL_ADDENDS)))
        return Stored(_sums(connection, query), kept_since(connection))


def add(totals: Totals, more: Totals) -> None:
    """Add those of a day."""
    for key, sums in more.items():
        before = totals.get(key)
        totals[key] = sums if before is None else tuple(map(sum, zip(before, sums, strict=True)))


def too_small(totals: Totals, least: Totals) -> list[TotalsKey]:
    """Totals that are less than they must be at least."""
    none = (0,) * len(TOTAL_ADDENDS)
    return sorted(
        key
        for key, sums in least.items()
        if any(have < need for have, need in zip(totals.get(key, none), sums, strict=True))
    )


def by_instance(totals: Totals) -> Counter[str]:
    """Requests of each sidecar."""
    counted: Counter[str] = Counter()
    for (instance, *_), (requests, *_) in totals.items():
        counted[instance] += requests
    return counted


def _look(database: Database, start_us: int) -> Day | None:
    """The next day that has anything; None: there is none."""
    with database.read() as connection:
        be_patient(connection)
        since = kept_since(connection)
        first = _next(connection, max(start_us, since))
        if first is None:
            return None
        day_us = first - first % DAY_US
        found = [_compare(connection, step, max(day_us, _ceil(since, step)), day_us + DAY_US) for step in STEPS]
        within = REQUESTS.c.finished_us >= max(day_us, since), REQUESTS.c.finished_us < day_us + DAY_US
        ends = select(func.min(REQUESTS.c.finished_us), func.max(REQUESTS.c.finished_us)).where(*within)
        oldest, newest = connection.execute(ends).one()
        totals = totalled(*within).subquery("totals")
        sums = _sums(connection, select(*(totals.c[name] for name in (*TOTAL_KEYS, *TOTAL_ADDENDS))))
        differences = tuple(difference for _, some in found for difference in some)
        return Day(day_us, sums, oldest, newest, differences, sum(count for count, _ in found))


def _next(connection: Connection, start_us: int) -> int | None:
    """The first moment from then on that has requests or whole roll-ups."""
    queries = [select(func.min(REQUESTS.c.finished_us)).where(REQUESTS.c.finished_us >= start_us)]
    queries += [
        select(func.min(ROLLUPS.c.start_us)).where(ROLLUPS.c.step == step, ROLLUPS.c.start_us >= _ceil(start_us, step))
        for step in STEPS
    ]
    found = [connection.execute(query).scalar() for query in queries]
    return min((moment for moment in found if moment is not None), default=None)


def _ceil(moment_us: int, step: int) -> int:
    """The first step that begins then, or later: an earlier one is not kept as a whole."""
    step_us = step * SECOND_US
    return -(-moment_us // step_us) * step_us


def _compare(connection: Connection, step: int, start_us: int, end_us: int) -> tuple[int, list[Difference]]:
    """How many roll-ups of a period are not what the rows add up to, missing and needless ones included; the first."""
    if start_us >= end_us:
        return 0, []
    keys = ("start_us", *KEYS)
    stored = select(*(ROLLUPS.c[name] for name in (*keys, *ADDENDS)))
    stored = stored.where(ROLLUPS.c.step == step, ROLLUPS.c.start_us >= start_us, ROLLUPS.c.start_us < end_us)
    counted = rolled_up(step, REQUESTS.c.finished_us >= start_us, REQUESTS.c.finished_us < end_us).subquery("counted")
    query = _unequal(stored, select(*(counted.c[name] for name in (*keys, *ADDENDS))), keys)
    rows = connection.execute(query.limit(LISTED)).all()
    return (rows[0][0] if rows else 0), [_difference(step, row[1:]) for row in rows]


def _unequal(stored: Select[Any], counted: Select[Any], keys: Sequence[str]) -> Select[Any]:
    """Where the two sides differ, in one pass over both: how often they do, the keys, the sums of both."""
    sides = [
        side.add_columns(literal_column(str(number), Integer).label("side"))
        for number, side in enumerate((stored, counted))
    ]
    both = union_all(*sides).subquery("both")
    sums = [
        [func.coalesce(func.sum(case((both.c.side == side, both.c[name]), else_=0)), 0) for name in ADDENDS]
        for side in (0, 1)
    ]
    columns = [both.c[name] for name in keys]
    differ = or_(*(one != other for one, other in zip(*sums, strict=True)))
    query = select(func.count().over(), *columns, *sums[0], *sums[1]).group_by(*columns).having(differ)
    return query.order_by(*columns)


def _difference(step: int, row: Sequence[Any]) -> Difference:
    (start_us, *keys), sums = row[: 1 + len(KEYS)], [int(value) for value in row[1 + len(KEYS) :]]
    pairs = zip(ADDENDS, sums[: len(ADDENDS)], sums[len(ADDENDS) :], strict=True)
    return Difference(step, start_us, tuple(keys), {name: (have, is_) for name, have, is_ in pairs if have != is_})


def _sums(connection: Connection, query: Select[Any]) -> Totals:
    return {
        (instance, provider, model, bool(stream)): tuple(map(int, sums))
        for instance, provider, model, stream, *sums in connection.execute(query)
    }


def _samples(connection: Connection, since: int) -> int:
    counted = select(func.count()).select_from(SAMPLES).where(SAMPLES.c.taken_us >= since)
    return connection.execute(counted).scalar_one()
