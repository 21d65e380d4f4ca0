"""The mounted file systems worth watching, read where a dead network mount can hold up nobody. Called by `host`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass

import psutil

from exporter.system.snapshot import FileSystem
from exporter.worker import Worker

WAIT_SECONDS = 1.0
"""How long a sample of the host waits for the file systems before it is finished with the ones known before."""

EXCLUDED_TYPES = frozenset(
    [
        *("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devfs", "devpts", "devtmpfs"),
        *("efivarfs", "erofs", "fusectl", "fuse.gvfsd-fuse", "fuse.lxcfs", "fuse.portal", "fuse.snapfuse", "hugetlbfs"),
        *("iso9660", "mqueue", "nsfs", "proc", "procfs", "pstore", "ramfs", "rootfs", "rpc_pipefs", "securityfs"),
        *("selinuxfs", "squashfs", "sysfs", "tmpfs", "tracefs"),
    ]
)
"""node_exporter's default (--collector.filesystem.fs-types-exclude), what lives in memory, and FUSE's showpieces."""
EXCLUDED_MOUNTPOINTS = re.compile(
    r"^/(?:dev|proc|sys|run/credentials/.+|snap/.+|var/lib/docker/.+|var/lib/containers/storage/.+"
    r"|System/Volumes/(?:VM|Preboot|Update|xarts|iSCPreboot|Hardware))(?:$|/)"
)


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of the mount table."""

    device: str
    mountpoint: str
    type: str


def choose_mounts(mounts: Iterable[Mount]) -> list[Mount]:
    """Drop pseudo file systems and list every device once, under its shortest mountpoint.

    `overlay` is kept for `/` alone: in a container that is the disk its files lie on, elsewhere it is some other
    container's. Once per device hides bind mounts, such as the `/etc/hosts` of every container.
    """
    chosen: dict[str, Mount] = {}
    for mount in sorted(mounts, key=lambda mount: len(mount.mountpoint)):
        if _is_worth_watching(mount):
            chosen.setdefault(mount.device, mount)
    return sorted(chosen.values(), key=lambda mount: mount.mountpoint)


def _is_worth_watching(mount: Mount) -> bool:
    if mount.type == "overlay":
        return mount.mountpoint == "/"
    return not (
        not mount.type
        or mount.type in EXCLUDED_TYPES
        or mount.device.startswith("/dev/loop")
        or EXCLUDED_MOUNTPOINTS.match(mount.mountpoint)
    )


def read_file_systems() -> tuple[FileSystem, ...]:
    """Sizes in bytes of every file system worth watching; one that cannot be read is left out. Can block."""
    # all=True, since psutil's own idea of "physical" leaves out the overlay that is `/` in a container.
    table = (Mount(part.device, part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True))
    read = (_read(mount) for mount in choose_mounts(table))
    return tuple(file_system for file_system in read if file_system is not None)


def _read(mount: Mount) -> FileSystem | None:
    try:
        if not os.path.isdir(mount.mountpoint):
            return None  # a file bound into a container
        usage = psutil.disk_usage(mount.mountpoint)
    except OSError:
        return None
    if usage.total <= 0:
        return None
    return FileSystem(mount.device, mount.mountpoint, mount.type, usage.total, usage.used, usage.free)


class FileSystemReader:
    """Reads in a thread of its own and gives the last good answer while that thread hangs."""

    def __init__(
        self,
        read: Callable[[], tuple[FileSystem, ...]] = read_file_systems,
        *,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._read = read
        self._wait_seconds = wait_seconds
        self._worker = Worker("file-systems")
        self._pending: Future[tuple[FileSystem, ...]] | None = None
        self._last: tuple[FileSystem, ...] = ()

    def read(self) -> tuple[FileSystem, ...]:
        """The file systems now, or those of the last time when they take too long. Raises what the reading raised."""
        pending = self._pending or self._worker.submit(self._read)
        self._pending = pending
        wait([pending], timeout=self._wait_seconds)
        if pending.done():
            self._pending = None
            self._last = pending.result()
        return self._last  # still hanging: the same reading is asked for again at the next sample

    def close(self) -> None:
        """End the thread when it has nothing left to do."""
        self._worker.close()
