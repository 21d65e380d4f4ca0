"""Requests or samples as lines of text, oldest first, in pages: whatever there is, little of it is in memory.

`commands` writes them where they are wanted.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Column, Float, Select, Table, Text, func, select, tuple_

from exporter.dates import write_time
from exporter.store.database import Database, be_patient
from exporter.store.reader import kept_since
from exporter.store.schema import REQUESTS

FORMATS = ("jsonl", "csv")
PAGE_ROWS = 1000
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What a text may begin with that a spreadsheet takes for a formula; the last four are the full-width forms."""
Convert = Callable[[Any], Any]


class Selection(NamedTuple):
    """What is to be exported; None: no limit."""

    table: Table = REQUESTS
    since_us: int | None = None
    until_us: int | None = None
    """That moment included."""
    instance: str | None = None

    @property
    def time(self) -> Column[int]:
        """When it was."""
        return self.table.c.finished_us if self.table is REQUESTS else self.table.c.taken_us

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the values of a row: the time in words, then all columns of the table."""
        return (self.time.name.replace("_us", "_at"), *(column.name for column in self.table.columns))


def settle(database: Database, selection: Selection, *, count: bool) -> tuple[Selection, int | None]:
    """The same with an end, so that it ends while rows are written; and how many rows that are, if wanted. Raises
    StoreError."""
    with database.read() as connection:
        be_patient(connection)
        newest = connection.execute(select(func.max(selection.time))).scalar() or 0
        until_us = newest if selection.until_us is None else min(selection.until_us, newest)
        settled = selection._replace(until_us=until_us)
        rows = select(func.count()).select_from(settled.table)
        return settled, connection.execute(_limited(rows, settled, kept_since(connection))).scalar() if count else None


def pages(database: Database, selection: Selection) -> Iterator[Sequence[Sequence[Any]]]:
    """The rows, each as `selection.columns` has them. A transaction per page. Raises StoreError."""
    last: tuple[int, int] | None = None
    more = True
    while more:
        page = _page(database, selection, last)
        if page:
            last = page[-1][0], page[-1][1]
            yield [(write_time(row[0]), *row[1:]) for row in page]
        more = len(page) == PAGE_ROWS


def writer(form: str, selection: Selection) -> tuple[str, Callable[[Sequence[Sequence[Any]]], str]]:
    """What stands above all rows, and what turns rows into text. `form` is one of `FORMATS`."""
    types = (Text(), *(column.type for column in selection.table.columns))
    if form == "csv":
        conversions = [_csv_value(type_) for type_ in types]
        return _csv([selection.columns]), lambda rows: _csv([_convert(row, conversions) for row in rows])
    finite = [_finite if isinstance(type_, Float) else _same for type_ in types]
    return "", lambda rows: "".join(_json_line(selection.columns, _convert(row, finite)) for row in rows)


def _page(database: Database, selection: Selection, last: tuple[int, int] | None) -> Sequence[Any]:
    """Time, number and all columns of the rows behind the last one."""
    with database.read() as connection:
        be_patient(connection)
        time, number = selection.time, selection.table.c.id
        query = _limited(select(time, *selection.table.columns), selection, kept_since(connection))
        if last is not None:
            query = query.where(tuple_(time, number) > tuple_(*last))
        return connection.execute(query.order_by(time, number).limit(PAGE_ROWS)).all()


def _limited(query: Select[Any], selection: Selection, since: int) -> Select[Any]:
    query = query.where(selection.time >= max(since, selection.since_us or 0))
    if selection.until_us is not None:
        query = query.where(selection.time <= selection.until_us)
    return query if selection.instance is None else query.where(selection.table.c.instance == selection.instance)


def _convert(row: Sequence[Any], conversions: Sequence[Convert]) -> list[Any]:
    return [convert(value) for convert, value in zip(conversions, row, strict=True)]


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    """RFC 4180."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def _csv_value(type_: Any) -> Convert:
    if isinstance(type_, Text):
        return _harmless
    if isinstance(type_, Boolean):
        return lambda value: None if value is None else str(value).lower()
    return _finite if isinstance(type_, Float) else _same


def _harmless(value: str | None) -> str | None:
    """Clients choose some texts, and people open such files in spreadsheets."""
    return f"'{value}" if value is not None and value.startswith(FORMULA) else value


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _same(value: Any) -> Any:
    return value


def _json_line(names: Sequence[str], values: Sequence[Any]) -> str:
    """In ASCII: some readers take characters beyond for the end of a line."""
    return json.dumps(dict(zip(names, values, strict=True)), separators=(",", ":")) + "\n"
