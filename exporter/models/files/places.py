"""The folders that model files may lie in. Every path that a client names passes here before anything is done with it;
`discovery` and `models` ask."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from exporter.models.model import InvalidError, OutsideError

LONGEST = 4096
"""Bytes of a path, as for Linux."""


class Places:
    """The configured folders, made absolute and free of links once."""

    def __init__(self, roots: Sequence[str]) -> None:
        self.roots = tuple(dict.fromkeys(Path(os.path.realpath(os.path.expanduser(root))) for root in roots))

    def resolve(self, path: str) -> Path:
        """Where a path leads, which may be nowhere; a relative one begins in the first folder.

        A file that is a link keeps its own name in the folder where it lies, though it is where the link leads to that
        counts: Hugging Face's cache gives names to files that are called by their hashes. Raises InvalidError (field
        `path`), and OutsideError, which says the same whether or not there is something. May block: links are read.
        """
        absolute = os.path.join(self._first, _checked(path))
        try:
            real = Path(os.path.realpath(absolute))
            folder, name = os.path.split(absolute)
            kept = Path(os.path.realpath(folder), name) if name not in {"", ".", ".."} else real
        except (OSError, RecursionError):  # of links that lead to links that lead to links
            raise OutsideError(f"{path} cannot be followed") from None
        if not self.hold(real):
            raise OutsideError(f"{path} is not within the models folders (models.dir)")
        return kept if self.hold(kept) else real

    def hold(self, real: Path) -> bool:
        """Whether a path without links lies within one of the folders, or is one."""
        return any(real.is_relative_to(root) for root in self.roots)

    def within(self, real: Path) -> Path:
        """The path as seen from the innermost folder that holds it. Raises OutsideError."""
        if not self.hold(real):
            raise OutsideError(f"{real} is not within the models folders (models.dir)")
        return min(
            (real.relative_to(root) for root in self.roots if real.is_relative_to(root)), key=lambda p: len(p.parts)
        )

    @property
    def _first(self) -> Path:
        if not self.roots:
            raise OutsideError("no models folder is configured; set models.dir")
        return self.roots[0]


def _checked(path: str) -> str:
    reason = _fault(path)
    if reason is not None:
        raise InvalidError(f"the path {reason}", {"path": reason})
    return path


def _fault(path: str) -> str | None:
    if not path.strip():
        return "must not be empty"
    if "\0" in path:
        return "must not have a NUL"
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        return "must be text"
    return None if length <= LONGEST else f"must have at most {LONGEST} bytes"
