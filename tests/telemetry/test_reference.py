import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.record import AttemptResult, Outcome
from exporter.system.snapshot import ModelState
from exporter.telemetry.catalog import CATALOGUE
from exporter.telemetry.reference import grouped, render_reference
from tests.programs import program

ROOT = Path(__file__).parents[2]
PAGE = render_reference()
QUERIES = re.findall(r"```promql\n(.*?)```", PAGE, re.S)


def test_the_committed_page_is_the_generated_one() -> None:
    committed = (ROOT / "docs" / "metrics.md").read_text()
    assert committed == PAGE, "run: python -m exporter.telemetry.reference > docs/metrics.md"


def test_the_module_writes_the_page() -> None:
    command = [sys.executable, "-m", "exporter.telemetry.reference"]
    written = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert written == PAGE


def test_every_metric_stands_once_in_one_group() -> None:
    listed = [metric for _, _, metrics in grouped() for metric in metrics]
    assert sorted(metric.name for metric in listed) == sorted(metric.name for metric in CATALOGUE)
    rows = re.findall(r"^\| `([a-z_0-9]+)` \| (?:counter|gauge|histogram|info)", PAGE, re.M)
    assert sorted(rows) == sorted(metric.sample_name for metric in CATALOGUE)


def test_no_group_is_empty() -> None:
    assert all(metrics for _, _, metrics in grouped())


@pytest.mark.parametrize("words", [Outcome, AttemptResult, ModelState])
def test_all_values_of_closed_labels_are_listed(words: type[Outcome] | type[AttemptResult] | type[ModelState]) -> None:
    assert all(f"`{word}`" in PAGE for word in words)


def test_queries_name_metrics_and_labels_that_exist() -> None:
    assert len(QUERIES) == 5
    samples = {metric.sample_name for metric in CATALOGUE}
    labels = {label for metric in CATALOGUE for label in metric.labels} | {"le"}
    for query in QUERIES:
        for name in re.findall(r"\b(?:gen_ai|llm)_\w+", query):
            assert re.sub(r"_(bucket|sum)$", "", name) in samples | labels, name
        for label in re.findall(r"(\w+)(?:=|!=|!~|=~)\"", query):
            assert label in labels, label


def test_prometheus_understands_the_queries(tmp_path: Path) -> None:
    rules = [{"record": f"page:query:{number}", "expr": query} for number, query in enumerate(QUERIES)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "page", "rules": rules}]}))
    command = [program("promtool"), "check", "rules", str(tmp_path / "rules.yml")]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "5 rules found" in checked.stdout
