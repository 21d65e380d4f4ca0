"""The standard variables: what is sent, where to, in whose name; and that nothing is even loaded where nothing is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from exporter import __version__
from exporter.demo.engine import Engine
from tests.end_to_end.dialects import KINDS, MODEL
from tests.end_to_end.sidecar import Sidecar, run_cli
from tests.end_to_end.traced import (
    CHAT,
    QUICK,
    TRACES_ONLY,
    Seen,
    ask,
    new_context,
    tree_of,
    wait_for_metrics,
    wait_for_tree,
)
from tests.otlp.receiver import Receiver

IMPORTS = {"PYTHONPROFILEIMPORTTIME": "1"}
"""Python says on standard error what it imports, whenever that is."""
OURS, OF_OTHERS = "exporter.otel", ("opentelemetry", "google.protobuf", "grpc")
NAMED = {
    "OTEL_SERVICE_NAME": "chats",
    "OTEL_RESOURCE_ATTRIBUTES": "service.namespace=home,deployment.environment.name=a%20test,service.name=never",
}
INTERVAL_MS = float(QUICK["OTEL_METRIC_EXPORT_INTERVAL"])


@pytest.fixture(scope="module")
def engine(start_engine: Callable[..., Engine]) -> Engine:
    return start_engine(embedding=True, alias=MODEL)


def chat(sidecar: Sidecar, kind: str = "chat") -> Seen:
    seen = ask(sidecar.proxy, CHAT, KINDS[kind].body, context=new_context())
    assert seen.status == 200
    return seen


def imported(sidecar: Sidecar) -> set[str]:
    """Modules of OpenTelemetry, ours and others', that the process has loaded so far."""
    lines = [str(entry["message"]) for entry in list(sidecar.log)]
    names = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert "exporter.app" in names
    return {name for name in names if name.startswith((OURS, *OF_OTHERS))}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "", "OTEL_SERVICE_NAME": "chats", "OTEL_TRACES_SAMPLER": "always_on"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp,console", "OTEL_TRACES_SAMPLER": "no such"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
    ],
    ids=["nothing", "no-endpoint", "disabled", "none"],
)
def test_off_loads_and_sends_nothing(
    engine: Engine, variables: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    with Receiver() as receiver:
        there = receiver.environment if variables.keys() & {"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"} else {}
        with Sidecar("--upstream", engine.url, environment={**QUICK, **there, **variables, **IMPORTS}) as sidecar:
            chat(sidecar, "chat-stream")
            metrics = wait_for_metrics(sidecar, lambda metrics: metrics.sum("llm_requests_total") == 1)
            assert imported(sidecar) == set()
            accept = {"accept": "application/openmetrics-text; version=1.0.0"}
            assert "trace_id" not in httpx.get(f"{sidecar.admin}/metrics", headers=accept, timeout=10).text
            assert {name for name in metrics.names() if "otlp" in name} == set()
            assert sidecar.stop() == 0
        assert receiver.requests == []
    assert capfd.readouterr().out == ""


def test_a_signal_by_an_endpoint_of_its_own(engine: Engine) -> None:
    """Traces alone, compressed, with headers, in the name that was given."""
    with Receiver() as receiver:
        variables = {
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            **NAMED,
            **IMPORTS,
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver.endpoint}/v1/traces",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=both",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-tenant=traces%20alone",
        }
        with Sidecar("--upstream", engine.url, environment=variables) as sidecar:
            request, _ = tree_of(receiver, chat(sidecar))
            assert OURS in imported(sidecar)
            assert not {name for name in imported(sidecar) if name.startswith("grpc")}
            assert sidecar.stop() == 0
        assert {arrived.signal for arrived in receiver.requests} == {"traces"}
        headers = receiver.requests[0].headers
    assert (headers["content-encoding"], headers["x-tenant"]) == ("gzip", "traces alone")
    check_resource(request.resource)


def check_resource(resource: Mapping[str, Any]) -> None:
    expected = {
        "service.name": "chats",
        "service.namespace": "home",
        "deployment.environment.name": "a test",
        "service.version": __version__,
    }
    assert expected.items() <= resource.items()
    assert resource["service.instance.id"]


def test_metrics_alone(engine: Engine) -> None:
    with Receiver() as receiver:
        variables = {**receiver.environment, **QUICK, **NAMED, "OTEL_TRACES_EXPORTER": "none"}
        with Sidecar("--upstream", engine.url, environment=variables) as sidecar:
            chat(sidecar)
            receiver.wait_for(lambda: counted(receiver) == 1)
            names = sidecar.metrics().names()
            assert sidecar.stop() == 0
        assert {arrived.signal for arrived in receiver.requests} == {"metrics"}
        assert {name for name in names if "spans" in name or "otlp_queue" in name} == set()
        for metric in receiver.latest_metrics.values():
            check_resource(metric.resource)


def counted(receiver: Receiver) -> float:
    """Requests that the last push told of."""
    found = [metric for name, metric in receiver.latest_metrics.items() if name.startswith("llm.requests")]
    return sum(point.value or 0 for metric in found if metric.monotonic for point in metric.points)


def documents(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects, one behind the other; what is not complete is left out."""
    decoder, position = json.JSONDecoder(), 0
    while (position := text.find("{", position)) >= 0:
        try:
            document, position = decoder.raw_decode(text, position)
        except ValueError:
            return
        yield document


def test_the_console(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    """Beside a receiver, or alone: on standard output."""
    with Receiver() as receiver:
        both = {"OTEL_TRACES_EXPORTER": "console,otlp", "OTEL_METRICS_EXPORTER": "console"}
        with Sidecar("--upstream", engine.url, environment={**receiver.environment, **QUICK, **both}) as sidecar:
            seen = chat(sidecar)
            request, (attempt,) = tree_of(receiver, seen)
            sidecar.wait_until(lambda: sidecar.metrics().sum("llm_sidecar_otlp_exports_total", signal="metrics") > 1)
            assert sidecar.stop() == 0
        assert {arrived.signal for arrived in receiver.requests} == {"traces"}
    shown = list(documents(capfd.readouterr().out))
    spans = {each["name"]: each["context"]["span_id"] for each in shown if "context" in each}
    assert spans == {request.name: f"0x{request.span_id}", attempt.name: f"0x{attempt.span_id}"}
    assert any("resource_metrics" in each for each in shown)


def test_what_is_left_is_sent_at_the_end(engine: Engine) -> None:
    """Though neither spans nor metrics would have been due for a minute."""
    slow = {"OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_METRIC_EXPORT_INTERVAL": "60000"}
    with Receiver() as receiver:
        with Sidecar("--upstream", engine.url, environment={**receiver.environment, **slow}) as sidecar:
            seen = chat(sidecar)
            wait_for_metrics(sidecar, lambda metrics: metrics.sum("llm_requests_total") == 1)
            assert sidecar.stop() == 0
        assert len(tree_of(receiver, seen).attempts) == 1
        assert counted(receiver) == 1


def test_no_name_and_no_context(engine: Engine) -> None:
    """The request that is all defaults: a trace of its own, named after the model that answered."""
    with Receiver() as receiver:
        variables = {**receiver.environment, **TRACES_ONLY, "OTEL_PROPAGATORS": "none"}
        upstream = json.dumps([{"name": "own", "url": engine.url, "provider": "my.cpp"}])
        with Sidecar(environment={**variables, "LLAMA_EXPORTER_UPSTREAMS": upstream}) as sidecar:
            body = {"messages": KINDS["chat"].body["messages"], "max_tokens": 2}
            context = new_context()
            assert ask(sidecar.proxy, CHAT, body, context=context).status == 200
            request, (attempt,) = wait_for_tree(receiver, lambda span: span.name == f"chat {MODEL}")
    assert (request.parent_id, attempt.parent_id) == ("", request.span_id)
    assert request.trace_id != context.trace_id
    attributes = request.attributes
    assert (attributes["gen_ai.request.model"], attributes["gen_ai.provider.name"]) == (MODEL, "my.cpp")
    assert not [name for name in attributes if name.startswith("llm.routing")]


GRPC_TO = "OTEL_EXPORTER_OTLP_PROTOCOL"
SAMPLER = "OTEL_TRACES_SAMPLER"
SAMPLED = {"OTEL_TRACES_EXPORTER": "console"}
"""Of traces that are off, nothing is looked at."""
WRONG = [
    ("serve", "OTEL_TRACES_EXPORTER", {"OTEL_TRACES_EXPORTER": "zipkin"}),
    ("serve", SAMPLER, {SAMPLER: "sometimes"}),
    ("serve", "OTEL_EXPORTER_OTLP_ENDPOINT", {GRPC_TO: "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://:4317"}),
    ("check-config", "OTEL_METRICS_EXPORTER", {"OTEL_METRICS_EXPORTER": "otlp,statsd"}),
    (
        "check-config",
        "OTEL_TRACES_SAMPLER_ARG",
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"},
    ),
    ("check-config", GRPC_TO, {GRPC_TO: "pigeon", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317"}),
]


def test_what_is_wrong_is_said_in_one_line() -> None:
    """By `serve`, which does not start, and by `check-config`."""

    def run(command: str, name: str, variables: dict[str, str]) -> tuple[int, list[str], str]:
        arguments = ["--store", "none", "--upstream", "http://127.0.0.1:9", "--proxy-listen", "127.0.0.1:0"]
        environment = {**variables, **(SAMPLED if SAMPLER in name else {})}
        answer = run_cli(command, *arguments, "--admin-listen", "127.0.0.1:0", environment=environment)
        return answer.returncode, answer.stderr.splitlines(), answer.stdout

    with ThreadPoolExecutor(2) as pool:
        for case, (code, lines, output) in zip(WRONG, pool.map(run, *zip(*WRONG, strict=True)), strict=True):
            assert (code, output, len(lines)) == (2, "", 1), (case, lines)
            assert case[1] in lines[0]
