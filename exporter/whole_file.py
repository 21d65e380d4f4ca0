"""Writing a file so that it is there as a whole or not at all: who reads meanwhile, or looks after a crash, finds the
old one or the new one. The preset file of models and exports of the store are written so."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

OWNER_ONLY = 0o600
"""The mode of a file that replaces none: what is written here says who asked what when, or what lies where."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """What is written here takes the place of the file at the end, unless something is raised. It keeps the mode of the
    file that it replaces. Raises OSError."""
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            yield file
            os.fchmod(file.fileno(), path.stat().st_mode & 0o777 if path.exists() else OWNER_ONLY)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
