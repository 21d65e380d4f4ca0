from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from exporter.system.file_systems import FileSystemReader, Mount, choose_mounts, read_file_systems
from exporter.system.snapshot import FileSystem

DISK = FileSystem("/dev/sda1", "/", "ext4", 100, 60, 40)


def chosen(*mounts: tuple[str, str, str]) -> list[str]:
    return [mount.mountpoint for mount in choose_mounts(Mount(*mount) for mount in mounts)]


def test_pseudo_file_systems_are_left_out() -> None:
    assert chosen(
        ("/dev/sda1", "/", "ext4"),
        ("tmpfs", "/run", "tmpfs"),
        ("proc", "/proc", "proc"),
        ("sysfs", "/sys", "sysfs"),
        ("cgroup2", "/sys/fs/cgroup", "cgroup2"),
        ("/dev/loop3", "/snap/core/1", "squashfs"),
        ("/dev/loop4", "/mnt/image", "ext4"),
        ("overlay", "/var/lib/docker/overlay2/x/merged", "overlay"),
        ("/dev/sdb1", "/var/lib/docker/volumes/v", "xfs"),
        ("broken", "/mnt/broken", ""),
        ("nas:/models", "/models", "nfs4"),
        ("/dev/nvme0n1p1", "/data", "xfs"),
    ) == ["/", "/data", "/models"]


def test_the_overlay_that_is_a_containers_root_counts_and_bind_mounts_of_one_device_count_once() -> None:
    assert chosen(
        ("overlay", "/", "overlay"),
        ("/dev/sda1", "/etc/resolv.conf", "ext4"),
        ("/dev/sda1", "/models", "ext4"),
        ("/dev/sda1", "/etc/hosts", "ext4"),
    ) == ["/", "/models"]


def test_a_mount_point_is_only_excluded_with_its_whole_name() -> None:
    assert chosen(("/dev/sda1", "/development", "ext4"), ("/dev/sdb1", "/dev/shm/x", "ext4")) == ["/development"]


def test_sizes_of_the_real_ones_add_up() -> None:
    for file_system in read_file_systems():
        assert file_system.total_bytes >= file_system.used_bytes + file_system.free_bytes
        assert file_system.total_bytes > 0


def test_what_cannot_be_read_or_is_a_bound_file_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, denied, empty, file = tmp_path / "good", tmp_path / "denied", tmp_path / "empty", tmp_path / "file"
    for folder in (good, denied, empty):
        folder.mkdir()
    file.touch()
    table = [
        SimpleNamespace(device=f"/dev/{n}", mountpoint=str(path), fstype="ext4")
        for n, path in enumerate([good, denied, empty, file])
    ]

    def usage(path: str) -> SimpleNamespace:
        if path == str(denied):
            raise PermissionError(13, "Permission denied")
        total = 0 if path == str(empty) else 1000
        return SimpleNamespace(total=total, used=600, free=350)

    monkeypatch.setattr(psutil, "disk_partitions", lambda all: table)  # noqa: A006
    monkeypatch.setattr(psutil, "disk_usage", usage)
    assert read_file_systems() == (FileSystem("/dev/0", str(good), "ext4", 1000, 600, 350),)


def test_a_hanging_file_system_gives_what_was_known_before_and_is_not_asked_twice() -> None:
    gate, calls = threading.Event(), []

    def read() -> tuple[FileSystem, ...]:
        calls.append(1)
        if len(calls) == 2:
            gate.wait(timeout=30)
        return (DISK,) * len(calls)

    reader = FileSystemReader(read, wait_seconds=0.02)
    while reader.read() != (DISK,):  # the first answer may itself take longer than this short wait
        pass
    assert reader.read() == (DISK,)
    assert reader.read() == (DISK,)
    assert len(calls) == 2
    gate.set()
    while reader.read() == (DISK,):
        pass
    assert len(calls) <= 3
    reader.close()


def test_a_failure_is_raised_once_and_the_next_reading_is_a_new_one() -> None:
    answers: list[Exception | tuple[FileSystem, ...]] = [OSError(5, "Input/output error"), (DISK,)]

    def read() -> tuple[FileSystem, ...]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    reader = FileSystemReader(read, wait_seconds=5)
    with pytest.raises(OSError, match="Input/output error"):
        reader.read()
    assert reader.read() == (DISK,)
    reader.close()
