"""The measurement of the model manager: what is written for it, and what the table says."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from pathlib import Path

import pytest

from exporter.models.files.gguf import read_header
from tests.bench import models
from tests.bench.apart import Piece
from tests.bench.models import (
    ALONE,
    DISCOVER,
    LIST,
    MERGES,
    OURS,
    REGISTER,
    REGISTER_LARGE,
    ROUTER,
    TENSORS,
    TOKENS,
    Clients,
    Idle,
    ModelsResult,
    Pieces,
    managed_command,
    write_vocabulary,
)
from tests.bench.models_table import render_models
from tests.bench.readers import Reading

READING = Reading(500, 30.0, 1500, 90_000, 3, None, None, None, 1.5, {"connection lost": 2})


def test_the_large_header_is_one(tmp_path: Path) -> None:
    path = write_vocabulary(tmp_path)
    found = read_header(path)
    assert (found.architecture, found.tensor_count) == ("llama", TENSORS)
    assert path.stat().st_size > 8 * (TOKENS + MERGES)


def test_the_managed_llama_server_keeps_its_files_together(tmp_path: Path) -> None:
    command = managed_command("/opt/llama server", tmp_path, tmp_path / "files")
    words = shlex.split(command.format(upstream_port=1, proxy_port=2, admin_port=3))
    assert words[0] == "env"
    assert f"LLAMA_EXPORTER_MODELS__PRESET_FILE={tmp_path}/models.ini" in words
    assert words[words.index("--manage-llama-server") + 1] == "/opt/llama server"
    assert words[words.index("--upstream") + 1] == "http://127.0.0.1:1"
    assert words[words.index("--models-dir") + 1] == f"{tmp_path}/files"


def test_what_is_not_there_is_left_out_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def run(piece: str, path: Path, count: int) -> Piece:
        asked.append(piece)
        return Piece((1.0, 1.0), None)

    monkeypatch.setattr(models, "find_spec", lambda name: None)
    monkeypatch.setattr(models, "find_binary", lambda: None)
    monkeypatch.setattr(models, "run_apart", run)
    monkeypatch.setattr(models, "FILES", 1)
    complaints: list[str] = []
    found = models.measure_pieces(tmp_path, complaints, lambda what: None)
    with ExitStack() as stack:
        assert models.start_managed(stack, tmp_path, complaints) == {}
    assert [each.what for each in found] == [OURS, DISCOVER, LIST, LIST, REGISTER, REGISTER_LARGE]
    assert asked == ["header"] * 3 + ["discover"] * 3 + ["list"] * 2 + ["register"] * 6
    assert len(complaints) == 2


def test_the_table() -> None:
    pieces = [
        Pieces(OURS, 128_000, (Piece((0.040,), 100_000), Piece((0.050,), 300_000), Piece((0.045,), 200_000))),
        Pieces(DISCOVER, 10_000, (Piece((0.964,), None),)),
        Pieces(LIST, 8_000, (Piece((0.060, 0.0152), None),)),
        Pieces(REGISTER, 1_000, (Piece((0.1964, 0.013), None),)),
        Pieces(REGISTER_LARGE, 30, tuple(Piece((1 + each / 10, (3 + each) / 50), None) for each in (-1, 0, 1))),
    ]
    idle = [Idle(ALONE, 0.0038, 83_000_000), Idle(ROUTER, 0.0042, 83_500_000, 0.0039, 15_900_000)]
    text = render_models(ModelsResult(pieces, idle, Clients(READING, 0.0076, 22_100_000)))
    lines = [line.split() for line in text.splitlines()]
    assert [*OURS.split(), "(128,000", "tokens)", "45.0", "~22%", "0.2"] in lines
    assert [*DISCOVER.split(), "(10,000", "files)", "964.0", "-"] in lines
    assert ["8,000", "registered", "60.0", "15.2"] in lines
    assert ["1,000", *REGISTER.split(), "196.4", "13.0"] in lines
    assert ["30", *REGISTER_LARGE.split(), "1,000.0", "~20%", "60.0", "~67%"] in lines
    assert [*ALONE.split(), "0.38", "83.0", "-", "-"] in lines
    assert [*ROUTER.split(), "0.42", "83.5", "0.39", "15.9"] in lines
    assert "500 of 500 clients of Socket.IO in /metrics: 44.2 KB each, CPU 0.76 % more; 1,500 messages, 3 at" in text
    assert "in 30 s, errors 2" in text
