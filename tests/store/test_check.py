"""The check finds every sum that is not that of its requests, and nothing else: not while requests are written, nor
while retention is at work."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text, update

from exporter.store import check, migration
from exporter.store.check import Difference, Extent
from exporter.store.database import Database, be_patient
from exporter.store.retention import delete_requests, delete_rollups, hide
from exporter.store.schema import REQUESTS, ROLLUPS, TOTALS
from exporter.store.spans import HOUR, MINUTE, STEPS
from exporter.store.sums import ADDENDS, KEYS
from tests.databases import PostgreSQL
from tests.store.requests import DAY_US, HOUR_US, MIDNIGHT_US, WRITING, finished, write

PAGE_BYTES = 4096
NOON_US = MIDNIGHT_US + 12 * HOUR_US


@pytest.fixture
def three_days(database: Database) -> Database:
    """Forty requests a day."""
    chance = random.Random(6)
    for day in range(3):
        moments = [MIDNIGHT_US + day * DAY_US + chance.randrange(DAY_US) for _ in range(40)]
        changes: list[dict[str, Any]] = [
            {"stream": chance.random() < 0.5, "output_tokens": chance.choice([None, 0, 7])} for _ in moments
        ]
        write(database, [finished(at, **some) for at, some in zip(moments, changes, strict=True)])
    return database


def differences(database: Database) -> list[Difference]:
    return [difference for day in check.days(database) for difference in day.differences]


def change(database: Database, *statements: Any) -> None:
    with database.write() as connection:
        for statement in statements:
            connection.execute(statement)


def first_rollup(database: Database, step: int) -> tuple[list[Any], dict[str, Any]]:
    """Conditions that fit one roll-up alone, and its values."""
    with database.read() as connection:
        query = select(ROLLUPS).where(ROLLUPS.c.step == step).order_by(*ROLLUPS.primary_key)
        row = connection.execute(query).mappings().first()
    assert row is not None
    return [column == row[column.name] for column in ROLLUPS.primary_key], dict(row)


def test_what_was_written_is_well(three_days: Database) -> None:
    days = list(check.days(three_days))
    assert [day.start_us for day in days] == [MIDNIGHT_US + day * DAY_US for day in range(3)]
    assert [day.differing for day in days] == [0, 0, 0]
    totals: check.Totals = {}
    for day in days:
        check.add(totals, day.totals)
    assert check.by_instance(totals) == {"box:8001": 120}
    assert check.stored_totals(three_days) == (totals, 0)


def test_nothing_is_well(database: Database) -> None:
    assert list(check.days(database)) == []
    assert check.extent(database) == Extent(None, None, 0)
    assert check.extent(database).days == 0


@pytest.mark.parametrize("step", STEPS)
def test_a_sum_that_is_off_by_one_is_found(three_days: Database, step: int) -> None:
    where, row = first_rollup(three_days, step)
    keys = tuple(row[key] for key in KEYS)
    for name in ADDENDS:
        change(three_days, update(ROLLUPS).where(*where).values({name: row[name] + 1}))
        assert differences(three_days) == [Difference(step, row["start_us"], keys, {name: (row[name] + 1, row[name])})]
        change(three_days, update(ROLLUPS).where(*where).values({name: row[name]}))
    assert differences(three_days) == []


def test_a_missing_rollup_is_found(three_days: Database) -> None:
    for step in STEPS:
        where, row = first_rollup(three_days, step)
        change(three_days, delete(ROLLUPS).where(*where))
        (found,) = differences(three_days)
        assert (found.step, found.start_us, found.sums["requests"]) == (step, row["start_us"], (0, row["requests"]))
        change(three_days, insert(ROLLUPS).values(row))


def test_a_rollup_of_nothing_is_found(three_days: Database) -> None:
    for step in STEPS:
        _, row = first_rollup(three_days, step)
        row["start_us"] += 9 * DAY_US
        change(three_days, insert(ROLLUPS).values(row))
        (found,) = differences(three_days)
        assert (found.step, found.start_us, found.sums["requests"]) == (step, row["start_us"], (row["requests"], 0))
        assert check.extent(three_days).days == 10
        change(three_days, delete(ROLLUPS).where(ROLLUPS.c.start_us > MIDNIGHT_US + 4 * DAY_US))


def test_a_request_that_was_changed_is_found_in_every_step(three_days: Database) -> None:
    that = REQUESTS.c.id == 50
    with three_days.read() as connection:
        row = connection.execute(select(REQUESTS).where(that)).mappings().one()
    for name, value in {"duration_us": 1, "outcome": "timeout", "model": None, "output_tokens": 10**9}.items():
        change(three_days, update(REQUESTS).where(that).values({name: value}))
        assert {found.step for found in differences(three_days)} == set(STEPS), name
        change(three_days, update(REQUESTS).where(that).values({name: row[name]}))


def test_a_request_that_is_gone_is_found_in_every_step(three_days: Database) -> None:
    change(three_days, delete(REQUESTS).where(REQUESTS.c.id == 50))
    assert [found.step for found in differences(three_days)] == list(STEPS)


def test_many_differences_are_counted_and_some_of_them_told(three_days: Database) -> None:
    change(three_days, update(ROLLUPS).where(ROLLUPS.c.step == MINUTE).values(requests=ROLLUPS.c.requests + 1))
    with three_days.read() as connection:
        wrong = connection.execute(select(ROLLUPS.c.start_us).where(ROLLUPS.c.step == MINUTE)).all()
    days = list(check.days(three_days))
    assert sum(day.differing for day in days) == len(wrong) > 3 * check.LISTED
    assert [len(day.differences) for day in days] == [check.LISTED] * 3


@pytest.mark.parametrize("limit_us", [NOON_US, NOON_US + 1, NOON_US + 61 * 1_000_000, NOON_US + DAY_US - 1])
def test_retention_at_work_is_no_difference(three_days: Database, limit_us: int) -> None:
    def kept() -> int:
        return sum(check.by_instance(day.totals).total() for day in check.days(three_days))

    with three_days.write() as connection:
        hide(connection, limit_us)
    assert differences(three_days) == []
    count = kept()
    assert 0 < count < 120
    assert min(day.start_us for day in check.days(three_days)) == limit_us // DAY_US * DAY_US
    for step in STEPS:
        with three_days.write() as connection:
            delete_rollups(connection, step, limit_us)
        assert differences(three_days) == []
    with three_days.write() as connection:
        delete_requests(connection, limit_us)
    assert differences(three_days) == []
    assert kept() == count


def test_what_retention_has_left_is_checked(three_days: Database) -> None:
    with three_days.write() as connection:
        hide(connection, NOON_US)
    where, row = first_rollup(three_days, HOUR)
    assert row["start_us"] < NOON_US
    change(three_days, delete(ROLLUPS).where(*where))
    assert differences(three_days) == []
    change(three_days, delete(ROLLUPS).where(ROLLUPS.c.step == HOUR))
    assert min(found.start_us for found in differences(three_days)) >= NOON_US


def test_clocks_that_were_wrong_cost_no_time(three_days: Database) -> None:
    write(three_days, [finished(5_000_000), finished(253_402_300_799_000_000)])
    days = list(check.days(three_days))
    assert [day.differing for day in days] == [0] * 5
    extent = check.extent(three_days)
    assert [extent.reached(day) for day in days][:: len(days) - 1] == [1, extent.days]


def test_keys_that_look_alike_are_kept_apart(database: Database) -> None:
    models = ["a", "A", "a ", "ä", "a\N{COMBINING DIAERESIS}", "", None, "'; --", "%s", ":name"]
    write(database, [finished(NOON_US, model=model, origin=model) for model in models])
    assert differences(database) == []
    change(database, update(ROLLUPS).where(ROLLUPS.c.model == "A").values(requests=2))
    assert [found.keys[1] for found in differences(database)] == ["A"] * 3


def test_totals_too_small_and_too_large(three_days: Database) -> None:
    counted: check.Totals = {}
    for day in check.days(three_days):
        check.add(counted, day.totals)
    before = check.stored_totals(three_days).totals
    assert check.too_small(before, counted) == check.too_small(counted, before) == []
    change(three_days, update(TOTALS).where(TOTALS.c.stream.is_(True)).values(output_tokens=0, requests=999))
    (key,) = (key for key in counted if key[-1])
    after = check.stored_totals(three_days).totals
    assert check.too_small(after, counted) == [key]
    assert check.too_small(counted, after) == [key]
    change(three_days, delete(TOTALS))
    assert check.too_small(check.stored_totals(three_days).totals, counted) == sorted(counted)


def test_requests_that_are_written_meanwhile_are_no_difference(database: Database) -> None:
    """With one writer for each instance, at full speed; a look sees requests and their sums, or neither."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def keep_writing(instance: str) -> None:
        writing = WRITING._replace(run=hash(instance) & 0xFFFF, instance=instance)
        after = 0
        try:
            while not stop.is_set():
                moment = NOON_US + random.randrange(2 * DAY_US)
                after = write(database, [finished(moment)] * 3, writing=writing, after=after).after
        except BaseException as error:
            failures.append(error)

    names = ["a:1"] if database.is_sqlite else ["a:1", "b:1"]
    threads = [threading.Thread(target=keep_writing, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    counted: check.Totals = {}
    seen: set[int] = set()
    try:
        while len(seen) < 8 and not failures:
            before = check.stored_totals(database).totals
            counted = {}
            for day in check.days(database):
                assert day.differences == ()
                check.add(counted, day.totals)
            assert check.too_small(counted, before) == []
            assert check.too_small(check.stored_totals(database).totals, counted) == []
            seen.add(check.by_instance(counted).total())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_statements_may_take_their_time(postgresql: PostgreSQL) -> None:
    database = Database(postgresql.create())
    with database.read() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "30s"
        be_patient(connection)
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "0"
    with database.read() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "30s"
    database.close()


def test_nobody_says_how_sound_a_server_is(postgresql: PostgreSQL) -> None:
    database = Database(postgresql.url("postgres"))
    assert check.damages(database) is None
    database.close()


@pytest.mark.parametrize("places", [[0.5], [0.3, 0.6, 0.9]])
def test_a_damaged_file_is_found(tmp_path: Path, places: list[float]) -> None:
    file = tmp_path / "history.db"
    database = Database(f"sqlite:///{file}")
    migration.migrate(database)
    write(database, [finished(NOON_US + number) for number in range(500)])
    assert check.damages(database) == []
    database.close()  # the last one: what is in the log is in the file now
    content = bytearray(file.read_bytes())
    for place in places:
        start = int(len(content) * place) // PAGE_BYTES * PAGE_BYTES
        content[start : start + PAGE_BYTES] = b"\xff" * PAGE_BYTES
    file.write_bytes(content)
    assert check.damages(database)
    database.close()
