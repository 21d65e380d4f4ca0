"""Rules of Grafana's dashboard-linter for panels and their queries, and our own: what is shown where nothing was
observed, thresholds, exemplars, windows. Each returns complaints; `test_lint.py` asks them."""

from __future__ import annotations

import re

from exporter.telemetry.catalog import CATALOGUE, Feed, Kind
from tests.dashboards.dashboard_rules import SOURCE, repeated
from tests.dashboards.documents import Check, Json, panels, targets
from tests.dashboards.queries import expressions, parsed, quantiles, selections, shown_columns

UNITS = frozenset(
    {
        "none",
        "short",
        "suffix: tok/s",
        "locale",
        "percent",
        "percentunit",
        "s",
        "ms",
        "bytes",
        "decbytes",
        "Bps",
        "pps",
        "iops",
        "reqps",
        "ops",
    }
    | {"celsius", "hertz", "joule", "watt", "watth", "bool", "rotrpm"}
)
"""Those of Grafana's units (`getValueFormats` of @grafana/data) that make sense here; look others up there."""
WINDOW = re.compile(r"\[([^\]]*)\]")
RATE_INTERVAL = "$__rate_interval"
SAID = {"$__range": "over the time shown", "$__range:1m": "over the time shown", "30m": "last 30 minutes"}
"""Other windows, and what a panel's description or row must say of them."""
SUMMARIES = frozenset({"stat", "table", "bargauge", "piechart"})
"""Panels of one value for each series."""
TIMES_OF_REQUESTS = frozenset(
    each.name for each in CATALOGUE if (each.kind, each.feed, each.unit) == (Kind.HISTOGRAM, Feed.INFERENCE, "seconds")
)
"""Histograms of how long requests took; requests have traces."""
HAVE_EXEMPLARS = frozenset(
    f"{each.name}_bucket"
    for each in CATALOGUE
    if (each.kind, each.feed) == (Kind.HISTOGRAM, Feed.INFERENCE) and each.unit != "tokens"
)
"""Samples that the sidecar gives them to."""
UNLIMITED = frozenset({"ALERTS"})
"""An alert on a whole fleet has no instance."""


def data_sources(document: Json) -> list[str]:
    """Every panel and query asks the data source that is chosen."""
    every = [*panels(document), *targets(document)]
    return [f"{where} asks {each['datasource']}" for where, each in every if each["datasource"] != SOURCE]


def descriptions(document: Json) -> list[str]:
    """Every panel says what its figures mean, and which metrics they come from."""
    found = []
    for where, panel in panels(document):
        if not panel["title"] or not panel["description"].partition("\n\n")[0]:
            found.append(f"{where} has no title or description")
        for each in expressions(document):
            names = {selector.metric for selector in each.selectors} if each.panel == where else set()
            found += [
                f"{each.where}: the description lacks {name}"
                for name in names
                if f"`{name}`" not in panel["description"]
            ]
    return found


def units(document: Json) -> list[str]:
    """Every panel, and every column with a unit of its own, has one that Grafana knows."""
    found = []
    for where, panel in panels(document):
        config = panel["fieldConfig"]
        given = [each["value"] for entry in config["overrides"] for each in entry["properties"] if each["id"] == "unit"]
        given += [panel["options"]["yAxis"]["unit"]] if panel["type"] == "heatmap" else []
        found += [
            f"{where}: there is no unit {unit!r}"
            for unit in (config["defaults"].get("unit"), *given)
            if unit not in UNITS
        ]
    return found


def questions(document: Json) -> list[str]:
    """Every panel asks something, each under a letter of its own; summaries of tables ask once."""
    found = []
    for where, panel in panels(document):
        if not panel["targets"]:
            found.append(f"{where} asks nothing")
        found += [f"{where}: {fault}" for fault in repeated("letter", (each["refId"] for each in panel["targets"]))]
        for each in panel["targets"]:
            if not each["expr"] or each["instant"] == each["range"]:
                found.append(f"{where}, {each['refId']} asks nothing, or in two ways")
            if each["instant"] and panel["type"] not in SUMMARIES:
                found.append(f"{where}, {each['refId']}: a chart wants more than the newest value")
    return found


def windows(document: Json) -> list[str]:
    """Rates are over `$__rate_interval`; a panel that sums up a longer time says which, and draws no course of it."""
    found = []
    for where, panel in panels(document):
        for window in sorted({each for target in panel["targets"] for each in WINDOW.findall(target["expr"])}):
            if window == RATE_INTERVAL:
                continue
            said = SAID.get(window)
            text = f"{where} {panel['description']}".lower()
            if said is None or said not in text or panel["type"] not in SUMMARIES:
                found.append(f"{where}: the window is [{window}]")
    return found


def scopes(document: Json) -> list[str]:
    """Every selector is limited to the chosen jobs and instances."""
    found = []
    for each in expressions(document, job="$job", instance="$instance"):
        for selector, _ in selections(parsed(each.text)):
            if selector.name in UNLIMITED:
                continue
            missing = [name for name in ("job", "instance") if f'{name}=~"${name}"' not in str(selector)]
            found += [f"{each.where}: {selector.name} is not limited to the chosen {name}" for name in missing]
    return found


def empty_values(document: Json) -> list[str]:
    """Where nothing was observed a panel says so, for a missing series and for NaN alike."""
    found = []
    for where, panel in panels(document):
        defaults = panel["fieldConfig"]["defaults"]
        text = defaults.get("noValue", "")
        specials = [each["options"] for each in defaults.get("mappings", ()) if each["type"] == "special"]
        named = [each["result"].get("text") for each in specials if each["match"] == "null+nan"]
        if not text.strip() or named != [text]:
            found.append(f"{where} says {text!r} where there is no series, {named} for NaN")
    return found


def thresholds(document: Json) -> list[str]:
    """Thresholds begin with a colour for the lowest values, and ascend."""
    found = []
    for where, panel in panels(document):
        given = panel["fieldConfig"]["defaults"].get("thresholds")
        if given is None:
            continue
        steps = [each["value"] for each in given["steps"]]
        if not steps or steps[0] is not None or None in steps[1:] or steps[1:] != sorted(set(steps[1:])):
            found.append(f"{where}: the thresholds are {steps}")
    return found


def exemplars(document: Json) -> list[str]:
    """Charts of how long requests take ask for the traces behind them; what is asked once, and what is no bucket, has
    none."""
    found = []
    asked = {where: each["exemplar"] for where, each in targets(document)}
    found += [
        f"{where}: one value has no exemplars"
        for where, each in targets(document)
        if each["exemplar"] and each["instant"]
    ]
    found += [
        f"{each.where}: nothing in it has exemplars"
        for each in expressions(document)
        if asked.get(each.where) and not {selector.metric for selector in each.selectors} & HAVE_EXEMPLARS
    ]
    for where, panel in panels(document):
        spread = [
            each for each in expressions(document) if each.panel == where and _of_requests(each.text, panel["type"])
        ]
        if panel["type"] in {"timeseries", "heatmap"} and spread and not any(asked[each.where] for each in spread):
            found.append(f"{where} shows no exemplars")
    return found


def _of_requests(text: str, kind: str) -> bool:
    """Whether an expression is a quantile, or the buckets, of a time of requests."""
    calls = [parsed(text)] if kind == "heatmap" else quantiles(parsed(text))
    names = {selector.name or "" for call in calls for selector, _ in selections(call)}
    return bool({name.removesuffix("_bucket") for name in names} & TIMES_OF_REQUESTS)


def _matches(matcher: Json, name: str) -> bool:
    if matcher["id"] == "byRegexp":
        return re.search(matcher["options"].strip("/"), name) is not None
    return bool(matcher["options"] == name)


def overrides(document: Json) -> list[str]:
    """Another look is for a series or a column that the panel has."""
    found = []
    for where, panel in panels(document):
        options = [each["options"] for each in panel["transformations"]]
        corners = {f"{each['rowField']}\\{each['columnField']}" for each in options if "rowField" in each}
        there = {each["legendFormat"] for each in panel["targets"]} | shown_columns(panel) | corners
        wanted = [each["matcher"] for each in panel["fieldConfig"]["overrides"]]
        found += [
            f"{where}: there is no {each['options']!r} to look different"
            for each in wanted
            if not any(_matches(each, name) for name in there)
        ]
    return found


RULES: tuple[Check, ...] = (
    data_sources,
    descriptions,
    units,
    questions,
    windows,
    scopes,
    empty_values,
    thresholds,
    exemplars,
    overrides,
)
