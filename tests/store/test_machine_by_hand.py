"""The course of a machine, of random samples and requests: what one gets by hand, whatever retention is doing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.record import FAILURES
from exporter.store import retention
from exporter.store.batch import Writing
from exporter.store.database import Database
from exporter.store.rows import Finished
from exporter.store.sample import Sample
from exporter.store.spans import STEPS
from tests.store.course import STEP_SECONDS, Asked, ask, thin
from tests.store.requests import (
    DAY_US,
    MIDNIGHT_US,
    MINUTE_US,
    SECOND_US,
    Told,
    clear,
    write,
)
from tests.store.strategies import INSTANCES, batches, moments, told


def by_hand(
    everything: Iterable[Told], taken: Sequence[tuple[str, Sample]], asked: Asked, since: int
) -> list[tuple[Any, ...]]:
    """Start, mean CPU and memory, requests, failed, duration."""
    step_us = asked.step * SECOND_US
    first = max(asked.start_us // step_us * step_us, -(-since // MINUTE_US) * MINUTE_US)
    last = -(-asked.end_us // step_us) * step_us
    minutes: dict[int, list[Sample]] = defaultdict(list)
    for instance, sample in taken:
        if instance == asked.instance and first <= sample.taken_us < last:
            minutes[sample.taken_us // MINUTE_US * MINUTE_US].append(sample)
    requests: dict[int, list[Told]] = defaultdict(list)
    for each in everything:
        if each.instance == asked.instance and first <= each.finished_us < last:
            requests[each.finished_us // step_us * step_us].append(each)
    bins: dict[int, list[list[Sample]]] = defaultdict(list)
    for minute, samples in minutes.items():
        bins[minute // step_us * step_us].append(samples)
    found = []
    for start in sorted(bins.keys() | requests.keys()):
        cpu = mean([mean([each.cpu_utilization for each in samples]) for samples in bins[start]])
        used = [mean([each.memory_used_bytes for each in samples]) for samples in bins[start]]
        own = requests[start]
        durations = [round(each.record.duration_seconds * SECOND_US) for each in own]
        failed = sum(each.record.outcome in FAILURES for each in own)
        found.append(
            (start, cpu, mean([None if each is None else each / 4 for each in used]), len(own), failed, sum(durations))
        )
    return found


def mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def rounded(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Means of means differ in the last digit."""
    return [tuple(round(value, 9) if isinstance(value, float) else value for value in row) for row in rows]


shares = st.none() | st.sampled_from([0.0, 0.25, 1.0])
some_samples = st.builds(
    lambda at_us, cpu, used: Sample(at_us, cpu_utilization=cpu, memory_used_bytes=used, memory_total_bytes=4.0),
    moments,
    shares,
    shares,
)
questions = st.builds(Asked, moments, moments, st.sampled_from(STEP_SECONDS), st.sampled_from(INSTANCES))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches,
    st.lists(st.tuples(st.sampled_from(INSTANCES), some_samples), max_size=12),
    st.lists(questions, min_size=1, max_size=4),
    moments,
    moments,
)
def test_what_one_gets_by_hand(
    database: Database,
    written: list[tuple[str, list[Finished]]],
    taken: list[tuple[str, Sample]],
    asked: list[Asked],
    thinned_us: int,
    limit_us: int,
) -> None:
    clear(database)
    for instance, batch in written:
        write(database, batch, writing=Writing(INSTANCES.index(instance), instance))
    for instance, sample in taken:
        write(database, samples=[sample], writing=Writing(INSTANCES.index(instance), instance))
    everything = [each for batch in written for each in told(batch)]
    asked.append(Asked(MIDNIGHT_US - DAY_US, MIDNIGHT_US + 4 * DAY_US, 3600, INSTANCES[0]))

    def check(since: int) -> None:
        for question in asked:
            found = [(each[0], each[1], each[2], *each[5:]) for each in ask(database, question)]
            assert rounded(found) == rounded(by_hand(everything, taken, question, since))

    check(0)
    thin(database, thinned_us)
    check(0)
    with database.write() as connection:
        retention.hide(connection, limit_us)
    check(limit_us)
    with database.write() as connection:
        retention.delete_samples(connection, limit_us)
        retention.delete_requests(connection, limit_us)
        for step in STEPS:
            retention.delete_rollups(connection, step, limit_us)
    check(limit_us)
