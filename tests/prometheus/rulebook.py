"""The shipped rules, alerts and promtool tests as Python objects, for the checks and tests of this folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
SHIPPED = ROOT / "prometheus"
RUNBOOK = ROOT / "docs/runbook.md"
DURATION = re.compile(r"(\d+)(ms|[smhd])")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Rule:
    """A recording rule or an alert."""

    name: str
    expression: str
    group: str
    alert: bool
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    wait_seconds: float = 0.0
    """`for` of an alert."""

    @property
    def variant(self) -> str:
        """What tells alerts of one name apart: the long window of a burn rate; empty for others."""
        return self.labels.get("long", "")

    @property
    def title(self) -> str:
        """Name and variant."""
        return f"{self.name} {self.variant}".strip()


@dataclass(frozen=True, slots=True)
class Look:
    """What a promtool test expects of one alert at one time."""

    seconds: float
    name: str
    firing: tuple[dict[str, str], ...]
    """Labels of those that fire."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One test group of a promtool file."""

    name: str
    series: tuple[str, ...]
    looks: tuple[Look, ...]
    expressions: tuple[str, ...]


def seconds(text: str) -> float:
    """A duration in Prometheus' words."""
    return sum(int(number) * SECONDS[unit] for number, unit in DURATION.findall(text))


def read_rules(document: dict[str, Any]) -> list[Rule]:
    """The rules of one file."""
    return [_rule(rule, group["name"]) for group in document["groups"] for rule in group["rules"]]


def read_scenes(document: dict[str, Any]) -> list[Scene]:
    """The test groups of one promtool file."""
    return [_scene(group) for group in document["tests"]]


@cache
def shipped_rules() -> tuple[Rule, ...]:
    """Recording rules and alerts."""
    return tuple(rule for path in _files("rules", "alerts") for rule in read_rules(yaml.safe_load(path.read_text())))


def shipped_alerts() -> list[Rule]:
    """Alerts alone."""
    return [rule for rule in shipped_rules() if rule.alert]


def shipped_records() -> list[Rule]:
    """Recording rules alone."""
    return [rule for rule in shipped_rules() if not rule.alert]


@cache
def shipped_scenes() -> tuple[Scene, ...]:
    """All test groups."""
    return tuple(scene for path in promtool_files() for scene in read_scenes(yaml.safe_load(path.read_text())))


def promtool_files() -> list[Path]:
    """The promtool tests."""
    return _files("tests")


def _files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((SHIPPED / folder).glob("*.yml"))]


def _rule(rule: dict[str, Any], group: str) -> Rule:
    alert = "alert" in rule
    return Rule(
        name=rule["alert"] if alert else rule["record"],
        expression=str(rule["expr"]),
        group=group,
        alert=alert,
        labels={name: str(value) for name, value in rule.get("labels", {}).items()},
        annotations=rule.get("annotations", {}),
        wait_seconds=seconds(rule.get("for", "")),
    )


def _scene(group: dict[str, Any]) -> Scene:
    return Scene(
        name=group.get("name", ""),
        series=tuple(each["series"] for each in group["input_series"]),
        looks=tuple(_looks(group.get("alert_rule_test", ()))),
        expressions=tuple(each["expr"] for each in group.get("promql_expr_test", ())),
    )


def _looks(tests: Iterable[dict[str, Any]]) -> Iterable[Look]:
    for each in tests:
        firing = tuple(expected.get("exp_labels", {}) for expected in each["exp_alerts"])
        yield Look(seconds(each["eval_time"]), each["alertname"], firing)
