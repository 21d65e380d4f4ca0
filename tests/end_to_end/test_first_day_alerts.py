"""The first minutes of the demo, seen through Prometheus: every rule and every alert has something to say, and an
outage is told to whoever is to know."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import httpx
import promql_parser
import yaml

from tests.dashboards.evaluate import Query, fault, run
from tests.end_to_end.prometheus import query
from tests.end_to_end.shipped import PATIENT, SHIPPED
from tests.end_to_end.stage import Stage
from tests.end_to_end.webhook import Alert

OUTAGE = {"alertname": "LlamaUpstreamDown", "tier": "Q3"}
"""The demo kills the engine of Q3 for ten seconds, each minute."""
PATIENT_FIRING = f'pace="{PATIENT}", alertstate="firing", severity="critical"'
COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
WORDS = {"and", "unless"}


def rules(folder: str) -> Iterator[dict[str, Any]]:
    for path in sorted((SHIPPED / folder).glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def operands(expression: str) -> list[str]:
    """What an alert compares: all there is beside the comparisons and the words between them; of `absent(x)`, x."""
    return [part.prettify() for part in _leaves(promql_parser.parse(expression))]


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


def explain_silent(first_day: Stage, wanted: Sequence[str]) -> list[str]:
    """The expressions that give nothing, or no number."""
    found = ((each, query_fault(first_day, each)) for each in wanted)
    return [f"{reason}: {expression}" for expression, reason in found if reason is not None]


def query_fault(first_day: Stage, expression: str) -> str | None:
    now = time.time()
    return fault(run(first_day.prometheus, Query("", "A", expression, instant=True), now, now, 1))


def test_every_rule_has_something_to_record(first_day: Stage) -> None:
    recorded = list(rules("rules"))
    assert len(recorded) > 20
    wanted = [rule[key] for key in ("expr", "record") for rule in recorded]
    assert first_day.settled(lambda: explain_silent(first_day, wanted)) == []


def test_every_alert_has_something_to_compare(first_day: Stage) -> None:
    alerts = list(rules("alerts"))
    assert len(alerts) > 20
    compared = sorted({operand for rule in alerts for operand in operands(rule["expr"])})
    assert first_day.settled(lambda: explain_silent(first_day, compared)) == []


def test_a_rule_without_data_would_be_noticed(first_day: Stage) -> None:
    def found() -> list[str]:
        return explain_silent(first_day, ["llm_nobody_has_this", "up / 0 * 0", "up"])

    wanted = ["no series: llm_nobody_has_this", "no number: up / 0 * 0"]
    assert first_day.settled(lambda: set(found()) ^ set(wanted)) == set()


def test_no_rule_fails(first_day: Stage) -> None:
    def groups() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx.get(f"{first_day.prometheus}/api/v1/rules").json()["data"]["groups"]
        return found

    def not_asked() -> list[str]:
        return [rule["name"] for group in groups() for rule in group["rules"] if rule["health"] == "unknown"]

    assert first_day.settled(not_asked) == []
    failing = {rule["name"]: rule["lastError"] for each in groups() for rule in each["rules"] if rule["health"] != "ok"}
    assert len(groups()) > 5
    assert failing == {}


def untold(first_day: Stage) -> list[str]:
    """What nobody was told of the outage."""
    return [status for status in ("firing", "resolved") if not first_day.told.alerts(status, **OUTAGE)]


def moment(alert: Alert, key: str) -> datetime:
    return datetime.fromisoformat(alert[key])


def test_an_outage_is_told_and_so_is_its_end(first_day: Stage) -> None:
    """From the engine that dies, through Prometheus and Alertmanager, to whoever is to know."""
    assert first_day.settled(lambda: untold(first_day)) == [], first_day.told.notifications()[-5:]
    fired, ended = (first_day.told.alerts(status, **OUTAGE)[0] for status in ("firing", "resolved"))
    assert fired["annotations"]["runbook"].startswith("docs/runbook.md#")
    assert "Q3" in fired["annotations"]["summary"] + fired["annotations"]["description"]
    assert moment(fired, "startsAt") == moment(ended, "startsAt") < moment(ended, "endsAt")
    assert query(first_day.prometheus, 'count_over_time(ALERTS{alertname="LlamaUpstreamDown"}[1d])')


def test_short_outages_call_nobody_at_night(first_day: Stage) -> None:
    """With the waiting times that are shipped, ten seconds without Q3 are no reason to page."""
    assert first_day.settled(lambda: untold(first_day)) == []
    fired = query(first_day.prometheus, f"count by (alertname) (last_over_time(ALERTS{{{PATIENT_FIRING}}}[1d]))")
    assert [each["metric"]["alertname"] for each in fired] == []
    assert query(first_day.prometheus, f'last_over_time(ALERTS{{pace="{PATIENT}", alertstate="pending"}}[1d])')
