"""What names of files say, and the names of models made of them."""

from __future__ import annotations

from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.models.files.names import is_projector, part_of, propose, stem_of
from exporter.models.preset.preset import check_name


def names(*paths: str) -> list[str]:
    return propose([PurePath(each) for each in paths])


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("llama-3-8b.Q4_K_M.gguf", "llama-3-8b.Q4_K_M"),
        ("UP.GGUF", "UP"),
        ("old.bin", "old"),
        ("Qwen2.5-7B", "Qwen2.5-7B"),
        ("big-00001-of-00003.gguf", "big"),
        ("big-1-of-3.gguf", "big-1-of-3"),
    ],
)
def test_stem(name: str, stem: str) -> None:
    assert stem_of(name) == stem


def test_parts_know_each_other() -> None:
    part = part_of("a-b-00002-of-00010.GGUF")
    assert part == ("a-b", 2, 10, ".GGUF")
    assert part is not None
    assert part.sibling(10) == "a-b-00010-of-00010.GGUF"
    assert part_of("a-00002-of-00010.bin") is None


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("mmproj-F16.gguf", True),
        ("MMPROJ.gguf", True),
        ("gemma-4.mmproj-bf16.gguf", True),
        ("llava_mmproj.gguf", True),
        ("commproject.gguf", False),
    ],
)
def test_projectors(name: str, is_one: bool) -> None:
    assert is_projector(name) is is_one


def test_folders_tell_alike_files_apart() -> None:
    assert names("tiny.gguf", "a/tiny.gguf", "other.gguf") == ["tiny", "a/tiny", "other"]
    assert names("x/q4/m.gguf", "y/q4/m.gguf", "y/q8/m.gguf") == ["x/q4/m", "y/q4/m", "q8/m"]


def test_numbers_tell_apart_what_folders_cannot() -> None:
    assert names("a.gguf", "a.GGUF", "a.bin", "a-2.gguf") == ["a", "a-3", "a-4", "a-2"]


def test_what_a_model_cannot_be_called_is_replaced() -> None:
    assert names("m[1];#2.gguf", "qwen:q4.gguf", " x .gguf") == ["m_1___2", "qwen_q4", "x"]
    assert names("default.gguf", "sub/default.gguf") == ["model", "sub/default"]
    assert len(names("x" * 300 + ".gguf")[0]) == 200


parts = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=12).filter(lambda each: each != ".")


@given(st.lists(st.lists(parts | st.sampled_from("ab"), min_size=1, max_size=4), max_size=12, unique_by="/".join))
def test_names_are_valid_and_unique_whatever_the_paths(paths: list[list[str]]) -> None:
    found = propose([PurePath(*each) for each in paths])
    assert len(set(found)) == len(paths)
    for each in found:
        assert check_name(each) == each
