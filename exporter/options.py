"""Options of the command line, and the settings that they stand for. `cli` gives each command those that it needs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from exporter import config
from exporter.dates import read_date
from exporter.settings import Settings


def formatter(prog: str) -> argparse.HelpFormatter:
    """How help is laid out."""
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=32, width=100)


def add_place(parser: argparse.ArgumentParser) -> None:
    """Those that say which store it is."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    parser.add_argument(
        "--store",
        metavar="URL",
        help="where history is kept: sqlite:///PATH, postgresql://..., or none (default: a SQLite file in the user's "
        "state directory)",
    )


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Those of a sidecar."""
    add_place(parser)
    parser.add_argument(
        "--upstream",
        action="append",
        metavar="[TIER=]URL",
        help="a llama-server, such as http://127.0.0.1:8080 or Q4=http://127.0.0.1:8080; can be repeated",
    )
    parser.add_argument(
        "--tiers", metavar="NAMES", help="the tiers of several upstreams, from cheap to capable (default: Q2,Q3,Q4)"
    )
    parser.add_argument("--proxy-listen", metavar="H:P", help="where clients connect instead (default: 127.0.0.1:8001)")
    parser.add_argument(
        "--admin-listen",
        action="append",
        metavar="H:P",
        help="for Prometheus, dashboards and the page /monitoring (default: 127.0.0.1:9464); can be repeated",
    )
    parser.add_argument(
        "--completions-listen",
        metavar="H:P",
        help="for the history contract alone, where /metrics is JSON (default: off)",
    )
    parser.add_argument(
        "--manage-llama-server",
        metavar="PATH",
        help="start and watch over this llama-server, in router mode, at the address of the first upstream",
    )
    parser.add_argument("--models-dir", metavar="DIR", action="append", help="a folder with models; can be repeated")
    parser.add_argument("--log-level", metavar="L", help="debug, info, warning, error (default: info)")
    parser.add_argument("--log-format", metavar="F", help="text, json (default: text on a terminal, JSON otherwise)")


def load(arguments: argparse.Namespace) -> Settings:
    """The settings from all sources, with what was given of these options. Raises ConfigError."""
    options = vars(arguments)
    given: dict[str, Any] = {
        "upstreams": options.get("upstream"),
        "routing": {"tiers": options.get("tiers")},
        "proxy": {"listen": options.get("proxy_listen")},
        "admin": {"listen": options.get("admin_listen")},
        "store": {"url": options.get("store")},
        "completions": {"listen": options.get("completions_listen")},
        "models": {"llama_server": options.get("manage_llama_server"), "dir": options.get("models_dir")},
        "log": {"level": options.get("log_level"), "format": options.get("log_format")},
    }
    return config.load(file=arguments.config, overrides=_without_unset(given))


def _without_unset(values: dict[str, Any]) -> dict[str, Any]:
    kept = {key: _without_unset(value) if isinstance(value, dict) else value for key, value in values.items()}
    return {key: value for key, value in kept.items() if value not in (None, {})}


def date(*, whole_day: bool) -> Callable[[str], int]:
    """Reads a point in time, as UTC microseconds; with `whole_day`, a date alone is its last one."""

    def read(text: str) -> int:
        try:
            return read_date(text, whole_day=whole_day)
        except ValueError as exc:
            raise argparse.ArgumentTypeError(f"{text!r}: {exc}") from None

    return read


def positive(text: str) -> float:
    """Reads a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value
