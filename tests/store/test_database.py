"""Connections as each database needs them, and what is said of them: no secrets, one line."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select

from exporter.errors import StartupError, StoreError
from exporter.settings.store import StoreSettings, check_store_url
from exporter.store import database as database_module
from exporter.store import migration
from exporter.store.database import POSTGRESQL_OPTIONS, READERS, Database
from exporter.store.figures import Period
from exporter.store.reader import read_page
from exporter.store.schema import RETENTION, SETTINGS
from tests.databases import PASSWORD, PostgreSQL
from tests.store.requests import count, finished, write

SECRET = "geheim"
PLACES = (
    f"postgresql://user:{SECRET}@host/history",
    f"postgres://user:{SECRET}@host:5433/history",
    f"postgresql://:{SECRET}@host/history",
    f"postgresql://user:{SECRET}%40x@host/history?sslmode=require",
    f"postgresql://host/history?user=me&password={SECRET}",
    f"postgresql://me@host/history?sslpassword={SECRET}",
)


@pytest.mark.parametrize("url", PLACES)
def test_no_secret_is_shown(url: str) -> None:
    assert check_store_url(url) == url
    database = Database(url)
    assert SECRET not in str(database)
    assert "history" in str(database)
    settings = StoreSettings(url=url)  # type: ignore[arg-type]
    assert SECRET not in settings.model_dump_json() + repr(settings) + str(settings)
    assert settings.place == url


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:1/{SECRET}@host/history",
        f"postgresql://user:a@{SECRET}@host/history",
        f"postgresql://us/er:{SECRET}@host/history",
    ],
)
def test_a_password_must_be_written_so_that_its_end_is_certain(url: str) -> None:
    with pytest.raises(ValueError, match="in a password, @ is %40") as caught:
        check_store_url(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", ["postgresql://host/history", "postgresql://me@host/history?sslmode=require"])
def test_what_is_no_secret_is_shown(url: str) -> None:
    assert StoreSettings(url=url).model_dump(mode="json")["url"] == url  # type: ignore[arg-type]


characters = st.text(st.sampled_from("ab1:/@?#[]%&=. \\"), max_size=12)
names = st.text(st.sampled_from("ab1:@%&=. \\"), max_size=12)
"""What begins with a slash is the name of a database, and what it holds is no password."""


@settings(max_examples=50, deadline=None)
@given(user=names, password=characters, rest=characters)
def test_whatever_is_accepted_can_be_used_and_is_not_shown(user: str, password: str, rest: str) -> None:
    url = f"postgresql://{user}:{SECRET}{password}@{rest}"
    try:
        said = check_store_url(url) and StoreSettings(url=url).model_dump_json()  # type: ignore[arg-type]
        said += str(Database(url))
    except (ValueError, StartupError) as error:
        said = str(error)
    assert SECRET not in said


@pytest.mark.parametrize("name", ["history.db", "a b.db", "100%.db", "ä?.db", "#1.db", "x&y=z.db"])
def test_any_name_of_a_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    database = Database(f"sqlite:///{quote(str(file))}")
    migration.migrate(database)
    assert unquote(str(database)).endswith(name)
    database.close()
    assert file.exists()


def test_a_driver_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(StartupError, match=r"pip install 'llama-exporter\[postgresql\]'"):
        Database("postgresql://host/history")


def test_files_are_set_up_for_one_writer_and_many_readers(tmp_path: Path) -> None:
    file = tmp_path / "history.db"
    database = Database(f"sqlite:///{file}")
    assert migration.version(database) is None  # as who only looks, before there is anything
    migration.migrate(database)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)  # incremental
    with database.write() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1  # normal
        with database.read() as reading:  # nobody waits
            assert reading.execute(select(RETENTION.c.id)).scalar() == 1
    database.close()


def test_who_reads_cannot_write(database: Database) -> None:
    with pytest.raises(StoreError, match=r"read-?only"), database.read() as connection:
        connection.execute(delete(RETENTION))
    assert count(database, "retention") == 1


def test_what_is_not_finished_is_not_done(database: Database) -> None:
    def fail() -> None:
        with database.write() as connection:
            connection.execute(delete(RETENTION))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert count(database, "retention") == 1


def test_as_many_readers_as_there_are_beside_the_writer(database: Database) -> None:
    together = threading.Barrier(READERS)
    found: list[int] = []

    def read() -> None:
        with database.read() as connection:
            together.wait(20)
            found.append(len(read_page(connection, Period(), None, 10)))

    write(database, [finished()])
    threads = [threading.Thread(target=read) for _ in range(READERS)]
    with database.write() as connection:
        connection.execute(insert(SETTINGS).values(instance="a", name="a", document={}, created_us=1, updated_us=1))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert found == [1] * READERS


def test_a_locked_file_is_named_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.01)
    database = Database(f"sqlite:///{tmp_path / 'history.db'}")
    migration.migrate(database)
    with closing(sqlite3.connect(tmp_path / "history.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"^database is locked$"):
            write(database, [finished()], after=0)
        assert count(database) == 0  # can be read
        other.execute("ROLLBACK")
    assert write(database, [finished()]).refused == []
    database.close()


def test_errors_are_one_line_without_statement_and_values(database: Database) -> None:
    with pytest.raises(StoreError) as caught, database.read() as connection:
        connection.exec_driver_sql("SELECT 'my-prompt' FROM nowhere")
    message = str(caught.value)
    assert "nowhere" in message
    assert "\n" not in message
    assert "my-prompt" not in message
    assert PASSWORD not in message


def test_a_server_that_was_restarted_is_found_again(postgresql: PostgreSQL) -> None:
    """Connections that are gone are noticed before they are used."""
    database = Database(postgresql.create())
    migration.migrate(database)
    write(database, [finished()])
    postgresql.restart()
    assert count(database) == 1
    assert write(database, [finished()]).refused == []
    database.close()


def test_transactions_of_who_is_gone_do_not_stay(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    short = POSTGRESQL_OPTIONS.replace("session_timeout=60000", "session_timeout=50")
    assert short != POSTGRESQL_OPTIONS
    monkeypatch.setattr(database_module, "POSTGRESQL_OPTIONS", short)
    database = Database(postgresql.create())

    def wait() -> None:
        with database.write() as connection:
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            deadline = time.monotonic() + 20
            while postgresql.execute(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}"):
                assert time.monotonic() < deadline

    with pytest.raises(StoreError, match=r"terminat|closed"):
        wait()
    database.close()


def test_long_questions_are_ended(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    short = POSTGRESQL_OPTIONS.replace("statement_timeout=30000", "statement_timeout=50")
    monkeypatch.setattr(database_module, "POSTGRESQL_OPTIONS", short)
    database = Database(postgresql.create())
    with pytest.raises(StoreError, match="statement timeout"), database.read() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(60)")
    database.close()


def test_who_is_connected_can_be_seen_at_the_server(postgresql: PostgreSQL) -> None:
    database = Database(postgresql.create())
    with database.read() as connection:
        assert isinstance(connection.connection.driver_connection, psycopg.Connection)
        question = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        assert connection.exec_driver_sql(question).scalar() == "llama-exporter"
        assert connection.exec_driver_sql("SHOW timezone").scalar() == "UTC"
    database.close()
