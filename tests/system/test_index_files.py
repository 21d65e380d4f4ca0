from __future__ import annotations

import os
from pathlib import Path

import pytest

from exporter.errors import CollectorError
from exporter.system.index_files import IndexCollector
from exporter.system.sampler import BlockingCollector, Sampler
from exporter.system.snapshot import IndexSnapshot


def write(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def size_of(*paths: Path) -> int:
    return IndexCollector([str(path) for path in paths]).collect().bytes


def failure(*paths: Path | str, **options: int) -> str:
    with pytest.raises(CollectorError) as raised:
        IndexCollector([str(path) for path in paths], **options).collect()
    return str(raised.value)


def test_a_file_counts_with_its_size_and_a_folder_with_all_files_beneath_it(tmp_path: Path) -> None:
    file = write(tmp_path / "docs.index", 1000)
    folder = write(tmp_path / "indexes" / "a.faiss", 200).parent
    write(folder / "deep" / "deeper" / "b.faiss", 30)
    (folder / "empty").mkdir()
    assert (size_of(file), size_of(folder), size_of(file, folder)) == (1000, 230, 1230)
    assert size_of(folder / "empty") == 0
    assert size_of() == 0


def test_the_next_sample_sees_what_has_changed(tmp_path: Path) -> None:
    collector = IndexCollector([str(tmp_path)])
    write(tmp_path / "a", 10)
    assert collector.collect() == IndexSnapshot(10)
    write(tmp_path / "a", 25)
    write(tmp_path / "b", 5)
    assert collector.collect() == IndexSnapshot(30)
    (tmp_path / "a").unlink()
    assert collector.collect() == IndexSnapshot(5)


def test_links_lead_nowhere_but_where_they_were_configured(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside" / "large", 5000).parent
    folder = write(tmp_path / "indexes" / "a", 7).parent
    (folder / "link-to-folder").symlink_to(outside)
    (folder / "link-to-file").symlink_to(outside / "large")
    (folder / "link-to-itself").symlink_to(folder)
    (folder / "dangling").symlink_to(tmp_path / "nowhere")
    assert size_of(folder) == 7
    assert size_of(folder / "link-to-folder") == 5000
    assert size_of(folder / "link-to-file") == 5000


def test_what_is_reached_twice_counts_once(tmp_path: Path) -> None:
    file = write(tmp_path / "deep" / "a", 100)
    os.link(file, tmp_path / "again")
    assert size_of(tmp_path) == 100
    assert size_of(tmp_path, tmp_path / "deep", file) == 100


def test_only_regular_files_have_a_size(tmp_path: Path) -> None:
    write(tmp_path / "a", 3)
    os.mkfifo(tmp_path / "pipe")
    assert size_of(tmp_path) == 3
    assert size_of(tmp_path / "pipe") == 0


def test_a_path_that_is_missing_counts_as_nothing_and_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    there = write(tmp_path / "there", 3)
    collector = IndexCollector([str(there), str(tmp_path / "secret-name"), ""])
    assert collector.collect() == collector.collect() == IndexSnapshot(3)
    assert [vars(entry)["path"] for entry in caplog.records] == ["sampling.index_paths[2]", "sampling.index_paths[3]"]
    assert "secret-name" not in caplog.text


def test_a_path_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    file = write(tmp_path / "file", 3)
    assert failure(file / "below-a-file") == "sampling.index_paths[1]: cannot be read (not a directory)"
    assert failure("a\0b") == "sampling.index_paths[1]: cannot be read (is no path)"
    assert failure("/" + "x" * 300) == "sampling.index_paths[1]: cannot be read (file name too long)"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_in_it_that_may_not_be_read_is_not_passed_over(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    try:
        assert failure(tmp_path) == "sampling.index_paths[1]: cannot be read (permission denied)"
    finally:
        closed.chmod(0o700)


def test_the_walk_is_bounded_over_all_paths_together(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for number in range(5):
            write(tmp_path / name / str(number), 1)
    both = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert IndexCollector(both, entries_limit=10).collect() == IndexSnapshot(10)
    told = failure(*both, entries_limit=9)
    assert told == "sampling.index_paths: more than 9 files and folders"


async def test_what_cannot_be_read_is_not_known_any_more(tmp_path: Path) -> None:
    file = write(tmp_path / "a" / "index", 12)
    collector: BlockingCollector = IndexCollector([str(file)])
    sampler = Sampler([collector])
    assert (await sampler.sample_once()).index == IndexSnapshot(12)
    file.unlink()
    assert (await sampler.sample_once()).index == IndexSnapshot(0)
    file.parent.rmdir()
    file.parent.write_bytes(b"no folder")
    gone = await sampler.sample_once()
    assert gone.index is None
    assert gone.collectors["index"].error == "sampling.index_paths[1]: cannot be read (not a directory)"
    file.parent.unlink()
    write(file, 20)
    back = await sampler.sample_once()
    assert back.index == IndexSnapshot(20)
    assert back.collectors["index"].success
    await sampler.close()
