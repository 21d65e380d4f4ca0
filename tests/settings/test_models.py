"""The settings of managed models and of the rate limit: where they come from, and what is refused, how clearly."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from exporter import config
from exporter.errors import ConfigError
from exporter.options import load
from exporter.settings.models import ModelsSettings, RateLimitSettings


def given(**options: Any) -> ModelsSettings:
    return load(argparse.Namespace(config=None, **options)).models


def refused(file: Path, text: str) -> str:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(file=file)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{file}: ")


def test_nothing_is_managed_unless_somebody_says_so() -> None:
    settings = config.load()
    assert settings.models == ModelsSettings(dir=(), llama_server=None, arguments=(), max_loaded=4, preset_file=None)
    assert settings.rate_limit == RateLimitSettings(requests_per_minute=100, redis_url=None)


def test_they_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_EXPORTER_MODELS__DIR", "/srv/models, /home/me/models")
    monkeypatch.setenv("LLAMA_EXPORTER_MODELS__LLAMA_SERVER", "/usr/bin/llama-server")
    monkeypatch.setenv("LLAMA_EXPORTER_MODELS__ARGUMENTS", '["--log-prefix", "-t", "4"]')
    monkeypatch.setenv("LLAMA_EXPORTER_MODELS__MAX_LOADED", "0")
    monkeypatch.setenv("LLAMA_EXPORTER_RATE_LIMIT__REQUESTS_PER_MINUTE", "0")
    monkeypatch.setenv("LLAMA_EXPORTER_RATE_LIMIT__REDIS_URL", "rediss://:geheim@r:6379")
    settings = config.load()
    assert settings.models == ModelsSettings(
        dir=("/srv/models", "/home/me/models"),
        llama_server="/usr/bin/llama-server",
        arguments=("--log-prefix", "-t", "4"),
        max_loaded=0,
    )
    assert settings.rate_limit.requests_per_minute == 0
    assert settings.rate_limit.redis_url is not None
    assert settings.rate_limit.redis_url.get_secret_value() == "rediss://:geheim@r:6379"
    assert "geheim" not in config.to_toml(settings)


def test_they_are_read_from_the_file_and_the_file_can_be_written_again(tmp_path: Path) -> None:
    file = tmp_path / "exporter.toml"
    file.write_text(
        '[models]\ndir = ["/m"]\nllama_server = "llama-server"\narguments = ["--metrics"]\n'
        'preset_file = "/etc/m.ini"\n[rate_limit]\nrequests_per_minute = 5\n'
    )
    settings = config.load(file=file)
    assert (settings.models.dir, settings.models.preset_file) == (("/m",), "/etc/m.ini")
    file.write_text(config.to_toml(settings))
    assert config.load(file=file).model_dump() == settings.model_dump()


def test_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_EXPORTER_MODELS__DIR", "/elsewhere")
    models = given(manage_llama_server="/opt/llama-server", models_dir=["/a", "/b"])
    assert (models.llama_server, models.dir) == ("/opt/llama-server", ("/a", "/b"))
    models = given(manage_llama_server=None, models_dir=None)
    assert (models.llama_server, models.dir) == (None, ("/elsewhere",))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[models]\ndirs = ["/m"]', "unknown setting models.dirs; did you mean dir?"),
        ('[models]\ndir = ["/m", " "]', "models.dir: a folder's path must be printable, and not empty"),
        ('[models]\ndir = ["/m\\n"]', "models.dir: a folder's path must be printable, and not empty"),
        ("[models]\ndir = 7", "models.dir: must be a list, or a text with commas between its parts"),
        ('[models]\nllama_server = ""', "models.llama_server: it must be the path of a file"),
        ('[models]\npreset_file = "a\\u0000b"', "models.preset_file: it must be the path of a file"),
        ("[models]\nmax_loaded = -1", "models.max_loaded: Input should be greater than or equal to 0"),
        ("[models]\nmax_loaded = 1001", "models.max_loaded: Input should be less than or equal to 1000"),
        ('[models]\nmax_loaded = "many"', "models.max_loaded: must be a whole number"),
        (
            "[rate_limit]\nrequests_per_minute = -1",
            "rate_limit.requests_per_minute: Input should be greater than or equal to 0",
        ),
        ("[rate_limit]\nper_minute = 1", "unknown setting rate_limit.per_minute; did you mean requests_per_minute?"),
        (
            '[rate_limit]\nredis_url = "http://:geheim@r"',
            "rate_limit.redis_url: it must look like redis://127.0.0.1:6379",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, why: str) -> None:
    assert refused(tmp_path / "exporter.toml", text) == why


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_EXPORTER_MODELS__LAMA_SERVER", "x")
    with pytest.raises(ConfigError, match=r"did you mean LLAMA_EXPORTER_MODELS__LLAMA_SERVER\?$"):
        config.load()
