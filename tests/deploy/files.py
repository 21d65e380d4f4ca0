"""The files that deploy the sidecar, as data, and what the tests of this folder share."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DEPLOY = ROOT / "deploy"
PROMETHEUS = ROOT / "prometheus"
PROVISIONING = ROOT / "dashboards" / "provisioning"

LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The quick one, where PyYAML has it."""

Data = dict[str, Any]


def load(path: Path) -> Any:
    """The only document of a YAML file."""
    return yaml.load(path.read_text(encoding="utf-8"), LOADER)


def load_all(path: Path) -> list[Any]:
    """The documents of a YAML file."""
    return list(yaml.load_all(path.read_text(encoding="utf-8"), LOADER))


def environment(path: Path) -> dict[str, str]:
    """A file of lines `NAME=value`."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def project() -> Data:
    """The table `project` of pyproject.toml."""
    table: Data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def default(value: str) -> str:
    """What is left of a value of docker-compose.yml where no variable is set."""
    return re.sub(r"\$\{\w+(?::-([^}]*))?\}", lambda found: found[1] or "", value)


def walk(data: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value that is no list and no mapping, with the keys that lead there."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from walk(value, (*path, str(key)))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from walk(value, (*path, str(index)))
    else:
        yield path, data


SECRET = re.compile(r"(?i)(password|passwd|secret|token|api_?keys?|credentials|private_key)$")


def secrets(data: Any) -> list[str]:
    """Where something secret is written down, and not a variable or the name of a file."""
    return [
        ".".join(path)
        for path, value in walk(data)
        if path and SECRET.search(path[-1]) and isinstance(value, str) and value and not value.startswith("${")
    ]
