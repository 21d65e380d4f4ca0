"""The first minutes of the demo, seen through Prometheus: every panel has something to show, for all tiers and for one,
and it is what the sidecars say."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests.dashboards.evaluate import Query, Series, exemplars, expressions, fault, ready, run, variables
from tests.end_to_end.prometheus import value
from tests.end_to_end.shipped import SHIPPED
from tests.end_to_end.sidecar import Metrics
from tests.end_to_end.stage import Stage

Dashboard = Mapping[str, Any]
DASHBOARDS = {
    path.stem.removeprefix("llama-exporter-"): json.loads(path.read_text())
    for path in sorted((SHIPPED.parent / "dashboards").glob("*.json"))
}
STEP_SECONDS = 5.0
LOOK_BACK_SECONDS = 120.0
"""Two outages of the demo."""
LEAST_SHARE = 1 / 3
"""Of the times in a chart at which there is to be a number: single points are no line."""
EVERYTHING: Mapping[str, str] = {}
ONE_TIER = {"tier": "Q2"}
ONLY_OF_Q4 = {"Drafts accepted", "Speculative decoding: accepted", "Speculative decoding: tokens"}
"""Panels with nothing for another tier: of the demo's engines only the one of Q4 has a draft model."""
GPU_MEMORY_BYTES = 150_754_820_096 + 24_152_899_584
"""Of the two GPUs of the fake NVML, which both sidecars see."""
SLOTS = 3 * 2 + 4
"""Of the demo's three engines, and of the one beside the second sidecar."""


def ask(first_day: Stage, query: Query, values: Mapping[str, str], span: float) -> list[Series]:
    """What a panel is given when it shows so many seconds."""
    end = time.time()
    filled = ready(
        query,
        interval_seconds=STEP_SECONDS,
        range_seconds=span,
        variables=values,
        scrape_interval_seconds=STEP_SECONDS,
    )
    return run(first_day.prometheus, filled, end - span, end, STEP_SECONDS)


def complaint(first_day: Stage, query: Query, values: Mapping[str, str]) -> str | None:
    """Why a panel would show nothing, or next to nothing."""
    span = min(LOOK_BACK_SECONDS, time.time() - first_day.began)
    series = ask(first_day, query, values, span)
    times = {moment for one in series for moment, number in one.points if math.isfinite(number)}
    steps = span // STEP_SECONDS
    few = None if query.instant or len(times) >= LEAST_SHARE * steps else f"numbers at {len(times)} of {steps} times"
    return fault(series) or few


def explain_empty(first_day: Stage, dashboard: Dashboard, chosen: Mapping[str, str]) -> dict[str, str]:
    """The panels of a dashboard that show nothing, with the reason."""
    values = variables(first_day.prometheus, dashboard, chosen)
    asked = ((query, complaint(first_day, query, values)) for query in expressions(dashboard))
    return {query.panel_title: f"{why}: {query.expression}" for query, why in asked if why is not None}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_has_something_to_show(first_day: Stage, name: str) -> None:
    assert first_day.settled(lambda: explain_empty(first_day, DASHBOARDS[name], EVERYTHING)) == {}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_has_something_to_show_of_one_tier(first_day: Stage, name: str) -> None:
    absent = {query.panel_title for query in expressions(DASHBOARDS[name])} & ONLY_OF_Q4

    def unexpected() -> dict[str, str]:
        found = explain_empty(first_day, DASHBOARDS[name], ONE_TIER)
        there = dict.fromkeys(absent - found.keys(), "has something to show")
        return there | {title: why for title, why in found.items() if title not in absent}

    assert first_day.settled(unexpected) == {}


def without_traces(first_day: Stage, name: str) -> list[str]:
    """Panels of a dashboard that ask for the traces behind their figures, and get none."""
    values = variables(first_day.prometheus, DASHBOARDS[name], EVERYTHING)
    seen = time.time() - first_day.began
    asking = [query for query in expressions(DASHBOARDS[name]) if query.exemplar]
    filled = (ready(each, interval_seconds=STEP_SECONDS, range_seconds=seen, variables=values) for each in asking)
    return [
        query.panel_title
        for query in filled
        if not exemplars(first_day.prometheus, query, first_day.began, time.time())
    ]


@pytest.mark.parametrize("name", [name for name in DASHBOARDS if name != "resources"])
def test_charts_lead_to_traces(first_day: Stage, name: str) -> None:
    assert any(query.exemplar for query in expressions(DASHBOARDS[name]))
    assert first_day.settled(lambda: without_traces(first_day, name)) == []


def test_a_panel_without_data_would_be_noticed(first_day: Stage) -> None:
    panel = next(each for each in DASHBOARDS["overview"]["panels"] if each["type"] == "timeseries")
    written = {
        "missing": "llm_nobody_has_this",
        "not a number": "sum(llm_requests_total) * 0 / 0",
        "a point": "sum(up) and on () (vector(time()) % 60 < 5)",
        "fine": "sum(llm_requests_total)",
    }
    planted = [
        {**panel, "title": title, "targets": [{**panel["targets"][0], "expr": expression}]}
        for title, expression in written.items()
    ]
    dashboard = {**DASHBOARDS["overview"], "panels": planted}

    def wrong() -> set[str]:
        return explain_empty(first_day, dashboard, EVERYTHING).keys() ^ (written.keys() - {"fine"})

    assert first_day.settled(wrong) == set()


# The figures


def shown(first_day: Stage, name: str, title: str, ref: str = "A", **chosen: str) -> list[Series]:
    """What a query of a panel is given for all the time since the beginning."""
    dashboard = DASHBOARDS[name]
    (query,) = [each for each in expressions(dashboard) if (each.panel_title, each.ref) == (title, ref)]
    values = variables(first_day.prometheus, dashboard, chosen)
    return ask(first_day, query, values, time.time() - first_day.began)


def figure(first_day: Stage, name: str, title: str, ref: str = "A", **chosen: str) -> float:
    """The last number that a query of a panel is given, of all its series together."""
    return sum(one.points[-1][1] for one in shown(first_day, name, title, ref, **chosen))


def exposed(first_day: Stage, name: str, **labels: str) -> float:
    """A metric as the sidecars show it themselves, of both together."""
    texts = [httpx.get(f"{each}/metrics", timeout=10).text for each in (first_day.demo, first_day.other)]
    return sum(Metrics(text).sum(name, **labels) for text in texts)


def unlike(found: object, wanted: object) -> list[object]:
    """What was found, where it is not what it should be."""
    return [] if found == wanted else [found]


def instance(url: str) -> str:
    return url.removeprefix("http://")


@pytest.mark.parametrize(
    ("name", "title", "metric"),
    [("overview", "Operations", "llm_requests_total"), ("routing", "Decisions", "llm_routing_decisions_total")],
)
@pytest.mark.parametrize("chosen", [EVERYTHING, ONE_TIER], ids=["all", "one tier"])
def test_counts_over_the_time_shown_are_those_of_the_sidecars(
    first_day: Stage, name: str, title: str, metric: str, chosen: Mapping[str, str]
) -> None:
    """About, since time goes by between the questions. What was there when Prometheus first saw a series is no
    increase."""
    matchers = ", ".join(f'{label}="{text}"' for label, text in chosen.items())

    def off() -> list[object]:
        at_first = value(first_day.prometheus, f"sum(min_over_time({metric}{{{matchers}}}[1d]))") or 0.0
        growth = exposed(first_day, metric, **chosen) - at_first
        seen = figure(first_day, name, title, **chosen)
        return unlike(seen, pytest.approx(growth, rel=0.1)) if growth > 50 else [growth]

    assert first_day.settled(off) == []


def test_the_decision_matrix_has_all_decisions(first_day: Stage) -> None:
    def off() -> list[object]:
        wanted = pytest.approx(figure(first_day, "routing", "Decisions"), rel=0.03)
        return unlike(figure(first_day, "routing", "Decision matrix"), wanted)

    assert first_day.settled(off) == []


def test_gpus_that_two_sidecars_see_are_counted_once(first_day: Stage) -> None:
    def off() -> list[object]:
        return [
            *unlike(value(first_day.prometheus, "sum(hw_gpu_memory_limit_bytes)"), 2 * GPU_MEMORY_BYTES),
            *unlike(figure(first_day, "resources", "VRAM", "B"), GPU_MEMORY_BYTES),
            *unlike(figure(first_day, "resources", "VRAM", "A"), pytest.approx(0.65 * GPU_MEMORY_BYTES, rel=0.1)),
            *unlike(len(shown(first_day, "resources", "GPU states")), 2),
        ]

    assert first_day.settled(off) == []


def test_each_sidecar_and_each_of_its_upstreams_has_a_line(first_day: Stage) -> None:
    upstreams = {(instance(first_day.demo), tier) for tier in ("Q2", "Q3", "Q4")} | {(instance(first_day.other), "Q4")}

    def off() -> list[object]:
        lines = shown(first_day, "routing", "Upstreams over time")
        return [
            *unlike(sorted((one.labels["instance"], one.labels["upstream"]) for one in lines), sorted(upstreams)),
            *unlike(figure(first_day, "overview", "Sidecars"), 2),
        ]

    assert first_day.settled(off) == []


@pytest.mark.parametrize(("chosen", "slots"), [({}, SLOTS), ({"tier": "Q2"}, 2), ({"tier": "Q4"}, 2 + 4)])
def test_slots_are_those_of_the_engines(first_day: Stage, chosen: Mapping[str, str], slots: int) -> None:
    def off() -> list[object]:
        (line,) = shown(first_day, "llama-server", "Slots", **chosen)
        return unlike(max(number for _, number in line.points if math.isfinite(number)), slots)

    assert first_day.settled(off) == []
