"""The committed dashboards as the checks read them: what stands in them, and where."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "dashboards"
OVERVIEW = "llama-exporter-overview"

Json = dict[str, Any]
Check = Callable[[Json], list[str]]
"""Finds what is wrong with one dashboard, in words; nothing when it is well."""
Change = Callable[[Json], object]
"""Breaks a dashboard, to show that a check finds it."""


@cache
def dashboards() -> Mapping[str, Json]:
    """Every dashboard by the name of its file, without `.json`. Not to be changed: see `broken`."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def broken(change: Change, name: str = OVERVIEW) -> Json:
    """A copy of a dashboard, changed."""
    document = deepcopy(dashboards()[name])
    change(document)
    return document


def rows(document: Json) -> list[tuple[Json, list[Json]]]:
    """Each row with its panels: those that follow it up to the next row, or those inside it where it is collapsed."""
    found: list[tuple[Json, list[Json]]] = []
    for panel in document["panels"]:
        if panel["type"] == "row":
            found.append((panel, list(panel["panels"])))
        else:
            found[-1][1].append(panel)
    return found


def panels(document: Json) -> Iterator[tuple[str, Json]]:
    """Each panel with the words for where it stands: the titles of its row and its own."""
    for row, inside in rows(document):
        for panel in inside:
            yield f"{row['title']} / {panel['title']}", panel


def targets(document: Json) -> Iterator[tuple[str, Json]]:
    """Each query with the words for where it stands."""
    for where, panel in panels(document):
        for target in panel["targets"]:
            yield f"{where}, {target['refId']}", target


def variables(document: Json) -> list[Json]:
    """The variables in the order in which Grafana fills them."""
    listed: list[Json] = document["templating"]["list"]
    return listed


def panel(document: Json, kind: str) -> Json:
    """The first panel of a type."""
    return next(each for _, each in panels(document) if each["type"] == kind)


def target(document: Json, containing: str = "") -> Json:
    """The first query whose expression contains a text."""
    return next(each for _, each in targets(document) if containing in each["expr"])


def variable(document: Json, name: str) -> Json:
    """The variable of that name."""
    return next(each for each in variables(document) if each["name"] == name)
