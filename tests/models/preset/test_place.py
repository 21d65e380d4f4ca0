"""Where the preset file is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exporter.errors import StartupError
from exporter.models.preset.place import NOWHERE, place_preset
from exporter.settings import Settings


def settings(**models: Any) -> Settings:
    return Settings.model_validate({"models": models, "proxy": {"listen": "127.0.0.1:8123"}})


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", home)


def test_the_preset_file_lies_where_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place_preset(settings(preset_file="~/models.ini")) == tmp_path / "models.ini"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert place_preset(settings()) == tmp_path / "state" / "llama-exporter" / "models-8123.ini"


@pytest.mark.usefixtures("homeless")
def test_without_a_home_only_those_who_need_the_file_must_name_it() -> None:
    assert place_preset(settings()) == NOWHERE
    with pytest.raises(StartupError, match=r"^models\.preset_file: there is no home directory"):
        place_preset(settings(llama_server="/usr/bin/llama-server"))


def test_a_home_that_does_not_exist_is_one_clear_line() -> None:
    with pytest.raises(StartupError, match=r"^models\.preset_file: "):
        place_preset(settings(preset_file="~nobody-of-that-name/models.ini"))
