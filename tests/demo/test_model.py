from __future__ import annotations

import sys
from pathlib import Path

import pytest

from exporter.demo.model import cached_model, extra, output_scale, vocabulary, write_model
from exporter.errors import StartupError

pytestmark = pytest.mark.engine

gguf = pytest.importorskip("gguf")


def test_equal_arguments_give_equal_bytes(tmp_path: Path, tiny_model: Path) -> None:
    write_model(tmp_path / "again.gguf")
    write_model(tmp_path / "other.gguf", seed=1)
    assert (tmp_path / "again.gguf").read_bytes() == tiny_model.read_bytes()
    assert (tmp_path / "other.gguf").read_bytes() != tiny_model.read_bytes()
    assert tiny_model.stat().st_size < 1_000_000


def test_shape_of_the_model_is_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_model(path, layers=3, embedding=32)
    reader = gguf.GGUFReader(path)
    assert reader.get_field("llama.block_count").contents() == 3
    assert reader.get_field("llama.embedding_length").contents() == 32
    assert reader.get_field("general.architecture").contents() == "llama"
    assert reader.get_field("tokenizer.ggml.tokens").contents() == vocabulary()
    assert {tensor.name for tensor in reader.tensors} >= {"token_embd.weight", "blk.2.ffn_down.weight", "output.weight"}


def test_vocabulary_has_each_piece_once_and_words_can_be_grown() -> None:
    pieces = vocabulary()
    assert len(set(pieces)) == len(pieces)
    assert pieces[:3] == ["<unk>", "<s>", "</s>"]
    assert pieces[3:259] == [f"<0x{value:02X}>" for value in range(256)]
    grown = [piece for piece in pieces if piece.startswith("▁") and len(piece) > 1]
    assert all(piece[:-1] in pieces for piece in grown)


def test_halves_of_words_are_never_generated_and_words_often() -> None:
    assert output_scale("▁latenc") == 0
    assert output_scale("▁latency") > output_scale("<0xE2>") > 0


def test_cache_is_used_again_and_holds_no_half_written_file(tmp_path: Path) -> None:
    path = cached_model(tmp_path / "new" / "folder")
    written = path.stat().st_mtime_ns
    assert cached_model(tmp_path / "new" / "folder") == path
    assert path.stat().st_mtime_ns == written
    assert list(path.parent.iterdir()) == [path]


def test_models_of_different_shape_do_not_share_a_file(tmp_path: Path) -> None:
    assert cached_model(tmp_path, layers=1, embedding=16) != cached_model(tmp_path, layers=2, embedding=16)
    assert len(list(tmp_path.iterdir())) == 2


def test_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, **_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf.GGUFWriter, "write_tensors_to_file", fail)
    with pytest.raises(StartupError, match="No space left on device"):
        cached_model(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_cache_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StartupError, match="cannot write the demo model in"):
        cached_model(tmp_path / "file" / "cache")


@pytest.mark.parametrize("module", ["gguf", "numpy", "xllamacpp", "rich"])
def test_missing_module_names_the_extra(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StartupError, match=rf"the demo needs {module}: pip install '\.\[demo\]' in a checkout"):
        extra(module)


def test_missing_numpy_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(StartupError, match="numpy"):
        write_model(tmp_path / "model.gguf")
    assert list(tmp_path.iterdir()) == []
