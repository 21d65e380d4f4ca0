"""Programs of other makers that tests run, and the Debian packages that have them: `tests/debian-packages`."""

from __future__ import annotations

import shutil

import pytest

PACKAGES = {
    "amtool": "prometheus-alertmanager",
    "node": "nodejs",
    "promtool": "prometheus",
    "systemd-analyze": "systemd",
}
"""Packages of programs that are not called like their package."""


def program(name: str) -> str:
    """Where a program is. Skips the test when it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(lack(name))
    return path


def lack(name: str) -> str:
    """What there is to say when a program is not installed."""
    return f"needs {name} (Debian package {PACKAGES.get(name, name)})"
