"""Brings the tables to the newest form, or says that they are not in it.

`opening` calls it, and `llama-exporter store migrate` at the operator's wish. Alembic is
loaded only when there is something to do.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

from sqlalchemy import Connection, inspect, text

from exporter.errors import StoreError
from exporter.store.database import Database, be_patient

NEWEST = "0003"
"""The revision that this version reads and writes."""
LOCK = 0x6C6C616D61
"""Any number that is ours: many sidecars on one PostgreSQL start at the same time."""

OnStep = Callable[[str], None]
"""Told the revision that a finished step has led to."""


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


def migrate(database: Database, on_step: OnStep = lambda _: None) -> bool:
    """Make or update the tables; whether there was anything to do. Raises StoreError, and has changed nothing then."""
    database.prepare()
    if version(database) == NEWEST:
        return False
    import alembic.command  # noqa: F401, PLC0415 - not while others wait for the lock, SQLite's 2 s at most

    with database.write() as connection:
        if not database.is_sqlite:
            be_patient(connection)
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        found = _version(connection)
        if found == NEWEST:
            return False
        if found is not None and found > NEWEST:
            check(found)
        _upgrade(connection, on_step)
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
