"""Three minutes of the demo, seen through Prometheus: every panel, rule and alert has something to say, and an outage
is told to whoever is to know."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import pytest
import yaml

from tests.dashboards.evaluate import Query, expressions, fault, ready, run, variables
from tests.end_to_end.prometheus import query, wait_until
from tests.end_to_end.stage import PATIENT, SHIPPED, Stage

DASHBOARDS = sorted((SHIPPED.parent / "dashboards").glob("*.json"))
STEP_SECONDS = 5.0


def explain_empty(first_day: Stage, dashboard: dict[str, Any]) -> list[str]:
    """The queries of a dashboard that show nothing, with the reason."""
    values = variables(first_day.prometheus, dashboard)
    end = time.time()
    span = time.monotonic() - first_day.began
    found = []
    for each in expressions(dashboard):
        filled = ready(
            each,
            interval_seconds=STEP_SECONDS,
            range_seconds=span,
            variables=values,
            scrape_interval_seconds=STEP_SECONDS,
        )
        reason = fault(run(first_day.prometheus, filled, end - span, end, STEP_SECONDS))
        if reason is not None:
            found.append(f"{each.panel_title}: {reason}: {filled.expression}")
    return found


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_panel_has_something_to_show(first_day: Stage, path: Path) -> None:
    assert explain_empty(first_day, json.loads(path.read_text())) == []


def test_a_panel_without_data_would_be_noticed(first_day: Stage) -> None:
    dashboard = json.loads(DASHBOARDS[0].read_text())
    panel = next(panel for panel in dashboard["panels"] if panel["type"] == "timeseries")
    dashboard["panels"] = [
        {**panel, "title": title, "targets": [{**panel["targets"][0], "expr": expression}]}
        for title, expression in {
            "missing": "llm_nobody_has_this",
            "not a number": "sum(llm_requests_total) * 0 / 0",
            "fine": "sum(llm_requests_total)",
        }.items()
    ]
    assert [line.split(":")[0] for line in explain_empty(first_day, dashboard)] == ["missing", "not a number"]


def rules(folder: str) -> Iterator[dict[str, Any]]:
    for path in sorted((SHIPPED / folder).glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def operands(expression: str) -> list[str]:
    """What an alert compares: all there is beside the comparisons and the words between them; of `absent(x)`, x."""
    return [part.prettify() for part in _leaves(promql_parser.parse(expression))]


COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
WORDS = {"and", "unless"}


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, promql_parser.ParenExpr):
        yield from _leaves(tree.expr)
    elif isinstance(tree, promql_parser.Call) and tree.func.name == "absent":
        yield from _leaves(tree.args[0])
    elif isinstance(tree, promql_parser.BinaryExpr) and (str(tree.op) in COMPARISONS | WORDS or _is_either(tree)):
        yield from chain(_leaves(tree.lhs), _leaves(tree.rhs))
    elif not isinstance(tree, promql_parser.NumberLiteral):
        yield tree


def _is_either(tree: Any) -> bool:
    """Whether it is an `or` between conditions, not one between a value and what stands for it where it is missing."""
    return str(tree.op) == "or" and all(_is_condition(side) for side in (tree.lhs, tree.rhs))


def _is_condition(tree: Any) -> bool:
    if isinstance(tree, promql_parser.ParenExpr):
        return _is_condition(tree.expr)
    if isinstance(tree, promql_parser.BinaryExpr):
        return str(tree.op) in COMPARISONS | WORDS or _is_either(tree)
    return isinstance(tree, promql_parser.Call) and tree.func.name == "absent"


def test_operands_are_what_is_compared() -> None:
    assert operands("(a > 5 and on (x) rate(b[5m]) / c < 1) unless d == 0") == ["a", "rate(b[5m]) / c", "d"]
    assert operands("(a or 0 * b) > 1 or absent(c)") == ["a or 0 * b", "c"]


def explain_silent(first_day: Stage, wanted: list[str]) -> list[str]:
    """The expressions that give nothing, or no number."""
    found = ((each, query_fault(first_day, each)) for each in wanted)
    return [f"{reason}: {expression}" for expression, reason in found if reason is not None]


def query_fault(first_day: Stage, expression: str) -> str | None:
    now = time.time()
    return fault(run(first_day.prometheus, Query("", "A", expression, instant=True), now, now, 1))


def test_every_rule_has_something_to_record(first_day: Stage) -> None:
    recorded = list(rules("rules"))
    assert len(recorded) > 20
    assert explain_silent(first_day, [rule["expr"] for rule in recorded]) == []
    assert explain_silent(first_day, [rule["record"] for rule in recorded]) == []


def test_every_alert_has_something_to_compare(first_day: Stage) -> None:
    alerts = {rule["alert"]: operands(rule["expr"]) for rule in rules("alerts")}
    assert len(alerts) > 20
    silent = {name: explain_silent(first_day, compared) for name, compared in alerts.items()}
    assert {name: lines for name, lines in silent.items() if lines} == {}


def test_a_rule_without_data_would_be_noticed(first_day: Stage) -> None:
    assert explain_silent(first_day, ["llm_nobody_has_this", "up / 0 * 0", "up"]) == [
        "no series: llm_nobody_has_this",
        "no number: up / 0 * 0",
    ]


def test_no_rule_fails(first_day: Stage) -> None:
    answer = httpx.get(f"{first_day.prometheus}/api/v1/rules").json()["data"]["groups"]
    failing = {rule["name"]: rule["lastError"] for group in answer for rule in group["rules"] if rule.get("lastError")}
    assert len(answer) > 5
    assert failing == {}


def test_an_outage_is_told_and_so_is_its_end(first_day: Stage) -> None:
    """The demo kills the engine of Q3 for ten seconds, each minute: from there through Prometheus and Alertmanager."""
    told, outage = first_day.told, {"alertname": "LlamaUpstreamDown", "tier": "Q3"}
    wait_until(lambda: bool(told.told("resolved", **outage)), lambda: str(told.notifications)[-3000:], 90)
    (fired, *_), (ended, *_) = told.told("firing", **outage), told.told("resolved", **outage)
    assert fired["annotations"]["runbook"].startswith("docs/runbook.md#")
    assert "Q3" in fired["annotations"]["summary"] + fired["annotations"]["description"]
    assert fired["startsAt"] < ended["endsAt"]
    assert query(first_day.prometheus, 'count_over_time(ALERTS{alertname="LlamaUpstreamDown"}[10m])')


def test_short_outages_call_nobody_at_night(first_day: Stage) -> None:
    """With the waiting times that are shipped, ten seconds without Q3 are no reason to page."""
    fired = query(first_day.prometheus, f"count by (alertname) (last_over_time(ALERTS{{{PATIENT_FIRING}}}[10m]))")
    assert [each["metric"]["alertname"] for each in fired] == []
    assert query(first_day.prometheus, f'last_over_time(ALERTS{{pace="{PATIENT}", alertstate="pending"}}[10m])')


PATIENT_FIRING = f'pace="{PATIENT}", alertstate="firing", severity="critical"'
