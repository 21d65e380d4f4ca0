"""Figures of a period, from roll-ups and single rows, against the same requests summed up one by one."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.store import retention
from exporter.store.batch import Writing
from exporter.store.database import Database
from exporter.store.figures import NAMES_LIMIT, Period
from exporter.store.reader import read_figures
from exporter.store.rows import Finished
from tests.store.requests import (
    DAY_US,
    HOUR_US,
    MIDNIGHT_US,
    MINUTE_US,
    Told,
    brute_force,
    check_sums,
    clear,
    finished,
    in_order,
    write,
)
from tests.store.strategies import INSTANCES, batches, ends, moments, periods, told

Batch = tuple[str, list[Finished]]


def check(database: Database, everything: list[Told], period: Period, now_us: int, since_us: int = 0) -> None:
    with database.read() as connection:
        found = read_figures(connection, period, now_us)
    assert in_order(found) == in_order(brute_force(everything, period, now_us, since_us))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    written=batches,
    asked=st.lists(st.tuples(periods(), moments), min_size=1, max_size=5),
    floor=ends,
)
def test_any_period_of_anything(
    database: Database, written: list[Batch], asked: list[tuple[Period, int]], floor: int | None
) -> None:
    clear(database)
    after = dict.fromkeys(INSTANCES, 0)
    for instance, requests in written:
        writing = Writing(INSTANCES.index(instance), instance)
        after[instance] = write(database, requests, writing=writing, after=after[instance]).after
    check_sums(database)
    everything = [each for batch in written for each in told(batch)]
    for period, now_us in asked:
        check(database, everything, period, now_us)
    if floor is not None:
        with database.write() as connection:
            retention.hide(connection, floor)
        for period, now_us in asked:
            check(database, everything, period, now_us, floor)


def test_nothing_at_all(database: Database) -> None:
    for period in (Period(), Period(0, 0), Period(5, 4), Period(-5, -4), Period(instance="a")):
        check(database, [], period, MIDNIGHT_US)


def test_the_last_24_hours_do_not_depend_on_the_period(database: Database) -> None:
    offsets = (-DAY_US - 1, -DAY_US, -HOUR_US, 0, 1)
    everything = [Told("box:8001", finished(MIDNIGHT_US + offset)) for offset in offsets]
    write(database, [each.finished for each in everything])
    with database.read() as connection:
        assert read_figures(connection, Period(0, 1), MIDNIGHT_US).recent == 3
        assert read_figures(connection, Period(instance="box:8001"), MIDNIGHT_US).recent == 3
        assert read_figures(connection, Period(instance="other"), MIDNIGHT_US).recent == 0
        assert read_figures(connection, Period(), 1).recent == 0


def test_names_are_the_most_frequent_ones_and_then_in_the_order_of_code_points(database: Database) -> None:
    """As everywhere, whatever the language of the database: there `a` would come before `B`."""
    names = ["a", "B", "ä", "Z", "_", "10", "9", "a b", "\N{GRINNING FACE}", "\ufffd"]
    write(database, [finished(model=name, origin=f"http://{name}") for name in [*names, "zz", "zz"]])
    with database.read() as connection:
        found = read_figures(connection, Period(), MIDNIGHT_US)
    assert found.models == (("zz", 2), *((name, 1) for name in sorted(names)))
    assert found.origins[0] == ("http://zz", 2)
    assert [name for name, _ in found.origins[1:]] == sorted(f"http://{name}" for name in names)


def test_no_more_names_than_can_be_shown(database: Database) -> None:
    write(database, [finished(model=f"m{number:04}") for number in range(NAMES_LIMIT + 5)])
    write(database, [finished(model="m1004")])
    with database.read() as connection:
        found = read_figures(connection, Period(), MIDNIGHT_US)
    assert len(found.models) == NAMES_LIMIT
    assert found.models[:2] == (("m1004", 2), ("m0000", 1))
    assert sum(group.sums.requests for group in found.groups) == NAMES_LIMIT + 6


def test_one_state_throughout_while_others_write(database: Database) -> None:
    write(database, [finished()])
    with database.read() as connection:
        before = read_figures(connection, Period(), MIDNIGHT_US)
        write(database, [finished(MIDNIGHT_US + MINUTE_US, model="late")])
        assert read_figures(connection, Period(), MIDNIGHT_US) == before
    with database.read() as connection:
        assert read_figures(connection, Period(), MIDNIGHT_US).models == (("late", 1), ("tiny", 1))
