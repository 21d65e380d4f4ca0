"""The dashboards satisfy the types of @grafana/schema, to the last key."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from tests.dashboards.documents import Change, Json, dashboards, panel, panels
from tests.dashboards.schema import PROJECT, complaints, install

KINDS = ("stat", "timeseries", "heatmap", "table", "bargauge", "piechart", "state-timeline")


def of_panel(kind: str, *path: str | int, **values: Any) -> tuple[str, Change]:
    """Change what lies at a path inside the specimen panel of a type."""
    return kind, lambda document: at(panel(document, kind), path).update(values)


def of_dashboard(*path: str | int, **values: Any) -> tuple[str, Change]:
    """Change what lies at a path inside the specimen."""
    return "stat", lambda document: at(document, path).update(values)


def at(place: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        place = place[step]
    return place


def without(kind: str, *path: str | int) -> tuple[str, Change]:
    """Take away what lies at a path inside the specimen panel of a type."""
    return kind, lambda document: at(panel(document, kind), path[:-1]).pop(path[-1])


def overrides(kind: str, key: str, value: Any) -> tuple[str, Change]:
    """Override a property of a field."""
    entry = {"matcher": {"id": "byName", "options": "a"}, "properties": [{"id": key, "value": value}]}
    return kind, lambda document: panel(document, kind)["fieldConfig"].update(overrides=[entry])


def transforms(**values: Any) -> tuple[str, Change]:
    return "table", lambda document: panel(document, "table").update(transformations=[values])


DEFAULTS = ("fieldConfig", "defaults")
THRESHOLD = {"color": "red", "value": 1}
SPECIAL: dict[str, Any] = {"type": "special", "options": {"match": "null+nan", "result": {"index": 0, "text": "none"}}}

PLANTED: dict[str, tuple[tuple[str, Change], str]] = {
    "unknown option": (of_panel("stat", "options", grapMode="area"), "grapMode"),
    "unknown option, deep": (of_panel("stat", "options", "reduceOptions", calc=["last"]), "calc"),
    "option of another panel type": (of_panel("heatmap", "options", pieType="donut"), "pieType"),
    "option of an older Grafana": (of_panel("table", "options", footer={"show": False}), "footer"),
    "missing option": (without("table", "options", "showHeader"), "showHeader"),
    "option that is no value of its enumeration": (of_panel("bargauge", "options", displayMode="fancy"), "fancy"),
    "option of a wrong type": (of_panel("state-timeline", "options", rowHeight="0.9"), "not assignable"),
    "unknown reducer": (of_panel("stat", "options", "reduceOptions", calcs=["latest"]), "latest"),
    "unknown reducer of a legend": (of_panel("timeseries", "options", "legend", calcs=["average"]), "average"),
    "unknown field of a panel": (of_panel("timeseries", discription="What?"), "discription"),
    "unknown panel type": (of_panel("piechart", type="pie"), "pie"),
    "panel without a description": (without("stat", "description"), "TS2322"),
    "unknown custom field": (of_panel("timeseries", *DEFAULTS, "custom", lineWeight=1), "lineWeight"),
    "custom field of a wrong type": (of_panel("timeseries", *DEFAULTS, "custom", lineWidth="1"), "not assignable"),
    "custom field without an enumeration's value": (
        of_panel("timeseries", *DEFAULTS, "custom", "stacking", mode="stacked"),
        "stacked",
    ),
    "custom fields where there are none": (of_panel("stat", *DEFAULTS, custom={"lineWidth": 1}), "custom"),
    "unknown cell": (of_panel("table", *DEFAULTS, "custom", cellOptions={"type": "colour"}), "colour"),
    "unknown field default": (of_panel("stat", *DEFAULTS, unitt="s"), "unitt"),
    "null where nothing is meant": (of_panel("stat", *DEFAULTS, decimals=None), "null"),
    "unknown colour mode": (of_panel("stat", *DEFAULTS, color={"mode": "classic"}), "classic"),
    "unknown field of a threshold": (
        of_panel("stat", *DEFAULTS, thresholds={"mode": "absolute", "steps": [{**THRESHOLD, "op": "gt"}]}),
        "op",
    ),
    "unknown mode of thresholds": (
        of_panel("stat", *DEFAULTS, thresholds={"mode": "relative", "steps": [THRESHOLD]}),
        "relative",
    ),
    "unknown type of mapping": (of_panel("stat", *DEFAULTS, mappings=[{**SPECIAL, "type": "specials"}]), "specials"),
    "unknown special value": (
        of_panel("stat", *DEFAULTS, mappings=[{**SPECIAL, "options": {**SPECIAL["options"], "match": "nan+null"}}]),
        "nan+null",
    ),
    "unknown field of a mapping": (
        of_panel("stat", *DEFAULTS, mappings=[{"type": "value", "options": {"1": {"colour": "red"}}}]),
        "colour",
    ),
    "unknown field of a link": (of_panel("stat", *DEFAULTS, links=[{"title": "a", "href": "/d/a"}]), "href"),
    "unknown field to override": (overrides("timeseries", "custom.lineStile", {"fill": "dash"}), "lineStile"),
    "override of a wrong type": (overrides("timeseries", "custom.lineStyle", {"fill": "dashed"}), "dashed"),
    "override of another panel type": (overrides("table", "custom.lineWidth", 1), "lineWidth"),
    "unknown transformation": (transforms(id="organise", options={}), "organise"),
    "unknown option of a transformation": (transforms(id="merge", options={"by": "tier"}), "string"),
    "transformation without its options": (transforms(id="groupingToMatrix", options={"rowField": "a"}), "rowField"),
    "unknown field of a query": (of_panel("stat", "targets", 0, expression="up"), "expression"),
    "unknown format of a query": (of_panel("stat", "targets", 0, format="timeseries"), "timeseries"),
    "another data source": (of_panel("stat", "targets", 0, datasource={"type": "loki", "uid": "a"}), "loki"),
    "place of a wrong type": (of_panel("stat", "gridPos", w="6"), "not assignable"),
    "unknown field of a place": (of_panel("stat", "gridPos", width=6), "width"),
    "unknown field of a row": (of_dashboard("panels", 0, open=True), "open"),
    "unknown field of a dashboard": (of_dashboard(schemaversion=39), "schemaversion"),
    "dashboard's field of a wrong type": (of_dashboard(refresh=10), "not assignable"),
    "unknown mode of the crosshair": (of_dashboard(graphTooltip=3), "3"),
    "unknown field of a variable": (of_dashboard("templating", "list", 1, multiple=True), "multiple"),
    "unknown moment to refresh a variable": (of_dashboard("templating", "list", 1, refresh=3), "3"),
    "unknown type of variable": (of_dashboard("templating", "list", 1, type="label"), "label"),
    "unknown field of a variable's query": (of_dashboard("templating", "list", 1, "query", expr="a"), "expr"),
    "unknown field of an annotation": (of_dashboard("annotations", "list", 1, query="ALERTS"), "query"),
    "unknown field of a link to dashboards": (of_dashboard("links", 0, keepVariables=True), "keepVariables"),
    "unknown type of link": (of_dashboard("links", 0, type="dashboard"), "dashboard"),
}


def specimen(kind: str) -> Json:
    """A dashboard with one real row and one real panel, and two of its variables."""
    holder = next(each for each in dashboards().values() if kind in {found["type"] for _, found in panels(each)})
    made = deepcopy(holder)
    made["panels"] = [made["panels"][0], panel(made, kind)]
    made["templating"]["list"] = made["templating"]["list"][:2]
    return made


def planted(kind: str, change: Change) -> Json:
    made = specimen(kind)
    change(made)
    return made


def file_name(title: str) -> str:
    return "planted-" + "".join(letter if letter.isalnum() else "-" for letter in title)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the compiler says of the dashboards, of specimens that are well, and of specimens with an error each."""
    install()
    documents = {
        **dashboards(),
        **{f"well-{kind}": specimen(kind) for kind in KINDS},
        **{file_name(title): planted(*broken) for title, (broken, _) in PLANTED.items()},
    }
    return complaints(documents, tmp_path_factory.mktemp("dashboards"))


@pytest.mark.parametrize("name", [*dashboards(), *(f"well-{kind}" for kind in KINDS)])
def test_dashboards_satisfy_the_types_of_grafana(name: str, said: dict[str, list[str]]) -> None:
    assert said[name] == []


@pytest.mark.parametrize("title", PLANTED)
def test_planted_errors_are_found(title: str, said: dict[str, list[str]]) -> None:
    words = PLANTED[title][1]
    assert [complaint for complaint in said[file_name(title)] if words in complaint], said[file_name(title)]


def test_lines_are_those_of_the_document(said: dict[str, list[str]]) -> None:
    lines = json.dumps(planted(*PLANTED["unknown option"][0]), indent=2).splitlines()
    number = next(index for index, line in enumerate(lines, 1) if "grapMode" in line)
    assert said[file_name("unknown option")][0].startswith(f"line {number}: ")


def test_every_panel_type_in_use_is_known() -> None:
    used = {found["type"] for each in dashboards().values() for _, found in panels(each)}
    assert used <= set(KINDS)


def test_versions_are_fixed_and_no_registry_is_named() -> None:
    lock = (PROJECT / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert "://" not in lock
    for name, version in json.loads((PROJECT / "package.json").read_text())["dependencies"].items():
        assert version[0].isdigit()
        assert json.loads(lock)["packages"][f"node_modules/{name}"]["version"] == version
