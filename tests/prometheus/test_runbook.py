"""What the runbook says to look at can be looked at: its panels and queries exist."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pytest

from tests.known_metrics import known_metrics
from tests.prometheus.checks import Known, unknown_names, unknown_values, with_records
from tests.prometheus.rulebook import ROOT, RUNBOOK, shipped_alerts, shipped_records

ITEM = re.compile(r"^- (Look|Causes|Do): (.*(?:\n  .*)*)", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")
PLACES = re.compile(r'(llama-exporter-[a-z-]+)|"([^"]+)"|(panels?)')
OURS = re.compile(r"\b(llm_|gen_ai_\w+_(count|sum|bucket)|hw_gpu_|llamacpp:)")
Titles = Mapping[str, Collection[str]]
"""Titles of panels by dashboard."""


def looks(text: str) -> list[str]:
    """Where each entry sends its reader."""
    return [" ".join(match[2].split()) for match in ITEM.finditer(text) if match[1] == "Look"]


def lost_panels(look: str, titles: Titles) -> list[str]:
    """Panels that the dashboard named before them does not have; those of a line without one are the first's."""
    complaints, dashboard, wanted = [], "", False
    for name, title, panel in PLACES.findall(CODE.sub("", look)):
        dashboard = name or dashboard
        wanted = bool(panel) or (wanted and not name)
        if name and name not in titles:
            complaints.append(f"no dashboard {name}")
        elif title and wanted and title not in titles.get(dashboard, ()):
            complaints.append(f"{dashboard or 'no dashboard'} has no panel {title}")
    return complaints


def lost_queries(text: str, known: Known) -> list[str]:
    """Queries that name what there is not."""
    queries = [" ".join(span.split()) for span in CODE.findall(text) if OURS.search(span)]
    return [complaint for each in queries for complaint in [*unknown_names(each, known), *_values(each)]]


def _values(query: str) -> list[str]:
    try:
        return unknown_values(query)
    except ValueError:
        return []


def _panels(panels: list[dict[str, Any]]) -> Iterator[str]:
    for panel in panels:
        yield panel.get("title", "")
        yield from _panels(panel.get("panels", []))


@pytest.fixture(scope="module")
def titles() -> Titles:
    documents = {path.stem: json.loads(path.read_text()) for path in (ROOT / "dashboards").glob("*.json")}
    return {name: set(_panels(document["panels"])) for name, document in documents.items()}


@pytest.fixture(scope="module")
def known() -> Known:
    return with_records(known_metrics(), shipped_records())


def test_every_entry_says_what_to_look_at_what_it_can_be_and_what_to_do() -> None:
    entries = re.split(r"^### ", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    assert len(entries) > 20
    parts = {entry.split()[0]: [match[1] for match in ITEM.finditer(entry)] for entry in entries}
    assert {name: found for name, found in parts.items() if found != ["Look", "Causes", "Do"]} == {}


def first_dashboards(text: str) -> dict[str, str]:
    """The dashboard that each entry names first, by the name of the alert."""
    entries = re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    named = {name: re.search(r"llama-exporter-[a-z-]+", entry) for name, entry in entries}
    return {name: "" if found is None else found[0] for name, found in named.items()}


def test_an_entry_begins_with_the_dashboard_that_its_alert_opens() -> None:
    opened = {alert.name: alert.annotations["dashboard"] for alert in shipped_alerts()}
    assert first_dashboards(RUNBOOK.read_text()) == opened
    assert first_dashboards("### A\nsee llama-exporter-sidecar\n## B\n### C\nx\n") == {
        "A": "llama-exporter-sidecar",
        "C": "",
    }


def test_the_panels_exist(titles: Titles) -> None:
    places = looks(RUNBOOK.read_text())
    assert sum(look.count('"') for look in places) > 60
    assert [complaint for look in places for complaint in lost_panels(look, titles)] == []


def test_a_lost_panel_is_noticed() -> None:
    titles = {"llama-exporter-a": {"One", "Two"}, "llama-exporter-b": {"Three"}}
    good = 'dashboard llama-exporter-a, panels "One" and "Two"; llama-exporter-b, panel "Three"; `x{y="z"}`.'
    assert lost_panels(good, titles) == []
    assert lost_panels('dashboard llama-exporter-a, panels "One", "Three".', titles) == [
        "llama-exporter-a has no panel Three"
    ]
    assert lost_panels('dashboard llama-exporter-c, panel "One".', titles) != []


def test_the_queries_mean_something(known: Known) -> None:
    text = RUNBOOK.read_text()
    assert len([span for span in CODE.findall(text) if OURS.search(span)]) > 8
    assert lost_queries(text, known) == []


def test_a_lost_query_is_noticed(known: Known) -> None:
    assert lost_queries("`rate(llm_request_total[5m])`", known) == ["no metric llm_request_total"]
    assert lost_queries('`llm_requests_total{outcome="failed"}`', known) == ["outcome is never failed"]
    assert lost_queries("`llm_requests_total{`", known) != []
    assert lost_queries("`proxy.max_in_flight`", known) == []
