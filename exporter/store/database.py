"""Engines for a store's URL: one to write with, one to read with, set up for what each database needs, and what its
errors mean in a line without secrets.

`migration`, `writer` and `reader` use them, each from threads of its own.
"""

from __future__ import annotations

import importlib.util
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from exporter.errors import StartupError, StoreError
from exporter.settings.store import sqlite_path

READERS = 4
"""Questions that are answered at once."""
BUSY_SECONDS = 2
"""How long SQLite waits for another process that holds the file."""
CONNECT_SECONDS = 5
STATEMENT_MILLISECONDS = 30_000
WAL_LIMIT_BYTES = 64 << 20
IDLE_MILLISECONDS = 60_000
"""The server ends a transaction of ours in which nothing is said for so long: our machine has gone without a word, and
the locks would be in the way of its next run."""
POSTGRESQL_OPTIONS = (
    f"-c statement_timeout={STATEMENT_MILLISECONDS} -c lock_timeout=10000 -c timezone=UTC "
    f"-c idle_in_transaction_session_timeout={IDLE_MILLISECONDS}"
)
SERVER = "postgresql://user:password@host:5432/database"
DEAD_PEER = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}
"""A server that has gone without a word is given up after so many seconds (milliseconds, the last one)."""
FILE_GONE = "its file is gone: put it back, or restart the sidecar to begin a new one"
OTHER_FILE = (
    "its file is not the one that was opened: stop the sidecar, remove the files that end in -wal and -shm beside it, "
    "and start it again"
)
"""They belong to the old file, and SQLite would read them into the new one."""


class _Identity(NamedTuple):
    """Of a file, whatever its name."""

    device: int
    inode: int


class Database:
    """One place. Nothing is opened before it is used."""

    def __init__(self, url: str) -> None:
        """Raises StartupError where a driver is missing."""
        self.file = sqlite_path(url)
        self.url = URL.create("sqlite", database=self.file) if self.file is not None else _server(url)
        self.writing = self._engine(writes=True)
        self.reading = self._engine(writes=False)
        self._held: _Identity | None = None
        """The file that the connections have open; None before the first, and for a server."""

    def __str__(self) -> str:
        """Without secrets; a query can hold one as well."""
        return self.url.set(drivername=self.url.get_backend_name(), query={}).render_as_string(hide_password=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of ours, not a server."""
        return self.file is not None

    @property
    def connections(self) -> int:
        """Those that are open."""
        pools = [engine.pool for engine in (self.writing, self.reading)]
        return sum(pool.checkedin() + pool.checkedout() for pool in pools if isinstance(pool, QueuePool))

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes. Raises StoreError when the database is away."""
        self._check_file()
        with translated(), self.writing.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that reads, and sees one state throughout. Raises StoreError when the database is away."""
        self._check_file()
        with translated(), self.reading.begin() as connection:
            yield connection

    def prepare(self) -> None:
        """Make the file, and its folder: for its owner alone, since it says who asked what when. Raises StoreError."""
        if self.file is None:
            return
        try:
            Path(self.file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its log the same rights
        except OSError as error:
            raise StoreError(f"{error.filename}: {(error.strerror or str(error)).lower()}") from None

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.reading.dispose()
        self.writing.dispose()
        self._held = None

    def _check_file(self) -> None:
        """Whether the file still lies where it was opened. When it was removed or replaced, connections go on with the
        old one, and what they write ends with them; and a new one would make a file, or spoil the one that is there
        with the log of the old one. Raises StoreError."""
        if self.file is not None and self._held is not None and _identify(self.file) != self._held:
            raise StoreError(OTHER_FILE)

    def _hold(self, file: str) -> None:
        """The first connection says which file it is."""
        if self._held is None:
            self._held = _identify(file)

    def _engine(self, *, writes: bool) -> Engine:
        size = {"pool_size": 1, "max_overflow": 1} if writes else {"pool_size": READERS, "max_overflow": 1}
        if self.file is not None:
            engine = create_engine(self.url, connect_args={"timeout": BUSY_SECONDS}, hide_parameters=True, **size)
            _prepare_sqlite(engine, partial(self._hold, self.file), writes=writes)
            return engine
        options = POSTGRESQL_OPTIONS + ("" if writes else " -c default_transaction_read_only=on")
        options = " ".join((options, *self.url.normalized_query.get("options", ())))
        arguments: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "options": options, **DEAD_PEER}
        arguments["application_name"] = "llama-exporter"
        isolation = "READ COMMITTED" if writes else "REPEATABLE READ"
        return create_engine(
            self.url,
            connect_args=arguments,
            isolation_level=isolation,
            pool_pre_ping=True,
            hide_parameters=True,
            paramstyle="format",  # by place, as SQLite's, so that `batch` can hand rows to either driver as they are
            **size,
        )


def be_patient(connection: Connection) -> None:
    """Let statements of this transaction take their time: nobody waits for an answer but the operator."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))


def _server(url: str) -> URL:
    if importlib.util.find_spec("psycopg") is None:
        raise StartupError("store.url: PostgreSQL needs the extra: pip install 'llama-exporter[postgresql]'")
    try:
        return make_url(url).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):  # whose words quote it
        raise StartupError(
            f"store.url: it must look like {SERVER}; in a password, @ is %40, : is %3A, / is %2F"
        ) from None


def _identify(file: str) -> _Identity:
    try:
        found = os.stat(file)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StoreError(f"{FILE_GONE} ({reason})") from None
    return _Identity(found.st_dev, found.st_ino)


def _prepare_sqlite(engine: Engine, on_connect: Callable[[], None], *, writes: bool) -> None:
    """Write-ahead log: readers and the one writer do not wait for each other, and a killed process loses nothing that
    was committed. `sqlite3`'s own way of beginning transactions does not let reads see one state, so we begin them.
    """
    begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
    pragmas = ["PRAGMA synchronous=NORMAL", "PRAGMA temp_store=MEMORY", f"PRAGMA journal_size_limit={WAL_LIMIT_BYTES}"]
    if writes:
        pragmas = ["PRAGMA auto_vacuum=INCREMENTAL", "PRAGMA journal_mode=WAL", *pragmas]
    else:
        pragmas.append("PRAGMA query_only=ON")

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma).close()
        on_connect()

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the library's errors into a StoreError: waiting may help, or the operator. What is wrong with a value stays
    what it is, since `writer` must know."""
    try:
        yield
    except (DataError, IntegrityError):
        raise
    except SQLAlchemyError as error:
        raise StoreError(explain(error)) from error


def explain(error: SQLAlchemyError) -> str:
    """One line: what the database's own library says, without the statement and its values."""
    text = str(getattr(error, "orig", None) or error).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
