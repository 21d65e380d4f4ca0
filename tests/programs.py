"""Programs of other makers that tests run, and the Debian packages that have them: `tests/debian-packages`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

import pytest

PACKAGES = {
    "amtool": "prometheus-alertmanager",
    "initdb": "postgresql",
    "node": "nodejs",
    "promtool": "prometheus",
    "systemd-analyze": "systemd",
}
"""Packages of programs that are not called like their package."""


def program(name: str, folders: Sequence[str] = ()) -> str:
    """Where a program is: in one of the folders, or on the path. Skips the test when it is not installed."""
    path = shutil.which(name, path=os.pathsep.join(folders)) or shutil.which(name)
    if path is None:
        pytest.skip(lack(name))
    return path


def lack(name: str) -> str:
    """What there is to say when a program is not installed."""
    return f"needs {name} (Debian package {PACKAGES.get(name, name)})"
