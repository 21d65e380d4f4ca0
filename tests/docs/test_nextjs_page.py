"""docs/api-nextjs.md, and the two that say the rest (api-nextjs-pages.md, models.md): their tables of parameters,
settings, routes, events and tests say what there is, and their links lead somewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from exporter.api.nextjs.answers import CODES
from exporter.api.nextjs.configuration.changes import FIELDS
from exporter.api.nextjs.desk import WITH_BODY
from exporter.api.operation import Operation
from exporter.app import make_rooms
from exporter.models.parameters.parameter import Parameter
from exporter.models.parameters.parameters import PARAMETERS
from exporter.settings import Settings
from tests.docs.pages import blocks

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE, FRONT_ENDS, MODELS = (
    (DOCS / name).read_text(encoding="utf-8") for name in ("api-nextjs.md", "api-nextjs-pages.md", "models.md")
)
OPERATIONS = [
    each for room in make_rooms(Settings()) if room.name == "Models" for each in room.operations if each.described
]
SOCKETS = {"/socket.io", "/llamaproxws"}
SHORT = {"A": "tests/api/nextjs", "L": "tests/api/nextjs/live", "C": "tests/client/llama_proxy", "M": "tests/models"}
PARTS = {"{name:path}": "NAME", "{name}": "NAME", "{category}": "CATEGORY"}
LINKS = re.compile(r"\]\(([\w.-]*)(?:#([\w-]+))?\)")
"""To places in these pages: file and heading."""


def section(title: str, page: str = PAGE) -> str:
    """What stands under a heading."""
    return page.split(f"\n## {title}\n")[1].split("\n## ", maxsplit=1)[0]


def rows(title: str, page: str = PAGE) -> list[list[str]]:
    """The cells of the tables under a heading, those of their heads among them."""
    lines = [line for line in section(title, page).splitlines() if line.startswith("| ")]
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
    assert rows("Parameters", MODELS)[1:] == [row(parameter) for parameter in PARAMETERS]


def test_everything_that_can_be_set_is_named() -> None:
    said = [name for cells in rows("Configuration")[1:] for name in names(cells[0])]
    assert sorted(said) == sorted([*FIELDS, "llama_config.*"])


def test_every_error_is_named() -> None:
    said = re.findall(r"(\d{3}) `([A-Z_]+)`", section("Errors"))
    assert {int(status): code for status, code in said} == CODES


def route(operation: Operation) -> str:
    """As the page writes it."""
    path = operation.path
    for part, word in PARTS.items():
        path = path.replace(part, word)
    return f"{operation.method} {path}"


def test_every_route_is_in_the_last_table() -> None:
    said = [name for cells in rows("Every route and event")[1:] for name in names(cells[0])]
    declared = {route(each) for each in OPERATIONS}
    assert {name for name in said if name.startswith(("GET", "POST", "PUT", "DELETE", "/"))} == declared | SOCKETS


def test_every_route_is_in_one_of_the_first_tables_with_what_it_answers() -> None:
    said = [
        (name, sorted(map(int, cells[2].split(", "))))
        for page in (PAGE, FRONT_ENDS)
        for cells in rows("Routes", page)[1:]
        for name in names(cells[0])
        if name not in SOCKETS
    ]
    assert sorted(said) == sorted((route(each), own_statuses(each)) for each in OPERATIONS)


def own_statuses(operation: Operation) -> list[int]:
    """Without those that the page says of every route, or of every body."""
    common = {429, *WITH_BODY} if operation.method in ("POST", "PUT") else {429}
    return sorted(set(operation.answers) - common)


def test_every_event_is_in_the_last_table() -> None:
    told = [name for cells in rows("Socket.IO")[1:] for name in names(cells[1])]
    said = {name for cells in rows("Every route and event")[1:] for name in names(cells[0])}
    assert len(told) >= 7
    assert set(told) <= said


def test_the_tests_that_are_named_are_there() -> None:
    files = [name for cells in rows("Every route and event")[1:] for name in names(cells[1])]
    assert files
    for name in files:
        assert file_named(name).is_file(), name


def file_named(name: str) -> Path:
    """The file, by the name that the page has for it."""
    short, _, rest = name.partition("/")
    return ROOT / SHORT.get(short, short) / rest


@pytest.mark.parametrize("cells", rows("Every route and event")[1:], ids=lambda cells: cells[0][:60])
def test_the_tests_that_are_named_know_what_they_are_named_for(cells: list[str]) -> None:
    texts = [file_named(name).read_text(encoding="utf-8") for name in names(cells[1])]
    for name in names(cells[0]):
        word = [part for part in re.split(r"[ /]", name) if not part.isupper()][-1]
        assert any(word in text for text in texts), name
    if "npm" in cells[2]:
        assert any("node_clients" in text for text in texts)
    if "router" in cells[2]:
        assert any(re.search(r"RealRouter|find_binary|router_binary|mark\.router", text) for text in texts)


@pytest.mark.parametrize("page", ["api-nextjs.md", "api-nextjs-pages.md", "models.md", "client.md"])
def test_links_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    found = [(file or page, anchor) for file, anchor in LINKS.findall(text)]
    assert found
    for file, anchor in found:
        assert (DOCS / file).is_file(), file
        assert not anchor or anchor in anchors((DOCS / file).read_text(encoding="utf-8")), f"{file}#{anchor}"


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_payloads_of_events_are_json() -> None:
    """One document after the other."""
    found = 0
    for block in blocks(section("Socket.IO")):
        rest = block.text if block.language == "json" else ""
        while rest:
            _, end = json.JSONDecoder().raw_decode(rest)
            rest, found = rest[end:].lstrip(), found + 1
    assert found >= 7
