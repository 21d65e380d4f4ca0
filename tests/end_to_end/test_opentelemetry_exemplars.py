"""Exemplars lead from a bucket to the trace of a request that fell into it, if that is sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.demo.engine import Engine
from tests.end_to_end.dialects import KINDS, MODEL
from tests.end_to_end.prometheus import running, wait_until
from tests.end_to_end.sidecar import Sidecar
from tests.end_to_end.traced import CHAT, TRACES_ONLY, ask, new_context, wait_for_metrics
from tests.otlp.arrived import Span
from tests.otlp.receiver import Receiver
from tests.programs import program

CONFIG = """\
global: {{scrape_interval: 300ms, scrape_timeout: 300ms}}
scrape_configs:
  - job_name: llama
    static_configs: [{{targets: ["{target}"]}}]
"""
REQUESTS = 24
VALUES = {
    "gen_ai_server_time_to_first_token_seconds": "gen_ai.response.time_to_first_chunk",
    "llm_queue_time_seconds": "llm.queue_time",
    "llm_output_tokens_per_second": "llm.output_tokens_per_second",
    "llm_proxy_overhead_seconds": "llm.proxy_overhead",
}
"""Histograms, and the attribute of a span that has what they count."""
OTHERS = {
    *("gen_ai_server_request_duration_seconds", "gen_ai_server_time_per_output_token_seconds"),
    *("llm_inter_token_latency_seconds", "llm_prompt_tokens_per_second"),
}


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A bucket, and what it leads to."""

    metric: str
    above: float
    up_to: float
    trace_id: str
    span_id: str
    value: float


@dataclass(frozen=True, slots=True)
class Linked:
    """A sidecar whose clients have some of their requests sampled."""

    sidecar: Sidecar
    spans: dict[str, Span]
    """Those of requests, by trace."""
    unsampled: frozenset[str]


@pytest.fixture(scope="module")
def linked(start_engine: Callable[..., Engine]) -> Iterator[Linked]:
    engine = start_engine(embedding=True, alias=MODEL)
    with (
        Receiver() as receiver,
        Sidecar("--upstream", f"Q4={engine.url}", environment={**receiver.environment, **TRACES_ONLY}) as sidecar,
    ):
        contexts = [new_context(sampled=number % 2 == 0) for number in range(REQUESTS)]
        for context in contexts:
            assert ask(sidecar.proxy, CHAT, KINDS["chat-stream"].body, context=context).status == 200
        receiver.wait_for(lambda: len(by_trace(receiver)) == REQUESTS / 2)
        wait_for_metrics(sidecar, lambda shown: shown.sum("llm_requests_total") == REQUESTS)
        unsampled = frozenset(context.trace_id for context in contexts if not context.sampled)
        yield Linked(sidecar, by_trace(receiver), unsampled)


def by_trace(receiver: Receiver) -> dict[str, Span]:
    """The spans of requests."""
    return {span.trace_id: span for span in receiver.spans if "llm.request_id" in span.attributes}


def scrape(sidecar: Sidecar, accept: str) -> str:
    answer = httpx.get(f"{sidecar.admin}/metrics", headers={"accept": accept}, timeout=10)
    assert answer.headers["content-type"].startswith(accept.partition(";")[0])
    return answer.text


def exemplars(sidecar: Sidecar) -> list[Exemplar]:
    """All that OpenMetrics shows; there is one series of each histogram."""
    text = scrape(sidecar, "application/openmetrics-text; version=1.0.0")
    families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    return [each for family in families if family.type == "histogram" for each in _of(family)]


def _of(family: Any) -> Iterator[Exemplar]:
    buckets = [sample for sample in family.samples if sample.name.endswith("_bucket")]
    for below, bucket in pairwise([None, *buckets]):
        if bucket.exemplar is not None:
            ids = bucket.exemplar.labels
            assert ids.keys() == {"trace_id", "span_id"}
            above = float("-inf") if below is None else float(below.labels["le"])
            limits = above, float(bucket.labels["le"])
            yield Exemplar(family.name, *limits, ids["trace_id"], ids["span_id"], bucket.exemplar.value)


def test_exemplars_lead_to_spans(linked: Linked) -> None:
    found = exemplars(linked.sidecar)
    assert {each.metric for each in found} == VALUES.keys() | OTHERS
    for each in found:
        assert each.trace_id not in linked.unsampled
        span = linked.spans[each.trace_id]
        assert each.span_id == span.span_id
        assert each.above < each.value <= each.up_to
        if each.metric in VALUES:
            assert each.value == pytest.approx(span.attributes[VALUES[each.metric]])
        if each.metric == "gen_ai_server_request_duration_seconds":
            assert each.value == pytest.approx(span.seconds, abs=0.005)


def test_a_bucket_leads_to_the_newest(linked: Linked) -> None:
    for each in exemplars(linked.sidecar):
        if each.metric not in VALUES:
            continue
        name = VALUES[each.metric]
        fell = [span for span in linked.spans.values() if each.above < span.attributes[name] <= each.up_to]
        assert max(fell, key=lambda span: span.end_ns).trace_id == each.trace_id


def test_every_bucket_with_a_sampled_request_leads_to_one(linked: Linked) -> None:
    found = exemplars(linked.sidecar)
    for metric, name in VALUES.items():
        buckets = [(each.above, each.up_to) for each in found if each.metric == metric]
        values = [span.attributes[name] for span in linked.spans.values()]
        assert [value for value in values if not any(above < value <= up_to for above, up_to in buckets)] == []


def test_text_has_none(linked: Linked) -> None:
    assert "# {" in scrape(linked.sidecar, "application/openmetrics-text; version=1.0.0")
    text = scrape(linked.sidecar, "text/plain; version=0.0.4")
    assert "gen_ai_server_request_duration_seconds_bucket" in text
    assert "# {" not in text
    assert "trace_id" not in text


def test_prometheus_finds_traces_that_have_arrived(
    linked: Linked, tmp_path: Path, find_port: Callable[[], int]
) -> None:
    base = f"http://127.0.0.1:{find_port()}"
    config = tmp_path / "prometheus.yml"
    config.write_text(CONFIG.format(target=linked.sidecar.admin.removeprefix("http://")))
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={base.removeprefix('http://')}",
        "--enable-feature=exemplar-storage",
    ]
    found: list[dict[str, Any]] = []

    def look() -> bool:
        question = {"query": "gen_ai_server_time_to_first_token_seconds_bucket", "start": "0", "end": "9999999999"}
        answer = httpx.get(f"{base}/api/v1/query_exemplars", params=question, timeout=10).json()
        found[:] = [each for series in answer.get("data") or () for each in series["exemplars"]]
        return bool(found)

    with running(command, tmp_path / "prometheus.log", f"{base}/-/ready"):
        wait_until(look, lambda: (tmp_path / "prometheus.log").read_text()[-2000:])
    links = {each["labels"]["trace_id"]: each["labels"]["span_id"] for each in found}
    assert links == {trace_id: linked.spans[trace_id].span_id for trace_id in links}
