"""Every alert says who is meant and what to do, and is tested both ways."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.known_metrics import known_metrics
from tests.prometheus.checks import incomplete, orphaned, unknown_names, untested, with_records
from tests.prometheus.rulebook import (
    ROOT,
    RUNBOOK,
    Look,
    Rule,
    Scene,
    shipped_alerts,
    shipped_records,
    shipped_scenes,
)

DASHBOARDS = frozenset(path.stem for path in (ROOT / "dashboards").glob("*.json"))
HEADING = re.compile(r"^#+ (\w+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def known() -> dict[str, frozenset[str]]:
    return with_records(known_metrics(), shipped_records())


@pytest.fixture(scope="module")
def headings() -> list[str]:
    return HEADING.findall(RUNBOOK.read_text())


GOOD = Rule(
    "LlamaGood",
    "llm_upstream_up == 0",
    "test",
    alert=True,
    labels={"severity": "warning"},
    annotations={
        "summary": "{{ $labels.upstream }} is down",
        "description": '{{ printf "llm_upstream_up{tier=%q}" $labels.tier | query | first | value }}',
        "runbook": "docs/runbook.md#llamagood",
        "dashboard": "llama-exporter-overview",
    },
)


@pytest.mark.parametrize("alert", shipped_alerts(), ids=lambda alert: alert.title)
def test_an_alert_is_complete(alert: Rule, headings: list[str], known: dict[str, frozenset[str]]) -> None:
    assert incomplete(alert, DASHBOARDS, headings, known) == []


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (replace(GOOD, labels={}), "severity None"),
        (replace(GOOD, labels={"severity": "page"}), "severity page"),
        (replace(GOOD, annotations={"summary": "down"}), "annotations ['summary']"),
        (replace(GOOD, annotations={**GOOD.annotations, "dashboard": "other"}), "no dashboard other"),
        (replace(GOOD, annotations={**GOOD.annotations, "runbook": "docs/runbook.md"}), "runbook docs/runbook.md"),
        (replace(GOOD, name="LlamaBad"), "no heading LlamaBad in the runbook"),
        (replace(GOOD, annotations={**GOOD.annotations, "summary": "{{ $labels.model }}"}), "a text names model"),
        (replace(GOOD, expression="sum(llm_upstream_up) == 0"), "a text names upstream"),
        (
            replace(GOOD, annotations={**GOOD.annotations, "summary": '{{ printf "llm_up{tier=%q}" "a" | query }}'}),
            "no metric llm_up",
        ),
    ],
)
def test_what_is_missing_is_noticed(broken: Rule, complaint: str, known: dict[str, frozenset[str]]) -> None:
    assert incomplete(GOOD, DASHBOARDS, ["LlamaGood"], known) == []
    assert complaint in incomplete(broken, DASHBOARDS, ["LlamaGood"], known)


def test_the_runbook_has_no_entry_too_many(headings: list[str]) -> None:
    assert len([each for each in headings if each.startswith("Llama")]) > 20
    assert orphaned(headings, shipped_alerts()) == []
    assert orphaned(["LlamaGood", "LlamaLongGone", "Severities"], [GOOD]) == ["LlamaLongGone"]


def test_no_two_alerts_share_a_title() -> None:
    titles = [alert.title for alert in shipped_alerts()]
    assert len(set(titles)) == len(titles) > 25


@pytest.mark.parametrize("alert", shipped_alerts(), ids=lambda alert: alert.title)
def test_an_alert_fires_and_ends_and_nearly_fires(alert: Rule) -> None:
    assert untested(alert, shipped_scenes()) == []


def looks(*firing: bool) -> tuple[Look, ...]:
    return tuple(Look(60.0 * at, "LlamaGood", ({},) if each else ()) for at, each in enumerate(firing))


def scene(name: str, *firing: bool) -> Scene:
    return Scene(f"LlamaGood {name}", ("up",), looks(*firing), ())


def test_a_missing_test_is_noticed() -> None:
    fires, near = scene("fires", False, True, False), scene("does not fire: it is short", False, False)
    assert untested(GOOD, [fires, near]) == []
    assert untested(GOOD, [near]) == ["LlamaGood never fires in a test", "LlamaGood is never over in a test"]
    assert untested(GOOD, [scene("fires", False, True), near]) == ["LlamaGood is never over in a test"]
    assert untested(GOOD, [fires]) == ["no test of LlamaGood shows where it does not fire"]
    assert untested(GOOD, [fires, scene("does not fire: or does it", False, True)]) == [
        "no test of LlamaGood shows where it does not fire"
    ]


def test_the_variants_of_an_alert_are_told_apart() -> None:
    fast = replace(GOOD, labels={**GOOD.labels, "long": "1h"})
    other = Look(0.0, "LlamaGood", ({"long": "6h"},)), Look(60.0, "LlamaGood", ())
    assert "LlamaGood 1h never fires in a test" in untested(fast, [Scene("LlamaGood fires", (), other, ())])


def test_what_the_tests_feed_exists(known: dict[str, frozenset[str]]) -> None:
    fed = {series for scene in shipped_scenes() for series in scene.series}
    assert len(fed) > 100
    assert [complaint for series in sorted(fed) for complaint in unknown_names(series, known)] == []
