"""Requests page by page: all of them, once, in order, whatever the pages are and whoever writes meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from exporter.store import retention
from exporter.store.batch import Writing
from exporter.store.database import Database
from exporter.store.figures import Cursor, Period, StoredRequest
from exporter.store.reader import Reader, read_page
from exporter.store.rows import Finished
from exporter.store.schema import REQUESTS
from tests.store.requests import MIDNIGHT_US, SECOND_US, Told, chosen, clear, finished, stored, write
from tests.store.strategies import INSTANCES, batches, ends, moments, periods, requests, told

Batch = tuple[str, list[Finished]]


def in_order(database: Database, everything: Sequence[Told], period: Period, since_us: int = 0) -> list[StoredRequest]:
    """What is to be seen, newest first; of the same microsecond, what was written last. `everything` is in the order of
    writing."""
    with database.read() as connection:
        numbers = list(connection.execute(select(REQUESTS.c.id).order_by(REQUESTS.c.id)).scalars())
    shown = [stored(each, number) for each, number in zip(everything, numbers, strict=True)]
    wanted = {id(each) for each in chosen(everything, period, since_us)}
    kept = [row for each, row in zip(everything, shown, strict=True) if id(each) in wanted]
    return sorted(kept, key=lambda row: (row.finished_us, row.id), reverse=True)


def next_page(database: Database, period: Period, after: Cursor | None, size: int) -> list[StoredRequest]:
    with database.read() as connection:
        return read_page(connection, period, after, size)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    written=batches,
    asked=st.lists(st.tuples(periods(), st.integers(1, 7)), min_size=1, max_size=4),
    floor=ends,
    newer=st.lists(requests(), max_size=2),
)
def test_pages_joined_are_everything(
    database: Database,
    written: list[Batch],
    asked: list[tuple[Period, int]],
    floor: int | None,
    newer: list[Finished],
) -> None:
    clear(database)
    for instance, batch in written:
        write(database, batch, writing=Writing(INSTANCES.index(instance), instance))
    everything = [each for batch in written for each in told(batch)]
    if floor is not None:
        with database.write() as connection:
            retention.hide(connection, floor)
    for period, size in asked:
        expected = in_order(database, everything, period, floor or 0)
        found: list[StoredRequest] = []
        after = None
        while page := next_page(database, period, after, size):
            assert len(page) <= size
            found += page
            after = Cursor(page[-1].finished_us, page[-1].id)
            # Others write what is newer than what has been read: of later, or of the same moment.
            late = [each for each in newer if Told("late", each).finished_us >= after.finished_us]
            write(database, late, writing=Writing(99, INSTANCES[0]))
            everything += [Told(INSTANCES[0], each) for each in late]
        assert found == expected


@given(moments, st.integers(1, 30), st.integers(1, 9))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_in_the_same_microsecond(database: Database, moment: int, number: int, size: int) -> None:
    clear(database)
    write(database, [finished(moment, message_count=each) for each in range(number)])
    found: list[int | None] = []
    after = None
    while page := next_page(database, Period(), after, size):
        found += [row.message_count for row in page]
        after = Cursor(page[-1].finished_us, page[-1].id)
    assert found == list(reversed(range(number)))


async def test_a_reader_shapes_pages_and_says_where_to_go_on(database: Database) -> None:
    write(database, [finished(MIDNIGHT_US + each * SECOND_US, message_count=each) for each in range(5)])
    reader = Reader(database)
    pages: list[list[int | None]] = []
    after = None
    while True:
        page, after = await reader.page(Period(), after, 2, lambda rows: [row.message_count for row in rows])
        pages.append(page)
        if after is None:
            break
    assert pages == [[4, 3], [2, 1], [0]]
    whole, after = await reader.page(Period(), None, 5, len)
    assert (whole, after is None) == (5, False)  # there may be more
    assert await reader.page(Period(), after, 5, len) == (0, None)


async def test_a_shape_that_fails_is_for_who_asked(database: Database) -> None:
    write(database, [finished()])
    reader = Reader(database)

    def fail(rows: Sequence[StoredRequest]) -> int:
        return len(rows) // 0

    for _ in range(10):  # more often than there are threads
        with pytest.raises(ZeroDivisionError):
            await reader.page(Period(), None, 5, fail)
    assert await reader.page(Period(), None, 5, len) == (1, None)
