"""Dashboards: rows of panels, placed on Grafana's grid, with what all our dashboards share: variables, links to each
other that keep time and variables, and annotations of alerts and restarts.
"""

from __future__ import annotations

from dataclasses import dataclass

from dashboards.generator.panel import DATASOURCE, WIDE, Json, Panel
from dashboards.generator.promql import OF_TIER
from exporter.telemetry import catalog
from exporter.telemetry.catalog import Metric

SCHEMA_VERSION = 39
"""Grafana 10 to 13 read it."""
TAG = "llama-exporter"
HEAD_HEIGHT = 1


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading, from left to right, and on in the next line when the 24 columns are full."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable whose values stand here. `values` by what people read; the first is chosen."""

    name: str
    label: str
    description: str
    values: tuple[tuple[str, str], ...]


def _bounds(*seconds: str) -> tuple[tuple[str, str], ...]:
    """Bounds of buckets as values for `le=~`. Scraped whole ones are written `20.0`, pushed ones may be `20`."""
    return tuple((f"{each} s", each if "." in each else f"{each}([.]0)?") for each in seconds)


TTFT_TARGET = Choice(
    "slo_ttft",
    "TTFT target",
    "A first token is in time when it comes within this; a bound of the histogram's buckets",
    _bounds("2.5", "0.1", "0.25", "0.5", "0.75", "7.5", "20", "40", "80"),
)
DURATION_TARGET = Choice(
    "slo_duration",
    "E2E target",
    "A request is in time when it ends within this; a bound of the histogram's buckets",
    _bounds("20.48", "1.28", "2.56", "5.12", "10.24", "40.96", "81.92", "163.84", "327.68"),
)
SHARES = (("99 %", "0.99"), ("90 %", "0.9"), ("95 %", "0.95"), ("99.5 %", "0.995"), ("99.9 %", "0.999"))
OBJECTIVE = Choice(
    "slo_availability", "Availability objective", "The share of requests to models that is not to fail", SHARES
)
TTFT_OBJECTIVE = Choice(
    "slo_in_time",
    "TTFT objective",
    "The share of first tokens that is to be in time",
    (("95 %", "0.95"), *(each for each in SHARES if each[1] != "0.95")),
)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard. `name` is its file, its uid, and where links lead to."""

    name: str
    title: str
    description: str
    rows: tuple[Row, ...]
    choices: tuple[Choice, ...] = ()
    """Variables beside those that all dashboards have."""

    def json(self) -> Json:
        """In Grafana's classic schema."""
        return {
            "annotations": {"list": [_BUILT_IN, _alerts(), _restarts()]},
            "description": self.description,
            "editable": False,
            "fiscalYearStartMonth": 0,
            "graphTooltip": 1,
            "id": None,
            "links": [_links()],
            "panels": _place(self.rows),
            "preload": False,
            "refresh": "30s",
            "schemaVersion": SCHEMA_VERSION,
            "tags": [TAG],
            "templating": {"list": [*_variables(), *(_choice(each) for each in self.choices)]},
            "time": {"from": "now-1h", "to": "now"},
            "timepicker": {},
            "timezone": "browser",
            "title": self.title,
            "uid": self.name,
            "version": 1,
            "weekStart": "",
        }


def url(name: str, *choices: Choice, **variables: str) -> str:
    """The address of a dashboard for a link: it keeps the time, the variables that all have and these choices, and sets
    the given ones."""
    shared = ("datasource", "job", "instance", "tier", "upstream", "model", *(choice.name for choice in choices))
    kept = [each for each in shared if each not in variables]
    parts = ["${__url_time_range}", *(f"${{{each}:queryparam}}" for each in kept)]
    parts += [f"var-{each}={value}" for each, value in variables.items()]
    return f"/d/{name}?{'&'.join(parts)}"


def _place(rows: tuple[Row, ...]) -> list[Json]:
    placed: list[Json] = []
    y = 0
    for row in rows:
        placed.append(
            {
                "collapsed": False,
                "gridPos": {"h": HEAD_HEIGHT, "w": WIDE, "x": 0, "y": y},
                "id": len(placed) + 1,
                "panels": [],
                "title": row.title,
                "type": "row",
            }
        )
        inside, y = _place_panels(row.panels, y + HEAD_HEIGHT, len(placed) + 1)
        placed += inside
    return placed


def _place_panels(panels: tuple[Panel, ...], y: int, identifier: int) -> tuple[list[Json], int]:
    """The panels, and the line below them."""
    placed: list[Json] = []
    x, height = 0, 0
    for panel in panels:
        if x + panel.width > WIDE:
            x, y, height = 0, y + height, 0
        placed.append(panel.json(identifier + len(placed), x, y))
        x, height = x + panel.width, max(height, panel.height)
    return placed, y + height


_BUILT_IN: Json = {
    "builtIn": 1,
    "datasource": {"type": "grafana", "uid": "-- Grafana --"},
    "enable": True,
    "hide": True,
    "iconColor": "rgba(0, 211, 255, 1)",
    "name": "Annotations & Alerts",
    "type": "dashboard",
}


def _alerts() -> Json:
    return {
        "datasource": DATASOURCE,
        "enable": True,
        "expr": 'ALERTS{alertname=~"Llama.+", alertstate="firing"}',
        "iconColor": "red",
        "name": "Alerts",
        "step": "60s",
        "tagKeys": "severity,instance,tier,upstream",
        "textFormat": "{{instance}} {{tier}} {{upstream}}",
        "titleFormat": "{{alertname}}",
        "useValueForTime": False,
    }


def _restarts() -> Json:
    uptime = catalog.PROCESS_UPTIME.sample_name
    return {
        "datasource": DATASOURCE,
        "enable": True,
        "expr": f'resets({uptime}{{job=~"$job", instance=~"$instance"}}[2m]) > 0',
        "iconColor": "purple",
        "name": "Sidecar restarts",
        "step": "60s",
        "tagKeys": "instance",
        "textFormat": "{{instance}}",
        "titleFormat": "Sidecar restarted",
        "useValueForTime": False,
    }


def _links() -> Json:
    return {
        "asDropdown": False,
        "icon": "external link",
        "includeVars": True,
        "keepTime": True,
        "tags": [TAG],
        "targetBlank": False,
        "title": "",
        "tooltip": "",
        "type": "dashboards",
        "url": "",
    }


def _variables() -> list[Json]:
    in_scope = 'job=~"$job", instance=~"$instance"'
    of_tier = f'{in_scope}, tier=~"$tier"'
    build = catalog.SIDECAR_BUILD.sample_name
    return [
        {
            "current": {},
            "hide": 0,
            "includeAll": False,
            "label": "Data source",
            "multi": False,
            "name": "datasource",
            "options": [],
            "query": "prometheus",
            "refresh": 1,
            "regex": "",
            "type": "datasource",
        },
        _query_variable("job", "Job", f"label_values({build}, job)", every=".+"),
        _query_variable("instance", "Instance", f'label_values({build}{{job=~"$job"}}, instance)', every=".+"),
        _query_variable("tier", "Tier", _values(catalog.TIER_MODELS_CONFIGURED, in_scope, "tier")),
        _query_variable("upstream", "Upstream", _values(catalog.UPSTREAM_UP, of_tier, "upstream")),
        # No `allValue`: "All" is the list of its options, which follow the tier.
        _query_variable(
            OF_TIER, "Upstreams of the tier", _values(catalog.UPSTREAM_UP, of_tier, "upstream"), every=None, hidden=True
        ),
        _query_variable("model", "Model", _values(catalog.REQUESTS, of_tier, "gen_ai_request_model")),
    ]


def _values(metric: Metric, scope: str, label: str) -> str:
    return f"label_values({metric.sample_name}{{{scope}}}, {label})"


def _query_variable(name: str, label: str, query: str, *, every: str | None = ".*", hidden: bool = False) -> Json:
    """`every` is what "All" means; `.*` lets series without the label through, too."""
    return {
        **({} if every is None else {"allValue": every}),
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "datasource": DATASOURCE,
        "definition": query,
        "hide": 2 if hidden else 0,
        "includeAll": True,
        "label": label,
        "multi": True,
        "name": name,
        "options": [],
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "type": "query",
    }


def _choice(choice: Choice) -> Json:
    options = [
        {"selected": index == 0, "text": text, "value": value} for index, (text, value) in enumerate(choice.values)
    ]
    return {
        "current": options[0],
        "description": choice.description,
        "hide": 0,
        "includeAll": False,
        "label": choice.label,
        "multi": False,
        "name": choice.name,
        "options": options,
        "query": ", ".join(f"{text} : {value}" for text, value in choice.values),
        "type": "custom",
    }
