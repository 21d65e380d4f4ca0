"""A real Prometheus scrapes us as OpenMetrics, VictoriaMetrics as text; promtool finds nothing to complain about."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from exporter.demo.engine import Engine
from exporter.demo.traffic import STEADY_KINDS, plan, play_all
from tests.end_to_end.prometheus import query, running, value, wait_until
from tests.end_to_end.sidecar import Sidecar
from tests.programs import program

CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: llama
    static_configs: [{{targets: ["{target}"]}}]
"""


@pytest.fixture(scope="module")
def busy_sidecar(start_engine: Callable[..., Engine]) -> Iterator[Sidecar]:
    """A sidecar through which some traffic has gone."""
    engine = start_engine()
    with Sidecar("--upstream", f"Q4={engine.url}") as sidecar:
        asyncio.run(play_all(sidecar.proxy, plan(3, 40, STEADY_KINDS), users=4))
        sidecar.wait_until(lambda: sidecar.metrics().sum("llm_requests_total") >= 40)
        sidecar.wait_until(lambda: "llamacpp:tokens_predicted_total" in sidecar.metrics().names())
        yield sidecar


@pytest.fixture
def config(busy_sidecar: Sidecar, tmp_path: Path) -> Path:
    path = tmp_path / "prometheus.yml"
    path.write_text(CONFIG.format(target=busy_sidecar.admin.removeprefix("http://")))
    return path


def check_figures(base: str, sidecar: Sidecar) -> None:
    """The scraper knows what we know: counters, histograms, the state of the server and the host."""
    wait_until(lambda: value(base, "sum(llm_requests_total)") == 40, lambda: str(query(base, "up")))
    tokens = sidecar.metrics().sum("gen_ai_client_token_usage_sum", gen_ai_token_type="output")
    assert value(base, 'sum(gen_ai_client_token_usage_sum{gen_ai_token_type="output"})') == tokens > 0
    assert value(base, 'sum(gen_ai_server_time_to_first_token_seconds_bucket{le="+Inf"})') == sidecar.metrics().sum(
        "gen_ai_server_time_to_first_token_seconds_count"
    )
    assert value(base, 'llm_upstream_up{tier="Q4"}') == 1
    assert value(base, "sum(llamacpp:tokens_predicted_total)") is not None
    assert value(base, "process_memory_usage_bytes") is not None
    assert value(base, 'sum(llm_requests_total{outcome="completed"})') is not None


def test_prometheus_scrapes_open_metrics(
    busy_sidecar: Sidecar, config: Path, tmp_path: Path, find_port: Callable[[], int]
) -> None:
    base = f"http://127.0.0.1:{find_port()}"
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={base.removeprefix('http://')}",
        "--enable-feature=exemplar-storage",
    ]
    with running(command, tmp_path / "prometheus.log", f"{base}/-/ready"):
        check_figures(base, busy_sidecar)
        assert value(base, "up") == 1
        # Only OpenMetrics has the time at which a series began; that it is there proves which form was scraped.
        assert value(base, "count(llm_requests_created)") is not None
        kinds = httpx.get(f"{base}/api/v1/metadata").json()["data"]
        assert kinds["gen_ai_server_time_to_first_token_seconds"][0]["type"] == "histogram"
        assert kinds["llm_requests"][0]["type"] == "counter"


def test_victoria_metrics_scrapes_text(
    busy_sidecar: Sidecar, config: Path, tmp_path: Path, find_port: Callable[[], int]
) -> None:
    base = f"http://127.0.0.1:{find_port()}"
    command = [
        program("victoria-metrics"),
        f"-promscrape.config={config}",
        f"-storageDataPath={tmp_path / 'data'}",
        f"-httpListenAddr={base.removeprefix('http://')}",
        "-search.latencyOffset=0s",
    ]
    with running(command, tmp_path / "victoria.log", f"{base}/health"):
        check_figures(base, busy_sidecar)
        assert value(base, "count(llm_requests_created)") is None


def test_promtool_is_content(busy_sidecar: Sidecar) -> None:
    """All that promtool may find fault with are names that llama-server chose."""
    text = httpx.get(f"{busy_sidecar.admin}/metrics").text
    answer = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, timeout=30, check=False
    )
    complaints = [line for line in (answer.stdout + answer.stderr).splitlines() if not line.startswith("llamacpp:")]
    assert complaints == []
