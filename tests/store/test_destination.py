"""A file is there as a whole, or not at all; what is no file is written as it is."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from exporter.errors import StartupError
from exporter.store.destination import STANDARD_OUTPUT, opened


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "requests.jsonl"


def test_a_file_appears_at_the_end(target: Path) -> None:
    with opened(target) as file:
        file.write(b"one")
        file.flush()
        assert not target.exists()
    assert target.read_bytes() == b"one"
    assert os.listdir(target.parent) == [target.name]
    assert target.stat().st_mode & 0o777 == 0o600


def test_what_was_broken_off_leaves_the_old_file(target: Path) -> None:
    target.write_text("old")

    def break_off() -> None:
        with opened(target) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert target.read_text() == "old"
    assert os.listdir(target.parent) == [target.name]


def test_a_file_keeps_its_mode_and_a_link_its_target(target: Path) -> None:
    target.write_text("old")
    target.chmod(0o644)
    link = target.with_name("link")
    link.symlink_to(target)
    with opened(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o644


def test_a_pipe_stays_a_pipe(target: Path) -> None:
    os.mkfifo(target)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(target.read_bytes()))
    reader.start()
    with opened(target) as file:
        file.write(b"one")
    reader.join()
    assert read == [b"one"]
    assert target.is_fifo()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/proc/none/x", "no such file or directory"),
        ("/dev/full", "no space left on device"),
        ("/", "is a directory"),
    ],
)
def test_what_cannot_be_written_is_one_line(path: str, reason: str) -> None:
    with pytest.raises(StartupError) as raised, opened(Path(path)) as file:
        file.write(b"x")
    assert str(raised.value) == f"{path}: cannot be written ({reason})"


def test_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with opened(STANDARD_OUTPUT) as file:
        file.write("ä".encode())
    assert capfdbinary.readouterr().out == "ä".encode()


def test_no_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(StartupError, match="standard output: it is closed"), opened(STANDARD_OUTPUT):
        pass
