"""Builds the fake `libnvidia-ml.so.1` of `fake_nvml.c`, which says how its GPUs are told what to do."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.programs import program

SOURCE = Path(__file__).with_suffix(".c")


def compile_library(folder: Path, *defines: str) -> Path:
    """Build the library in `folder`, which is returned: it is for `LD_LIBRARY_PATH`. Skips without a compiler."""
    options = ["-shared", "-fPIC", "-Wall", "-Werror", *(f"-D{name}" for name in defines)]
    subprocess.run([program("gcc"), *options, "-o", str(folder / "libnvidia-ml.so.1"), str(SOURCE)], check=True)
    return folder
