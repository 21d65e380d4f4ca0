"""What is read of headers, against the `gguf` package, which has written them."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exporter.demo.model import write_model
from exporter.models.files import gguf as ours
from exporter.models.files.gguf import read_header
from exporter.models.files.gguf_bytes import GgufError
from tests.models.gguf_files import gguf_bytes, write_gguf

gguf = pytest.importorskip("gguf")
TOKENS = [f"piece {number} €" for number in range(20_000)]


def write_by_package(path: Path, *, big_endian: bool = False) -> Path:
    """Everything that is read, and most of what is not: arrays, numbers of all types, a long text."""
    order = gguf.GGUFEndian.BIG if big_endian else gguf.GGUFEndian.LITTLE
    with closing(gguf.GGUFWriter(path, "qwen3", endianess=order)) as writer:
        writer.add_type("model")
        writer.add_name("Qwen3 Coder\n 30B")
        writer.add_description("Writes code.")
        writer.add_basename("Qwen3-Coder")
        writer.add_finetune("Instruct")
        writer.add_size_label("30B-A3B")
        writer.add_version("2.1")
        writer.add_string("general.license", "no limits " * 10_000)
        writer.add_token_list(TOKENS)
        writer.add_token_scores([0.5] * len(TOKENS))
        writer.add_array("general.tags", ["a", "", "c"])
        for number, add in enumerate(("uint8", "int8", "uint16", "int16", "int32", "uint64", "int64", "float64")):
            getattr(writer, f"add_{add}")(f"test.{number}", number)
        writer.add_bool("test.bool", True)
        writer.add_rope_scaling_factor(2.5)
        writer.add_context_length(262_144)
        writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
        writer.add_uint16("split.no", 0)
        writer.add_uint16("split.count", 3)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    return path


@pytest.mark.parametrize("big_endian", [False, True])
def test_reads_what_the_package_reads(tmp_path: Path, big_endian: bool) -> None:
    path = write_by_package(tmp_path / "model.gguf", big_endian=big_endian)
    header, oracle = read_header(path), gguf.GGUFReader(path)

    def said(key: str) -> Any:
        return oracle.get_field(key).contents()

    assert header.is_big_endian is big_endian
    assert header.format_version == said("GGUF.version")
    assert header.tensor_count == said("GGUF.tensor_count") == 0
    assert header.context_size == said("qwen3.context_length")
    assert header.quantization == gguf.LlamaFileType(said("general.file_type")).name.removeprefix("MOSTLY_")
    assert (header.part_number, header.part_count) == (said("split.no"), said("split.count"))
    assert header.name == "Qwen3 Coder 30B" == " ".join(said("general.name").split())
    for each in ("architecture", "type", "description", "basename", "finetune", "size_label", "version"):
        assert getattr(header, each) == said(f"general.{each}")


def test_reads_a_model_that_llama_cpp_loads(tmp_path: Path) -> None:
    write_model(tmp_path / "tiny.gguf")
    header = read_header(tmp_path / "tiny.gguf")
    assert (header.architecture, header.name, header.context_size) == ("llama", "tiny-llama", 8192)
    assert header.quantization == "F32"
    assert header.tensor_count == len(gguf.GGUFReader(tmp_path / "tiny.gguf").tensors)


def test_names_of_file_types_are_those_of_llama_cpp() -> None:
    reference = {int(each): each.name for each in gguf.LlamaFileType if each.name != "GUESSED"}
    assert {number: name.removeprefix("ALL_").removeprefix("MOSTLY_") for number, name in reference.items()} == (
        ours.FILE_TYPES
    )
    assert ours.GUESSED == gguf.LlamaFileType.GUESSED


def test_guessed_file_type_is_one_and_unknown_ones_are_none(tmp_path: Path) -> None:
    guessed = write_gguf(tmp_path / "a.gguf", general_file_type=1024 + 15)
    assert read_header(guessed).quantization == "Q4_K_M"
    assert read_header(write_gguf(tmp_path / "b.gguf", general_file_type=999)).quantization is None
    assert read_header(write_gguf(tmp_path / "c.gguf", general_file_type="Q4")).quantization is None


def test_version_2_is_read_as_well(tmp_path: Path) -> None:
    (tmp_path / "old.gguf").write_bytes(gguf_bytes(version=2))
    assert read_header(tmp_path / "old.gguf").format_version == 2


def test_long_text_is_cut_and_what_cannot_be_printed_left_out(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "a.gguf", general_name="x" * 100_000, general_description="a\x00b\x1b[1m\n c ")
    header = read_header(path)
    assert header.name == "x" * ours.TEXT_LIMIT
    assert header.description == "ab[1m c"


@pytest.mark.parametrize("size", [0, 2**32 - 1, 2.5, "many", True, b"\0\1"])
def test_senseless_numbers_are_unknown(tmp_path: Path, size: object) -> None:
    assert read_header(write_gguf(tmp_path / "a.gguf", llama_context_length=size)).context_size is None


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    pipe, link, folder = tmp_path / "pipe.gguf", tmp_path / "link.gguf", tmp_path / "folder.gguf"
    os.mkfifo(pipe)
    folder.mkdir()
    link.symlink_to(write_gguf(tmp_path / "real.gguf"))
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(tmp_path / "s"))
        for each in (pipe, link, folder, tmp_path / "s", Path("/dev/null")):
            with pytest.raises(GgufError, match="not a regular file"):
                read_header(each)
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "none.gguf")


def test_pipe_put_in_place_of_a_file_does_not_hold_anything_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_gguf(tmp_path / "a.gguf")
    regular = path.lstat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(Path, "lstat", lambda _: regular)
    with pytest.raises(GgufError, match="not a regular file"):
        read_header(path)
