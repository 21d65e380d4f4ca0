"""Panels: a title, what it means, queries, and how they are drawn. `boards` makes them, `dashboard` places them.

Each function makes one of Grafana's panel types; `Panel.json` is the panel in the classic schema (`schemaVersion` 39).
Where nothing was observed a query yields NaN or nothing at all, and the panel says "No traffic" instead of a number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dashboards.generator.promql import RANGE

Json = dict[str, Any]

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
NOTHING = "No traffic"
METRIC_NAME = re.compile(r"\b(?:(?:gen_ai|llm|llamacpp|hw|system|process)[_:][a-z0-9_]+|ALERTS)(?=\{)")
GREEN, YELLOW, ORANGE, RED, BLUE, TEXT = "green", "yellow", "orange", "red", "blue", "text"
WIDE, HALF, THIRD, QUARTER = 24, 12, 8, 6
"""Widths; a dashboard has 24 columns."""


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression of a panel."""

    expression: str
    legend: str = ""
    """What a series is called, with labels as `{{tier}}`; empty: all its labels."""
    instant: bool = False
    """Only the newest value."""
    table: bool = False
    """One row per series, one column per label."""
    exemplar: bool = False
    """Whether the traces behind the figures are asked for, too."""
    heatmap: bool = False
    """Series are buckets of a histogram."""

    def json(self, ref: str) -> Json:
        """In Grafana's schema, under the letter `ref`."""
        form = "table" if self.table else "heatmap" if self.heatmap else "time_series"
        return {
            "datasource": DATASOURCE,
            "editorMode": "code",
            "exemplar": self.exemplar,
            "expr": self.expression,
            "format": form,
            "instant": self.instant,
            "legendFormat": self.legend or "__auto",
            "range": not self.instant,
            "refId": ref,
        }


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel, not placed yet."""

    kind: str
    """Grafana's name of the panel type."""
    title: str
    meaning: str
    """What the figures mean, in a sentence or two. The names of the metrics are added."""
    queries: tuple[Query, ...]
    width: int
    height: int
    unit: str
    """One of Grafana's unit names."""
    defaults: Json = field(default_factory=dict)
    """More of `fieldConfig.defaults`."""
    custom: Json = field(default_factory=dict)
    """`fieldConfig.defaults.custom`: how this type draws."""
    options: Json = field(default_factory=dict)
    overrides: tuple[Json, ...] = ()
    transformations: tuple[Json, ...] = ()
    empty: str = NOTHING
    """What is shown where there is no value."""

    def json(self, identifier: int, x: int, y: int) -> Json:
        """In Grafana's schema, at column `x` and line `y`."""
        return {
            "datasource": DATASOURCE,
            "description": self.description,
            "fieldConfig": {"defaults": self._defaults(), "overrides": list(self.overrides)},
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "id": identifier,
            "options": self.options,
            "targets": [query.json(chr(ord("A") + index)) for index, query in enumerate(self.queries)],
            "title": self.title,
            "transformations": list(self.transformations),
            "type": self.kind,
        }

    @property
    def description(self) -> str:
        """The meaning, and the metrics that it is made of."""
        found = dict.fromkeys(name for query in self.queries for name in METRIC_NAME.findall(query.expression))
        return f"{self.meaning}\n\nFrom {', '.join(f'`{name}`' for name in found)}."

    def _defaults(self) -> Json:
        nothing = {"type": "special", "options": {"match": "null+nan", "result": {"index": 0, "text": self.empty}}}
        made: Json = {"mappings": [nothing], "noValue": self.empty, "unit": self.unit, **self.defaults}
        if "mappings" in self.defaults:
            made["mappings"] = [*self.defaults["mappings"], nothing]
        return {**made, "custom": self.custom} if self.custom else made


def thresholds(*steps: tuple[float, str], base: str = GREEN) -> Json:
    """Colours of values: `base` below the first step, then the colour of each step from its value on."""
    made: list[Json] = [{"color": base, "value": None}, *({"color": color, "value": at} for at, color in steps)]
    return {"thresholds": {"mode": "absolute", "steps": made}, "color": {"mode": "thresholds"}}


def stat(
    title: str,
    meaning: str,
    query: Query | str,
    *,
    unit: str,
    steps: Json | None = None,
    width: int = 4,
    height: int = 4,
    empty: str = NOTHING,
    **defaults: Any,
) -> Panel:
    """One number, with its course behind it; one over the time shown has no course."""
    if isinstance(query, str) and RANGE in query:
        query = Query(query, instant=True)
    single = isinstance(query, Query) and query.instant
    colors = steps if steps is not None else {**thresholds(), "color": {"mode": "fixed", "fixedColor": BLUE}}
    options = {
        "colorMode": "value",
        "graphMode": "none" if single else "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["last"], "fields": "", "values": False},
        "showPercentChange": False,
        "textMode": "auto",
        "wideLayout": True,
    }
    return Panel(
        "stat",
        title,
        meaning,
        _queries((query,)),
        width,
        height,
        unit,
        {**colors, **defaults},
        {},
        options,
        empty=empty,
    )


def timeseries(
    title: str,
    meaning: str,
    *queries: Query | str,
    unit: str,
    width: int = HALF,
    height: int = 8,
    stack: bool = False,
    fill: int = 10,
    bars: bool = False,
    lines_at: Json | None = None,
    overrides: Sequence[Json] = (),
    least_top: float | None = None,
    long_names: bool = False,
    empty: str = NOTHING,
    **defaults: Any,
) -> Panel:
    """Courses over time, with mean and highest value beside them where there is room: in a wide panel, unless it has
    `long_names`.

    `lines_at`: thresholds to be drawn as lines. `least_top`: where the axis ends at least, so that a course of zeros
    does not look like one of hundreds.
    """
    custom = {
        "axisBorderShow": False,
        "axisCenteredZero": False,
        "axisColorMode": "text",
        "axisLabel": "",
        "axisPlacement": "auto",
        **({} if least_top is None else {"axisSoftMax": least_top}),
        "barAlignment": 0,
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 70 if bars else 40 if stack else fill,
        "gradientMode": "none",
        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
        "insertNulls": False,
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "pointSize": 5,
        "scaleDistribution": {"type": "linear"},
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if stack else "none"},
        "thresholdsStyle": {"mode": "line" if lines_at else "off"},
    }
    narrow = long_names or width < HALF
    legend = {
        "calcs": [] if narrow else ["mean", "max"],
        "displayMode": "list" if narrow else "table",
        "placement": "bottom" if narrow else "right",
        "showLegend": True,
    }
    options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    colors = {**thresholds(), **(lines_at or {}), "color": {"mode": "palette-classic"}}
    return Panel(
        "timeseries",
        title,
        meaning,
        _queries(queries),
        width,
        height,
        unit,
        {"min": 0, **colors, **defaults},
        custom,
        options,
        tuple(overrides),
        empty=empty,
    )


def heatmap(
    title: str,
    meaning: str,
    expression: str,
    *,
    unit: str,
    width: int = HALF,
    height: int = 8,
    empty: str = NOTHING,
) -> Panel:
    """How many requests lay in which bucket, over time. `expression`: the increase of buckets, by `le`."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "exponent": 0.5,
            "fill": "dark-orange",
            "mode": "scheme",
            "reverse": False,
            "scale": "exponential",
            "scheme": "Oranges",
            "steps": 64,
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "auto",
        "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": True},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }
    custom = {
        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
        "scaleDistribution": {"type": "linear"},
    }
    query = Query(expression, "{{le}}", exemplar=True, heatmap=True)
    return Panel("heatmap", title, meaning, (query,), width, height, "short", {}, custom, options, empty=empty)


def table(
    title: str,
    meaning: str,
    columns: Mapping[str, tuple[str, str]],
    *,
    labels: Mapping[str, str],
    hidden: Sequence[str] = (),
    width: int = HALF,
    height: int = 8,
    overrides: Sequence[Json] = (),
    empty: str = NOTHING,
) -> Panel:
    """A line per set of labels. `columns`: queries and units by the title of their column; `labels`: the titles of the
    columns that labels make; `hidden`: columns that are not shown."""
    queries = tuple(Query(expression, instant=True, table=True) for expression, _ in columns.values())
    values = ["Value"] if len(columns) == 1 else [f"Value #{chr(ord('A') + index)}" for index in range(len(columns))]
    renamed = {**labels, **dict(zip(values, columns, strict=True))}
    order = {name: index for index, name in enumerate((*labels, *values))}
    organized = {"excludeByName": dict.fromkeys(("Time", *hidden), True), "indexByName": order, "renameByName": renamed}
    transformations = ({"id": "merge", "options": {}}, {"id": "organize", "options": organized})
    units = tuple(override(name, **_count(unit)) for name, (_, unit) in columns.items())
    words = tuple(override(name, noValue="-") for name in labels.values())
    return Panel(
        "table",
        title,
        meaning,
        queries,
        width,
        height,
        "short",
        {**thresholds(), "color": {"mode": "thresholds"}},
        {
            "align": "auto",
            "cellOptions": {"type": "auto"},
            "filterable": False,
            "inspect": False,
            "minWidth": CELL_PIXELS,
        },
        TABLE_OPTIONS,
        (*units, *words, *overrides),
        transformations,
        empty=empty,
    )


def _count(unit: str) -> Json:
    """A unit as a property; of counts, which `increase` makes fractions of, without decimals."""
    return {"unit": unit, "decimals": 0} if unit == "locale" else {"unit": unit}


CELL_PIXELS = 80
"""Least width of a column; Grafana's own is wider than most of ours need."""
TABLE_OPTIONS: Json = {
    "cellHeight": "sm",
    "frameIndex": 0,
    "showHeader": True,
}


def matrix(
    title: str,
    meaning: str,
    expression: str,
    *,
    rows: str,
    columns: str,
    unit: str,
    steps: Json,
    missing: str = "zero",
    width: int = HALF,
    height: int = 8,
    empty: str = NOTHING,
) -> Panel:
    """A table with a label down the side, another along the top, and coloured values. `missing`: what a cell without a
    value holds, `zero` or `null`."""
    ordered = {"fields": {}, "sort": [{"desc": False, "field": columns}]}
    grouped = {"columnField": columns, "emptyValue": missing, "rowField": rows, "valueField": "Value"}
    return Panel(
        "table",
        title,
        meaning,
        (Query(expression, instant=True, table=True),),
        width,
        height,
        unit,
        steps,
        {
            "align": "center",
            "cellOptions": {"mode": "basic", "type": "color-background"},
            "filterable": False,
            "inspect": False,
            "minWidth": CELL_PIXELS,
        },
        TABLE_OPTIONS,
        ({"matcher": {"id": "byName", "options": f"{rows}\\{columns}"}, "properties": [PLAIN_CELL]},),
        ({"id": "sortBy", "options": ordered}, {"id": "groupingToMatrix", "options": grouped}),
        empty=empty,
    )


PLAIN_CELL: Json = {"id": "custom.cellOptions", "value": {"type": "auto"}}


def bars(
    title: str,
    meaning: str,
    query: Query | str,
    *,
    unit: str,
    steps: Json | None = None,
    width: int = THIRD,
    height: int = 8,
    empty: str = NOTHING,
    **defaults: Any,
) -> Panel:
    """A bar per series, of its newest value."""
    options = {
        "displayMode": "basic",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
        "maxVizHeight": 36,
        "minVizHeight": 16,
        "minVizWidth": 8,
        "namePlacement": "auto",
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["last"], "fields": "", "values": False},
        "showUnfilled": True,
        "sizing": "auto",
        "valueMode": "color",
    }
    colors = steps if steps is not None else {**thresholds(), "color": {"mode": "palette-classic"}}
    return Panel(
        "bargauge",
        title,
        meaning,
        _queries((query,)),
        width,
        height,
        unit,
        {"min": 0, **colors, **defaults},
        {},
        options,
        empty=empty,
    )


def donut(title: str, meaning: str, query: Query, *, unit: str = "short", width: int = THIRD, height: int = 8) -> Panel:
    """Shares of a whole."""
    options = {
        "displayLabels": [],
        "legend": {
            "calcs": [],
            "displayMode": "table",
            "placement": "right",
            "showLegend": True,
            "values": ["value", "percent"],
        },
        "orientation": "auto",
        "pieType": "donut",
        "reduceOptions": {"calcs": ["last"], "fields": "", "values": False},
        "sort": "desc",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    custom = {"hideFrom": {"legend": False, "tooltip": False, "viz": False}}
    colors = {**thresholds(), "color": {"mode": "palette-classic"}}
    return Panel("piechart", title, meaning, (query,), width, height, unit, {"decimals": 0, **colors}, custom, options)


def states(
    title: str,
    meaning: str,
    query: Query,
    *,
    names: Mapping[int, tuple[str, str]],
    width: int = HALF,
    height: int = 8,
    empty: str = NOTHING,
) -> Panel:
    """What state something was in, over time. `names`: text and colour of each value."""
    options = {
        "alignValue": "left",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "mergeValues": True,
        "rowHeight": 0.9,
        "showValue": "auto",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    custom = {
        "fillOpacity": 70,
        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
        "lineWidth": 0,
    }
    mappings = [value_names(names)]
    defaults = {**thresholds(base=TEXT), "mappings": mappings}
    return Panel(
        "state-timeline", title, meaning, (query,), width, height, "short", defaults, custom, options, empty=empty
    )


def value_names(names: Mapping[int, tuple[str, str]]) -> Json:
    """A mapping from values to a text and a colour."""
    made = {
        str(number): {"color": color, "index": index, "text": text}
        for index, (number, (text, color)) in enumerate(names.items())
    }
    return {"type": "value", "options": made}


def override(name: str, **properties: Any) -> Json:
    """Another look for the field or series of that name; `custom_` at the beginning of a property means `custom.`."""
    made = [{"id": key.replace("custom_", "custom.", 1), "value": each} for key, each in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": made}


def linked(panel: Panel, title: str, url: str) -> Panel:
    """The same panel, whose values lead to another dashboard."""
    return replace(panel, defaults={**panel.defaults, "links": [{"targetBlank": False, "title": title, "url": url}]})


def _queries(given: Sequence[Query | str]) -> tuple[Query, ...]:
    return tuple(Query(each) if isinstance(each, str) else each for each in given)
