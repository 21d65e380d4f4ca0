"""What the page draws: a dashboard with its variables filled in, and Prometheus' answers. `__main__` makes one for each
dashboard."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.dashboards.evaluate import Query, Series, exemplars, expressions, fault, panels, run, substitute, variables

Json = dict[str, Any]

NICE_STEPS_SECONDS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600)
COLUMN_PIXELS = 65
APART = 2.0
"""Exemplars of one step are shown when they lie this many standard deviations apart, as in Grafana."""


@dataclass(frozen=True, slots=True)
class Period:
    """From when to when (Unix seconds), and how often Prometheus scrapes."""

    start: float
    end: float
    scrape_interval_seconds: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start

    def step(self, width: int, minimum: float = 0.0) -> float:
        """The step for a panel that is so many columns wide, in seconds."""
        wanted = max(self.seconds / (width * COLUMN_PIXELS), self.scrape_interval_seconds, minimum)
        return float(next((nice for nice in NICE_STEPS_SECONDS if nice >= wanted), math.ceil(wanted)))


@dataclass(frozen=True, slots=True)
class Scene:
    """`data` is what `src/scene.ts` describes; `faults` are the panels without data (by `id`), and why."""

    data: Json
    faults: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the figures come from."""

    prometheus: str
    period: Period
    chosen: Mapping[str, str]

    def scene(self, dashboard: Json, links: Sequence[str]) -> Scene:
        """Asks Prometheus everything that the dashboard asks."""
        values = variables(self.prometheus, dashboard, self.chosen)
        widths = {panel["id"]: panel["gridPos"]["w"] for panel in panels(dashboard)}
        answers: dict[int, list[Json]] = {}
        found: dict[int, list[str | None]] = {}
        for query in expressions(dashboard):
            answer, why = self._answer(query, widths[query.panel_id], values)
            answers.setdefault(query.panel_id, []).append(answer)
            found.setdefault(query.panel_id, []).append(why)
        data = {
            **_head(dashboard, links, self.chosen),
            "from": self.period.start * 1000,
            "to": self.period.end * 1000,
            "panels": [{**panel, "title": self._fill(panel["title"], 1, values)} for panel in dashboard["panels"]],
            "answers": answers,
            "annotations": list(self._annotations(dashboard, values)),
        }
        return Scene(data, {key: str(each[0]) for key, each in found.items() if all(each)})

    def _answer(self, query: Query, width: int, values: Mapping[str, str]) -> tuple[Json, str | None]:
        step = self.period.step(width, _seconds(query.interval))
        legend = self._fill(query.legend, step, values)
        query = self._ready(query, step, values)
        start = self.period.start // step * step
        series = run(self.prometheus, query, start, self.period.end, step)
        marks = exemplars(self.prometheus, query, self.period.start, self.period.end) if query.exemplar else []
        answer = {
            "ref": query.ref,
            "expression": query.expression,
            "legend": legend,
            "format": query.format,
            "instant": query.instant,
            "stepMs": step * 1000,
            "series": [{"labels": dict(one.labels), "points": _points(one)} for one in series],
            "exemplars": [{"time": time * 1000, "value": value} for time, value in thin_out(marks, step)],
        }
        return answer, fault(series)

    def _ready(self, query: Query, step: float, values: Mapping[str, str]) -> Query:
        return replace(query, expression=self._fill(query.expression, step, values))

    def _fill(self, text: str, step: float, values: Mapping[str, str]) -> str:
        return substitute(
            text,
            interval_seconds=step,
            range_seconds=self.period.seconds,
            variables=values,
            scrape_interval_seconds=self.period.scrape_interval_seconds,
        )

    def _annotations(self, dashboard: Json, values: Mapping[str, str]) -> Iterator[Json]:
        """Times at which an annotation's expression has a value; neighbouring ones are one."""
        step = self.period.step(24)
        for annotation in _shown_annotations(dashboard):
            query = self._ready(Query(annotation["name"], "A", annotation["expr"]), step, values)
            for series in run(self.prometheus, query, self.period.start // step * step, self.period.end, step):
                for start, end in stretches([time for time, value in series.points if value], step):
                    yield {
                        "name": annotation["name"],
                        "color": annotation["iconColor"],
                        "from": start * 1000,
                        "to": end * 1000,
                    }


def _head(dashboard: Json, links: Sequence[str], chosen: Mapping[str, str]) -> Json:
    entries = dashboard.get("templating", {}).get("list", ())
    shown = [entry for entry in entries if entry.get("hide", 0) != 2]
    return {
        "title": dashboard["title"],
        "links": [link for link in links if link != dashboard["title"]],
        "variables": [
            {"label": entry.get("label") or entry["name"], "text": _text(entry, chosen.get(entry["name"]))}
            for entry in shown
        ],
        "toggles": [annotation["name"] for annotation in _shown_annotations(dashboard)],
    }


def _text(variable: Json, chosen: str | None) -> str:
    """How the value that is chosen reads in the bar of variables."""
    if chosen is not None:
        return chosen
    if variable["type"] == "datasource":
        return "Prometheus"
    if variable.get("includeAll"):
        return "All"
    return str((variable.get("current") or {}).get("text", ""))


def _shown_annotations(dashboard: Json) -> list[Json]:
    entries: list[Json] = dashboard.get("annotations", {}).get("list", [])
    return [entry for entry in entries if entry.get("expr") and entry.get("enable")]


def _seconds(interval: str) -> float:
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    number = interval.rstrip("msh")
    return float(number) * units[interval.removeprefix(number)] if number else 0.0


def _points(series: Series) -> list[tuple[float, float | None]]:
    return [(time * 1000, value if math.isfinite(value) else None) for time, value in series.points]


def thin_out(marks: Sequence[tuple[float, float]], step: float) -> list[tuple[float, float]]:
    """Of the exemplars (time and value) within a step, those that lie well apart."""
    if len(marks) < 2:
        return list(marks)
    mean = sum(value for _, value in marks) / len(marks)
    deviation = math.sqrt(sum((value - mean) ** 2 for _, value in marks) / len(marks))
    kept: dict[float, list[tuple[float, float]]] = {}
    for time, value in sorted(set(marks), key=lambda mark: (-mark[1], mark[0])):
        near = kept.setdefault(time // step, [])
        if not near or near[-1][1] - value >= APART * deviation > 0:
            near.append((time, value))
    return [mark for near in kept.values() for mark in near]


def stretches(times: Sequence[float], step: float) -> Iterator[tuple[float, float]]:
    """First and last of the times that follow each other step by step."""
    begun: list[list[float]] = []
    for time in times:
        if begun and time - begun[-1][1] <= step:
            begun[-1][1] = time
        else:
            begun.append([time, time])
    yield from ((first, last) for first, last in begun)
