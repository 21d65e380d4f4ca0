"""Which paths lie within the models folders; links and `..` are followed first."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.models.files.places import Places
from exporter.models.model import InvalidError, OutsideError


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """`models/`, and beside it `secret/` with a file."""
    (tmp_path / "models" / "sub").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("private")
    return tmp_path / "models"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("{root}", "."),
        ("{root}/", "."),
        ("{root}/a.gguf", "a.gguf"),
        ("a.gguf", "a.gguf"),
        (".", "."),
        ("sub/../a.gguf", "a.gguf"),
        ("{root}//sub/./b.gguf", "sub/b.gguf"),
        ("../models/sub/..", "."),
        ("{root}/../models/a.gguf", "a.gguf"),
        ("~/a.gguf", "~/a.gguf"),
        ("not/there/yet", "not/there/yet"),
    ],
)
def test_paths_within(models: Path, asked: str, found: str) -> None:
    assert Places([str(models)]).resolve(asked.format(root=models)) == models / found


@pytest.mark.parametrize(
    "asked",
    [
        "/",
        "/etc/passwd",
        "..",
        "../secret/key",
        "../secret/nothing",
        "sub/../../secret/key",
        "{root}/../secret",
        "{root}-other/a.gguf",
        "out/key",
        "out",
        "key.gguf",
        "sub/up/secret/key",
        "chain/key",
        "/proc/self/root/etc",
    ],
)
def test_paths_outside_are_refused_in_the_same_words(models: Path, asked: str) -> None:
    (models / "out").symlink_to(models.parent / "secret")
    (models / "key.gguf").symlink_to("../secret/key")
    (models / "sub" / "up").symlink_to("../..")
    (models / "chain").symlink_to("out")
    asked = asked.format(root=models)
    with pytest.raises(OutsideError) as raised:
        Places([str(models)]).resolve(asked)
    assert str(raised.value) == f"{asked} is not within the models folders (models.dir)"
    assert raised.value.status == 403


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("", "must not be empty"),
        (" \t", "must not be empty"),
        ("a\0b", "must not have a NUL"),
        ("a/\udcff", "must be text"),
        ("x" * 4097, "must have at most 4096 bytes"),
    ],
)
def test_nonsense_is_invalid(models: Path, asked: str, reason: str) -> None:
    with pytest.raises(InvalidError) as raised:
        Places([str(models)]).resolve(asked)
    assert raised.value.fields == {"path": reason}


def test_without_folders_it_is_said_how_to_have_one() -> None:
    with pytest.raises(OutsideError, match=r"^no models folder is configured; set models.dir$"):
        Places([]).resolve("/etc/passwd")


def test_link_within_keeps_its_name_in_the_folder_where_it_really_lies(models: Path) -> None:
    """As in Hugging Face's cache: `snapshots/REVISION/model.gguf` is a link to `blobs/HASH`."""
    (models / "blobs").mkdir()
    (models / "blobs" / "5f3e").write_text("")
    (models / "sub" / "model.gguf").symlink_to("../blobs/5f3e")
    (models / "main").symlink_to("sub")
    assert Places([str(models)]).resolve("main/model.gguf") == models / "sub" / "model.gguf"


def test_link_from_outside_leads_to_where_it_leads(models: Path) -> None:
    link = models.parent / "link.gguf"
    link.symlink_to(models / "a.gguf")
    assert Places([str(models)]).resolve(str(link)) == models / "a.gguf"


def test_folders_that_are_links_or_relative_are_made_real_once(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = models.parent / "link"
    link.symlink_to(models)
    monkeypatch.chdir(models.parent)
    places = Places([str(link), "models", "models/sub"])
    link.unlink()
    monkeypatch.chdir("/")
    assert places.roots == (models, models / "sub")
    assert places.resolve("a.gguf") == models / "a.gguf"


def test_home_is_understood_in_the_configuration(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(models.parent))
    assert Places(["~/models"]).roots == (models,)


@pytest.mark.parametrize("length", [1, 2, 1500])
def test_links_in_circles_and_endless_chains_harm_nobody(models: Path, length: int) -> None:
    for number in range(length):
        os.symlink(f"l{(number + 1) % length}", models / f"l{number}")
    places = Places([str(models)])
    with suppress(OutsideError):
        assert places.hold(places.resolve("l0/x"))


def test_path_as_seen_from_the_innermost_folder(models: Path) -> None:
    places = Places([str(models), str(models / "sub")])
    assert places.within(models / "a.gguf") == Path("a.gguf")
    assert places.within(models / "sub" / "b.gguf") == Path("b.gguf")
    with pytest.raises(OutsideError):
        places.within(models.parent)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["..", ".", "", "sub", "out", "up", "x", "models", "secret", "~", "\udc80", "é"])))
def test_whatever_is_asked_what_is_answered_lies_within(models: Path, parts: list[str]) -> None:
    for name, target in (("out", "../secret"), ("sub/up", "../.."), ("sub/out", "/")):
        if not os.path.lexists(models / name):
            (models / name).symlink_to(target)
    for asked in ("/".join(parts), f"{models}/" + "/".join(parts)):
        try:
            found = Places([str(models)]).resolve(asked)
        except (OutsideError, InvalidError):
            continue
        assert Path(os.path.realpath(found)).is_relative_to(models)
        assert found.is_relative_to(models)
