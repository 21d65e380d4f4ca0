"""What must hold for rules, alerts and their tests, beyond what promtool looks at. Each check takes what it looks at
and returns its complaints, so that a test can show it something broken."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import promql_parser as syntax

from exporter.record import AttemptResult, Outcome
from exporter.system.nvidia import THROTTLE_REASONS
from exporter.system.snapshot import ModelState
from exporter.telemetry.buckets import Buckets
from exporter.telemetry.catalog import CATALOGUE
from exporter.telemetry.number import go_float
from tests.prometheus.rulebook import Rule, Scene
from tests.promql import named, nodes

SEVERITIES = frozenset({"critical", "warning", "info"})
ANNOTATIONS = frozenset({"summary", "description", "runbook", "dashboard"})
RUNBOOK_PAGE = "docs/runbook.md"
RECORD_NAME = re.compile(r"([a-z0-9_]+):([a-zA-Z_][a-zA-Z0-9_]*):([a-z0-9_]+)")
ALERT_NAME = re.compile(r"Llama([A-Z][a-z]+)+")
LEVELS = {"model": "gen_ai_request_model", "type": "gen_ai_token_type"}
"""Labels that the first part of a record's name gives a shorter name."""
NO_LEVEL = "llm"
"""First part of the name of what has no labels of a target."""
TEMPLATE_LABEL = re.compile(r"\$labels\.(\w+)")
TEMPLATE_QUERY = re.compile(r'printf\s+"((?:[^"\\]|\\.)*)"')
VALUES: Mapping[str, frozenset[str]] = {
    "outcome": frozenset(Outcome),
    "result": frozenset(AttemptResult),
    "reason": frozenset(THROTTLE_REASONS.values()),
    "state": frozenset(ModelState) | {"idle", "processing"},
    "hw_state": frozenset({"ok", "failed"}),
    "gen_ai_token_type": frozenset({"input", "output"}),
    "slo": frozenset({"availability", "latency"}),
    "share": frozenset({"truncated", "prompt_cache", "client_gone"}),
}
"""Labels of whose values there are few: nobody else should be asked for."""

Known = Mapping[str, Collection[str]]
"""Labels by metric."""


def unknown_names(expression: str, known: Known) -> list[str]:
    """Metrics that do not exist, labels that a metric lacks, and labels that are gone where they are wanted."""
    try:
        selectors = named(expression)
    except ValueError as error:
        return [str(error)]
    complaints = []
    for selector in selectors:
        if selector.metric not in known:
            complaints.append(f"no metric {selector.metric}")
        else:
            missing = sorted(selector.labels - set(known[selector.metric]))
            complaints += [f"{selector.metric} has no {label}" for label in missing]
    return complaints


def with_records(known: Known, records: Iterable[Rule]) -> dict[str, frozenset[str]]:
    """`known`, and what is recorded, in whatever order: a record has the labels that its expression can give."""
    found = {name: frozenset(labels) for name, labels in known.items()}
    waiting = list(records)
    while ready := [rule for rule in waiting if _names_known(rule, found)]:
        for rule in ready:
            labels = _labels_of(rule, found)
            found[rule.name] = labels & found.get(rule.name, labels)
        waiting = [rule for rule in waiting if rule not in ready]
    return found


def _names_known(rule: Rule, known: Known) -> bool:
    return all(selector.metric in known for selector in named(rule.expression))


def _labels_of(rule: Rule, known: Known) -> frozenset[str]:
    offered = {label for selector in named(rule.expression) for label in known[selector.metric]}
    return frozenset({label for label in offered if result_has(rule, label, known)} | set(rule.labels))


def result_has(rule: Rule, label: str, known: Known) -> bool:
    """Whether what a rule gives has a label."""
    return label in rule.labels or not unknown_names(f"count by ({label}) ({rule.expression})", known)


def unknown_values(expression: str) -> list[str]:
    """Values that a label never has, and bounds that are no bucket, or are written in more than one way."""
    selectors = [node for node in nodes(syntax.parse(expression)) if isinstance(node, syntax.VectorSelector)]
    return [complaint for selector in selectors for complaint in _odd_values(selector)]


def _odd_values(selector: syntax.VectorSelector) -> Iterator[str]:
    bounds = _bounds(selector.name or "")
    for matcher in selector.matchers.matchers:
        for value in matcher.value.split("|"):
            if matcher.name in VALUES and value not in VALUES[matcher.name]:
                yield f"{matcher.name} is never {value}"
            if matcher.name == "le" and bounds and value not in bounds:
                yield f"{selector.name} has no bucket {value}"
            if matcher.name == "le" and value.endswith(".0"):
                yield f'le="{value}" is written otherwise where it comes by OTLP'


def _bounds(metric: str) -> frozenset[str]:
    for each in CATALOGUE:
        if each.buckets and metric == f"{each.name}_bucket":
            return frozenset({*map(go_float, getattr(Buckets(), each.buckets)), "+Inf"})
    return frozenset()


def badly_named(rules: Iterable[Rule], known: Known) -> list[str]:
    """Records that are not level:metric:operations, with a level whose labels they have; alerts not of our form."""
    complaints = []
    for rule in rules:
        if rule.alert:
            complaints += [] if ALERT_NAME.fullmatch(rule.name) else [f"{rule.name} is no name for an alert"]
            continue
        parts = RECORD_NAME.fullmatch(rule.name)
        if parts is None:
            complaints.append(f"{rule.name} is not level:metric:operations")
        elif parts[1] != NO_LEVEL:
            labels = [LEVELS.get(level, level) for level in parts[1].split("_")]
            complaints += [f"{rule.name} has no {label}" for label in labels if not result_has(rule, label, known)]
    return complaints


def incomplete(alert: Rule, dashboards: Collection[str], headings: Collection[str], known: Known) -> list[str]:
    """What an alert lacks: severity, annotations, links that lead somewhere, labels that its texts name."""
    complaints = []
    if alert.labels.get("severity") not in SEVERITIES:
        complaints.append(f"severity {alert.labels.get('severity')}")
    if set(alert.annotations) != ANNOTATIONS:
        return [*complaints, f"annotations {sorted(alert.annotations)}"]
    if alert.annotations["dashboard"] not in dashboards:
        complaints.append(f"no dashboard {alert.annotations['dashboard']}")
    if alert.annotations["runbook"] != f"{RUNBOOK_PAGE}#{alert.name.lower()}":
        complaints.append(f"runbook {alert.annotations['runbook']}")
    if alert.name not in headings:
        complaints.append(f"no heading {alert.name} in the runbook")
    return complaints + _odd_texts(alert, known)


def _odd_texts(alert: Rule, known: Known) -> list[str]:
    text = " ".join(alert.annotations.values())
    labels = dict.fromkeys(TEMPLATE_LABEL.findall(text))
    complaints = [f"a text names {label}" for label in labels if not result_has(alert, label, known)]
    for query in TEMPLATE_QUERY.findall(text):
        complaints += unknown_names(query.replace("%q", '"x"'), known)
    return complaints


def orphaned(headings: Iterable[str], alerts: Iterable[Rule]) -> list[str]:
    """Entries of the runbook for alerts that there are not."""
    names = {alert.name for alert in alerts}
    return [heading for heading in headings if ALERT_NAME.fullmatch(heading) and heading not in names]


def untested(alert: Rule, scenes: Sequence[Scene]) -> list[str]:
    """Which of the three an alert's tests do not show: that it fires, that it ends, and that it does not fire where it
    nearly might (in a scene of that name)."""
    complaints = []
    timelines = {scene.name: timeline for scene in scenes if (timeline := _timeline(alert, scene))}
    if not any(any(timeline) for timeline in timelines.values()):
        complaints.append(f"{alert.title} never fires in a test")
    if not any(_ends(timeline) for timeline in timelines.values()):
        complaints.append(f"{alert.title} is never over in a test")
    near = [timeline for name, timeline in timelines.items() if name.startswith(f"{alert.title} does not fire: ")]
    if not near or any(any(timeline) for timeline in near):
        complaints.append(f"no test of {alert.title} shows where it does not fire")
    return complaints


def _timeline(alert: Rule, scene: Scene) -> list[bool]:
    """Whether it fires, whenever the scene looks at it."""
    looks = sorted((look for look in scene.looks if look.name == alert.name), key=lambda look: look.seconds)
    return [any(labels.get("long", "") == alert.variant for labels in look.firing) for look in looks]


def _ends(timeline: Sequence[bool]) -> bool:
    return any(before and not after for before, after in pairwise(timeline))


def unasked(rules: Sequence[Rule], scenes: Sequence[Scene]) -> list[str]:
    """Recording rules whose value no test depends on: neither asked for, nor used by an alert that is looked at, nor by
    a record of which one of these is true."""
    looked_at = {look.name for scene in scenes for look in scene.looks}
    texts = [text for scene in scenes for text in scene.expressions]
    texts += [rule.expression for rule in rules if rule.alert and rule.name in looked_at]
    reached: set[str] = set()
    while more := {selector.metric for text in texts for selector in named(text)} - reached:
        reached |= more
        texts = [rule.expression for rule in rules if rule.name in more]
    return sorted({rule.name for rule in rules if not rule.alert} - reached)
