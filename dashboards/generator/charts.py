"""Grafana's charts as panels: numbers, courses, heat maps, bars, shares, states. `boards` fills them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dashboards.generator.panel import BLUE, HALF, NO_TRAFFIC, TEXT, THIRD, Json, Panel, Query, thresholds


def stat(
    title: str,
    meaning: str,
    expression: str,
    *,
    unit: str,
    course: bool = False,
    steps: Json | None = None,
    width: int = 4,
    height: int = 4,
    empty: str = NO_TRAFFIC,
    **defaults: Any,
) -> Panel:
    """One number, as it is now; with its `course` behind it where that says something."""
    # Grafana shows the last point that there is; without the NaN that would be an old one when nobody tells any more.
    query = Query(f"{expression} or vector(NaN)") if course else Query(expression, instant=True)
    colors = steps if steps is not None else {**thresholds(), "color": {"mode": "fixed", "fixedColor": BLUE}}
    options = {
        "colorMode": "value",
        "graphMode": "area" if course else "none",
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
        (query,),
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
    *queries: Query,
    unit: str,
    width: int = HALF,
    height: int = 8,
    stack: bool = False,
    fill: int = 10,
    lines_at: Json | None = None,
    overrides: Sequence[Json] = (),
    least_top: float | None = None,
    long_names: bool = False,
    empty: str = NO_TRAFFIC,
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
        "drawStyle": "line",
        "fillOpacity": 40 if stack else fill,
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
        queries,
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
    exemplar: bool = True,
    empty: str = NO_TRAFFIC,
) -> Panel:
    """How often values lay in which bucket, over time. `expression`: the rate of buckets, by `le`; `exemplar`: as in
    `Query`."""
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
    query = Query(expression, "{{le}}", exemplar=exemplar, heatmap=True)
    return Panel("heatmap", title, meaning, (query,), width, height, "short", {}, custom, options, empty=empty)


def bars(
    title: str,
    meaning: str,
    query: Query,
    *,
    unit: str,
    steps: Json | None = None,
    width: int = THIRD,
    height: int = 8,
    empty: str = NO_TRAFFIC,
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
        (query,),
        width,
        height,
        unit,
        {"min": 0, **colors, **defaults},
        {},
        options,
        empty=empty,
    )


def donut(
    title: str, meaning: str, query: Query, *, unit: str = "locale", width: int = THIRD, height: int = 8
) -> Panel:
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
    empty: str = NO_TRAFFIC,
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
    defaults = {**thresholds(base=TEXT), "mappings": [_value_names(names)]}
    return Panel(
        "state-timeline", title, meaning, (query,), width, height, "short", defaults, custom, options, empty=empty
    )


def _value_names(names: Mapping[int, tuple[str, str]]) -> Json:
    """A mapping from values to a text and a colour."""
    made = {
        str(number): {"color": color, "index": index, "text": text}
        for index, (number, (text, color)) in enumerate(names.items())
    }
    return {"type": "value", "options": made}
