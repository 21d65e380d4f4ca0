from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.apart import TICK_SECONDS, Piece, longest_hold, measure, run
from tests.bench.models import OURS, Pieces, run_apart, write_files
from tests.bench.processes import StartError, peak_bytes
from tests.models.gguf_files import write_gguf


def test_the_longest_hold_is_of_the_pauses_behind_the_beginning() -> None:
    ticks = [0.0, 0.5, 0.5 + TICK_SECONDS, 0.53 + 2 * TICK_SECONDS, 0.53 + 3 * TICK_SECONDS]
    assert longest_hold(ticks, began=0.5 + TICK_SECONDS / 2) == pytest.approx(0.03)
    assert longest_hold(ticks[-2:], began=0.0) == pytest.approx(0)
    assert longest_hold([], began=0.0) == 0


@pytest.mark.skipif(peak_bytes() is None, reason="the system does not keep the peak of resident memory")
def test_memory_is_measured_at_its_peak() -> None:
    def fill() -> bytes:
        return bytes(bytearray(b"x" * 60_000_000))[:1]

    large, small = measure(fill).added_bytes, measure(lambda: b"").added_bytes
    assert large is not None
    assert small is not None
    assert large > 50_000_000 > small, "what was before is forgotten"


def test_a_header_is_read_by_both(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    path = write_gguf(tmp_path / "a.gguf")
    ours, theirs = run("header", path, 0), run_apart("reader", path, 0)
    assert [len(each.seconds) for each in (ours, theirs)] == [1, 1]


def test_files_are_found_listed_and_registered(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    files = write_files(folder, 4)
    assert len(run("discover", files, 4).seconds) == 1
    assert len(run_apart("list", files, 3).seconds) == 2
    assert len(run_apart("register", files, 3).seconds) == 2


def test_a_piece_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        run("discover", write_files(tmp_path, 1), 2)
    with pytest.raises(StartError, match=r"^nothing: .*there is no piece 'nothing'"):
        run_apart("nothing", tmp_path, 0)


def test_rounds_are_put_together() -> None:
    found = Pieces(OURS, 1, (Piece((1.0, 4.0), 10), Piece((2.0, 5.0), None), Piece((3.0, 6.0), 30)))
    assert (found.seconds(), found.seconds(1), found.added_bytes) == ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), 20)
    assert Pieces(OURS, 1, (Piece((1.0,), None),)).added_bytes is None
