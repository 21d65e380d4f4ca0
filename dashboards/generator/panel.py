"""A panel: a title, what it means, queries, and how it is drawn. `charts` and `tables` make them, `dashboard` places
them.

`Panel.json` is the panel in the classic schema (`schemaVersion` 39). Where nothing was observed a query yields NaN or
nothing at all, and the panel says so instead of showing a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

Json = dict[str, Any]

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
NO_TRAFFIC, NO_DATA = "No traffic", "No data"
"""What is shown of requests where there were none, and of a state that nobody tells of."""
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
    empty: str = NO_TRAFFIC
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
        mappings = [*self.defaults.get("mappings", ()), nothing]
        made = {"mappings": [], "noValue": self.empty, "unit": self.unit} | self.defaults | {"mappings": mappings}
        return {**made, "custom": self.custom} if self.custom else made


def thresholds(*steps: tuple[float, str], base: str = GREEN) -> Json:
    """Colours of values: `base` below the first step, then the colour of each step from its value on."""
    made: list[Json] = [{"color": base, "value": None}, *({"color": color, "value": at} for at, color in steps)]
    return {"thresholds": {"mode": "absolute", "steps": made}, "color": {"mode": "thresholds"}}


def override(name: str, **properties: Any) -> Json:
    """Another look for the field or series of that name (a regular expression, where it stands between slashes);
    `custom_` at the beginning of a property means `custom.`."""
    made = [{"id": key.replace("custom_", "custom.", 1), "value": each} for key, each in properties.items()]
    matcher = "byRegexp" if name.startswith("/") else "byName"
    return {"matcher": {"id": matcher, "options": name}, "properties": made}


def linked(panel: Panel, title: str, url: str) -> Panel:
    """The same panel, whose values lead to another dashboard."""
    return replace(panel, defaults={**panel.defaults, "links": [{"targetBlank": False, "title": title, "url": url}]})
