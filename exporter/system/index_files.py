"""How large the configured vector indexes are on disk; `sampler` runs it in a thread."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator, Sequence

from exporter.errors import CollectorError
from exporter.system.snapshot import IndexSnapshot

log = logging.getLogger(__name__)

ENTRIES_LIMIT = 100_000
"""Most entries that one sample looks at, all paths together: a setting such as `/` must not keep a disk busy."""


class IndexCollector:
    """The files and folders of `sampling.index_paths`, in bytes of content.

    A folder counts with every regular file beneath it. A link is followed where it is a configured path itself, and
    nowhere else; a file that is reached twice counts once.

    A path where there is nothing counts as nothing: an index may not have been built yet. One that cannot be read fails
    the whole sample, so that the sum never lacks a part of itself silently; the collector's status says which it is.
    """

    name = "index"

    def __init__(self, paths: Sequence[str], *, entries_limit: int = ENTRIES_LIMIT) -> None:
        self._paths = tuple(paths)
        self._entries_limit = entries_limit
        self._missing: set[int] = set()
        """Paths of which that was said."""

    def collect(self) -> IndexSnapshot:
        """Walk everything once. Raises CollectorError, which names a path by its place in the setting."""
        walk = _Walk(self._entries_limit)
        for number, path in enumerate(self._paths, 1):
            try:
                walk.add(path)
            except _TooManyEntriesError:
                raise CollectorError(
                    f"sampling.index_paths: more than {self._entries_limit:,} files and folders"
                ) from None
            except FileNotFoundError:
                self._note_missing(number)
            except (OSError, ValueError) as error:
                words = getattr(error, "strerror", None) or "is no path"
                raise CollectorError(f"sampling.index_paths[{number}]: cannot be read ({words.lower()})") from None
        return IndexSnapshot(bytes=walk.total_bytes)

    def _note_missing(self, number: int) -> None:
        if number not in self._missing:
            log.warning("nothing is there yet: it counts as nothing", extra={"path": f"sampling.index_paths[{number}]"})
            self._missing.add(number)

    def close(self) -> None:
        """Nothing is held open."""


class _TooManyEntriesError(Exception):
    pass


class _Walk:
    """One sample: what has been counted so far."""

    def __init__(self, entries_limit: int) -> None:
        self.total_bytes = 0
        self._entries_left = entries_limit
        self._seen: set[tuple[int, int]] = set()

    def add(self, path: str) -> None:
        """Count a file, or all files below a folder. Raises OSError, _TooManyEntriesError."""
        status = os.stat(path)
        if not stat.S_ISDIR(status.st_mode):
            self._count(status)
            return
        folders = [path]
        while folders:
            folders += self._add_folder(folders.pop(), top=path)

    def _add_folder(self, folder: str, *, top: str) -> Iterator[str]:
        """Count the files of one folder; yields the folders in it. Below the top, what has just gone is passed over:
        indexes are rewritten while they are in use."""
        try:
            entries = os.scandir(folder)
        except FileNotFoundError:
            if folder == top:
                raise
            return
        with entries:
            for entry in entries:
                self._entries_left -= 1
                if self._entries_left < 0:
                    raise _TooManyEntriesError
                if entry.is_dir(follow_symlinks=False):
                    yield entry.path
                elif entry.is_file(follow_symlinks=False):
                    self._count_entry(entry)

    def _count_entry(self, entry: os.DirEntry[str]) -> None:
        try:
            self._count(entry.stat(follow_symlinks=False))
        except FileNotFoundError:
            return

    def _count(self, status: os.stat_result) -> None:
        identity = (status.st_dev, status.st_ino)
        if stat.S_ISREG(status.st_mode) and identity not in self._seen:
            self._seen.add(identity)
            self.total_bytes += status.st_size
