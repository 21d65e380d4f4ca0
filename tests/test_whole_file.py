"""A file is there as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exporter.whole_file import replacing


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new"
    with replacing(path) as file:
        file.write(b"text")
        assert not path.exists()
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"text", 0o600)


def test_one_that_is_replaced_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"old")
    path.chmod(0o644)
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o644)


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"old")

    def fail() -> None:
        with replacing(path) as file:
            file.write(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["old"])
