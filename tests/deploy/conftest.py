"""Whoever runs these tests may have settings of their own in the environment."""

from __future__ import annotations

import os

import pytest

from exporter.config import environment_without_settings


@pytest.fixture(autouse=True)
def no_settings_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the files that are tested, and from nowhere else."""
    for name in os.environ.keys() - environment_without_settings().keys():
        monkeypatch.delenv(name)
