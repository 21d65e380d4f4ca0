"""The preset file on the disk: there as a whole, for our user alone, and nothing of others is lost by accident."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.models.model import FailedError
from exporter.models.preset import preset
from exporter.models.preset.file import PresetFile

TEXT = preset.render({"größe": {"model": "/größe.gguf"}})


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "llama-exporter" / "models.ini"
    assert preset.read(path) is None
    assert preset.read(Path(__file__) / "models.ini") is None
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


def test_what_was_done_to_our_file_is_seen_and_put_right(tmp_path: Path) -> None:
    path = tmp_path / "models.ini"
    file = PresetFile(path, "one")
    assert not file.is_intact()
    assert file.take_up() == {}
    file.write(TEXT)
    for content in ("", "\n", TEXT + "garbage\n", preset.render({}), None):
        path.unlink()
        if content is not None:
            path.write_text(content)
        assert not file.is_intact()
        file.restore()
        assert path.read_text() == TEXT
        assert file.is_intact()
    before = path.stat()
    file.restore()
    file.write(TEXT)
    assert path.stat() == before


def test_a_file_that_llama_server_cannot_read_is_put_right_before_it_is_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "models.ini"
    file = PresetFile(path, "one")
    for content, left in ((None, {}), (f"{preset.HEADER}garbage\n", {}), (TEXT, preset.parse(TEXT))):
        if content is not None:
            path.write_text(content)
        file.restore()
        assert preset.parse(path.read_text()) == left == file.take_up()
        file = PresetFile(path, "one")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[mine]\nmodel = /mine.gguf\n", "is not ours"),
        (preset.render({}, "two"), r"another llama-exporter \(two\).*models.preset_file"),
    ],
)
def test_the_files_of_others_are_left_as_they_are(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "models.ini"
    file = PresetFile(path, "one")
    file.take_up()
    path.write_text(content)
    for act in (file.take_up, file.is_intact, file.restore, lambda: file.write(TEXT)):
        with pytest.raises(FailedError, match=reason):
            act()
    assert path.read_text() == content


def test_a_file_that_says_nothing_of_an_owner_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "models.ini"
    path.write_text(TEXT)
    one, two = PresetFile(path, "one"), PresetFile(path, "two")
    assert one.take_up() == two.take_up() == preset.parse(TEXT)
    one.write(preset.render({}, "one"))
    with pytest.raises(FailedError, match=r"\(one\)"):
        two.write(preset.render({}, "two"))


@given(st.text(min_size=1))
def test_whose_a_file_is_stands_in_it(owner: str) -> None:
    text = preset.render({"a": {"model": "/a.gguf"}}, owner)
    assert preset.writer(text) == owner
    assert preset.parse(text) == {"a": {"model": "/a.gguf"}}
    assert text.count("\n") == preset.render({"a": {"model": "/a.gguf"}}).count("\n")


def test_a_file_whose_first_line_was_edited_is_anybodys() -> None:
    assert preset.render({}, "one:9090").startswith('; Written by llama-exporter "one:9090", and written anew')
    for line in (preset.MARK, f'{preset.MARK} "one", once', f'{preset.MARK} "\\q",', f'{preset.MARK} "one'):
        assert preset.writer(f"{line}\n[a]\n") == ("one" if line.endswith("once") else "")
