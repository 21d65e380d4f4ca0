"""Folders as strangers may have left them: links in circles and out, pipes, sockets, and too much of everything."""

from __future__ import annotations

import itertools
import os
import socket
import stat
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from exporter.models.files import discovery, folders
from exporter.models.files.discovery import discover
from exporter.models.files.gguf import Header, read_header
from exporter.models.files.places import Places
from exporter.models.model import Discovered, Search
from tests.models.files.test_discovery import errors, names, search
from tests.models.gguf_files import gguf_bytes, write_gguf, write_part


def paths(found: Discovered, root: Path) -> list[str]:
    return [each.path.removeprefix(f"{root}/") for each in found.files]


def test_links_out_are_not_followed(tmp_path: Path) -> None:
    root, secret = tmp_path / "models", write_gguf(tmp_path / "secret" / "a.gguf")
    write_gguf(root / "b.gguf")
    (root / "file.gguf").symlink_to(secret)
    (root / "folder").symlink_to(secret.parent)
    (root / "none.gguf").symlink_to("/nowhere/at/all.gguf")
    found = search(root)
    assert names(found) == ["b"]
    assert errors(found, root) == dict.fromkeys(
        ("file.gguf", "folder", "none.gguf"), "it is a link that leads out of the models folders"
    )


def test_parts_of_a_model_are_not_looked_for_outside(tmp_path: Path) -> None:
    root = tmp_path / "models"
    write_part(root, "big", 1, 2)
    (root / "big-00002-of-00002.gguf").symlink_to(write_part(tmp_path / "secret", "big", 2, 2))
    found = search(root)
    assert (found.files, found.total) == ([], 2)
    assert errors(found, root) == {
        "big-00001-of-00002.gguf": "a part of it lies in another folder: big-00002-of-00002.gguf",
        "big-00002-of-00002.gguf": "it is a link that leads out of the models folders",
    }


def test_links_within_are_followed_once(tmp_path: Path) -> None:
    write_gguf(tmp_path / "z" / "a.gguf")
    (tmp_path / "again").symlink_to("z")
    (tmp_path / "z" / "a2.gguf").symlink_to("a.gguf")
    (tmp_path / "a3.gguf").symlink_to("z/a.gguf")
    (tmp_path / "z" / "circle").symlink_to("..")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "self.gguf").symlink_to("self.gguf")
    (tmp_path / "broken.gguf").symlink_to("nothing")
    found = search(tmp_path)
    assert paths(found, tmp_path) == ["z/a.gguf"]
    assert errors(found, tmp_path) == {
        "self.gguf": "it is a link that leads in a circle",
        "broken.gguf": "it is a link that leads nowhere",
    }


def test_file_called_by_its_hash_goes_by_the_name_of_the_link(tmp_path: Path) -> None:
    blob = write_gguf(tmp_path / "blobs" / "5f3e")
    link = tmp_path / "snapshots" / "1" / "model.Q8_0.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../blobs/5f3e")
    (found,) = search(tmp_path).files
    assert (found.path, found.name, found.quantization) == (str(link), "model.Q8_0", "Q8_0")
    assert found.size_bytes == blob.stat().st_size


def test_parts_that_are_called_by_their_hashes(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    sizes = []
    for number in (1, 2):
        part, blob = write_part(tmp_path / "snapshots", "big", number, 2), tmp_path / "blobs" / f"{number}"
        sizes.append(part.stat().st_size)
        part.rename(blob)
        part.symlink_to(f"../blobs/{number}")
    found = search(tmp_path)
    assert (names(found), found.errors, found.total) == (["big"], [], 1)
    assert found.files[0].size_bytes == sum(sizes)


def test_pipes_and_sockets_are_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    (tmp_path / "folder.gguf").mkdir()
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(tmp_path / "s.gguf"))
        found = search(tmp_path)
    assert errors(found, tmp_path) == dict.fromkeys(("pipe.gguf", "s.gguf"), "it is not a regular file")
    assert found.total == 2


def test_file_that_vanishes_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_gguf(tmp_path / "a.gguf")
    gone = write_gguf(tmp_path / "b.gguf")

    def vanish_and_read(path: Path) -> Header:
        gone.unlink(missing_ok=True)
        return read_header(path)

    monkeypatch.setattr(discovery, "read_header", vanish_and_read)
    found = search(tmp_path)
    assert (names(found), found.total) == (["a"], 2)
    assert errors(found, tmp_path) == {"b.gguf": "it cannot be read: No such file or directory"}


def test_file_that_vanishes_while_its_folder_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_gguf(tmp_path / "a.gguf")

    def vanish(name: str) -> bool:
        (tmp_path / name).unlink(missing_ok=True)
        return False

    monkeypatch.setattr(folders, "is_projector", vanish)
    found = search(tmp_path)
    assert (found.files, found.total) == ([], 1)
    assert errors(found, tmp_path) == {"a.gguf": "it cannot be read: No such file or directory"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_folders_and_files_that_may_not_be_read(tmp_path: Path) -> None:
    write_gguf(tmp_path / "closed" / "a.gguf")
    write_gguf(tmp_path / "b.gguf").chmod(0)
    (tmp_path / "closed").chmod(0)
    try:
        assert errors(search(tmp_path), tmp_path) == dict.fromkeys(
            ("closed", "b.gguf"), "it cannot be read: Permission denied"
        )
    finally:
        (tmp_path / "closed").chmod(stat.S_IRWXU)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    for name in (b"caf\xe9.gguf", b"ok.gguf"):
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:
            file.write(gguf_bytes())
    os.mkdir(os.fsencode(tmp_path) + b"/d\xff")
    found = search(tmp_path)
    assert (names(found), found.total) == (["ok"], 2)
    assert errors(found, tmp_path) == {"caf\\udce9.gguf": "the path must have printable characters only"}


def test_limits_of_a_search_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        write_gguf(tmp_path / f"d{number % 3}" / f"{number:02}.gguf")
    with monkeypatch.context() as patch:
        patch.setattr(discovery, "FILE_LIMIT", 10)
        found = search(tmp_path)
        assert (len(found.files), found.total) == (10, 30)
        assert found.errors == [("", "30 files match; those after the first 10 were not read")]
    with monkeypatch.context() as patch:
        patch.setattr(folders, "ENTRY_LIMIT", 15)
        found = search(tmp_path)
        assert len(found.files) == found.total == 12
        assert found.errors == [("", "more than 15 files and folders; the rest was left out")]
    with monkeypatch.context() as patch:
        patch.setattr(folders, "DEPTH_LIMIT", 0)
        ((path, reason),) = search(tmp_path).errors
        assert reason == "folders more than 0 levels down were left out"
        assert path.startswith(f"{tmp_path}/d")


def test_search_ends_when_it_takes_too_long_or_nobody_waits(tmp_path: Path) -> None:
    for number in range(100):
        write_gguf(tmp_path / f"{number:02}.gguf")
    ticks = itertools.count()
    found = discover(Places([str(tmp_path)]), Search(), None, clock=lambda: next(ticks) / 2)
    assert 0 < len(found.files) < 100
    assert found.errors == [("", "the search took longer than 60 s; the rest was left out")]
    found = discover(Places([str(tmp_path)]), Search(), None, cancelled=lambda: True)
    assert (found.files, found.errors) == ([], [("", "the search was ended before it was through")])


def test_number_of_errors_is_bounded(tmp_path: Path) -> None:
    for number in range(150):
        (tmp_path / f"{number}.gguf").write_bytes(b"no")
    found = search(tmp_path)
    assert (len(found.errors), found.total) == (folders.ERROR_LIMIT, 150)
    assert found.errors[-1] == ("", "and 51 more that could not be read")


def test_ten_thousand_files(tmp_path: Path) -> None:
    content = gguf_bytes()
    for number in range(10_000):
        folder = tmp_path / f"d{number % 100}"
        folder.mkdir(exist_ok=True)
        (folder / f"m{number // 2}.gguf").write_bytes(content)
    (tmp_path / "corrupt.gguf").write_bytes(b"GGUF")
    tracemalloc.start()
    found = search(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(found.files), found.total, len(found.errors)) == (10_000, 10_001, 1)
    assert len({each.name for each in found.files}) == 10_000
    assert peak < 64 << 20
