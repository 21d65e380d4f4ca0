from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.__main__ import (
    compare_stores,
    compare_tracing,
    compare_upstreams,
    error_lines,
    observe_models,
    observe_page,
    parse,
)
from tests.bench.otel import OtelResult, Spans
from tests.bench.report import Report
from tests.bench.rounds import Measured
from tests.bench.routing import Comparison
from tests.bench.store import StoreResult
from tests.bench.test_store import COST
from tests.bench.test_table import ROWS


def test_the_command_line() -> None:
    options = parse(["--only", "json", "--only", "gap", "--seconds-per-case", "0.5", "--memory"])
    assert (options.only, options.seconds_per_case, options.rounds, options.memory) == (["json", "gap"], 0.5, 3, True)
    assert "{admin_port}" in options.proxy_command
    with pytest.raises(SystemExit):
        parse(["--rounds", "many"])


@pytest.mark.parametrize("arguments", [["--only", "json"], ["--proxy-command", "other {proxy_port}"]])
def test_upstreams_are_compared_only_where_that_means_something(arguments: list[str]) -> None:
    complaints: list[str] = []
    assert compare_upstreams(parse(arguments), Path("nowhere"), complaints) == []
    assert complaints == []


def test_what_takes_long_is_measured_only_when_that_is_asked_for() -> None:
    assert compare_stores(parse([]), Path("nowhere"), []) is None
    assert compare_tracing(parse([]), Path("nowhere"), []) is None
    assert observe_models(parse([]), Path("nowhere"), []) is None
    assert observe_page(parse([]), Path("nowhere"), []) is None


def test_errors_are_named() -> None:
    assert error_lines(ROWS)[0] == "json-32, direct: 2 x connection lost, 1 x status 502"


def test_the_document_is_json_and_has_every_figure() -> None:
    comparison = Comparison("json-1", ((300.0, 330.0), (300.0, 336.0)), 0.001, 0.001, 0)
    results = {"json-32": {"nginx": Measured()}}
    store = StoreResult([COST], [])
    otel = OtelResult([replace(COST, variant="1%")], [Spans("json-1", "1%", 40, 0)], [])
    complaints = ["llama-exporter did not start"]
    report = Report(ROWS, results, None, None, [comparison], store, otel, None, None, None, complaints, (0.1, 1.96))
    document = json.loads(json.dumps(report.document()))
    assert document["rows"][0]["figures"]["errors"] == {"connection lost": 2, "status 502": 1}
    assert document["rows"][2]["met"] is False
    assert document["rounds"]["json-32"]["nginx"]["samples"] == []
    (routing,) = document["routing"]
    assert (routing["case"], routing["difference"], routing["met"]) == ("json-1", pytest.approx(0.11), True)
    assert document["store"]["costs"][0]["variant"] == "sqlite"
    assert document["otel"]["spans"] == [{"case": "json-1", "variant": "1%", "exported": 40, "dropped": 0}]
    assert document["complaints"] == ["llama-exporter did not start"]
    assert "load average before and after: 0.1 and 2.0" in report.text()
    assert report.text().endswith("llama-exporter did not start")
