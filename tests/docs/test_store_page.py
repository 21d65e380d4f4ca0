"""docs/store.md: its SQL runs, its commands are ours, and what it says of settings, metrics and reports is so."""

from __future__ import annotations

import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from exporter.cli import main
from exporter.record import Outcome
from exporter.settings.store import StoreSettings
from exporter.store import migration
from exporter.store.check import SECOND_US
from exporter.store.database import Database
from exporter.store.schema import METADATA
from exporter.telemetry.catalog import CATALOGUE
from tests.docs.pages import Block, blocks
from tests.store.requests import MIDNIGHT_US, finished, write

PAGE = (Path(__file__).parents[2] / "docs" / "store.md").read_text(encoding="utf-8")
QUERIES = [block for block in blocks(PAGE) if block.language == "sql" and block.text.startswith("SELECT")]
FORMS = {"datetime(": "sqlite", "to_timestamp(": "postgresql"}
"""Functions that only one of the two has."""


def fits(query: Block, database: Database) -> bool:
    kinds = [kind for function, kind in FORMS.items() if function in query.text]
    return not kinds or database.url.get_backend_name() in kinds


@pytest.fixture
def filled(database: Database) -> Database:
    requests = [
        finished(MIDNIGHT_US),
        finished(MIDNIGHT_US + 1, outcome=Outcome.UPSTREAM_ERROR, error_type="http_502"),
        finished(MIDNIGHT_US + SECOND_US, ttft_seconds=0.25, stream=True),
    ]
    write(database, requests)
    return database


def test_every_query_finds_something(filled: Database) -> None:
    wanted = [query for query in QUERIES if fits(query, filled)]
    assert len(wanted) == 3
    with filled.read() as connection:
        for query in wanted:
            assert connection.execute(text(query.text)).all(), query


def test_days_of_each_model(filled: Database) -> None:
    with filled.read() as connection:
        (row,) = connection.execute(text(QUERIES[0].text)).mappings()
        assert (row["day_begins"], row["model"], row["requests"]) == (MIDNIGHT_US // SECOND_US, "tiny", 3)


def test_a_backup_is_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    database = Database("sqlite:///history.db")
    migration.migrate(database)
    write(database, [finished()])
    (copy,) = (block.text for block in blocks(PAGE) if block.text.startswith("VACUUM INTO"))
    with closing(sqlite3.connect("history.db")) as connection:
        connection.execute(copy)
    database.close()
    (check,) = re.findall(r"`llama-exporter (store check --store \S+)`", PAGE)
    assert main(shlex.split(check)) == 0
    assert "requests  1, from" in capfd.readouterr().out


def test_its_commands_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLAMA_EXPORTER_STORE__URL", "sqlite:///history.db")
    commands = re.findall(r"^\| `llama-exporter (.*)` \|", PAGE, re.MULTILINE)
    assert len(commands) == 5
    assert [main(shlex.split(command)) for command in commands] == [0] * 5
    assert (tmp_path / "november.csv").read_text().startswith("finished_at,")


def test_the_report_that_it_shows_is_one_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (shown,) = (block.text for block in blocks(PAGE) if block.text.startswith("$ llama-exporter store check"))
    monkeypatch.chdir(tmp_path)
    database = Database("sqlite:///history.db")
    migration.migrate(database)
    write(database, [finished()])
    with database.write() as connection:
        connection.execute(text("UPDATE retention SET kept_since_us = 1"))
    database.close()
    assert main(["store", "check", "--store", "sqlite:///history.db"]) == 0
    told = capfd.readouterr().out

    def forms(report: str) -> list[str]:
        return [re.sub(r"\d[\d,.:TZ-]*|sqlite:\S+|of \S+$|[KM]iB|days?", "#", line) for line in report.splitlines()]

    assert forms(told) == forms(shown)[1:]


def test_its_figures_are_those_of_the_settings() -> None:
    settings = StoreSettings()
    assert f"`{settings.keep}` unless" in PAGE
    assert f"`store.queue_records` ({settings.queue_records:,})" in PAGE


def test_its_metrics_are_those_of_the_store() -> None:
    told = set(re.findall(r"llm_sidecar_store_\w+", PAGE))
    ours = {metric.name for metric in CATALOGUE if metric.name.startswith("llm_sidecar_store_")}
    assert {name.removesuffix("_total") for name in told} == ours


def test_every_table_and_column_is_explained() -> None:
    _, _, tables = PAGE.partition("<!-- tables -->")
    for table in METADATA.sorted_tables:
        _, _, section = tables.partition(f"### {table.name}\n")
        if not section:
            assert f"`{table.name}`" in tables
            continue
        section = section.partition("### ")[0]
        assert [column.name for column in table.columns if f"`{column.name}`" not in section] == []
    assert "None" not in tables
