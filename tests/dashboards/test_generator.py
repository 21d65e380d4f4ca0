"""The generator of the dashboards: queries from the catalogue, panels, where they are placed, and its command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.generator import __main__ as program
from dashboards.generator import promql
from dashboards.generator.boards import BOARDS
from dashboards.generator.charts import heatmap, stat, states, timeseries
from dashboards.generator.dashboard import Choice, Dashboard, Row, url
from dashboards.generator.panel import Panel, Query, linked, override, thresholds
from dashboards.generator.tables import matrix, table
from exporter.telemetry import catalog
from exporter.telemetry.catalog import Feed, Kind, Metric
from tests.dashboards.dashboard_rules import placing

ROOT = Path(__file__).parents[2]

EVENTS = Metric("events", Kind.COUNTER, "", Feed.SELF, labels=("tier", "color"))
SIZE = Metric("size", Kind.HISTOGRAM, "", Feed.SELF, labels=("color",))
LEVEL = Metric("level", Kind.GAUGE, "", Feed.SELF, labels=("gen_ai_request_model",))
SLOTS = Metric("slots", Kind.GAUGE, "", Feed.SERVER, labels=("upstream",))
BUILD = Metric("build", Kind.INFO, "", Feed.SELF, labels=("version",))
SCOPE = 'job=~"$job", instance=~"$instance"'


# Queries


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (promql.select(EVENTS), f'events_total{{{SCOPE}, tier=~"$tier"}}'),
        (promql.select(EVENTS, tier="=~.+", color="red"), f'events_total{{{SCOPE}, tier=~".+", color="red"}}'),
        (promql.select(EVENTS, color="!~red|blue"), f'events_total{{{SCOPE}, tier=~"$tier", color!~"red|blue"}}'),
        (promql.select(EVENTS, color="!="), f'events_total{{{SCOPE}, tier=~"$tier", color!=""}}'),
        (promql.select(LEVEL), f'level{{{SCOPE}, gen_ai_request_model=~"$model"}}'),
        (promql.select(SLOTS), f'slots{{{SCOPE}, upstream=~"$upstream", upstream=~"$of_tier"}}'),
        (promql.select(BUILD, version="1"), f'build_info{{{SCOPE}, version="1"}}'),
        (promql.select(SIZE, "_bucket", le="0.5"), f'size_bucket{{{SCOPE}, le="0.5"}}'),
        (promql.rate(EVENTS), f'sum (rate(events_total{{{SCOPE}, tier=~"$tier"}}[$__rate_interval]))'),
        (
            promql.increase(SIZE, "_count", by=("color", "instance")),
            f"sum by (color, instance) (increase(size_count{{{SCOPE}}}[$__range]))",
        ),
        (
            promql.quantile(0.95, SIZE, by=("color",), window="30m"),
            f"histogram_quantile(0.95, sum by (le, color) (rate(size_bucket{{{SCOPE}}}[30m])))",
        ),
        (
            promql.mean(SIZE, color="red"),
            f'sum (rate(size_sum{{{SCOPE}, color="red"}}[$__rate_interval]))'
            f' / sum (rate(size_count{{{SCOPE}, color="red"}}[$__rate_interval]))',
        ),
        (promql.value(BUILD, by=("version",), operation="max"), f"max by (version) (build_info{{{SCOPE}}})"),
        (promql.value(LEVEL), f'sum (level{{{SCOPE}, gen_ai_request_model=~"$model"}})'),
        (promql.share("a", "b"), "((a) or 0 * (b)) / (b)"),
    ],
)
def test_queries(written: str, expected: str) -> None:
    assert written == expected


def test_labels_that_a_metric_has_not_are_refused() -> None:
    with pytest.raises(ValueError, match="events has no label shape; it has tier, color"):
        promql.select(EVENTS, shape="round")
    with pytest.raises(ValueError, match="size has no label tier"):
        promql.rate(SIZE, "_sum", by=("tier",))
    with pytest.raises(ValueError, match="size has no label le"):
        promql.select(SIZE, "_count", le="0.5")
    with pytest.raises(ValueError, match="events has no label le"):
        promql.rate(EVENTS, by=("le",))
    with pytest.raises(ValueError, match="level has no label color"):
        promql.value(LEVEL, by=("color",))


def test_functions_that_do_not_fit_a_metric_are_refused() -> None:
    with pytest.raises(ValueError, match=r"size is a histogram; it has no samples called size$"):
        promql.select(SIZE)
    with pytest.raises(ValueError, match="no samples called events_total_sum"):
        promql.rate(EVENTS, "_sum")
    with pytest.raises(ValueError, match=r"level is a gauge: rate\(\) means nothing"):
        promql.rate(LEVEL)
    with pytest.raises(ValueError, match=r"build is a info: increase\(\) means nothing"):
        promql.increase(BUILD)


# Panels


def test_descriptions_name_each_metric_once() -> None:
    ratio = f"{promql.rate(EVENTS)} / {promql.rate(catalog.REQUESTS)}"
    queries = map(Query, (promql.mean(catalog.ROUTING_SCORE), ratio, ratio))
    panel = timeseries("Events", "How many.", *queries, unit="short")
    assert panel.description == (
        "How many.\n\nFrom `llm_routing_score_sum`, `llm_routing_score_count`, `llm_requests_total`."
    )


def test_queries_have_letters_and_legends() -> None:
    panel = timeseries("Events", "How many.", Query("a"), Query("b", "{{tier}}", exemplar=True), unit="short")
    asked = panel.json(7, 0, 3)
    assert [(each["refId"], each["expr"], each["legendFormat"]) for each in asked["targets"]] == [
        ("A", "a", "__auto"),
        ("B", "b", "{{tier}}"),
    ]
    assert [(each["exemplar"], each["instant"], each["range"]) for each in asked["targets"]] == [
        (False, False, True),
        (True, False, True),
    ]
    assert (asked["id"], asked["gridPos"]) == (7, {"h": 8, "w": 12, "x": 0, "y": 3})


def test_formats_of_queries() -> None:
    made = [
        heatmap("a", "b", "c", unit="s"),
        table("a", "b", {"Value": ("c", "s")}, labels={}),
        matrix("a", "b", "c", rows="x", columns="y", unit="s", steps={}),
    ]
    assert [panel.json(1, 0, 0)["targets"][0]["format"] for panel in made] == ["heatmap", "table", "table"]
    assert [panel.json(1, 0, 0)["targets"][0]["instant"] for panel in made] == [False, True, True]


def test_nothing_is_said_in_words() -> None:
    defaults = stat("a", "b", "c", unit="s").json(1, 0, 0)["fieldConfig"]["defaults"]
    assert defaults["noValue"] == "No traffic"
    assert [(each["options"]["match"], each["options"]["result"]["text"]) for each in defaults["mappings"]] == [
        ("null+nan", "No traffic")
    ]


def test_a_number_is_as_it_is_now_with_or_without_its_course() -> None:
    still, moving = (stat("a", "b", "c", unit="s", course=course).json(1, 0, 0) for course in (False, True))
    assert [(each["expr"], each["instant"]) for each in still["targets"]] == [("c", True)]
    assert [(each["expr"], each["instant"]) for each in moving["targets"]] == [("c or vector(NaN)", False)]
    assert (still["options"]["graphMode"], moving["options"]["graphMode"]) == ("none", "area")


def test_states_have_names_and_colours() -> None:
    panel = states("a", "b", Query("c"), names={0: ("down", "red"), 1: ("up", "green")}, empty="Unknown")
    names, nothing = panel.json(1, 0, 0)["fieldConfig"]["defaults"]["mappings"]
    assert names["options"] == {
        "0": {"color": "red", "index": 0, "text": "down"},
        "1": {"color": "green", "index": 1, "text": "up"},
    }
    assert nothing["options"]["result"]["text"] == "Unknown"


def test_thresholds_begin_with_a_base() -> None:
    assert thresholds((1, "yellow"), (10, "red"), base="blue")["thresholds"] == {
        "mode": "absolute",
        "steps": [
            {"color": "blue", "value": None},
            {"color": "yellow", "value": 1},
            {"color": "red", "value": 10},
        ],
    }


def test_columns_of_tables() -> None:
    columns = {"Requests": ("a", "short"), "Failed": ("b", "percentunit")}
    panel = table("a", "b", columns, labels={"tier": "Tier"}, hidden=("job",)).json(1, 0, 0)
    arranged = panel["transformations"][1]["options"]
    assert arranged["renameByName"] == {"tier": "Tier", "Value #A": "Requests", "Value #B": "Failed"}
    assert arranged["indexByName"] == {"tier": 0, "Value #A": 1, "Value #B": 2}
    assert arranged["excludeByName"] == {"Time": True, "job": True}
    looks = {each["matcher"]["options"]: each["properties"] for each in panel["fieldConfig"]["overrides"]}
    assert looks["Failed"] == [{"id": "unit", "value": "percentunit"}]
    assert looks["Tier"] == [{"id": "noValue", "value": "-"}]
    counted = table("a", "b", {"Requests": ("c", "locale")}, labels={}).json(1, 0, 0)["fieldConfig"]["overrides"]
    assert counted[0]["properties"] == [{"id": "unit", "value": "locale"}, {"id": "decimals", "value": 0}]
    alone = table("a", "b", {"Seen": ("c", "short")}, labels={"version": "Version"}).json(1, 0, 0)
    assert alone["transformations"][1]["options"]["renameByName"] == {"version": "Version", "Value": "Seen"}


def test_overrides_and_links() -> None:
    assert override("all", unit="s", custom_lineWidth=2) == {
        "matcher": {"id": "byName", "options": "all"},
        "properties": [{"id": "unit", "value": "s"}, {"id": "custom.lineWidth", "value": 2}],
    }
    assert override("/all$/", max=1)["matcher"] == {"id": "byRegexp", "options": "/all$/"}
    plain = stat("a", "b", "c", unit="s")
    assert linked(plain, "More", "/d/x").defaults["links"] == [{"targetBlank": False, "title": "More", "url": "/d/x"}]
    assert "links" not in plain.defaults


# Dashboards


def block(width: int, height: int, title: str = "a") -> Panel:
    return stat(title, "b", "c", unit="s", width=width, height=height)


def places(dashboard: Dashboard) -> list[tuple[str, int, int, int]]:
    return [
        (each["title"], each["gridPos"]["x"], each["gridPos"]["y"], each["id"]) for each in dashboard.json()["panels"]
    ]


def test_panels_fill_lines() -> None:
    rows = (
        Row("First", (block(12, 4, "a"), block(8, 8, "b"), block(6, 2, "c"))),
        Row("Second", (block(24, 3, "d"),)),
        Row("Third", (block(24, 3, "e"),)),
    )
    dashboard = Dashboard("name", "Title", "What it is.", rows)
    assert places(dashboard) == [
        ("First", 0, 0, 1),
        ("a", 0, 1, 2),
        ("b", 12, 1, 3),
        ("c", 0, 9, 4),
        ("Second", 0, 11, 5),
        ("d", 0, 12, 6),
        ("Third", 0, 15, 7),
        ("e", 0, 16, 8),
    ]


BLOCKS = st.builds(block, st.integers(1, 24), st.integers(1, 12))
ROWS = st.builds(Row, st.text(), st.lists(BLOCKS, min_size=1, max_size=9).map(tuple))


@given(st.lists(ROWS, max_size=6))
def test_panels_never_overlap(rows: list[Row]) -> None:
    assert placing(Dashboard("name", "Title", "What it is.", tuple(rows)).json()) == []


def test_links_keep_what_they_do_not_set() -> None:
    assert url("there", tier="${__field.labels.tier}") == (
        "/d/there?${__url_time_range}&${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"
        "&${upstream:queryparam}&${model:queryparam}&var-tier=${__field.labels.tier}"
    )


def test_the_first_choice_is_chosen() -> None:
    choice = Choice("target", "Target", "What is wanted", (("2.5 s", "2.5"), ("1 s", "1.0")))
    made = Dashboard("name", "Title", "What it is.", (), (choice,)).json()["templating"]["list"][-1]
    assert made["current"] == {"selected": True, "text": "2.5 s", "value": "2.5"}
    assert made["query"] == "2.5 s : 2.5, 1 s : 1.0"
    assert [each["selected"] for each in made["options"]] == [True, False]


# The program


def test_committed_dashboards_are_what_is_generated(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--check"]) == 0
    assert capsys.readouterr().err == ""
    assert {path.stem for path in program.FOLDER.glob("*.json")} == {board.name for board in BOARDS}


def test_writes_every_dashboard_and_removes_what_is_none(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("kept")
    assert program.main([], tmp_path) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*(f"{board.name}.json" for board in BOARDS), "notes.txt"]
    )
    for board in BOARDS:
        text = (tmp_path / f"{board.name}.json").read_text(encoding="utf-8")
        assert json.loads(text) == board.json()
        assert text.endswith("}\n")


@pytest.mark.parametrize("fault", ["changed", "missing", "superfluous"])
def test_checking_finds_each_difference(fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program.write(tmp_path)
    path = tmp_path / "llama-exporter-latency.json"
    if fault == "changed":
        path.write_text(path.read_text(encoding="utf-8").replace('"30s"', '"5s"'), encoding="utf-8")
    elif fault == "missing":
        path.unlink()
    else:
        path = tmp_path / "other.json"
        path.write_text("{}")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    assert program.main(["--check"], tmp_path) == 1
    assert f"not up to date: {path.name};" in capsys.readouterr().err
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before, "nothing is written"


def test_unknown_options_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        program.main(["--chekc"], tmp_path)
    assert "--chekc" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def run_bare(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the standard library and this repository alone."""
    begin = f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.dont_write_bytecode = True; "
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", begin + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_nothing_but_python_is_needed() -> None:
    start = "sys.argv[1:] = ['--check']; import runpy; runpy.run_module('dashboards.generator', run_name='__main__')"
    done = run_bare(start)
    assert (done.returncode, done.stderr) == (0, "")
    assert "No module named 'httpx'" in run_bare("import httpx").stderr, "what is installed is out of reach"
