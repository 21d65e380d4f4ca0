"""What `llama-exporter store ...` does, and what it says. `cli` calls it, and prints what it is given.

Whatever the operator can put right is a StartupError: one line, without secrets.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, NoReturn

from tqdm import tqdm

from exporter.errors import StartupError, StoreError
from exporter.settings.store import StoreSettings
from exporter.store import check as checks
from exporter.store import destination, export, migration
from exporter.store.database import Database
from exporter.store.report import LINES, Report
from exporter.store.retention import measure
from exporter.store.schema import REQUESTS, SAMPLES

PATIENCE_SECONDS = 300.0
"""For so long tables that others use are tried to be updated."""


class Export(NamedTuple):
    """What is to be exported, and how."""

    form: str
    """One of `export.FORMATS`."""
    output: Path
    """`-`: standard output."""
    since_us: int | None = None
    until_us: int | None = None
    """That moment included."""
    instance: str | None = None
    samples: bool = False
    """And not requests."""


def say(*lines: str) -> None:
    """Write lines to standard output. Raises StartupError, or BrokenPipeError when nobody reads it any more."""
    with destination.opened(destination.STANDARD_OUTPUT) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


def migrate_tables(settings: StoreSettings) -> str:
    """Make or update the tables; what was done, in a line."""
    with _database(settings) as database:
        database.prepare()
        found = migration.version(database)
        if found is not None and found >= migration.NEWEST:
            migration.check(found)
            return f"the tables are of revision {found} already"
        with _bar(migration.steps(database), "step") as bar:
            _migrate(database, bar)
        was = "made the tables" if found is None else f"updated the tables from revision {found}"
        return f"{was}: they are of revision {migration.NEWEST} now"


def check_store(settings: StoreSettings) -> Report:
    """Look whether the store is sound, and agrees with itself."""
    with _database(settings, must_exist=True) as database:
        revision = migration.version(database)
        migration.check(revision)
        report = Report(str(database), str(revision), damages=checks.damages(database))
        with database.read() as connection:
            report.size_bytes = measure(connection, database)
        _check_sums(database, report)
        return report


def export_rows(settings: StoreSettings, wanted: Export) -> None:
    """Write requests or samples, oldest first. Raises BrokenPipeError when nobody reads standard output any more."""
    if wanted.since_us is not None and wanted.until_us is not None and wanted.since_us > wanted.until_us:
        raise StartupError("--since is later than --until")
    table = SAMPLES if wanted.samples else REQUESTS
    selection = export.Selection(table, wanted.since_us, wanted.until_us, wanted.instance)
    shown = _has_terminal() and not (wanted.output == destination.STANDARD_OUTPUT and _is_terminal(sys.stdout))
    with _database(settings, must_exist=True) as database:
        migration.check(migration.version(database))
        selection, count = export.settle(database, selection, count=shown)
        head, write = export.writer(wanted.form, selection)
        with destination.opened(wanted.output) as file, _bar(count, "row", shown=shown) as bar:
            file.write(head.encode())
            for page in export.pages(database, selection):
                file.write(write(page).encode())
                bar.update(len(page))


def _migrate(database: Database, bar: tqdm[NoReturn]) -> None:
    """Again and again, while others use the tables; what is waited for is said once."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    told: set[str] = set()

    def advance(_: str) -> None:
        bar.update()

    def tell(reason: str) -> None:
        if reason not in told:
            told.add(reason)
            tqdm.write(f"waiting: {reason}", file=sys.stderr)

    while True:
        try:
            migration.migrate(database, advance, tell)
            return
        except migration.TablesInUseError as error:
            if time.monotonic() >= deadline:
                raise
            tell(str(error))
            bar.reset()


def _check_sums(database: Database, report: Report) -> None:
    """Requests that are written meanwhile are in the totals later, and never before: those at the start are no more
    than was counted, and those at the end are no less."""
    before = checks.stored_totals(database)
    extent = checks.extent(database)
    report.samples = extent.samples
    counted: checks.Totals = {}
    with _bar(extent.days, "day") as bar:
        for day in checks.days(database):
            report.days += 1
            checks.add(counted, day.totals)
            report.oldest_us = day.oldest_us if report.oldest_us is None else report.oldest_us
            report.newest_us = report.newest_us if day.newest_us is None else day.newest_us
            report.differing += day.differing
            report.differences += day.differences[: LINES - len(report.differences)]
            bar.update(extent.reached(day) - bar.n)
    report.requests = checks.by_instance(counted)
    after = checks.stored_totals(database)
    report.kept_since_us = after.kept_since_us
    report.too_small = checks.too_small(after.totals, counted)
    if not after.kept_since_us:  # nothing was ever deleted
        report.too_large = checks.too_small(counted, before.totals)


@contextmanager
def _database(settings: StoreSettings, *, must_exist: bool = False) -> Iterator[Database]:
    if settings.place is None:
        raise StartupError("there is no store: store.url is `none`; name one with --store")
    database = Database(settings.place)
    if must_exist and database.file is not None:
        _check_file(database.file)  # SQLite would make an empty one
    with closing(database):
        try:
            yield database
        except StoreError as error:
            raise StartupError(f"{database}: {error}") from None


def _check_file(file: str) -> None:
    try:
        is_file = stat.S_ISREG(os.stat(file).st_mode)
    except OSError as error:
        raise StartupError(f"{file}: {(error.strerror or str(error)).lower()}") from None
    if not is_file:
        raise StartupError(f"{file}: is not a file")


def _bar(total: int | None, unit: str, *, shown: bool = True) -> tqdm[NoReturn]:
    """How far it has come, where somebody looks on."""
    visible = shown and _has_terminal()
    return tqdm(total=total, unit=unit, disable=not visible, leave=False, file=sys.stderr)


def _has_terminal() -> bool:
    return _is_terminal(sys.stderr)


def _is_terminal(stream: object) -> bool:
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty())
