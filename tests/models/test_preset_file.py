"""The preset file on the disk: there as a whole, for our user alone, and nothing of others is lost by accident."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exporter.models import preset
from exporter.models.model import FailedError

TEXT = preset.render({"größe": {"model": "/größe.gguf"}})


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "llama-exporter" / "models.ini"
    assert preset.read(path) is None
    preset.write(path, TEXT)
    assert preset.read(path) == TEXT
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert path.read_bytes() == TEXT.encode()


def test_a_file_that_was_there_keeps_its_rights_and_a_link_stays(tmp_path: Path) -> None:
    file, link = tmp_path / "shared.ini", tmp_path / "models.ini"
    file.touch()
    file.chmod(0o640)
    link.symlink_to(file)
    preset.write(link, TEXT)
    assert link.is_symlink()
    assert (file.read_text(), mode(file)) == (TEXT, 0o640)
    assert sorted(os.listdir(tmp_path)) == ["models.ini", "shared.ini"]


def test_an_empty_file_is_no_missing_one(tmp_path: Path) -> None:
    path = tmp_path / "models.ini"
    path.touch()
    assert preset.read(path) == ""


def test_what_cannot_be_written_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "models.ini"
    path.mkdir()
    with pytest.raises(FailedError, match=r"models.ini cannot be written \(is a directory\)"):
        preset.write(path, TEXT)
    assert os.listdir(tmp_path) == ["models.ini"]
    (tmp_path / "file").touch()
    with pytest.raises(FailedError, match="cannot be written"):
        preset.write(tmp_path / "file" / "models.ini", TEXT)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(FailedError, match="cannot be written"):
        preset.write(loop, TEXT)
    with pytest.raises(FailedError, match="cannot be written"):
        preset.write(tmp_path / "a\x00b", TEXT)


def test_what_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FailedError, match=r"cannot be read \(is a directory\)"):
        preset.read(tmp_path)
    path = tmp_path / "models.ini"
    path.write_bytes(b"\xff")
    with pytest.raises(FailedError, match=r"models.ini cannot be read \(it is no text\)"):
        preset.read(path)
    monkeypatch.setattr(preset, "LARGEST_BYTES", 3)
    path.write_text("long")
    with pytest.raises(FailedError, match=r"\(too large\)"):
        preset.read(path)
