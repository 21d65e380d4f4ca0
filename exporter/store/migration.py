"""Brings the tables to the newest form, or says that they are not in it.

`opening` calls it, and `llama-exporter store migrate` at the operator's wish. Alembic is
loaded only when there is something to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import resources
from typing import Any

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import OperationalError

from exporter.errors import StoreError
from exporter.store.database import Database, be_patient

NEWEST = "0003"
"""The revision that this version reads and writes."""
LOCK = 0x6C6C616D61
"""Any number that is ours: many sidecars on one PostgreSQL start at the same time."""

LOCK_MILLISECONDS = 2000
"""For so long a step waits for those who use its table: whoever comes later waits behind it, even to read."""
PAUSE_SECONDS = 2.0
"""After a step that has waited in vain, before the next try of anybody: so long the tables are for all others."""
IN_USE = ("55P03", "40P01")
"""What PostgreSQL calls it when a lock was not to be had: in time, or ever, since each waited for the other."""

OnStep = Callable[[str], None]
"""Told the revision that a finished step has led to."""
OnWait = Callable[[str], None]
"""Told what is waited for."""


class TablesInUseError(StoreError):
    """Others use the tables for so long that they cannot be changed now: to try again later is all that is needed."""


def version(database: Database) -> str | None:
    """The revision of the tables; None where there are none. Raises StoreError."""
    with database.read() as connection:
        return _version(connection)


def check(found: str | None) -> None:
    """Raises StoreError when tables of that revision cannot be used, and says what to do."""
    if found == NEWEST:
        return
    if found is None:
        raise StoreError("there are no tables yet; run `llama-exporter store migrate`")
    if found > NEWEST:
        raise StoreError(
            f"the tables were made by a newer version of llama-exporter (revision {found}); update this one"
        )
    raise StoreError(f"the tables are of revision {found}; run `llama-exporter store migrate`")


def migrate(database: Database, on_step: OnStep = lambda _: None, on_wait: OnWait = lambda _: None) -> bool:
    """Make or update the tables; whether there was anything to do. Raises StoreError, and has changed nothing then."""
    database.prepare()
    if version(database) == NEWEST:
        return False
    import alembic.command  # noqa: F401, PLC0415 - not while others wait for the lock, SQLite's 2 s at most

    with database.write() as connection:
        if not database.is_sqlite:
            be_patient(connection)
            _take_turn(connection, on_wait)
        found = _version(connection)
        if found == NEWEST:
            return False
        if found is not None and found > NEWEST:
            check(found)
        _upgrade_unless_in_use(connection, on_step)
    return True


def steps(database: Database) -> int:
    """How many migrations are to be run. Raises StoreError."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as above

    found = version(database)
    scripts = ScriptDirectory.from_config(_config())
    return sum(1 for _ in scripts.iterate_revisions("head", found or "base")) if found != NEWEST else 0


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _take_turn(connection: Connection, on_wait: OnWait) -> None:
    """One after another, for as long as that takes; the steps themselves keep others waiting only for a moment."""
    if not connection.execute(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": LOCK}).scalar():
        on_wait("somebody else is updating the tables")
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}"))


def _upgrade_unless_in_use(connection: Connection, on_step: OnStep) -> None:
    try:
        with connection.begin_nested():  # so that it lets go of all tables, but keeps its turn
            _upgrade(connection, on_step)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) not in IN_USE:
            raise
        time.sleep(PAUSE_SECONDS)  # in its turn: a fleet that tries one after another would leave no pause
        raise TablesInUseError(
            "the tables cannot be updated while another program is in a long transaction with them, as an export or "
            "a backup is; pg_stat_activity shows which"
        ) from None


def _upgrade(connection: Connection, on_step: OnStep) -> None:
    from alembic import command  # noqa: PLC0415 - 10 MB and 0.1 s that most starts need not have
    from alembic.util import CommandError  # noqa: PLC0415

    def tell(step: Any, **_: Any) -> None:
        on_step(step.up_revision_id)

    config = _config()
    config.attributes["connection"] = connection
    config.attributes["on_step"] = tell
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(f"the tables cannot be updated: {error}") from None


def _config() -> Any:
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(resources.files("exporter.store") / "migrations").replace("%", "%%"))
    return config
