"""The tables: made, updated, left alone; by many at once; or not at all."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, inspect, text

from exporter.errors import StoreError
from exporter.store import migration
from exporter.store.database import Database
from exporter.store.opening import open_store
from exporter.store.schema import METADATA
from tests.databases import PASSWORD, PostgreSQL
from tests.store.requests import WRITING, count, finished, write

REVISIONS = ["0001", "0002", "0003"]
PROCESSES = 4
MIGRATE = """
import sys
from exporter.store import migration
from exporter.store.database import Database
database = Database(sys.argv[1])
sys.stdin.readline()
print(migration.migrate(database))
database.close()
"""
DESCRIBE = "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index') AND name != 'sqlite_sequence'"


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def tables(database: Database) -> set[str]:
    with database.read() as connection:
        return set(inspect(connection).get_table_names())


def refusal(url: str) -> str:
    with opened(url) as database, pytest.raises(StoreError) as caught:
        migration.migrate(database)
    message = str(caught.value)
    assert "\n" not in message
    assert PASSWORD not in message
    return message


def test_from_nothing_to_the_newest(store_url: str) -> None:
    with opened(store_url) as database:
        assert migration.version(database) is None
        assert migration.steps(database) == len(REVISIONS)
        steps: list[str] = []
        assert migration.migrate(database, steps.append) is True
        assert steps == REVISIONS
        assert migration.version(database) == migration.NEWEST
        assert migration.steps(database) == 0
        migration.check(migration.version(database))
        with database.read() as connection:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "compare_server_default": True}
            )
            assert compare_metadata(context, METADATA) == []
            assert tuple(connection.execute(METADATA.tables["retention"].select()).one()) == (1, 0, 0)


def test_what_alembic_does_not_compare(tmp_path: Path) -> None:
    """Whether tables have a row number, and whether numbers come again; and comments, which SQLite has none of."""
    with (
        opened(f"sqlite:///{tmp_path / 'migrated.db'}") as migrated,
        opened(f"sqlite:///{tmp_path / 'made.db'}") as made,
    ):
        migration.migrate(migrated)
        with made.write() as connection:
            METADATA.create_all(connection)
        found = [_describe(tmp_path / name) for name in ("migrated.db", "made.db")]
    found[0].pop("alembic_version")
    assert found[0] == found[1]
    assert found[0]["rollups"].endswith("WITHOUT ROWID")
    assert "AUTOINCREMENT" in found[0]["requests"]


def _describe(file: Path) -> dict[str, str]:
    with closing(sqlite3.connect(file)) as connection:
        return {name: _in_one_line(sql) for name, sql in connection.execute(DESCRIBE) if sql}


def _in_one_line(sql: str) -> str:
    """A column that was added stands behind the last end of a line, and not before it."""
    return re.sub(r" (?=[,)])|(?<=\() ", "", " ".join(sql.split()))


def test_comments_and_keys_of_the_server(postgresql: PostgreSQL) -> None:
    question = (
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, "
        "col_description(c.oid, a.attnum), pg_get_expr(d.adbin, d.adrelid) FROM pg_class c "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 "
        "LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum "
        "WHERE c.relkind IN ('r', 'i') AND c.relnamespace = 'public'::regnamespace "
        "AND c.relname NOT LIKE 'alembic%' ORDER BY 1, a.attnum"
    )
    migrated, made = postgresql.create(), postgresql.create()
    with opened(migrated) as database:
        migration.migrate(database)
    with opened(made) as database, database.write() as connection:
        METADATA.create_all(connection)
    found = [postgresql.execute(question, url.rpartition("/")[2]) for url in (migrated, made)]
    assert found[0] == found[1]


def test_twice_does_nothing(database: Database) -> None:
    write(database, [finished()])
    assert migration.migrate(database) is False
    assert count(database) == 1


def test_every_migration_is_numbered_and_the_newest_is_known() -> None:
    scripts = ScriptDirectory.from_config(migration._config())
    assert [script.revision for script in scripts.walk_revisions()] == REVISIONS[::-1]
    assert REVISIONS[-1] == migration.NEWEST


def test_many_processes_at_once(store_url: str) -> None:
    """As when all sidecars of a fleet are updated: one does it, the others find it done."""
    command = [sys.executable, "-c", MIGRATE, store_url]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * PROCESSES, answers
    assert sorted(out.strip() for out, _ in answers) == ["False"] * (PROCESSES - 1) + ["True"]
    with opened(store_url) as database:
        assert migration.version(database) == migration.NEWEST


def test_the_tables_of_a_newer_version_are_not_touched(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
        connection.execute(text("CREATE TABLE tomorrow (id INTEGER)"))
    expected = "the tables were made by a newer version of llama-exporter (revision 0999); update this one"
    before = tables(database)
    for auto_migrate in (True, False):
        with pytest.raises(StoreError) as caught:
            open_store(database, WRITING.instance, auto_migrate=auto_migrate)
        assert str(caught.value) == expected
    assert tables(database) == before
    assert migration.version(database) == "0999"


def test_tables_that_one_has_to_make_oneself(store_url: str) -> None:
    with opened(store_url) as database:
        with pytest.raises(StoreError, match="no tables yet; run `llama-exporter store migrate`"):
            open_store(database, WRITING.instance, auto_migrate=False)
        assert tables(database) == set()
        migration.migrate(database)
        assert open_store(database, WRITING.instance, auto_migrate=False).newest_row == 0


def test_tables_of_an_older_version_that_one_has_to_update_oneself() -> None:
    with pytest.raises(StoreError, match="of revision 0000; run `llama-exporter store migrate`"):
        migration.check("0000")


def test_a_migration_that_fails_half_way_leaves_nothing(store_url: str) -> None:
    with opened(store_url) as database:

        @event.listens_for(database.writing, "before_cursor_execute")
        def fail(connection: object, cursor: object, statement: str, *_: object) -> None:
            if "CREATE TABLE totals" in statement:
                event.remove(database.writing, "before_cursor_execute", fail)
                raise sqlite3.OperationalError("disk full")

        with pytest.raises((StoreError, sqlite3.OperationalError), match="disk full"):
            migration.migrate(database)
        assert tables(database) == set()
        assert migration.migrate(database) is True
        assert write(database, [finished()]).refused == []


def test_a_mistake_in_a_migration_leaves_nothing(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database itself says no, after most of it has been done."""
    monkeypatch.setattr(op, "execute", lambda _: op.get_bind().exec_driver_sql("INSERT INTO nowhere VALUES (1)"))
    assert "nowhere" in refusal(store_url)
    monkeypatch.undo()
    with opened(store_url) as database:
        assert tables(database) == set()
        assert migration.migrate(database) is True


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "history.db"
    file.write_bytes(b"this is a letter to my aunt" * 100)
    assert refusal(f"sqlite:///{file}") == "file is not a database"
    assert file.read_bytes() == b"this is a letter to my aunt" * 100


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    assert refusal(f"sqlite:///{tmp_path}") == f"{tmp_path}: is a directory"


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refusal(f"sqlite:///{tmp_path / 'file' / 'history.db'}") == f"{tmp_path / 'file'}: file exists"
    assert refusal(f"sqlite:///{tmp_path / 'file' / 'a' / 'b.db'}") == f"{tmp_path / 'file' / 'a'}: not a directory"


def test_folders_are_made_for_nobody_else_to_read(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'state' / 'llama-exporter' / 'history.db'}") as database:
        migration.migrate(database)
    assert (tmp_path / "state" / "llama-exporter").stat().st_mode & 0o777 == 0o700


def test_files_are_for_nobody_else_to_read(tmp_path: Path) -> None:
    """Also in a folder that others may read."""
    with opened(f"sqlite:///{tmp_path / 'history.db'}") as database:
        migration.migrate(database)
        with database.write():
            modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}
    assert {"history.db", "history.db-wal"} <= modes.keys()


@contextmanager
def read_only_folder() -> Iterator[Path]:
    """Root may write everywhere, so somebody else tries."""
    with tempfile.TemporaryDirectory(prefix="llama-exporter-") as name:
        folder = Path(name) / "folder"
        folder.mkdir()
        Path(name).chmod(0o755)
        user = os.geteuid()
        try:
            yield folder
        finally:
            if user == 0:
                os.seteuid(0)
            folder.chmod(0o700)


def forbid(folder: Path) -> None:
    folder.chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(65534)


def test_a_read_only_folder() -> None:
    with read_only_folder() as folder:
        forbid(folder)
        assert refusal(f"sqlite:///{folder / 'history.db'}") == f"{folder / 'history.db'}: permission denied"
        assert refusal(f"sqlite:///{folder / 'a' / 'history.db'}") == f"{folder / 'a'}: permission denied"


def test_a_read_only_file() -> None:
    with read_only_folder() as folder:
        url = f"sqlite:///{folder / 'history.db'}"
        with opened(url) as database:
            migration.migrate(database)
        forbid(folder)
        with opened(url) as database, pytest.raises(StoreError, match="permission denied") as caught:
            open_store(database, WRITING.instance, auto_migrate=True)
        assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there(find_port: object, free_port: int) -> None:
    message = refusal(f"postgresql://tester:{PASSWORD}@127.0.0.1:{free_port}/history")
    assert "refused" in message


def test_a_wrong_password(postgresql: PostgreSQL) -> None:
    message = refusal(postgresql.url("postgres").replace(PASSWORD, "falsch-77"))
    assert "password authentication failed" in message
    assert "falsch-77" not in message


def test_a_database_that_is_not_there(postgresql: PostgreSQL) -> None:
    assert 'database "nowhere" does not exist' in refusal(postgresql.url("nowhere"))
