"""The evaluation of dashboards: what Grafana would ask, and what a real Prometheus answers."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.dashboards.evaluate import (
    Query,
    QueryError,
    Series,
    expressions,
    fault,
    panels,
    ready,
    run,
    substitute,
    used,
    variables,
)
from tests.end_to_end.prometheus import running
from tests.programs import program

START = 1_700_000_000
"""Unix seconds of the first sample of the stored series."""

SAMPLES = "\n".join(
    [
        "# TYPE temperature gauge",
        *(
            f'temperature{{job="house",room="{room}"}} {value + step} {START + 15 * step}'
            for room, value in (("attic (old)", 20), ("cellar", 10))
            for step in range(41)
        ),
        "# TYPE nothing gauge",
        *(f'nothing{{job="house"}} NaN {START + 15 * step}' for step in range(41)),
        "# EOF",
        "",
    ]
)
END = START + 600


def fill(expression: str, **values: str) -> str:
    return substitute(expression, interval_seconds=30, range_seconds=3600, variables=values)


@pytest.mark.parametrize(
    ("written", "filled"),
    [
        ("rate(a[$__rate_interval])", "rate(a[60s])"),
        ("rate(a[${__rate_interval}])", "rate(a[60s])"),
        ("rate(a[$__interval])", "rate(a[30s])"),
        ("increase(a[$__range])", "increase(a[3600s])"),
        ("a / $__range_s", "a / 3600"),
        ("a / $__interval_ms", "a / 30000"),
        ('a{job=~"$job"}', 'a{job=~"x|y"}'),
        ('a{job=~"${job:regex}",b="[[job]]"}', 'a{job=~"x|y",b="x|y"}'),
        ('a{job=~"${job.text}",b="[[job:regex]]",c="${job.value:raw}"}', 'a{job=~"x|y",b="x|y",c="x|y"}'),
        ('a{b=~".+$"}', 'a{b=~".+$"}'),
        ('label_replace(a, "b", "$1-${2}", "c", "(.)(.)")', 'label_replace(a, "b", "$1-${2}", "c", "(.)(.)")'),
    ],
)
def test_variables_are_filled_in(written: str, filled: str) -> None:
    assert fill(written, job="x|y") == filled


@pytest.mark.parametrize("written", ["a{b='$jobs'}", "a{b='${jobs}'}", "a[$__rate_intervall]"])
def test_a_name_that_nobody_defines_is_an_error(written: str) -> None:
    with pytest.raises(QueryError, match="nobody defines"):
        fill(written, job="x")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('rate(a{x=~"$job", y="${tier:regex}", z=~"[[model]]"}[$__rate_interval]) > ${__range_s}', "job tier model"),
        ("/d/board?${__url_time_range}&${job:queryparam}&var-tier=${__data.fields.tier}&var-x=${x.text}", "job x"),
        ('label_replace(a, "b", "$1-${2}", "c", "(.)(.)$") or {{tier}}', ""),
    ],
)
def test_the_variables_of_a_text_are_found(text: str, names: str) -> None:
    assert used(text) == names.split()


@pytest.mark.parametrize(
    ("interval", "scrape", "expected"),
    [(1, 15, "60s"), (15, 15, "60s"), (60, 15, "75s"), (5, 5, "20s"), (0.5, 1, "4s")],
)
def test_the_rate_interval_covers_four_scrapes(interval: float, scrape: float, expected: str) -> None:
    text = substitute(
        "$__rate_interval",
        interval_seconds=interval,
        range_seconds=60,
        variables={},
        scrape_interval_seconds=scrape,
    )
    assert text == expected


def test_short_intervals_are_written_in_milliseconds() -> None:
    text = substitute("[$__interval] [$__range]", interval_seconds=0.25, range_seconds=1.5, variables={})
    assert text == "[250ms] [1500ms]"


def panel(title: str, *targets: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "timeseries", "title": title, "targets": list(targets), **more}


def test_the_queries_of_all_panels_are_found() -> None:
    dashboard = {
        "panels": [
            panel(
                "One", {"refId": "A", "expr": "a", "legendFormat": "{{room}}", "exemplar": True}, id=4, interval="1m"
            ),
            {"type": "text", "title": "Words"},
            {"type": "row", "title": "Open", "panels": []},
            panel("Two", {"refId": "A", "expr": "b", "hide": True}, {"refId": "B", "expr": "c", "instant": True}),
            {
                "type": "row",
                "title": "Folded",
                "collapsed": True,
                "panels": [
                    panel("Three", {"refId": "A", "expr": "d", "format": "heatmap", "instant": True, "range": True})
                ],
            },
        ]
    }
    assert expressions(dashboard) == [
        Query("One", "A", "a", legend="{{room}}", panel_id=4, interval="1m", exemplar=True),
        Query("Two", "B", "c", instant=True),
        Query("Three", "A", "d", format="heatmap"),
    ]
    assert [one["title"] for one in panels(dashboard)] == ["One", "Words", "Two", "Three"]


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ([], "no series"),
        ([Series({}, ())], "no number"),
        ([Series({}, ((1.0, math.nan), (2.0, math.inf)))], "no number"),
        ([Series({}, ((1.0, math.nan), (2.0, 0.0)))], None),
        ([Series({"a": "1"}, ((1.0, math.nan),)), Series({"a": "2"}, ((1.0, 3.0),))], None),
    ],
)
def test_what_would_show_nothing_is_told_apart(series: list[Series], expected: str | None) -> None:
    assert fault(series) == expected


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, find_port: Callable[[], int]) -> Iterator[str]:
    """The address of a Prometheus that scrapes nothing and has the samples above."""
    promtool, server = program("promtool"), program("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "samples").write_text(SAMPLES)
    (folder / "config.yml").write_text("{}")
    import_ = [promtool, "tsdb", "create-blocks-from", "openmetrics", "samples", "data"]
    subprocess.run(import_, cwd=folder, check=True, capture_output=True, timeout=60)
    address = f"127.0.0.1:{find_port()}"
    command = [
        *(server, f"--config.file={folder / 'config.yml'}", f"--storage.tsdb.path={folder / 'data'}"),
        *("--storage.tsdb.retention.time=100y", f"--web.listen-address={address}"),
    ]
    with running(command, folder / "prometheus.log", f"http://{address}/-/ready"):
        yield f"http://{address}"


def ask(base: str, expression: str, *, instant: bool = False) -> list[Series]:
    return run(base, Query("Panel", "A", expression, instant=instant), START, END, 60)


def test_a_range_has_a_point_for_each_step(prometheus: str) -> None:
    (series,) = ask(prometheus, 'temperature{room="cellar"}')
    assert series.labels == {"__name__": "temperature", "job": "house", "room": "cellar"}
    assert series.points == tuple((START + 60 * minute, 10 + 4 * minute) for minute in range(11))


def test_an_instant_query_is_asked_at_the_end(prometheus: str) -> None:
    series = ask(prometheus, "sum by (room) (temperature)", instant=True)
    assert {one.labels["room"]: one.points for one in series} == {
        "cellar": ((END, 50.0),),
        "attic (old)": ((END, 60.0),),
    }


def test_a_scalar_is_a_series_without_labels(prometheus: str) -> None:
    assert ask(prometheus, "scalar(vector(2)) * 3", instant=True) == [Series({}, ((END, 6.0),))]


def test_what_is_empty_or_not_a_number_is_found(prometheus: str) -> None:
    assert fault(ask(prometheus, "temperature")) is None
    assert fault(ask(prometheus, "temperatur")) == "no series"
    assert fault(ask(prometheus, "nothing")) == "no number"


def test_a_refusal_says_what_prometheus_says(prometheus: str) -> None:
    with pytest.raises(QueryError, match=r"parse error.*rate\(temperature"):
        ask(prometheus, "rate(temperature")


def test_an_answer_that_is_not_from_prometheus_is_an_error(prometheus: str) -> None:
    with pytest.raises(QueryError, match="404"):
        ask(f"{prometheus}/elsewhere", "temperature")


def dashboard(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"templating": {"list": list(entries)}}


def room(**more: Any) -> dict[str, Any]:
    query = 'label_values(temperature{job="$job"}, room)'
    return {"type": "query", "name": "room", "query": {"query": query, "refId": "x"}, **more}


JOB = {"type": "query", "name": "job", "query": "label_values(job)"}


def test_variables_have_the_values_that_grafana_would_choose(prometheus: str) -> None:
    source = {"type": "datasource", "name": "source", "query": "prometheus"}
    percent = {"type": "custom", "name": "percent", "query": "0.5, 0.95, 0.99", "current": {"value": "0.95"}}
    threshold = {"type": "constant", "name": "threshold", "query": "0.2"}
    assert variables(prometheus, dashboard(source, JOB, room(), percent, threshold)) == {
        "source": "prometheus",
        "job": "house",
        "room": "attic (old)",
        "percent": "0.95",
        "threshold": "0.2",
    }


def test_all_is_what_the_dashboard_says_or_every_value(prometheus: str) -> None:
    written = room(includeAll=True, allValue=".+")
    assert variables(prometheus, dashboard(JOB, written))["room"] == ".+"
    every = variables(prometheus, dashboard(JOB, room(includeAll=True)))
    assert every["room"] == r"(attic \\(old\\)|cellar)"
    query = Query("Panel", "A", 'temperature{room=~"$room"}')
    filled = ready(query, interval_seconds=15, range_seconds=600, variables=every)
    assert len(run(prometheus, filled, START, END, 60)) == 2


def test_chosen_values_come_first_and_filters_count(prometheus: str) -> None:
    assert variables(prometheus, dashboard(JOB, room()), {"room": "cellar"})["room"] == "cellar"
    assert variables(prometheus, dashboard(JOB, room(regex="/^c/")))["room"] == "cellar"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({**JOB, "query": "label_values(temperature, nowhere)"}, "has no value"),
        ({**JOB, "query": "query_result(temperature)"}, "label_values"),
        (room(), "nobody defines the variable 'job'"),
    ],
)
def test_variables_without_a_value_are_errors(prometheus: str, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(QueryError, match=message):
        variables(prometheus, dashboard(entry))
