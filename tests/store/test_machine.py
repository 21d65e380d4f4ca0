"""The course of a machine, in bins: what counts for how much, where they begin and end, and what is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from exporter.errors import StoreError
from exporter.record import FAILURES, Outcome
from exporter.store.database import Database
from exporter.store.figures import MachinePoint, Past
from exporter.store.machine import read_machine
from exporter.store.reader import Reader
from exporter.store.sample import Sample
from tests.store.course import BOX, STEP_SECONDS, Asked, ask, thin
from tests.store.requests import (
    HOUR_US,
    MIDNIGHT_US,
    MINUTE_US,
    SECOND_US,
    finished,
    write,
)

NOTHING = (None, None, None, None)


def test_means_and_sums_of_a_bin(database: Database) -> None:
    samples = [
        Sample(MIDNIGHT_US + 5 * SECOND_US, cpu_utilization=0.25, gpu_utilization=0.5, gpu_power_watts=100.0),
        Sample(MIDNIGHT_US + 61 * SECOND_US, cpu_utilization=0.5, memory_used_bytes=2.0, memory_total_bytes=8.0),
        Sample(MIDNIGHT_US + 5 * MINUTE_US, cpu_utilization=1.0, gpu_utilization=0.0),
    ]
    requests = [
        finished(MIDNIGHT_US, duration_seconds=0.5),
        finished(MIDNIGHT_US + 5 * MINUTE_US - 1, duration_seconds=1.5, outcome=Outcome.TIMEOUT),
        finished(MIDNIGHT_US + 10 * MINUTE_US, duration_seconds=2.0, outcome=Outcome.CLIENT_GONE),
    ]
    write(database, requests, samples)
    assert ask(database) == [
        MachinePoint(MIDNIGHT_US, 0.375, 0.25, 0.5, 100.0, 2, 1, 2_000_000),
        MachinePoint(MIDNIGHT_US + 5 * MINUTE_US, 1.0, None, 0.0, None, 0, 0, 0),
        MachinePoint(MIDNIGHT_US + 10 * MINUTE_US, *NOTHING, 1, 0, 2_000_000),
    ]


def test_nothing_is_no_point(database: Database) -> None:
    assert ask(database) == []
    write(database, [finished()], [Sample(MIDNIGHT_US)])
    assert ask(database, Asked(instance="other")) == []
    assert ask(database, Asked(MIDNIGHT_US + HOUR_US, MIDNIGHT_US + 2 * HOUR_US)) == []
    assert ask(database, Asked(MIDNIGHT_US, MIDNIGHT_US)) == []
    assert ask(database) == [MachinePoint(MIDNIGHT_US, *NOTHING, 1, 0, 1_500_000)]


def test_every_minute_counts_alike(database: Database) -> None:
    """Also one that was thinned among some that were not."""
    first = [Sample(MIDNIGHT_US + second * SECOND_US, cpu_utilization=1.0) for second in range(0, 60, 5)]
    second = [Sample(MIDNIGHT_US + MINUTE_US + number * SECOND_US, cpu_utilization=0.0) for number in (10, 50)]
    write(database, samples=[*first, *second])
    before = ask(database)
    assert before[0].cpu_utilization == 0.5
    thin(database, MIDNIGHT_US + MINUTE_US)
    assert ask(database) == before
    thin(database, MIDNIGHT_US + HOUR_US)
    assert ask(database) == before


def test_a_machine_without_memory_has_no_share_of_it(database: Database) -> None:
    write(database, samples=[Sample(MIDNIGHT_US, memory_used_bytes=1.0, memory_total_bytes=0.0)])
    assert ask(database)[0].memory_utilization is None


@pytest.mark.parametrize("outcome", Outcome)
def test_what_has_failed(database: Database, outcome: Outcome) -> None:
    write(database, [finished(outcome=outcome)])
    (point,) = ask(database)
    assert (point.requests, point.failed) == (1, int(outcome in FAILURES))


@pytest.mark.parametrize("step", STEP_SECONDS)
def test_bins_are_whole_and_begin_at_multiples(database: Database, step: int) -> None:
    """The period begins and ends within one."""
    step_us = step * SECOND_US
    starts = [MIDNIGHT_US + number * step_us for number in range(4)]
    moments = [moment for start in starts for moment in (start, start + step_us - 1)]
    write(database, [finished(at) for at in moments], [Sample(at, cpu_utilization=0.5) for at in moments])
    for start_us, end_us, expected in (
        (starts[1], starts[2], starts[1:2]),
        (starts[1] + 1, starts[2] + 1, starts[1:3]),
        (starts[2] - 1, starts[3], starts[1:3]),
        (0, 253_402_300_800 * SECOND_US, starts),
    ):
        found = ask(database, Asked(start_us, end_us, step))
        assert [(point.start_us, point.requests, point.cpu_utilization) for point in found] == [
            (start, 2, 0.5) for start in expected
        ]


@pytest.mark.parametrize("step", [0, -60, 1, 59, 90])
def test_bins_must_be_of_whole_minutes(database: Database, step: int) -> None:
    with pytest.raises(ValueError, match="whole minutes"):
        ask(database, Asked(step=step))


async def test_who_reads_the_past_reads_it(database: Database) -> None:
    write(database, [finished()], [Sample(MIDNIGHT_US, cpu_utilization=0.5)])
    past: Past = Reader(database)
    expected = [MachinePoint(MIDNIGHT_US, 0.5, None, None, None, 1, 0, 1_500_000)]
    assert await past.machine(MIDNIGHT_US, MIDNIGHT_US + 1, 60, BOX) == expected
    with pytest.raises(ValueError, match="whole minutes"):
        await past.machine(MIDNIGHT_US, MIDNIGHT_US + 1, 61, BOX)
    with pytest.raises(StoreError, match="not open yet"):
        await Reader(database, is_open=lambda: False).machine(0, 1, 60, BOX)


def test_sqlite_does_not_sort_rollups(migrated_file: Path) -> None:
    """That would take longer than all the rest."""
    database = Database(f"sqlite:///{migrated_file}")
    seen: list[str] = []
    with database.read() as connection:
        assert connection.connection.driver_connection is not None
        connection.connection.driver_connection.set_trace_callback(seen.append)
        read_machine(connection, MIDNIGHT_US, MIDNIGHT_US + 1, 300, instance=BOX, since_us=0)
        connection.connection.driver_connection.set_trace_callback(None)
        (question,) = (statement for statement in seen if "rollups" in statement)
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN {question}")).all()
    inner = [(row[0], row[3]) for row in plan if row[1] == plan[0][0]]
    assert [each for _, each in inner] == ["SEARCH rollups USING PRIMARY KEY (step=? AND start_us>? AND start_us<?)"]
    database.close()
