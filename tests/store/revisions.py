"""Stores as older versions have made and filled them."""

from __future__ import annotations

from alembic import command
from sqlalchemy import Connection, MetaData, Table, insert

from exporter.store import batch, migration
from exporter.store.database import Database
from exporter.store.rows import request_row, sample_row
from exporter.store.sample import Sample
from exporter.store.schema import METADATA
from tests.store.requests import MIDNIGHT_US, WRITING, finished


def fill(database: Database) -> None:
    """Three requests and a sample, in those columns that there are."""
    requests = [request_row(finished(MIDNIGHT_US + number), *WRITING) for number in range(3)]
    rows = {"requests": requests, "samples": [sample_row(Sample(MIDNIGHT_US, load_1m=1.5), WRITING.instance)]}
    with database.write() as connection:
        tables = reflected(connection)
        for name, values in rows.items():
            columns = tables[name].columns.keys()
            connection.execute(
                insert(tables[name]), [{key: row[key] for key in columns if key in row} for row in values]
            )
        for add in batch._prepare(connection).sums:
            add.run(connection, run=WRITING.run, after=0)


def reflected(connection: Connection) -> dict[str, Table]:
    """The tables as the database has them."""
    found = MetaData()
    found.reflect(connection)
    return {table.name: table for table in found.sorted_tables if table.name in METADATA.tables}


def go_to(database: Database, revision: str) -> None:
    with database.write() as connection:
        config = migration._config()
        config.attributes["connection"] = connection
        found = migration._version(connection)
        (command.upgrade if found is None or found < revision else command.downgrade)(config, revision)
