"""From one form of the tables to the next, and back, with what has been written in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from alembic import command
from sqlalchemy import MetaData, select, text

from exporter.store import migration
from exporter.store.database import Database
from exporter.store.sample import Sample
from exporter.store.schema import METADATA, REQUESTS
from tests.store.requests import MIDNIGHT_US, check_sums, count, finished, write

DOCUMENTS = ("models", "settings")


@pytest.fixture
def first(store_url: str) -> Iterator[Database]:
    """A store as version 0.1.0 has made and filled it."""
    with closing(Database(store_url)) as database:
        database.prepare()
        go_to(database, "0001")
        write(database, [finished(MIDNIGHT_US + number) for number in range(3)], [Sample(MIDNIGHT_US, load_1m=1.5)])
        yield database


def go_to(database: Database, revision: str) -> None:
    with database.write() as connection:
        config = migration._config()
        config.attributes["connection"] = connection
        found = migration._version(connection)
        (command.upgrade if found is None or found < revision else command.downgrade)(config, revision)


def contents(database: Database) -> dict[str, Any]:
    """Every row, except of what a migration makes anew."""
    with database.read() as connection:
        return {
            table.name: connection.execute(select(table).order_by(*table.primary_key)).all()
            for table in METADATA.sorted_tables
            if table.name not in DOCUMENTS
        }


def layout(database: Database) -> dict[str, Any]:
    """Tables with their columns and keys, as the database has them."""
    found = MetaData()
    with database.read() as connection:
        found.reflect(connection)
    return {
        table.name: (
            [(column.name, str(column.type), column.nullable) for column in table.columns],
            [column.name for column in table.primary_key],
        )
        for table in found.sorted_tables
    }


def test_requests_are_not_touched(first: Database) -> None:
    before = contents(first)
    assert len(before["requests"]) == 3
    assert migration.steps(first) == 1
    assert migration.migrate(first) is True
    assert contents(first) == before
    check_sums(first)
    assert write(first, [finished()]).refused == []
    assert count(first) == 4


def test_documents_belong_to_a_sidecar_then(first: Database) -> None:
    old = layout(first)
    assert [old[name][1] for name in DOCUMENTS] == [["id"], ["name"]]
    migration.migrate(first)
    new = layout(first)
    assert [new[name][1] for name in DOCUMENTS] == [["instance", "name"]] * 2
    assert {name: each for name, each in new.items() if name not in DOCUMENTS} == {
        name: each for name, each in old.items() if name not in DOCUMENTS
    }


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


def test_a_row_that_somebody_has_put_there_is_in_nobodys_way(first: Database) -> None:
    with first.write() as connection:
        connection.execute(text("INSERT INTO models VALUES ('a', '{}', 1, 1)"))
        connection.execute(text("INSERT INTO settings VALUES ('a', '{}', 1)"))
    assert migration.migrate(first) is True
    assert [count(first, name) for name in DOCUMENTS] == [0, 0]
    with first.read() as connection:
        assert connection.execute(select(REQUESTS.c.id)).all() != []
