"""Databases for tests of the store: SQLite files, and a real PostgreSQL of our own, on a free port and in a temporary
folder, that a test can stop and start again.

The root conftest makes the fixtures known to all tests.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pytest

from exporter.store import migration
from exporter.store.database import Database
from tests.programs import program

LIMIT_SECONDS = 60.0
PASSWORD = "geheim-9c1e"
"""Of every PostgreSQL URL here, so that one that is shown somewhere is found."""
USERS = ("postgres", "nobody")
"""As whom root runs it, which it refuses itself."""
DEBIAN = "/usr/lib/postgresql"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "autovacuum": "off",
}
ENDINGS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class PostgreSQL:
    """`with PostgreSQL(port) as server: server.create()`. Names sort there as in a dictionary, not by code points."""

    def __init__(self, port: int, settings: Mapping[str, str] = SETTINGS) -> None:
        """Skips the test where the programs, or the driver, are missing."""
        self._driver = pytest.importorskip("psycopg", reason="needs psycopg: pip install 'llama-exporter[postgresql]'")
        self.port = port
        self.initdb = Path(program("initdb", _folders())).resolve()
        self.process: subprocess.Popen[bytes] | None = None
        self._settings = settings
        self._numbers = itertools.count(1)
        self._owner = _owner()

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="llama-exporter-postgresql-"))
        try:
            self._prepare()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop("immediate")
        shutil.rmtree(self.folder)

    def start(self) -> None:
        """Start it, and wait until it answers. Only the main thread may: it ends with the thread that started it."""
        assert self.process is None
        assert threading.current_thread() is threading.main_thread()
        options = {**self._settings, "port": str(self.port), "unix_socket_directories": str(self.folder)}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        # So it ends with the tests, also when they are killed.
        command = ["setpriv", "--pdeathsig=INT", str(self.initdb.with_name("postgres")), "-D", str(self._data)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *arguments], cwd=self.folder, stdout=log, stderr=log, **self._owner
            )
        self._wait()

    def stop(self, how: str = "fast") -> None:
        """End it: `fast`, or `immediate`, as if it had died."""
        if self.process is not None:
            self.process.send_signal(ENDINGS[how])
            self.process.wait(LIMIT_SECONDS)
            self.process = None

    def restart(self) -> None:
        """All connections are gone afterwards."""
        self.stop()
        self.start()

    @cached_property
    def migrated(self) -> str:
        """A database with the newest tables, to be copied."""
        url = self.create()
        database = Database(url)
        migration.migrate(database)
        database.close()
        return url.rpartition("/")[2]

    def create(self, template: str = "template1") -> str:
        """The URL of a new database, a copy of `template`."""
        name = f"test_{next(self._numbers)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop(self, url: str) -> None:
        """Away with a database: each takes 8 MB."""
        if self.process is not None:
            self.execute(f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)')

    def url(self, database: str) -> str:
        return f"postgresql://tester:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """The rows that a statement gives, over a connection of its own."""
        with closing(self._driver.connect(self.url(database), autocommit=True)) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _prepare(self) -> None:
        if "user" in self._owner:
            os.chown(self.folder, self._owner["user"], self._owner["group"])
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        command = [str(self.initdb), "-D", str(self._data), "--no-sync", "--username=tester", f"--pwfile={secret}"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        if b"icu-locale" in subprocess.check_output([self.initdb, "--help"]):
            command += ["--locale-provider=icu", "--icu-locale=en-US"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, **self._owner)
        assert done.returncode == 0, done.stderr

    def _wait(self) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while True:
            try:
                self.execute("SELECT 1")
            except self._driver.OperationalError:
                assert self.process is not None
                assert self.process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline, "PostgreSQL does not answer"
                time.sleep(0.02)
            else:
                return


def _folders() -> list[str]:
    """Where Debian keeps it, the newest version first."""
    return sorted((str(path) for path in Path(DEBIAN).glob("*/bin")), key=lambda path: -int(Path(path).parts[-2]))


def _owner() -> dict[str, Any]:
    """How it is run by somebody who is not root."""
    if os.geteuid() != 0:
        return {}
    known = {each.pw_name: each for each in pwd.getpwall()}
    user = next(known[name] for name in USERS if name in known)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@pytest.fixture(scope="session")
def postgresql(find_port: Callable[[], int]) -> Iterator[PostgreSQL]:
    """One for the whole session. A test that stops it starts it again."""
    with PostgreSQL(find_port()) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the newest tables, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "history.db"
    database = Database(f"sqlite:///{path}")
    migration.migrate(database)
    database.close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database in which there is nothing yet, or, for a test that wants `database`, of that one: one test
    for each kind."""
    migrated = "database" in request.fixturenames
    if request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        url = server.create(server.migrated) if migrated else server.create()
        yield url
        server.drop(url)
        return
    file = tmp_path / "history.db"
    if migrated:
        shutil.copy(request.getfixturevalue("migrated_file"), file)
    yield f"sqlite:///{file}"


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    """One with the newest tables: one test for each kind."""
    database = Database(store_url)
    yield database
    database.close()
