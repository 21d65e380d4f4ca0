"""docs/api-nextjs.md: its tables of parameters, settings, routes, events and tests say what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path

from exporter.api.nextjs.answers import CODES
from exporter.api.nextjs.configuration.changes import FIELDS
from exporter.models.parameters.parameter import Parameter
from exporter.models.parameters.parameters import PARAMETERS
from tests.docs.pages import blocks

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api-nextjs.md").read_text(encoding="utf-8")
ROUTES = re.findall(r"^\| Models \| `(.*?)` \|", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
"""Generated from what the room declares."""
SHORT = {"A": "tests/api/nextjs", "L": "tests/api/nextjs/live", "C": "tests/client/llama_proxy", "M": "tests/models"}
PARTS = {"{name:path}": "NAME", "{name}": "NAME", "{category}": "CATEGORY"}


def section(title: str) -> str:
    """What stands under a heading."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of the tables under a heading, without those of headings."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line[1:-1].split(" | ")] for line in lines]


def names(text: str) -> list[str]:
    """What is in backquotes."""
    return re.findall(r"`([^`]+)`", text)


def values(parameter: Parameter) -> str:
    """What a parameter takes, as the page says it."""
    if parameter.type == "boolean":
        return "`true`, `false`"
    if parameter.type == "string":
        return ", ".join(f"`{choice}`" for choice in parameter.choices)
    words = [f"{parameter.minimum:g} to {parameter.maximum:.15g}"]
    if parameter.type == "integer":
        words.append("whole")
    if parameter.gap is not None:
        words.append("not " + " to ".join(map(str, dict.fromkeys(parameter.gap))))
    return ", ".join(words)


def row(parameter: Parameter) -> list[str]:
    default = json.dumps(parameter.default) if isinstance(parameter.default, bool) else str(parameter.default)
    first = [f"`{parameter.name}`", parameter.category, f"`{parameter.option}`"]
    return [*first, values(parameter), f"`{default}`", parameter.description]


def test_every_parameter_is_as_the_catalogue_has_it() -> None:
    assert rows("Parameters")[1:] == [row(parameter) for parameter in PARAMETERS]


def test_everything_that_can_be_set_is_named() -> None:
    said = [name for cells in rows("Configuration")[1:] for name in names(cells[0])]
    assert sorted(said) == sorted([*FIELDS, "llama_config.*"])


def test_every_error_is_named() -> None:
    said = re.findall(r"(\d{3}) `([A-Z_]+)`", section("Errors"))
    assert {int(status): code for status, code in said} == CODES


def test_every_route_is_in_the_last_table() -> None:
    said = [name for cells in rows("Every route and event")[1:] for name in names(cells[0])]
    declared = ROUTES
    for part, word in PARTS.items():
        declared = [route.replace(part, word) for route in declared]
    assert {name for name in said if name.startswith(("GET", "POST", "PUT", "DELETE", "/"))} == set(declared)


def test_every_event_is_in_the_last_table() -> None:
    told = [name for cells in rows("Socket.IO")[1:] for name in names(cells[1])]
    said = {name for cells in rows("Every route and event")[1:] for name in names(cells[0])}
    assert len(told) >= 7
    assert set(told) <= said


def test_the_tests_that_are_named_are_there() -> None:
    files = [name for cells in rows("Every route and event")[1:] for name in names(cells[1])]
    assert files
    for name in files:
        short, _, rest = name.partition("/")
        path = ROOT / SHORT.get(short, short) / rest
        assert path.is_file(), name


def test_payloads_of_events_are_json() -> None:
    """One document after the other."""
    found = 0
    for block in blocks(section("Socket.IO")):
        rest = block.text if block.language == "json" else ""
        while rest:
            _, end = json.JSONDecoder().raw_decode(rest)
            rest, found = rest[end:].lstrip(), found + 1
    assert found >= 7
