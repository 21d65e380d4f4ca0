"""From one form of the tables to the next, and back, with what has been written in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from exporter.store import migration
from exporter.store.database import Database
from exporter.store.rows import request_row
from exporter.store.schema import REQUESTS
from tests.store.requests import WRITING, Traced, check_sums, count, finished, write
from tests.store.revisions import fill, go_to, reflected

DOCUMENTS = ("models", "settings")
TRACE_ID = ("trace_id", "TEXT", True)
"""Of revision 0003."""


@pytest.fixture
def first(store_url: str) -> Iterator[Database]:
    """A store as version 0.1.0 has made and filled it."""
    with closing(Database(store_url)) as database:
        database.prepare()
        go_to(database, "0001")
        fill(database)
        yield database


@pytest.fixture
def second(first: Database) -> Database:
    """The same as the next version has left it, with documents."""
    go_to(first, "0002")
    with first.write() as connection:
        connection.execute(text("INSERT INTO models VALUES ('box:8001', 'a', '{\"n\": 1}', 1, 2)"))
        connection.execute(text("INSERT INTO settings VALUES ('box:8001', 'b', '[]', 3, 4)"))
    return first


def contents(database: Database, *, but: tuple[str, ...] = ()) -> dict[str, list[dict[str, Any]]]:
    """Every row, except of some tables."""
    with database.read() as connection:
        return {
            name: [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]
            for name, table in reflected(connection).items()
            if name not in but
        }


def with_traces(rows: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The same as revision 0003 has them: nobody knows the traces of old requests."""
    return {**rows, "requests": [{**row, "trace_id": None} for row in rows["requests"]]}


def layout(database: Database) -> dict[str, Any]:
    """Tables with their columns and keys, as the database has them."""
    with database.read() as connection:
        return {
            name: (
                [(column.name, str(column.type), column.nullable) for column in table.columns],
                [column.name for column in table.primary_key],
            )
            for name, table in reflected(connection).items()
        }


def test_requests_are_not_touched(first: Database) -> None:
    before = contents(first, but=DOCUMENTS)
    assert len(before["requests"]) == 3
    assert migration.steps(first) == 2
    assert migration.migrate(first) is True
    assert contents(first, but=DOCUMENTS) == with_traces(before)
    check_sums(first)
    assert write(first, [finished()]).refused == []
    assert count(first) == 4


def test_documents_belong_to_a_sidecar_then(first: Database) -> None:
    old = layout(first)
    assert [old[name][1] for name in DOCUMENTS] == [["id"], ["name"]]
    go_to(first, "0002")
    new = layout(first)
    assert [new[name][1] for name in DOCUMENTS] == [["instance", "name"]] * 2
    assert {name: each for name, each in new.items() if name not in DOCUMENTS} == {
        name: each for name, each in old.items() if name not in DOCUMENTS
    }


def test_requests_have_traces_then(second: Database) -> None:
    """Nothing else changes, not even the numbers that rows will have."""
    before, old = contents(second), layout(second)
    assert [len(before[name]) for name in ("requests", *DOCUMENTS)] == [3, 1, 1]
    assert migration.steps(second) == 1
    assert migration.migrate(second) is True
    assert contents(second) == with_traces(before)
    columns, key = old["requests"]
    assert layout(second) == {**old, "requests": ([*columns, TRACE_ID], key)}
    assert write(second, [finished(trace=Traced("0af7651916cd43dd8448eb211c80319c"))]).refused == []
    with second.read() as connection:
        traces = connection.execute(select(REQUESTS.c.id, REQUESTS.c.trace_id).order_by(REQUESTS.c.id)).all()
    assert [tuple(row) for row in traces] == [
        *((row["id"], None) for row in before["requests"]),
        (before["requests"][-1]["id"] + 1, "0af7651916cd43dd8448eb211c80319c"),
    ]
    check_sums(second)


def test_a_sidecar_of_before_still_writes(second: Database) -> None:
    """One of a fleet that is not updated yet: it does not know the column."""
    migration.migrate(second)
    with second.write() as connection:
        table = reflected(connection)["requests"]
        row = request_row(finished(), *WRITING)
        del row["trace_id"]
        connection.execute(insert(table).values(row))
    assert count(second) == 4


def test_there_and_back(first: Database) -> None:
    before, old = contents(first), layout(first)
    migration.migrate(first)
    with first.write() as connection:
        connection.execute(text("INSERT INTO models VALUES ('box:8001', 'a', '{}', 1, 1)"))
    go_to(first, "0001")
    assert migration.version(first) == "0001"
    assert layout(first) == old
    assert contents(first) == before
    migration.migrate(first)
    assert [count(first, name) for name in DOCUMENTS] == [0, 0]


def test_back_without_traces(second: Database) -> None:
    before, old = contents(second), layout(second)
    migration.migrate(second)
    with second.write() as connection:
        connection.execute(update(REQUESTS).values(trace_id="0af7651916cd43dd8448eb211c80319c"))
    go_to(second, "0002")
    assert layout(second) == old
    assert contents(second) == before


def test_a_row_that_somebody_has_put_there_is_in_nobodys_way(first: Database) -> None:
    with first.write() as connection:
        connection.execute(text("INSERT INTO models VALUES ('a', '{}', 1, 1)"))
        connection.execute(text("INSERT INTO settings VALUES ('a', '{}', 1)"))
    assert migration.migrate(first) is True
    assert [count(first, name) for name in DOCUMENTS] == [0, 0]
    with first.read() as connection:
        assert connection.execute(select(REQUESTS.c.id)).all() != []
