"""Answers questions about the past, each in a thread and a transaction of its own. It is the `Past` of the rooms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Dialect, Select, Subquery, collate, func, select, tuple_
from sqlalchemy.sql.elements import ClauseElement

from exporter.errors import StoreError
from exporter.store.database import READERS, Database
from exporter.store.figures import (
    NAMES_LIMIT,
    Cursor,
    Figures,
    Filter,
    Group,
    MachinePoint,
    Period,
    StoredCourse,
    StoredRequest,
    Sums,
)
from exporter.store.machine import read_machine
from exporter.store.newest import read_newest
from exporter.store.prepared import Prepared
from exporter.store.schema import REQUESTS, RETENTION
from exporter.store.spans import ALWAYS_US, DAY, cut
from exporter.store.sums import addends, bounds, summed
from exporter.worker import Worker

T = TypeVar("T")

WAITING_LIMIT = 64
"""Questions that wait for a thread; who asks then is told to come back."""
NOT_OPEN = "the store is not open yet, or away; the log of the sidecar says why"
GROUPED_BY = ("outcome", "stream", "status_code", "error_type", "finish_reason")
_SHOWN = [REQUESTS.c[name] for name in StoredRequest._fields]


class Reader:
    """Asks one database. Every question raises StoreError when it cannot be answered now."""

    def __init__(
        self,
        database: Database,
        is_open: Callable[[], bool] = lambda: True,
        trouble: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`is_open` says whether there are tables that can be read, `trouble` why nothing can be written now."""
        self._database = database
        self._is_open = is_open
        self._trouble = trouble
        self._idle: asyncio.LifoQueue[Worker] = asyncio.LifoQueue()
        for number in range(READERS):
            self._idle.put_nowait(Worker(f"store-reader-{number}"))
        self._waiting = 0

    async def figures(self, period: Period, now_us: int) -> Figures:
        """Sums over a period, from roll-ups as far as they reach."""
        return await self.ask(lambda connection: read_figures(connection, period, now_us))

    async def page(
        self, period: Period, after: Cursor | None, count: int, shape: Callable[[Sequence[StoredRequest]], T]
    ) -> tuple[T, Cursor | None]:
        """The next `count` requests, newest first. Between pages nothing is held open: a slow reader is no burden."""

        def ask(connection: Connection) -> tuple[T, Cursor | None]:
            rows = read_page(connection, period, after, count)
            last = Cursor(rows[-1].finished_us, rows[-1].id) if len(rows) == count else None
            return shape(rows), last

        return await self.ask(ask)

    async def newest(self, which: Filter, count: int, shape: Callable[[Sequence[StoredCourse]], T]) -> T:
        """The newest requests of those, newest first."""
        return await self.ask(
            lambda connection: shape(read_newest(connection, which, count, since_us=kept_since(connection)))
        )

    async def machine(self, start_us: int, end_us: int, step_seconds: int, instance: str) -> list[MachinePoint]:
        """The course of a machine. Raises ValueError for bins that are not of whole minutes."""
        return await self.ask(
            lambda connection: read_machine(
                connection, start_us, end_us, step_seconds, instance=instance, since_us=kept_since(connection)
            )
        )

    async def check(self) -> str | None:
        """Whether the store answers. Returned is why it takes nothing that is written, which a question cannot see: a
        full disk, for example; None where it does."""
        await self.ask(kept_since)
        return self._trouble()

    async def ask(self, question: Callable[[Connection], T]) -> T:
        """The answer to any question: `question` is called in another thread, with a transaction that reads."""
        if not self._is_open():
            raise StoreError(NOT_OPEN)
        if self._waiting >= WAITING_LIMIT:
            raise StoreError("too many questions at once")
        self._waiting += 1
        try:
            worker = await self._idle.get()
        finally:
            self._waiting -= 1
        answer = asyncio.wrap_future(worker.submit(lambda: self._answer(question)))

        def release(done: asyncio.Future[T]) -> None:
            """Not before the answer is there: who asked may leave meanwhile, and then nobody looks at it."""
            self._idle.put_nowait(worker)
            if not done.cancelled():
                done.exception()

        answer.add_done_callback(release)
        return await asyncio.shield(answer)

    def _answer(self, question: Callable[[Connection], T]) -> T:
        with self._database.read() as connection:
            return question(connection)


def kept_since(connection: Connection) -> int:
    """What finished before this moment is gone, or about to go: nobody sees it any more."""
    return connection.execute(select(RETENTION.c.kept_since_us)).scalar() or 0


def read_figures(connection: Connection, period: Period, now_us: int) -> Figures:
    """The figures, all of one state of the database."""
    since = kept_since(connection)
    questions = _prepare(connection.dialect, of_instance=period.instance is not None)
    within = _bounds(period, since)
    day = _bounds(Period(now_us - DAY * 1_000_000, now_us, period.instance), since)
    return Figures(
        groups=tuple(map(_group, questions.groups.run(connection, **within))),
        models=tuple((name, int(requests)) for name, requests in questions.models.run(connection, **within)),
        origins=tuple((name, int(requests)) for name, requests in questions.origins.run(connection, **within)),
        recent=int(questions.requests.run(connection, **day).scalar_one()),
    )


def read_page(connection: Connection, period: Period, after: Cursor | None, count: int) -> list[StoredRequest]:
    """Requests of the period, newest first."""
    query: Select[Any] = select(*_SHOWN).where(
        REQUESTS.c.finished_us >= max(kept_since(connection), period.start_us or 0)
    )
    if period.end_us is not None:
        query = query.where(REQUESTS.c.finished_us <= period.end_us)
    if period.instance is not None:
        query = query.where(REQUESTS.c.instance == period.instance)
    if after is not None:
        query = query.where(tuple_(REQUESTS.c.finished_us, REQUESTS.c.id) < tuple_(*after))
    query = query.order_by(REQUESTS.c.finished_us.desc(), REQUESTS.c.id.desc()).limit(count)
    return [StoredRequest._make(row) for row in connection.execute(query)]


def _bounds(period: Period, since: int) -> dict[str, Any]:
    """The parameters of the questions."""
    end = ALWAYS_US if period.end_us is None else period.end_us + 1
    found: dict[str, Any] = {**bounds(cut(max(since, period.start_us or 0), end))}
    if period.instance is not None:
        found["instance"] = period.instance
    return found


def _group(row: Sequence[Any]) -> Group:
    outcome, stream, status, error, reason, *sums = row
    return Group(outcome, bool(stream), status or None, error or None, reason or None, Sums(*map(int, sums)))


class _Questions(NamedTuple):
    """About a period, for one kind of database: built once, for that takes longer than to answer them."""

    groups: Prepared
    models: Prepared
    origins: Prepared
    requests: Prepared
    """How many there are."""


_QUESTIONS: dict[tuple[str, bool], _Questions] = {}


def _prepare(dialect: Dialect, *, of_instance: bool) -> _Questions:
    found = _QUESTIONS.get((dialect.name, of_instance))
    if found is None:
        part = addends(of_instance=of_instance)
        keys = [part.c[name] for name in GROUPED_BY]
        found = _QUESTIONS[dialect.name, of_instance] = _Questions(
            groups=Prepared.of(select(*keys, *summed(part)).group_by(*keys), dialect),
            models=Prepared.of(_most_requests(part, "model", dialect), dialect),
            origins=Prepared.of(_most_requests(part, "origin", dialect), dialect),
            requests=Prepared.of(select(summed(part)[0]), dialect),
        )
    return found


def _most_requests(part: Subquery, key: str, dialect: Dialect) -> ClauseElement:
    requests = func.sum(part.c.requests)
    name: ColumnElement[str] = part.c[key]
    # Everywhere the same order: of code points, whatever the language of the database.
    by_name = name if dialect.name == "sqlite" else collate(name, "C")
    query = select(name, requests).where(name != "").group_by(name)
    return query.order_by(requests.desc(), by_name).limit(NAMES_LIMIT)
