"""The dashboards keep the rules of Grafana's dashboard-linter, and our own."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tests.dashboards import dashboard_rules, panel_rules
from tests.dashboards.documents import (
    OVERVIEW,
    Change,
    Check,
    Json,
    broken,
    dashboards,
    panel,
    panels,
    target,
    variable,
    variables,
)

RULES = (*dashboard_rules.RULES, *panel_rules.RULES)


def sets(**values: Any) -> Change:
    """Change the dashboard itself."""
    return lambda document: document.update(values)


def of_variable(called: str, /, **values: Any) -> Change:
    return lambda document: variable(document, called).update(values)


def drops_variable(name: str) -> Change:
    return lambda document: variables(document).remove(variable(document, name))


def asks_for_values(name: str, query: str) -> Change:
    return lambda document: variable(document, name)["query"].update(query=query)


def swaps_variables(one: int, other: int) -> Change:
    def change(document: Json) -> None:
        listed = variables(document)
        listed[one], listed[other] = listed[other], listed[one]

    return change


def of_panel(kind: str, **values: Any) -> Change:
    return lambda document: panel(document, kind).update(values)


def of_defaults(kind: str, **values: Any) -> Change:
    return lambda document: panel(document, kind)["fieldConfig"]["defaults"].update(values)


def of_query(kind: str, **values: Any) -> Change:
    return lambda document: panel(document, kind)["targets"][0].update(values)


def leads_to(old: str, new: str) -> Change:
    """Change a piece of the first link of a chart."""

    def change(document: Json) -> None:
        link = next(
            each["fieldConfig"]["defaults"]["links"][0]
            for _, each in panels(document)
            if "links" in each["fieldConfig"]["defaults"]
        )
        assert old in link["url"]
        link["url"] = link["url"].replace(old, new)

    return change


def everywhere(old: str, new: str) -> Change:
    """Change a piece of the first query that contains it."""

    def change(document: Json) -> None:
        found = target(document, old)
        found["expr"] = found["expr"].replace(old, new, 1)

    return change


def moves(index: int, **place: int) -> Change:
    """Put a panel or a row somewhere else."""
    return lambda document: document["panels"][index]["gridPos"].update(place)


def colours(*values: float | None) -> Change:
    steps = [{"color": "red", "value": value} for value in values]
    return of_defaults("stat", thresholds={"mode": "absolute", "steps": steps})


def asks_twice(document: Json) -> None:
    """The first panel asks the same again."""
    queries = panel(document, "stat")["targets"]
    queries.append(queries[0])


def silences(document: Json) -> None:
    """No chart asks for exemplars."""
    for _, each in panels(document):
        for query in each["targets"]:
            query["exemplar"] = False


SAYS_NOTHING = [{"type": "special", "options": {"match": "null", "result": {"text": "No traffic"}}}]
LATENCY = "llama-exporter-latency"

PLANTED: list[tuple[Check, Change, str]] = [
    (dashboard_rules.identity, sets(editable=True), "editable"),
    (dashboard_rules.identity, sets(schemaVersion=42), "schemaVersion"),
    (dashboard_rules.identity, sets(id=7), "id is 7"),
    (dashboard_rules.identity, sets(uid="a" * 41), "no uid"),
    (dashboard_rules.identity, sets(tags=["llama"]), "no tag"),
    (dashboard_rules.identity, sets(refresh=""), "refreshed"),
    (dashboard_rules.data_source_variable, drops_variable("datasource"), "has []"),
    (dashboard_rules.data_source_variable, of_variable("datasource", name="source"), "['source']"),
    (dashboard_rules.data_source_variable, of_variable("datasource", query="loki"), "['datasource']"),
    (dashboard_rules.data_source_variable, of_variable("job", type="datasource"), "['datasource', 'job']"),
    (dashboard_rules.target_variables, drops_variable("job"), "variable job: type is None"),
    (dashboard_rules.target_variables, of_variable("instance", multi=False), "variable instance: multi"),
    (dashboard_rules.target_variables, of_variable("job", allValue=".*"), "variable job: allValue"),
    (dashboard_rules.target_variables, of_variable("job", label="job"), "variable job: label"),
    (dashboard_rules.target_variables, of_variable("job", definition="label_values(up, instance)"), "the label job"),
    (dashboard_rules.query_variables, of_variable("tier", refresh=1), "tier is not asked for anew"),
    (dashboard_rules.query_variables, of_variable("tier", datasource={"uid": "prom"}), "tier asks"),
    (dashboard_rules.query_variables, swaps_variables(1, 2), "instance uses job"),
    (dashboard_rules.query_variables, asks_for_values("tier", "label_values(up{a=~'${tire}'}, tier)"), "uses tire"),
    (dashboard_rules.query_variables, of_variable("model", name="tier"), "the variable 'tier' occurs 2 times"),
    (dashboard_rules.idle_lists, of_variable("slo_ttft", name="slo"), "nobody uses the variable slo"),
    (dashboard_rules.idle_lists, of_variable("slo_ttft", query="2.5"), "slo_ttft: the options"),
    (dashboard_rules.idle_lists, of_variable("slo_ttft", current={"text": "9", "value": "9"}), "9 is not"),
    (dashboard_rules.dashboard_links, sets(links=[]), "does not lead"),
    (dashboard_rules.dashboard_links, lambda document: document["links"][0].update(keepTime=False), "keep the time"),
    (dashboard_rules.dashboard_links, lambda document: document["links"][0].update(includeVars=False), "variables"),
    (dashboard_rules.dashboard_links, lambda document: document["links"][0].update(tags=["other"]), "does not lead"),
    (dashboard_rules.panel_links, leads_to("llama-exporter-latency", "llama-latency"), "no dashboard of ours"),
    (dashboard_rules.panel_links, leads_to("${__url_time_range}", "from=now-1h"), "keep the time"),
    (dashboard_rules.panel_links, leads_to("${job:queryparam}", "${job}"), "loses job"),
    (dashboard_rules.panel_links, leads_to("var-tier=", "var-tiers="), "no variable tiers"),
    (dashboard_rules.panel_links, leads_to("${job:queryparam}", "${job:queryparam}&${jab:queryparam}"), "jab to carry"),
    (dashboard_rules.events, lambda document: document["annotations"]["list"].pop(1), "alerts"),
    (dashboard_rules.events, lambda document: document["annotations"]["list"].pop(2), "restarts"),
    (dashboard_rules.events, lambda document: document["annotations"]["list"].pop(0), "Grafana's own"),
    (
        dashboard_rules.events,
        lambda document: document["annotations"]["list"][1].update(enable=False),
        "alerts are not shown",
    ),
    (dashboard_rules.placing, moves(1, x=22), "beyond the 24 columns"),
    (dashboard_rules.placing, moves(2, x=3), "lies on"),
    (dashboard_rules.placing, moves(1, y=0), "lies on"),
    (dashboard_rules.placing, moves(1, h=100), "begins before"),
    (dashboard_rules.placing, moves(0, y=5), "above its row"),
    (dashboard_rules.placing, lambda document: document["panels"][1].update(id=1), "the id 1 occurs 2 times"),
    (dashboard_rules.placing, lambda document: document["panels"][0].update(collapsed=True), "inside a row"),
    (dashboard_rules.titles, lambda document: document["panels"][2].update(title="Requests"), "'Requests' occurs 2"),
    (dashboard_rules.titles, lambda document: document["panels"][0].update(title="By tier"), "row 'By tier'"),
    (dashboard_rules.texts, of_panel("table", description=""), "description is empty"),
    (dashboard_rules.texts, of_panel("table", title="Lorem ipsum"), "not finished"),
    (dashboard_rules.texts, of_panel("table", description="TODO: say it"), "not finished"),
    (dashboard_rules.texts, of_panel("table", description="One.Two"), "not finished"),
    (dashboard_rules.texts, of_panel("table", description="One  two"), "not finished"),
    (dashboard_rules.texts, of_query("timeseries", legendFormat=""), "legend is empty"),
    (dashboard_rules.texts, sets(description=" "), "description is empty"),
    (dashboard_rules.texts, of_variable("tier", label=""), "label of tier is empty"),
    (panel_rules.data_sources, of_panel("stat", datasource={"type": "prometheus", "uid": "abc"}), "'abc'"),
    (panel_rules.data_sources, of_query("stat", datasource=None), ", A asks None"),
    (panel_rules.descriptions, of_panel("stat", description="\n\nFrom `llm_requests_total`."), "no title or desc"),
    (panel_rules.descriptions, of_panel("stat", description="Requests."), "lacks llm_requests_total"),
    (panel_rules.units, of_defaults("timeseries", unit="seconds"), "no unit 'seconds'"),
    (panel_rules.units, lambda document: panel(document, "stat")["fieldConfig"]["defaults"].pop("unit"), "unit None"),
    (
        panel_rules.units,
        lambda document: panel(document, "table")["fieldConfig"]["overrides"][0]["properties"][0].update(value="sec"),
        "no unit 'sec'",
    ),
    (panel_rules.questions, of_panel("stat", targets=[]), "asks nothing"),
    (panel_rules.questions, of_query("stat", instant=True, range=True), "in two ways"),
    (panel_rules.questions, of_query("stat", expr=""), "asks nothing"),
    (panel_rules.questions, of_query("timeseries", instant=True, range=False), "more than the newest"),
    (panel_rules.questions, asks_twice, "the letter 'A' occurs 2 times"),
    (panel_rules.windows, everywhere("[$__rate_interval]", "[5m]"), "the window is [5m]"),
    (panel_rules.windows, everywhere("[$__rate_interval]", "[$__range]"), "the window is [$__range]"),
    (panel_rules.windows, of_panel("bargauge", description="Requests."), "the window is [$__range]"),
    (panel_rules.scopes, everywhere('job=~"$job", ', ""), "the chosen job"),
    (panel_rules.scopes, everywhere('instance=~"$instance"', 'instance="$instance"'), "the chosen instance"),
    (panel_rules.scopes, everywhere('job=~"$job"', 'job="llama-exporter"'), "the chosen job"),
    (panel_rules.empty_values, of_defaults("bargauge", noValue=""), "says ''"),
    (panel_rules.empty_values, of_defaults("bargauge", noValue="Nothing here"), "says 'Nothing here'"),
    (panel_rules.empty_values, of_defaults("stat", mappings=SAYS_NOTHING), "[] for NaN"),
    (panel_rules.thresholds, colours(), "thresholds are []"),
    (panel_rules.thresholds, colours(0, 1), "thresholds are [0, 1]"),
    (panel_rules.thresholds, colours(None, 2, 1), "[None, 2, 1]"),
    (panel_rules.exemplars, silences, "TTFT by tier, p95 shows no exemplars"),
    (panel_rules.exemplars, of_query("table", exemplar=True), "has no exemplars"),
    (panel_rules.exemplars, of_query("timeseries", exemplar=True), "nothing in it has exemplars"),
    (
        panel_rules.overrides,
        lambda document: panel(document, "table")["fieldConfig"]["overrides"][0]["matcher"].update(options="Speed"),
        "no 'Speed'",
    ),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("name", dashboards())
def test_dashboards_keep_the_rules(name: str, rule: Check) -> None:
    assert rule(dashboards()[name]) == []


@pytest.mark.parametrize(
    ("rule", "change", "words"), PLANTED, ids=[f"{rule.__name__}: {words}" for rule, _, words in PLANTED]
)
def test_planted_errors_are_found(rule: Check, change: Change, words: str) -> None:
    complaints = rule(broken(change))
    assert [complaint for complaint in complaints if words in complaint], complaints


def test_every_rule_has_a_planted_error() -> None:
    assert {rule for rule, _, _ in PLANTED} == set(RULES)


def test_heatmaps_have_exemplars_and_units_too() -> None:
    assert "Distributions / Time to first token shows no exemplars" in panel_rules.exemplars(broken(silences, LATENCY))
    changed = broken(lambda document: panel(document, "heatmap")["options"]["yAxis"].update(unit="sec"), LATENCY)
    assert panel_rules.units(changed) == ["Distributions / Time to first token: there is no unit 'sec'"]


def test_names_of_dashboards_are_their_own() -> None:
    every = dashboards()
    assert dashboard_rules.clashes(every) == []
    twin = deepcopy(every[OVERVIEW])
    assert dashboard_rules.clashes({**every, "twin": twin}) == [
        "twin has the uid llama-exporter-overview",
        "the title 'llama-exporter / Overview' occurs 2 times",
    ]
