"""Where an export goes: standard output, or a file that is there as a whole or not at all. `commands` opens it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from exporter.errors import StartupError
from exporter.whole_file import replacing

STANDARD_OUTPUT = Path("-")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file is written beside its place, and put there at the end; a pipe or a device is written as it is. Raises
    StartupError when that cannot be, and BrokenPipeError when nobody reads standard output any more."""
    try:
        with _standard_output() if path == STANDARD_OUTPUT else _file(path) as file:
            yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        name = "standard output" if path == STANDARD_OUTPUT else path
        raise StartupError(f"{name}: cannot be written ({(error.strerror or str(error)).lower()})") from None


@contextlib.contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    if sys.stdout is None:
        raise StartupError("standard output: it is closed")
    # A buffer of our own: that of the interpreter is none with PYTHONUNBUFFERED, and writes a part of what it is given.
    with open(sys.stdout.fileno(), "wb", closefd=False) as file:
        yield file


@contextlib.contextmanager
def _file(path: Path) -> Iterator[BinaryIO]:
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as device:
            yield device
        return
    path = path.resolve()  # a symbolic link stays one
    if path.is_dir():
        raise IsADirectoryError(None, "is a directory")
    with replacing(path) as file:
        yield file
