"""Finished requests for tests of the store, and what is to be said of them, summed up one by one in plain Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import delete, func, select, update

from exporter.record import Outcome, RequestRecord
from exporter.store import batch
from exporter.store.batch import Writing, Written
from exporter.store.database import Database
from exporter.store.figures import Figures, Group, Period, StoredRequest, Sums
from exporter.store.rows import Finished
from exporter.store.sample import Sample
from exporter.store.schema import METADATA, REQUESTS, RETENTION, ROLLUPS, SAMPLES, TOTALS
from exporter.store.sums import ADDENDS, TOTAL_ADDENDS, rolled_up, totalled
from tests.telemetry.examples import record

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 3600 * SECOND_US
DAY_US = 86_400 * SECOND_US
MIDNIGHT_US = 1_795_132_800 * SECOND_US
"""2026-11-20T00:00:00Z."""
WRITING = Writing(run=7, instance="box:8001")
COMMON = ("outcome", "stream", "status_code", "error_type", "finish_reason")


class Clock:
    """A wall clock that stands still, at midnight."""

    def __init__(self) -> None:
        self.now_us = MIDNIGHT_US

    def __call__(self) -> float:
        return self.now_us / SECOND_US


class Traced(NamedTuple):
    """The span that a request is, as records name it."""

    trace_id: str
    sampled: bool = True
    span_id: str = "b7ad6b7169203331"

    def listen(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Nobody takes its answer."""


class Told(NamedTuple):
    """A request, and who wrote it."""

    instance: str
    finished: Finished

    @property
    def record(self) -> RequestRecord:
        return self.finished.record

    @property
    def finished_us(self) -> int:
        return round((self.record.started_at + self.record.duration_seconds) * SECOND_US)


def finished(at_us: int = MIDNIGHT_US, *, model: str | None = "tiny", **changes: Any) -> Finished:
    """A request that finished then."""
    duration = changes.setdefault("duration_seconds", 1.5)
    return Finished(record(started_at=at_us / SECOND_US - duration, **changes), model)


def write(
    database: Database,
    requests: Sequence[Finished] = (),
    samples: Sequence[Sample] = (),
    *,
    writing: Writing = WRITING,
    after: int | None = None,
    again: bool = False,
) -> Written:
    """A batch; `after`: behind all that there is."""
    if after is None:
        with database.read() as connection:
            after = connection.execute(select(func.coalesce(func.max(REQUESTS.c.id), 0))).scalar_one()
    return batch.write(database, writing, after, requests, samples, again=again)


def clear(database: Database) -> None:
    """Nothing has been written."""
    with database.write() as connection:
        for table in (REQUESTS, ROLLUPS, SAMPLES, TOTALS):
            connection.execute(delete(table))
        connection.execute(update(RETENTION).values(kept_since_us=0, thinned_until_us=0))


def count(database: Database, table: str = "requests") -> int:
    """Rows of a table."""
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(METADATA.tables[table])).scalar_one()


def request_ids(database: Database) -> list[str]:
    """Of what was written, in that order."""
    with database.read() as connection:
        return list(connection.execute(select(REQUESTS.c.request_id).order_by(REQUESTS.c.id)).scalars())


def check_sums(database: Database) -> None:
    """Roll-ups and totals are what the rows add up to; nothing must have been deleted."""
    with database.read() as connection:
        for step in (60, 3600, 86_400):
            names = [column.name for column in ROLLUPS.columns]
            summed = connection.execute(rolled_up(step)).mappings().all()
            stored = connection.execute(select(ROLLUPS).where(ROLLUPS.c.step == step)).mappings().all()
            assert _plain(stored, names) == _plain(summed, names)
            assert len(stored) == len(_plain(stored, names[: -len(ADDENDS)]))
        names = [column.name for column in TOTALS.columns]
        assert len(names) == 4 + len(TOTAL_ADDENDS) + 1
        summed = connection.execute(totalled()).mappings().all()
        assert _plain(connection.execute(select(TOTALS)).mappings().all(), names) == _plain(summed, names)


def _plain(rows: Iterable[Any], names: Sequence[str]) -> set[tuple[Any, ...]]:
    """Whatever the type of numbers that the database sums with."""
    return {tuple(row[name] if isinstance(row[name], str) else int(row[name]) for name in names) for row in rows}


def sums_of(record: RequestRecord) -> Sums:
    """What one request adds."""
    first, last = _us(record.ttft_seconds), _us(record.last_token_seconds)
    if not record.stream:
        first = last = _us(record.duration_seconds) if record.outcome is Outcome.COMPLETED else None
    timed = first is not None and last is not None
    speed = min(round(record.output_tokens * 10**12 / last), 10**13) if record.output_tokens and last else None
    return Sums(
        requests=1,
        duration_us=round(record.duration_seconds * SECOND_US),
        token_requests=int(record.input_tokens is not None or record.output_tokens is not None),
        input_tokens=record.input_tokens or 0,
        output_tokens=record.output_tokens or 0,
        timed_requests=int(timed),
        first_token_us=first if timed and first is not None else 0,
        last_token_us=last if timed and last is not None else 0,
        speed_requests=int(speed is not None),
        speed_sum=speed or 0,
    )


def _us(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * SECOND_US)


def key_of(record: RequestRecord) -> tuple[Any, ...]:
    """The group of a request."""
    reason = record.finish_reasons[0] if record.finish_reasons else None
    return record.outcome.value, record.stream, record.status_code, record.error_type or None, reason or None


def chosen(told: Iterable[Told], period: Period, since_us: int = 0) -> list[Told]:
    """Those of a period, both ends included; what finished before `since_us` is hidden."""
    start, end, instance = period
    return [
        each
        for each in told
        if each.finished_us >= max(since_us, start or 0)
        and (end is None or each.finished_us <= end)
        and instance in (None, each.instance)
    ]


def brute_force(told: Sequence[Told], period: Period, now_us: int, since_us: int = 0) -> Figures:
    """The figures, with groups in any order."""
    groups: dict[tuple[Any, ...], Sums] = {}
    within = chosen(told, period, since_us)
    for each in within:
        key = key_of(each.record)
        groups[key] = groups.get(key, Sums()).plus(sums_of(each.record))
    day = Period(now_us - DAY_US, now_us, period.instance)
    return Figures(
        groups=tuple(Group._make((*key, sums)) for key, sums in groups.items()),
        models=ranked(each.finished.model for each in within),
        origins=ranked(each.record.origin for each in within),
        recent=len(chosen(told, day, since_us)),
    )


def ranked(names: Iterable[str | None]) -> tuple[tuple[str, int], ...]:
    """The most frequent first, then by code points."""
    counts = Counter(name for name in names if name)
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def in_order(figures: Figures) -> Figures:
    """The same, with groups in one order: there is none that is promised."""
    return figures._replace(groups=tuple(sorted(figures.groups, key=repr)))


def stored(told: Told, number: int) -> StoredRequest:
    """A request as it is shown, all that concerns its row's number left to the caller."""
    record = told.record
    return StoredRequest(
        id=number,
        finished_us=told.finished_us,
        duration_us=round(record.duration_seconds * SECOND_US),
        outcome=record.outcome.value,
        stream=record.stream,
        status_code=record.status_code,
        error_type=record.error_type or None,
        finish_reason=(record.finish_reasons or (None,))[0] or None,
        model=told.finished.model or None,
        origin=record.origin or None,
        message_count=record.message_count,
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        ttft_us=_us(record.ttft_seconds),
        last_token_us=_us(record.last_token_seconds),
    )
