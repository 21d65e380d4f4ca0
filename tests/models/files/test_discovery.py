"""What is found in folders of models, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exporter.demo.model import write_model
from exporter.models.files.discovery import describe, discover
from exporter.models.files.places import Places
from exporter.models.model import Discovered, File, InvalidError, OutsideError, Search
from tests.models.gguf_files import LLAMA, gguf_bytes, write_gguf, write_part


def search(root: Path, *paths: str, **wishes: object) -> Discovered:
    found = discover(Places([str(root)]), Search(paths, **wishes), None)  # type: ignore[arg-type]
    json.dumps([found.files, found.errors]).encode()
    return found


def names(found: Discovered) -> list[str]:
    return [each.name for each in found.files]


def errors(found: Discovered, root: Path) -> dict[str, str]:
    return {path.removeprefix(f"{root}/"): reason for path, reason in found.errors}


def test_facts_of_a_file(tmp_path: Path) -> None:
    path = write_gguf(
        tmp_path / "llama-3-8b-instruct.Q4_K_M.gguf",
        general_name="Llama 3 Instruct",
        general_size_label="8B",
        general_version="3.0",
        general_file_type=17,
        llama_context_length=8192,
    )
    expected = File(
        name="llama-3-8b-instruct.Q4_K_M",
        path=str(path),
        size_bytes=path.stat().st_size,
        description="Llama 3 Instruct 8B",
        format="gguf",
        family="llama",
        version="3.0",
        quantization="Q4_K_M",  # as people call it, though most tensors are Q5_K_M
        training_context_size=8192,
    )
    assert describe(path) == expected
    assert search(tmp_path) == ([expected], [str(tmp_path)], [], 1)


@pytest.mark.parametrize(
    ("values", "description"),
    [
        ({"general_description": "Speaks.", "general_name": "A"}, "Speaks."),
        ({"general_name": "Llama 3 8b", "general_size_label": "8B"}, "Llama 3 8b"),
        ({"general_name": "", "general_basename": "Base", "general_size_label": "1B"}, "Base 1B"),
        ({"general_name": " ", "general_basename": "Base", "general_finetune": "Chat"}, "Base Chat"),
        ({"general_name": ""}, "m"),
        ({"general_name": "x" * 999}, "x" * 200),
    ],
)
def test_description(tmp_path: Path, values: dict[str, str], description: str) -> None:
    assert describe(write_gguf(tmp_path / "m.gguf", **values)).description == description


def test_real_model_and_header_that_says_little(tmp_path: Path) -> None:
    write_model(tmp_path / "tiny.gguf")
    (tmp_path / "bare.gguf").write_bytes(gguf_bytes({"general.architecture": "x"}))
    bare, tiny = search(tmp_path).files
    assert (tiny.family, tiny.quantization, tiny.training_context_size) == ("llama", "F32", 8192)
    assert bare[3:] == ("bare", "gguf", "x", None, None, None)


def test_folders_of_the_search_and_how_deep_it_goes(tmp_path: Path) -> None:
    for each in ("a/one.gguf", "a/sub/two.gguf", "b/three.gguf"):
        write_gguf(tmp_path / each)
    assert names(search(tmp_path)) == ["one", "two", "three"]
    assert names(search(tmp_path, recursive=False)) == []
    assert names(search(tmp_path, "a", recursive=False)) == ["one"]
    both = search(tmp_path, "b", str(tmp_path / "a"), "a/sub")
    assert (names(both), both.scanned, both.total) == (["one", "two", "three"], ["b", f"{tmp_path}/a", "a/sub"], 3)


def test_without_folders_the_default_is_searched_else_all_roots(tmp_path: Path) -> None:
    write_gguf(tmp_path / "a" / "one.gguf")
    write_gguf(tmp_path / "b" / "one.gguf")
    places = Places([str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "none")])
    default = discover(places, Search(), str(tmp_path / "b"))
    assert ([each.path for each in default.files], default.scanned) == ([f"{tmp_path}/b/one.gguf"], [f"{tmp_path}/b"])
    every = discover(places, Search(), None)
    assert names(every) == ["one", "one-2"]
    assert every.errors == [(f"{tmp_path}/none", "it cannot be read: No such file or directory")]


def test_folders_that_are_none_or_outside_are_refused(tmp_path: Path) -> None:
    write_gguf(tmp_path / "file.gguf")
    for path in ("none", "file.gguf"):
        with pytest.raises(InvalidError) as raised:
            search(tmp_path, ".", path)
        assert raised.value.fields == {"paths.1": "is not a folder"}
    with pytest.raises(InvalidError, match="at most 100 folders") as raised:
        search(tmp_path, *["."] * 101)
    assert list(raised.value.fields) == ["paths"]
    with pytest.raises(InvalidError) as raised:
        search(tmp_path, ".", ".", "")
    assert raised.value.fields == {"paths.2": "must not be empty"}
    with pytest.raises(OutsideError, match="is not within") as outside:
        search(tmp_path, ".", "..")
    assert list(outside.value.fields) == ["paths.1"]


def test_folders_that_the_search_does_not_name_are_no_fields_of_it(tmp_path: Path) -> None:
    with pytest.raises(OutsideError, match="no models folder is configured") as raised:
        discover(Places([]), Search(), None)
    assert raised.value.fields == {}
    with pytest.raises(OutsideError) as raised:
        discover(Places([str(tmp_path)]), Search(), "/")
    assert raised.value.fields == {}


def test_patterns(tmp_path: Path) -> None:
    for each in ("a.gguf", "B.GGUF", "c.gguf.tmp", "d.txt", "draft-e.gguf"):
        write_gguf(tmp_path / each)
    assert names(search(tmp_path)) == ["B", "a", "draft-e"]
    assert names(search(tmp_path, exclude=("draft-*", "*.tmp"))) == ["B", "a"]
    assert names(search(tmp_path, include=("[ab].gguf", "d.*"))) == ["B", "a", "d.txt"]
    assert names(search(tmp_path, include=())) == []
    with pytest.raises(InvalidError, match="at most 100 patterns"):
        search(tmp_path, include=("*",) * 101)


def test_endings_of_the_contract_and_files_that_are_no_gguf(tmp_path: Path) -> None:
    write_gguf(tmp_path / "a.gguf")
    write_gguf(tmp_path / "renamed.bin")
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK\3\4" + bytes(100))
    (tmp_path / "cut.gguf").write_bytes(gguf_bytes()[:60])
    found = search(tmp_path, include=("*.gguf", "*.bin"), exclude=("*.tmp", "*.bak"))
    assert names(found) == ["a", "renamed"]
    assert errors(found, tmp_path) == {
        "pytorch_model.bin": "it is not a GGUF file",
        "cut.gguf": "the list of 3 keys goes beyond the end of the file: it is cut short, or lies about a length",
    }
    assert found.total == 4


def test_what_is_no_model_is_left_out_and_said(tmp_path: Path) -> None:
    write_gguf(tmp_path / "mmproj-F16.gguf", general_architecture="clip")
    write_gguf(tmp_path / "eyes.gguf", general_architecture="clip")
    write_gguf(tmp_path / "lora.gguf", general_type="adapter")
    (tmp_path / "vocab.gguf").write_bytes(gguf_bytes(tensors=0))
    (tmp_path / "other.gguf").write_bytes(gguf_bytes(order=">"))
    (tmp_path / "nameless.gguf").write_bytes(gguf_bytes({}))
    found = search(tmp_path)
    assert (found.files, found.total) == ([], 5)
    assert errors(found, tmp_path) == {
        "eyes.gguf": "it is not a model, but of the type mmproj",
        "lora.gguf": "it is not a model, but of the type adapter",
        "vocab.gguf": "it has a vocabulary only, and no tensors",
        "other.gguf": "its numbers are in the byte order of other machines",
        "nameless.gguf": "it does not say its architecture",
    }


def test_split_model_is_one(tmp_path: Path) -> None:
    paths = [write_part(tmp_path, "big.Q8_0", number, 3) for number in (1, 2, 3)]
    paths[2].write_bytes(paths[2].read_bytes() + bytes(1000))
    found = search(tmp_path)
    (only,) = found.files
    assert (only.name, only.path, only.quantization) == ("big.Q8_0", str(paths[0]), "Q8_0")
    assert only.size_bytes == sum(each.stat().st_size for each in paths)
    assert (found.total, found.errors) == (1, [])
    with pytest.raises(InvalidError, match="it is part 2 of 3; part 1 stands for all of them"):
        describe(paths[1])


def test_parts_that_are_missing_or_contradict_themselves(tmp_path: Path) -> None:
    write_part(tmp_path, "gap", 1, 3)
    write_part(tmp_path, "gap", 3, 3)
    write_part(tmp_path, "tail", 2, 3)
    write_part(tmp_path, "tail", 3, 3)
    write_part(tmp_path, "odd", 1, 2)
    (tmp_path / "odd-00002-of-00002.gguf").mkdir()
    write_part(tmp_path, "swap", 2, 2).rename(tmp_path / "swap-00001-of-00002.gguf")
    write_part(tmp_path, "x", 1, 2).rename(tmp_path / "renamed.gguf")
    write_gguf(tmp_path / "whole-00001-of-00002.gguf")
    found = search(tmp_path)
    assert (found.files, found.total) == ([], 6)
    assert errors(found, tmp_path) == {
        "swap-00001-of-00002.gguf": "it is part 2 of 2, and must be named like this: -00002-of-00002.gguf",
        "odd-00001-of-00002.gguf": "a part of it is not a regular file: odd-00002-of-00002.gguf",
        "gap-00001-of-00003.gguf": "a part of it is missing: gap-00002-of-00003.gguf",
        "tail-00002-of-00003.gguf": "it is part 2 of 3, and part 1 was not found with it",
        "renamed.gguf": "it is part 1 of 2, and must be named like this: -00001-of-00002.gguf",
        "whole-00001-of-00002.gguf": "its name says that it is part 1 of 2; its header says that it is whole",
    }


def test_alike_files_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for each in ("tiny.gguf", "sub/tiny.gguf", "sub/other.gguf"):
        write_gguf(tmp_path / each)
    assert names(search(tmp_path)) == ["other", "sub/tiny", "tiny"]
    assert names(search(tmp_path, "sub")) == ["other", "tiny"]


def test_paths_that_llama_server_cannot_be_told(tmp_path: Path) -> None:
    for each in ("a#b.gguf", "c;d.gguf", "e\nf.gguf", "fine [1] é.gguf"):
        write_gguf(tmp_path / each)
    found = search(tmp_path)
    assert names(found) == ["fine _1_ é"]
    assert errors(found, tmp_path) == {
        "a#b.gguf": "the path must have no ; or #, where llama-server's file has comments",
        "c;d.gguf": "the path must have no ; or #, where llama-server's file has comments",
        "e\nf.gguf": "the path must have printable characters only",
    }


def test_file_of_a_registration_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidError) as raised:
        describe(tmp_path / "none.gguf")
    assert raised.value.fields == {"path": "it cannot be read: No such file or directory"}
    with pytest.raises(InvalidError, match="it is not a regular file"):
        describe(tmp_path)
    (tmp_path / "lie.gguf").write_bytes(gguf_bytes({**LLAMA, "x": "y"}).replace(b"\1\0\0\0\0\0\0\0y", b"\xff" * 9))
    with pytest.raises(InvalidError, match=r"lie\.gguf: `x` goes beyond the end of the file"):
        describe(tmp_path / "lie.gguf")
