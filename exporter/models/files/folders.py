"""Walking through folders for model files: which match, and what stands in the way. `discovery` walks, in a thread.

Nothing is opened but folders. Links are followed once, and only to what lies within the models folders.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from exporter.models.files.names import is_projector
from exporter.models.files.places import Places
from exporter.models.model import InvalidError, Search

ENTRY_LIMIT = 200_000
DEPTH_LIMIT = 32
"""Folders below the one of the search."""
SECONDS_LIMIT = 60.0
ERROR_LIMIT = 100
"""Of everything that went wrong; the last one says how many more there were."""
PATTERN_LIMIT = 100
LONGEST_PATTERN = 200


class Trouble:
    """What went wrong, as it is told: not more of it than `ERROR_LIMIT`, and limits of the search first."""

    def __init__(self) -> None:
        self._limits: dict[str, str] = {}
        self._errors: list[tuple[str, str]] = []
        self._more = 0

    def limit(self, where: str, reason: str) -> None:
        """The search has left something out."""
        self._limits.setdefault(reason, where)

    def add(self, path: str | os.PathLike[str], reason: str) -> None:
        """Of one file or folder."""
        if len(self._errors) < ERROR_LIMIT:
            self._errors.append((shown(path), reason))
        else:
            self._more += 1

    def told(self) -> list[tuple[str, str]]:
        """Path and reason of each."""
        limits = [(where, reason) for reason, where in self._limits.items()]
        room = ERROR_LIMIT - len(limits)
        if self._more + len(self._errors) <= room:
            return limits + self._errors
        more = self._more + len(self._errors) - (room - 1)
        return [*limits, *self._errors[: room - 1], ("", f"and {more} more that could not be read")]


class Patience:
    """How long a search may go on."""

    def __init__(self, clock: Callable[[], float], cancelled: Callable[[], bool], trouble: Trouble) -> None:
        self._clock, self._cancelled, self._trouble = clock, cancelled, trouble
        self._end = clock() + SECONDS_LIMIT

    def is_over(self) -> bool:
        """Whether to stop here; why is among the troubles then."""
        if self._cancelled():
            self._trouble.limit("", "the search was ended before it was through")
        elif self._clock() >= self._end:
            self._trouble.limit("", f"the search took longer than {SECONDS_LIMIT:.0f} s; the rest was left out")
        else:
            return False
        return True


class Walk:
    """A search through folders. What links lead to comes last, so that what is found twice is found where it lies."""

    def __init__(self, places: Places, search: Search, patience: Patience, trouble: Trouble) -> None:
        self.found: list[Path] = []
        """Regular files that match, or links to them; each file once."""
        self.refused = 0
        """What matches, and is no regular file, or cannot be reached."""
        self._places, self._search, self._patience, self._trouble = places, search, patience, trouble
        self._include, self._exclude = _patterns(search.include), _patterns(search.exclude)
        self._folders: deque[tuple[Path, int]] = deque()
        self._links: deque[tuple[Path, int]] = deque()
        self._seen: set[tuple[int, int]] = set()
        self._entries = 0

    def go(self, folders: Iterable[Path]) -> None:
        """Through these, which have no links in their paths, and what is below them."""
        self._folders.extend((folder, 0) for folder in folders)
        while self._folders or self._links:
            if self._is_over():
                return
            if self._folders:
                self._scan(*self._folders.popleft())
            else:
                self._follow(*self._links.popleft())

    def _is_over(self) -> bool:
        if self._entries >= ENTRY_LIMIT:
            self._trouble.limit("", f"more than {ENTRY_LIMIT} files and folders; the rest was left out")
            return True
        return self._patience.is_over()

    def _scan(self, folder: Path, depth: int) -> None:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if self._is_new(os.fstat(descriptor)):
                    self._look_through(folder, descriptor, depth)
            finally:
                os.close(descriptor)
        except OSError as error:
            self._trouble.add(folder, reason_of(error))

    def _look_through(self, folder: Path, descriptor: int, depth: int) -> None:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                self._entries += 1
                try:
                    self._take(folder / entry.name, entry, depth)
                except OSError as error:  # gone since, for example
                    self._refuse(folder / entry.name, reason_of(error))
                if self._is_over():
                    return

    def _take(self, path: Path, entry: os.DirEntry[str], depth: int) -> None:
        if entry.is_symlink():
            self._links.append((path, depth))
        elif entry.is_dir(follow_symlinks=False):
            self._descend(path, depth)
        elif self._matches(entry.name):
            self._keep(path, entry.stat(follow_symlinks=False))

    def _descend(self, folder: Path, depth: int) -> None:
        if not self._search.recursive:
            return
        if depth < DEPTH_LIMIT:
            self._folders.append((folder, depth + 1))
        else:
            self._trouble.limit(shown(folder), f"folders more than {DEPTH_LIMIT} levels down were left out")

    def _keep(self, path: Path, status: os.stat_result) -> None:
        if stat.S_ISLNK(status.st_mode):
            self._refuse(path, "it is a link that leads in a circle")
        elif not stat.S_ISREG(status.st_mode):
            self._refuse(path, "it is not a regular file")
        elif self._is_new(status):
            self.found.append(path)

    def _follow(self, link: Path, depth: int) -> None:
        """Of what lies outside nothing is asked, not even whether it exists."""
        try:
            real = Path(os.path.realpath(link))
            status = real.lstat() if self._places.hold(real) else None
        except (OSError, RecursionError):
            self._refuse(link, "it is a link that leads nowhere")
            return
        if status is None:
            self._refuse(link, "it is a link that leads out of the models folders", is_told=self._search.recursive)
        elif stat.S_ISDIR(status.st_mode):
            self._descend(real, depth)
        elif self._matches(link.name):
            self._keep(link, status)

    def _refuse(self, path: Path, reason: str, *, is_told: bool = False) -> None:
        """What does not match matters only where it may be a folder."""
        matches = self._matches(path.name)
        self.refused += matches
        if matches or is_told:
            self._trouble.add(path, reason)

    def _is_new(self, status: os.stat_result) -> bool:
        key = status.st_dev, status.st_ino
        is_new = key not in self._seen
        self._seen.add(key)
        return is_new

    def _matches(self, name: str) -> bool:
        if not any(each.match(name) for each in self._include) or is_projector(name):
            return False
        return not any(each.match(name) for each in self._exclude)


def shown(path: str | os.PathLike[str]) -> str:
    """The path as text: names need not be UTF-8."""
    return os.fspath(path).encode("utf-8", "backslashreplace").decode()


def reason_of(error: OSError) -> str:
    """In one line."""
    return f"it cannot be read: {error.strerror or type(error).__name__}"


def _patterns(patterns: tuple[str, ...]) -> list[re.Pattern[str]]:
    """Case is ignored, as `MODEL.GGUF` is a model, too."""
    if len(patterns) > PATTERN_LIMIT or any(len(each) > LONGEST_PATTERN for each in patterns):
        raise InvalidError(f"at most {PATTERN_LIMIT} patterns of at most {LONGEST_PATTERN} characters can be asked for")
    return [re.compile(fnmatch.translate(each), re.IGNORECASE) for each in patterns]
