"""`llama-exporter store ...`: what it does, what it says, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import stat
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from sqlalchemy import text, update

from exporter.cli import main
from exporter.config import environment_without_settings
from exporter.store import migration
from exporter.store.database import Database
from exporter.store.schema import ROLLUPS
from tests.databases import PASSWORD, PostgreSQL
from tests.end_to_end.sidecar import run_cli
from tests.store.requests import DAY_US, MIDNIGHT_US, WRITING, finished, write

Capture = pytest.CaptureFixture[str]
COMMANDS = ("migrate", "check", "export")


@pytest.fixture
def filled(store_url: str, database: Database) -> str:
    """The URL of a store of two sidecars, with a request on each of three days."""
    for name in ("a:1", "b:1"):
        requests = [finished(MIDNIGHT_US + day * DAY_US) for day in range(3)]
        write(database, requests, writing=WRITING._replace(instance=name))
    return store_url


def run(capfd: Capture, *arguments: str) -> tuple[int, str, str]:
    """Exit code, and what was said on both channels."""
    code = main(["store", *arguments])
    said = capfd.readouterr()
    return code, said.out, said.err


def refused(capfd: Capture, *arguments: str) -> str:
    """The one line of a command that must end with code 2."""
    code, out, err = run(capfd, *arguments)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    return line.removeprefix("llama-exporter: ")


def start(*arguments: str, stderr: int, **environment: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "exporter", "store", *arguments]
    env = {**environment_without_settings(), **environment}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=stderr)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=["store", *COMMANDS])
def test_help_reads_well(command: list[str]) -> None:
    answer = run_cli("store", *command, "--help")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith(" ".join(["usage: llama-exporter store", *command, "[-h]"]))
    assert max(map(len, answer.stdout.splitlines())) <= 100


def test_help_loads_no_database() -> None:
    program = "import sys, exporter.cli as c\ntry: c.main(['store', 'export', '--help'])\nexcept SystemExit: pass\n"
    program += "sys.exit(bool({'sqlalchemy', 'alembic', 'tqdm'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL, timeout=60)


def test_migrate_makes_the_tables_once(store_url: str, capfd: Capture) -> None:
    assert refused(capfd, "check", "--store", store_url)
    made = f"made the tables: they are of revision {migration.NEWEST} now\n"
    assert run(capfd, "migrate", "--store", store_url) == (0, made, "")
    already = f"the tables are of revision {migration.NEWEST} already\n"
    assert run(capfd, "migrate", "--store", store_url) == (0, already, "")
    code, out, err = run(capfd, "check", "--store", store_url)
    assert (code, err) == (0, "")
    assert "requests  0\n" in out


def test_migrate_makes_the_folder_as_well(tmp_path: Path, capfd: Capture) -> None:
    file = tmp_path / "state" / "history.db"
    assert run(capfd, "migrate", "--store", f"sqlite:///{file}")[0] == 0
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_the_store_is_that_of_the_settings(filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "exporter.toml"
    file.write_text(f"[store]\nurl = {json.dumps(filled)}\n")
    assert main(["store", "check", "--config", str(file)]) == 0
    monkeypatch.setenv("LLAMA_EXPORTER_STORE__URL", filled)
    assert main(["store", "check"]) == 0


def test_check_says_what_there_is(filled: str, capfd: Capture) -> None:
    code, out, err = run(capfd, "check", "--store", filled)
    assert (code, err) == (0, "")
    assert (
        "requests  6, from 2026-11-20T00:00:00.000000Z to 2026-11-22T00:00:00.000000Z\n  3 of a:1\n  3 of b:1\n" in out
    )
    assert "roll-ups  equal to their requests, on 3 days\ntotals    no less than their requests\n" in out
    assert ("file      sound\n" in out) == filled.startswith("sqlite")
    assert f"revision {migration.NEWEST}, " in out
    assert PASSWORD not in out


def test_check_ends_with_1_where_something_is_wrong(filled: str, database: Database, capfd: Capture) -> None:
    with database.write() as connection:
        connection.execute(update(ROLLUPS).where(ROLLUPS.c.instance == "b:1").values(duration_us=0))
    code, out, err = run(capfd, "check", "--store", filled)
    assert (code, err) == (1, "")
    assert "roll-ups  WRONG: 9\n  day 2026-11-20T00:00Z, instance b:1, " in out
    assert ": duration_us 0, should be 1500000\n" in out


@pytest.mark.parametrize(("change", "said"), [("- 1", "less than its requests"), ("+ 1", "none was ever deleted")])
def test_check_finds_wrong_totals(filled: str, database: Database, capfd: Capture, change: str, said: str) -> None:
    with database.write() as connection:
        connection.execute(text(f"UPDATE totals SET requests = requests {change} WHERE instance = 'a:1'"))
    code, out, _ = run(capfd, "check", "--store", filled)
    assert code == 1
    assert "totals    WRONG\n  a:1, " in out
    assert said in out


def test_totals_may_know_of_requests_that_were_deleted(filled: str, database: Database, capfd: Capture) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE totals SET requests = requests + 1"))
        connection.execute(text("UPDATE retention SET kept_since_us = 1"))
    assert run(capfd, "check", "--store", filled)[0] == 0


def test_check_finds_damage(tmp_path: Path, capfd: Capture) -> None:
    file = tmp_path / "history.db"
    database = Database(f"sqlite:///{file}")
    migration.migrate(database)
    write(database, [finished(MIDNIGHT_US + number) for number in range(200)])
    with database.write() as connection:
        connection.exec_driver_sql("PRAGMA writable_schema = ON")
        connection.exec_driver_sql(
            "UPDATE sqlite_master SET sql = replace(sql, '(finished_us, id)', '(id, finished_us)')"
        )
    database.close()
    code, out, _ = run(capfd, "check", "--store", f"sqlite:///{file}")
    assert code == 1
    assert "file      DAMAGED: " in out
    assert " requests_finished\n" in out


def test_export_to_standard_output(filled: str, capfd: Capture) -> None:
    code, out, err = run(capfd, "export", "--store", filled)
    assert (code, err) == (0, "")
    found = [json.loads(line) for line in out.splitlines()]
    assert [(each["finished_at"][:10], each["instance"]) for each in found] == [
        (day, name) for day in ("2026-11-20", "2026-11-21", "2026-11-22") for name in ("a:1", "b:1")
    ]


def test_export_of_a_period_to_a_file(filled: str, tmp_path: Path, capfd: Capture) -> None:
    file = tmp_path / "requests.csv"
    period = ("--since", "2026-11-21T01:00+01:00", "--until", "2026-11-21", "--instance", "b:1")
    code, out, err = run(capfd, "export", "--store", filled, "--format", "csv", *period, "--output", str(file))
    assert (code, out, err) == (0, "", "")
    lines = file.read_text().splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("2026-11-21T00:00:00.000000Z,")


def test_export_of_samples(filled: str, capfd: Capture) -> None:
    assert run(capfd, "export", "--store", filled, "--samples") == (0, "", "")
    code, out, _ = run(capfd, "export", "--store", filled, "--samples", "--format", "csv")
    assert (code, len(out.splitlines())) == (0, 1)
    assert out.startswith("taken_at,id,instance,taken_us,step,cpu_utilization,")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path, unbuffered: str) -> None:
    url = f"sqlite:///{tmp_path / 'history.db'}"
    database = Database(url)
    migration.migrate(database)
    write(database, [finished(MIDNIGHT_US + number) for number in range(500)])
    database.close()
    with start("export", "--store", url, stderr=subprocess.PIPE, PYTHONUNBUFFERED=unbuffered) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["id"] == 1
        process.stdout.close()
        assert (process.stderr.read(), process.wait(60)) == (b"", 141)


@pytest.mark.parametrize(("command", "unit"), [("check", "day"), ("export", "row"), ("migrate", "step")])
def test_a_terminal_sees_how_far_it_has_come(filled: str, tmp_path: Path, command: str, unit: str) -> None:
    if command == "migrate":
        filled = f"sqlite:///{tmp_path / 'new.db'}"
    reading, writing = pty.openpty()
    termios.tcsetwinsize(writing, (24, 80))
    with start(command, "--store", filled, stderr=writing) as process:
        os.close(writing)
        assert process.stdout is not None
        out = process.stdout.read()
    shown = drained(reading)
    assert process.returncode == 0
    assert "0%|" in shown
    assert f"{unit}/s]" in shown
    assert b"%" not in out
    assert b"\r" not in out


def drained(terminal: int) -> str:
    """What a terminal was sent that nobody writes to any more, which Linux calls an error."""
    shown = b""
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 65_536):
            shown += piece
    os.close(terminal)
    return shown.decode()


@pytest.mark.parametrize("command", COMMANDS)
def test_no_store(command: str, capfd: Capture) -> None:
    line = refused(capfd, command, "--store", "none")
    assert line == "there is no store: store.url is `none`; name one with --store"


@pytest.mark.parametrize("command", ["check", "export"])
def test_a_missing_file_is_not_made(command: str, tmp_path: Path, capfd: Capture) -> None:
    file = tmp_path / "state" / "history.db"
    assert refused(capfd, command, "--store", f"sqlite:///{file}") == f"{file}: no such file or directory"
    assert os.listdir(tmp_path) == []
    assert refused(capfd, command, "--store", f"sqlite:///{tmp_path}") == f"{tmp_path}: is not a file"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_of_another_kind_is_left_alone(command: str, tmp_path: Path, capfd: Capture) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("Remember the milk. " * 20)
    url = f"sqlite:///{file}"
    assert refused(capfd, command, "--store", url) == f"{url}: file is not a database"
    assert file.read_text() == "Remember the milk. " * 20
    assert os.listdir(tmp_path) == [file.name]


@pytest.mark.parametrize("command", ["check", "export"])
def test_a_database_without_our_tables(command: str, store_url: str, capfd: Capture) -> None:
    database = Database(store_url)
    with database.write() as connection:
        connection.execute(text("CREATE TABLE something (id INTEGER)"))
    database.close()
    line = refused(capfd, command, "--store", store_url)
    assert line.endswith(": there are no tables yet; run `llama-exporter store migrate`")
    assert PASSWORD not in line


@pytest.mark.parametrize("command", COMMANDS)
def test_tables_of_a_newer_version(command: str, filled: str, database: Database, capfd: Capture) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    line = refused(capfd, command, "--store", filled)
    assert line.endswith("were made by a newer version of llama-exporter (revision 9999); update this one")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_is_away(command: str, free_port: int, capfd: Capture) -> None:
    line = refused(capfd, command, "--store", f"postgresql://tester:{PASSWORD}@127.0.0.1:{free_port}/x")
    assert line.startswith(f"postgresql://tester:***@127.0.0.1:{free_port}/x: connection failed: ")
    assert line.endswith("Connection refused")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_password_is_in_no_line(command: str, postgresql: PostgreSQL, capfd: Capture) -> None:
    address = f"127.0.0.1:{postgresql.port}"
    line = refused(capfd, command, "--store", f"postgresql://tester:geheim-0@{address}/postgres")
    assert line.startswith(f"postgresql://tester:***@{address}/postgres: ")
    assert 'password authentication failed for user "tester"' in line
    line = refused(capfd, command, "--store", f"postgresql://tester@{address}/postgres?password=geheim-0")
    assert line.startswith(f"postgresql://tester@{address}/postgres: ")
    assert "geheim" not in line
    line = refused(capfd, command, "--store", f"postgresql://tester:gehe@im:0@{address}/postgres")
    assert line == "command line: store.url: postgresql: in a password, @ is %40, : is %3A, / is %2F"


def test_a_database_that_is_not_there(postgresql: PostgreSQL, capfd: Capture) -> None:
    line = refused(capfd, "migrate", "--store", postgresql.url("nowhere"))
    assert line.endswith('FATAL:  database "nowhere" does not exist')


def test_migrate_where_nothing_can_be_made(capfd: Capture) -> None:
    line = refused(capfd, "migrate", "--store", "sqlite:////proc/none/history.db")
    assert line == "sqlite:////proc/none/history.db: /proc/none: no such file or directory"


def test_output_that_cannot_be_written(filled: str, tmp_path: Path, capfd: Capture) -> None:
    file = tmp_path / "none" / "x.jsonl"
    line = refused(capfd, "export", "--store", filled, "--output", str(file))
    assert line == f"{file}: cannot be written (no such file or directory)"


def test_a_period_that_ends_before_it_begins(filled: str, capfd: Capture) -> None:
    period = ("--since", "2026-11-22", "--until", "2026-11-21")
    assert refused(capfd, "export", "--store", filled, *period) == "--since is later than --until"


@pytest.mark.parametrize("date", ["today", "2026-13-01", "1795132800"])
def test_a_date_that_is_none(date: str, capfd: Capture) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["store", "export", "--since", date])
    assert raised.value.code == 2
    assert f"argument --since: {date!r}: " in capfd.readouterr().err
