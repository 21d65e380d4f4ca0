"""Grafana's tables as panels: a line per set of labels, or a label down the side and another along the top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dashboards.generator.panel import HALF, NO_TRAFFIC, Json, Panel, Query, override, thresholds


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
    empty: str = NO_TRAFFIC,
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
    empty: str = NO_TRAFFIC,
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
