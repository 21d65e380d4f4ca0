"""What Grafana does with the queries of a dashboard: fills in the variables and asks Prometheus.

Used by the checks of the dashboards, live and at rest, and by the script that draws pictures of them
(`tools/pictures`)."""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import httpx

Dashboard = Mapping[str, Any]

DATASOURCE = "prometheus"
"""What variables of the type `datasource` are filled with."""

SCRAPE_INTERVAL_SECONDS = 15.0
"""Grafana's default for a Prometheus data source."""

# As in Grafana: $name, [[name]], [[name:format]], ${name}, ${name.field}, ${name:format}. Groups of a regular
# expression (`$1`) are not variables.
VARIABLE = re.compile(
    r"\$(?P<plain>[A-Za-z_]\w*)"
    r"|\[\[(?P<square>\w+)(?::\w+)?\]\]"
    r"|\$\{(?P<curly>[A-Za-z_]\w*)(?:\.[^:}]+)?(?::[^}]+)?\}"
)
LABEL_VALUES = re.compile(r"^\s*label_values\(\s*(?:(?P<selector>.+?)\s*,\s*)?(?P<label>[A-Za-z_]\w*)\s*\)\s*$", re.S)


class QueryError(Exception):
    """Prometheus refused a query, or it has something that cannot be filled in."""


@dataclass(frozen=True, slots=True)
class Query:
    """One target of a panel. `format` is `time_series`, `table` or `heatmap`; `interval` is the least step as it is
    written (`15s`), empty when none is; `legend` is the template of the names (`{{tier}}`), empty or `__auto` when
    Grafana chooses."""

    panel_title: str
    ref: str
    expression: str
    instant: bool = False
    format: str = "time_series"
    legend: str = ""
    panel_id: int = 0
    interval: str = ""
    exemplar: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """Labels and points: Unix seconds and values, of which some may be NaN."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...] = field(repr=False)


def panels(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    """Every panel that is not a row, those of collapsed rows too, in the order in which they are written."""
    for panel in dashboard.get("panels", ()):
        if panel["type"] == "row":
            yield from panel.get("panels") or ()
        else:
            yield panel


def expressions(dashboard: Dashboard) -> list[Query]:
    """The queries of all panels; those that are switched off (`hide`) are left out, as Grafana does."""
    return [
        _query(panel, target)
        for panel in panels(dashboard)
        for target in panel.get("targets", ())
        if not target.get("hide") and target.get("expr")
    ]


def _query(panel: Mapping[str, Any], target: Mapping[str, Any]) -> Query:
    return Query(
        panel_title=str(panel.get("title", "")),
        ref=str(target["refId"]),
        expression=str(target["expr"]),
        instant=bool(target.get("instant")) and not target.get("range"),
        format=str(target.get("format") or "time_series"),
        legend=str(target.get("legendFormat") or ""),
        panel_id=int(panel.get("id", 0)),
        interval=str(target.get("interval") or panel.get("interval") or ""),
        exemplar=bool(target.get("exemplar")),
    )


def substitute(
    expression: str,
    *,
    interval_seconds: float,
    range_seconds: float,
    variables: Mapping[str, str],
    scrape_interval_seconds: float = SCRAPE_INTERVAL_SECONDS,
) -> str:
    """The expression with Grafana's variables filled in: its own (`$__interval`, `$__rate_interval`, `$__range`) and
    those of the dashboard. Raises QueryError for a name that nobody defines."""
    values = {**_own_variables(interval_seconds, range_seconds, scrape_interval_seconds), **variables}

    def fill(match: re.Match[str]) -> str:
        name = _name(match)
        if name not in values:
            raise QueryError(f"nobody defines the variable {name!r} in {expression!r}")
        return values[name]

    return VARIABLE.sub(fill, expression)


def used(text: str) -> list[str]:
    """Names of the variables that a text uses, in the order of their places; Grafana's own are left out."""
    return [name for name in map(_name, VARIABLE.finditer(text)) if not name.startswith("__")]


def _name(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group)


def _own_variables(interval: float, range_: float, scrape_interval: float) -> dict[str, str]:
    rate_interval = max(interval + scrape_interval, 4 * scrape_interval)
    return {
        "__interval": _duration(interval),
        "__interval_ms": str(round(interval * 1000)),
        "__rate_interval": _duration(rate_interval),
        "__rate_interval_ms": str(round(rate_interval * 1000)),
        "__range": _duration(range_),
        "__range_s": str(round(range_)),
        "__range_ms": str(round(range_ * 1000)),
    }


def _duration(seconds: float) -> str:
    return (
        f"{round(seconds)}s" if seconds >= 1 and float(seconds).is_integer() else f"{max(1, round(seconds * 1000))}ms"
    )


def run(base_url: str, query: Query, start: float, end: float, step: float) -> list[Series]:
    """What Prometheus answers to a query whose variables are filled in: at `end` if it is instant, else from `start`
    to `end` (Unix seconds) each `step` seconds. Raises QueryError with what Prometheus says."""
    if query.instant:
        return _series(_ask(base_url, "query", {"query": query.expression, "time": end}))
    times = {"start": start, "end": end, "step": step}
    return _series(_ask(base_url, "query_range", {"query": query.expression, **times}))


def exemplars(base_url: str, query: Query, start: float, end: float) -> list[tuple[float, float]]:
    """Unix seconds and value of each exemplar of the metrics in a query."""
    data = _ask(base_url, "query_exemplars", {"query": query.expression, "start": start, "end": end})
    return [(float(each["timestamp"]), float(each["value"])) for entry in data for each in entry["exemplars"]]


def _ask(base_url: str, path: str, parameters: Mapping[str, Any]) -> Any:
    answer = httpx.get(f"{base_url}/api/v1/{path}", params=dict(parameters), timeout=30, verify=_certificates())
    try:
        content = answer.json()
    except ValueError:
        raise QueryError(f"{answer.status_code} from {answer.url}") from None
    if content.get("status") != "success":
        raise QueryError(f"{content.get('error', answer.status_code)}: {parameters.get('query', path)}")
    return content["data"]


@cache
def _certificates() -> ssl.SSLContext:
    """Reading them takes ten times as long as asking a Prometheus, and there are hundreds of questions."""
    return httpx.create_ssl_context()


def _series(data: Mapping[str, Any]) -> list[Series]:
    if data["resultType"] == "scalar":
        return [Series({}, _points([data["result"]]))]
    return [
        Series(dict(entry["metric"]), _points(entry["values"] if "values" in entry else [entry["value"]]))
        for entry in data["result"]
    ]


def _points(pairs: Sequence[Sequence[Any]]) -> tuple[tuple[float, float], ...]:
    return tuple((float(time), float(value)) for time, value in pairs)


def fault(series: Sequence[Series]) -> str | None:
    """Why a panel would show nothing: no series, or not one number among the points (NaN and infinity are none)."""
    if not series:
        return "no series"
    if not any(math.isfinite(value) for one in series for _, value in one.points):
        return "no number"
    return None


def variables(base_url: str, dashboard: Dashboard, chosen: Mapping[str, str] | None = None) -> dict[str, str]:
    """The values of the dashboard's variables as Grafana puts them into queries: what is `chosen`, else all of them
    where "All" is offered, else the value saved in the dashboard, else the first that Prometheus knows."""
    values: dict[str, str] = {}
    for variable in dashboard.get("templating", {}).get("list", ()):
        name = variable["name"]
        values[name] = chosen[name] if chosen and name in chosen else _value(base_url, variable, values)
    return values


def _value(base_url: str, variable: Mapping[str, Any], known: Mapping[str, str]) -> str:
    kind = variable["type"]
    if kind == "datasource":
        return DATASOURCE
    if kind == "adhoc":
        return ""
    if variable.get("includeAll") and variable.get("allValue"):
        return str(variable["allValue"])
    options = list(_options(base_url, variable, known))
    if variable.get("includeAll"):
        return f"({'|'.join(_escape(option) for option in options)})"
    saved = (variable.get("current") or {}).get("value")
    if isinstance(saved, str) and saved:
        return saved
    if not options:
        raise QueryError(f"the variable {variable['name']!r} has no value")
    return options[0]


def _escape(text: str) -> str:
    """The text as a part of a regular expression inside a string of PromQL, where a backslash is written twice."""
    return re.sub(r"[\\$^*{}\[\]+?.()|]", lambda match: "\\\\" + match[0].replace("\\", "\\\\"), text)


def _options(base_url: str, variable: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[str]:
    """What can be chosen: the values of a label for a query, else the words of a list."""
    query = variable.get("query", "")
    text = str(query.get("query", "") if isinstance(query, Mapping) else query)
    if variable["type"] != "query":
        yield from (word.rpartition(" : ")[2].strip() for word in text.split(",") if word.strip())
        return
    parts = LABEL_VALUES.match(text)
    if parts is None:
        raise QueryError(f"the variable {variable['name']!r} is not written as label_values(...): {text!r}")
    selector, label = parts["selector"], parts["label"]
    filled = substitute(selector, interval_seconds=15, range_seconds=3600, variables=known) if selector else None
    values = _ask(base_url, f"label/{label}/values", {"match[]": filled} if filled else {})
    wanted = re.compile(str(variable.get("regex") or "").strip("/"))
    yield from (value for value in values if wanted.search(value))


def ready(query: Query, **context: Any) -> Query:
    """The query with its variables filled in; `context` is what `substitute` takes."""
    return replace(query, expression=substitute(query.expression, **context))
