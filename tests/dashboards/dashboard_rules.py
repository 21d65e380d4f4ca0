"""Rules of Grafana's dashboard-linter for whole dashboards and their variables, and our own for what all our dashboards
share: names, links, annotations, the grid. Each returns complaints; `test_lint.py` asks them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations, pairwise

from tests.dashboards.documents import Check, Json, dashboards, panels, rows, targets, variables
from tests.dashboards.evaluate import used

TAG = "llama-exporter"
WIDTH = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
EXPECTED = {
    "editable": False,
    "id": None,
    "schemaVersion": 39,
    "timezone": "browser",
    "time": {"from": "now-1h", "to": "now"},
}
NAME = re.compile(r"[a-z0-9-]{8,40}")
"""Grafana takes no more than 40 characters for a uid."""
LEFT_BEHIND = re.compile(r"\b(lorem|todo|fixme|xxx)\b", re.I)
TYPING_ERROR = re.compile(r"\s\s(?<!\n\n)|^\s|\s$|[a-z][.,:;][A-Z]|\(\s|\s[.,:;)](?!\w)")
"""A variable of Grafana."""
HIDDEN = 2
LINK = re.compile(r"/d/(?P<uid>[\w-]+)\?(?P<query>.*)")


def clashes(documents: Mapping[str, Json]) -> list[str]:
    """Dashboards whose uid is not the name of their file, and titles that two have."""
    found = [f"{name} has the uid {each['uid']}" for name, each in documents.items() if each["uid"] != name]
    return found + repeated("title", (each["title"] for each in documents.values()))


def repeated(what: str, values: Iterable[object]) -> list[str]:
    """Complaints about values that occur twice."""
    every = list(values)
    return [
        f"the {what} {value!r} occurs {every.count(value)} times"
        for value in dict.fromkeys(every)
        if every.count(value) > 1
    ]


def identity(document: Json) -> list[str]:
    """What makes a dashboard one of ours: it cannot be changed by hand, Grafana 10 reads it, it is found by its tag."""
    found = [f"{key} is {document[key]!r}, not {value!r}" for key, value in EXPECTED.items() if document[key] != value]
    if not NAME.fullmatch(document["uid"]):
        found.append(f"{document['uid']!r} is no uid")
    if TAG not in document["tags"]:
        found.append(f"there is no tag {TAG}")
    if not re.fullmatch(r"\d+[sm]", document["refresh"]):
        found.append(f"it is refreshed {document['refresh']!r}")
    return found


# Variables


def data_source_variable(document: Json) -> list[str]:
    """There is one variable for the data source, called `datasource`."""
    made = [each for each in variables(document) if each["type"] == "datasource"]
    if [(each["name"], each["label"], each["query"]) for each in made] != [("datasource", "Data source", "prometheus")]:
        return [f"wants one data source called 'datasource', has {[each['name'] for each in made]}"]
    return []


def target_variables(document: Json) -> list[str]:
    """There are variables for job and instance, and "All" means that the label is there."""
    by_name = {each["name"]: each for each in variables(document)}
    found = []
    for name in ("job", "instance"):
        each = by_name.get(name, {})
        wanted = {"type": "query", "label": name.title(), "multi": True, "includeAll": True, "allValue": ".+"}
        found += [
            f"variable {name}: {key} is {each.get(key)!r}" for key, value in wanted.items() if each.get(key) != value
        ]
        if each and not each.get("definition", "").endswith(f"{name})"):
            found.append(f"variable {name} does not ask for the label {name}")
    return found


def query_variables(document: Json) -> list[str]:
    """Variables with queries ask the chosen data source, anew when the time changes, and use only those before them."""
    found = []
    before = {"datasource"}
    for each in variables(document):
        if each["type"] == "query":
            if each["datasource"] != SOURCE:
                found.append(f"variable {each['name']} asks {each['datasource']}")
            if each["refresh"] != 2:
                found.append(f"variable {each['name']} is not asked for anew when the time changes")
            late = set(used(each["query"]["query"])) - before
            found += [f"variable {each['name']} uses {name}, which is not known yet" for name in sorted(late)]
        before.add(each["name"])
    return found + repeated("variable", (each["name"] for each in variables(document)))


def idle_lists(document: Json) -> list[str]:
    """Lists of values that can be chosen without any effect, or whose first value is not the chosen one."""
    asked = {name for _, each in targets(document) for name in used(each["expr"])}
    found = []
    for each in variables(document):
        if each["type"] == "custom":
            if each["name"] not in asked:
                found.append(f"nobody uses the variable {each['name']}")
            if each["query"] != ", ".join(f"{option['text']} : {option['value']}" for option in each["options"]):
                found.append(f"variable {each['name']}: the options are not those of {each['query']!r}")
            if [option["value"] for option in each["options"] if option["selected"]] != [each["current"]["value"]]:
                found.append(f"variable {each['name']}: {each['current']['value']} is not what is selected")
    return found


# Links and annotations


def dashboard_links(document: Json) -> list[str]:
    """Each dashboard leads to all others, with its time and variables."""
    ways = [each for each in document["links"] if each["type"] == "dashboards" and each["tags"] == [TAG]]
    if not ways:
        return ["it does not lead to the other dashboards"]
    return [
        f"its links do not keep {what}"
        for what, key in (("the time", "keepTime"), ("variables", "includeVars"))
        if not ways[0][key]
    ]


def panel_links(document: Json) -> list[str]:
    """Links of panels lead to a dashboard of ours, keep the time, and carry or set every variable that all have."""
    found = []
    for where, panel in panels(document):
        for each in panel["fieldConfig"]["defaults"].get("links", ()):
            found += [f"{where}: {fault}" for fault in _faults_of_link(document, each["url"])]
    return found


def _faults_of_link(document: Json, url: str) -> Iterator[str]:
    parts = LINK.fullmatch(url)
    if parts is None or parts["uid"] not in dashboards():
        yield f"{url} leads to no dashboard of ours"
        return
    carried, own = _carried(parts["query"]), _names(document)
    known = _names(dashboards()[parts["uid"]])
    if "${__url_time_range}" not in parts["query"].split("&"):
        yield "the link does not keep the time"
    yield from (f"the link loses {name}" for name in sorted(_everywhere() - carried.keys()))
    yield from (f"{parts['uid']} has no variable {name}" for name in sorted(carried.keys() - known))
    yield from (f"there is no variable {name} to carry" for name, kept in carried.items() if kept and name not in own)


def _carried(query: str) -> dict[str, bool]:
    """Variables in the query of a link, and whether they are carried on; else the link sets them."""
    kept = dict.fromkeys(re.findall(r"(?<![=\w])\$\{(\w+):queryparam\}", query), True)
    return {**kept, **dict.fromkeys(re.findall(r"\bvar-(\w+)=", query), False)}


def _names(document: Json) -> set[str]:
    return {each["name"] for each in variables(document)}


def _everywhere() -> set[str]:
    """Variables that all dashboards have and people choose; a hidden one follows from those."""
    return set.intersection(*map(_chosen, dashboards().values()))


def _chosen(document: Json) -> set[str]:
    return {each["name"] for each in variables(document) if each["hide"] != HIDDEN}


def events(document: Json) -> list[str]:
    """Alerts that fire and restarts are shown in every chart; Grafana's own annotations are there."""
    listed = document["annotations"]["list"]
    shown = [each["expr"] for each in listed if each["enable"] and each["datasource"] == SOURCE]
    found = [
        f"{what} are not shown"
        for what, word in (("alerts", "ALERTS{"), ("restarts", "resets("))
        if not any(word in expr for expr in shown)
    ]
    if not any(each.get("builtIn") for each in listed):
        found.append("Grafana's own annotations are left out")
    return found


# The grid, and texts


def placing(document: Json) -> list[str]:
    """Panels lie within 24 columns, beneath their row and above the next, and not on each other; ids are unique."""
    every = [row for row, _ in rows(document)] + [panel for _, panel in panels(document)]
    found = repeated("id", (each["id"] for each in every))
    found += [f"{each['title']} reaches beyond the 24 columns" for each in every if not _fits(each["gridPos"])]
    for row, inside in rows(document):
        found += [
            f"{one['title']} lies on {other['title']}"
            for one, other in combinations([row, *inside], 2)
            if _meet(one, other)
        ]
        found += [
            f"{each['title']} lies above its row" for each in inside if each["gridPos"]["y"] <= row["gridPos"]["y"]
        ]
        if row["collapsed"] != (inside == row["panels"] and bool(inside)):
            found.append(f"{row['title']}: panels are inside a row where it is collapsed, else behind it")
    for (row, inside), (after, _) in pairwise(rows(document)):
        ends = [_end(each) for each in ([row] if row["collapsed"] else [row, *inside])]
        if max(ends) > after["gridPos"]["y"]:
            found.append(f"{after['title']} begins before {row['title']} ends")
    return found


def _fits(place: Json) -> bool:
    return bool(
        place["x"] >= 0 and place["y"] >= 0 and place["w"] > 0 and place["h"] > 0 and place["x"] + place["w"] <= WIDTH
    )


def _end(panel: Json) -> int:
    return int(panel["gridPos"]["y"] + panel["gridPos"]["h"])


def _meet(one: Json, other: Json) -> bool:
    a, b = one["gridPos"], other["gridPos"]
    beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
    return not beside and _end(one) > b["y"] and _end(other) > a["y"]


def titles(document: Json) -> list[str]:
    """No two panels of a row have the same title, and no two rows."""
    found = repeated("row", (row["title"] for row, _ in rows(document)))
    for row, inside in rows(document):
        found += [f"{row['title']}: {fault}" for fault in repeated("title", (each["title"] for each in inside))]
    return found


def texts(document: Json) -> list[str]:
    """What people read is there, finished, and without slips of typing."""
    found = []
    for where, text in _texts(document):
        if not text.strip():
            found.append(f"{where} is empty")
        if LEFT_BEHIND.search(text) or TYPING_ERROR.search(text):
            found.append(f"{where}: {text!r} is not finished")
    return found


def _texts(document: Json) -> Iterator[tuple[str, str]]:
    yield "title", document["title"]
    yield "description", document["description"]
    for row, _ in rows(document):
        yield f"row {row['id']}", row["title"]
    for each in variables(document):
        yield f"label of {each['name']}", each["label"]
    for each in document["annotations"]["list"]:
        yield "annotation", each["name"]
    for where, panel in panels(document):
        yield f"{where}: title", panel["title"]
        yield f"{where}: description", panel["description"]
        yield from ((f"{where}: legend", each["legendFormat"]) for each in panel["targets"])
        yield from ((f"{where}: link", each["title"]) for each in panel["fieldConfig"]["defaults"].get("links", ()))


RULES: tuple[Check, ...] = (
    identity,
    data_source_variable,
    target_variables,
    query_variables,
    idle_lists,
    dashboard_links,
    panel_links,
    events,
    placing,
    titles,
    texts,
)
