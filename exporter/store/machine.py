"""The course of a machine, for charts: means of samples, and sums over requests, in bins of a period.

`reader` asks with it. Every minute in which there was a sample counts alike, whether it is kept as sampled or as its
mean: so retention, which turns samples into such means, changes nothing here. Requests come from the roll-ups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Dialect,
    Float,
    Integer,
    Text,
    bindparam,
    case,
    func,
    select,
)
from sqlalchemy import literal_column as literal
from sqlalchemy.sql.elements import ClauseElement

from exporter.record import FAILURES
from exporter.store.figures import MachinePoint
from exporter.store.prepared import Prepared
from exporter.store.schema import ROLLUPS, SAMPLES
from exporter.store.spans import MINUTE, STEPS

SECOND_US = 1_000_000
MINUTE_US = MINUTE * SECOND_US
SHARES = ("cpu_utilization", "memory_utilization", "gpu_utilization", "gpu_power_watts")
"""Means, as `MachinePoint` names them."""
SUMS = ("requests", "failed", "duration_us")
NO_MEANS = (None,) * len(SHARES)
NO_SUMS = (0,) * len(SUMS)


def read_machine(
    connection: Connection, start_us: int, end_us: int, step_seconds: int, *, instance: str, since_us: int
) -> list[MachinePoint]:
    """The bins that begin before `end_us` and end after `start_us`, each as a whole; what was before `since_us` is
    hidden, and so is the rest of that minute."""
    if step_seconds <= 0 or step_seconds % MINUTE:
        raise ValueError("bins are of whole minutes")
    step_us = step_seconds * SECOND_US
    first = max(start_us // step_us * step_us, -(-since_us // MINUTE_US) * MINUTE_US)
    within = {"start": first, "end": -(-end_us // step_us) * step_us, "bin": step_us, "instance": instance}
    statements = _prepare(connection.dialect)
    means = _by_start(statements.means.run(connection, **within).all())
    step = next(step for step in STEPS if step_seconds % step == 0)
    if first % (step * SECOND_US):  # retention cuts into one of these
        step = MINUTE
    sums = _by_start(statements.sums.run(connection, step=step, **within).all())
    return [
        MachinePoint(start, *means.get(start, NO_MEANS), *map(int, sums.get(start, NO_SUMS)))
        for start in sorted(means.keys() | sums.keys())
    ]


def _by_start(rows: Sequence[Sequence[Any]]) -> dict[int, Sequence[Any]]:
    return {row[0]: row[1:] for row in rows}


class _Statements(NamedTuple):
    """For one kind of database: of an `instance`, from `start` to `end`, in bins of `bin` microseconds."""

    means: Prepared
    sums: Prepared
    """Of roll-ups of a `step`."""


_STATEMENTS: dict[str, _Statements] = {}


def _prepare(dialect: Dialect) -> _Statements:
    found = _STATEMENTS.get(dialect.name)
    if found is None:
        found = _STATEMENTS[dialect.name] = _Statements(
            means=Prepared.of(_means(), dialect), sums=Prepared.of(_sums(), dialect)
        )
    return found


def _means() -> ClauseElement:
    """Of each minute, as retention makes them; and of these."""
    taken = SAMPLES.c.taken_us
    minute = taken - taken % literal(str(MINUTE_US), BigInteger)
    total = func.nullif(_mean(SAMPLES.c.memory_total_bytes), literal("0"), type_=Float)
    memory = _mean(SAMPLES.c.memory_used_bytes) / total
    figures = [memory if name == "memory_utilization" else _mean(SAMPLES.c[name]) for name in SHARES]
    columns = [figure.label(name) for figure, name in zip(figures, SHARES, strict=True)]
    minutes = select(minute.label("minute"), *columns).where(SAMPLES.c.instance == bindparam("instance", type_=Text))
    minutes = minutes.where(*_between(taken)).group_by(minute)
    each = minutes.subquery("minutes")
    bins = select(_start(each.c.minute), *(each.c[name] for name in SHARES)).subquery("bins")
    return select(bins.c.start, *(_mean(bins.c[name]) for name in SHARES)).group_by(bins.c.start)


def _sums() -> ClauseElement:
    """Of each step, in which order roll-ups are stored, so that SQLite need not sort many of them; and of these."""
    rollup = ROLLUPS.c
    failed = rollup.outcome.in_(literal(f"'{each.value}'", Text) for each in sorted(FAILURES))
    sums = rollup.requests, case((failed, rollup.requests), else_=literal("0")), rollup.duration_us
    steps = select(rollup.start_us, *(func.sum(each).label(name) for name, each in zip(SUMS, sums, strict=True)))
    steps = steps.where(rollup.step == bindparam("step", type_=Integer), *_between(rollup.start_us))
    steps = steps.where(rollup.instance == bindparam("instance", type_=Text)).group_by(rollup.start_us)
    each = steps.subquery("steps")
    bins = select(_start(each.c.start_us), *(each.c[name] for name in SUMS)).subquery("bins")
    return select(bins.c.start, *(func.sum(bins.c[name]) for name in SUMS)).group_by(bins.c.start)


def _mean(column: ColumnElement[float]) -> ColumnElement[float]:
    return func.avg(column, type_=Float)


def _between(moment: ColumnElement[int]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return moment >= bindparam("start", type_=BigInteger), moment < bindparam("end", type_=BigInteger)


def _start(moment: ColumnElement[int]) -> ColumnElement[int]:
    """When the bin begins that it is in. In a column of its own: PostgreSQL takes a parameter in two places for two."""
    return (moment - moment % bindparam("bin", type_=BigInteger)).label("start")
