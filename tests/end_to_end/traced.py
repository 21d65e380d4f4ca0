"""What the tests of OpenTelemetry stand on: clients that note when things happened, a sidecar between them and two
llama-servers, and the spans of a request among those that a receiver of OTLP has."""

from __future__ import annotations

import json
import secrets
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx

from exporter.demo.engine import Engine
from exporter.demo.traffic import has_content
from tests.end_to_end.fake import Fake
from tests.end_to_end.sidecar import Metrics, Sidecar
from tests.otlp.arrived import Span
from tests.otlp.receiver import Receiver

QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_METRIC_EXPORT_INTERVAL": "200"}
TRACES_ONLY = {**QUICK, "OTEL_METRICS_EXPORTER": "none"}
CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hi"}]
EARLY_NS = 5_000_000
"""A clock that is read in two processes may differ by so much."""
LATE_NS = 500_000_000
"""On a busy machine a process can come to note something so long after it happened."""
PATIENCE_SECONDS = 20.0
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Else every client would read the certificates of those whom everyone trusts."""


# Clients


class Context(NamedTuple):
    """A client's own span."""

    trace_id: str
    span_id: str
    sampled: bool = True

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.sampled:02}"


def new_context(*, sampled: bool = True) -> Context:
    return Context(secrets.token_hex(16), secrets.token_hex(8), sampled)


@dataclass
class Seen:
    """What a client saw of its request; times in UTC nanoseconds since the epoch."""

    context: Context | None
    began_ns: int
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    first_ns: int | None = None
    """When the first piece of a stream with content was there."""
    ended_ns: int = 0
    broken: bool = False
    """The answer was broken off."""

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON objects of a stream."""
        lines = self.body.decode(errors="replace").split("\n")
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]

    @property
    def seconds(self) -> float:
        return (self.ended_ns - self.began_ns) / 1e9


def ask(
    base: str,
    path: str,
    body: Mapping[str, Any] | bytes | None,
    *,
    context: Context | None = None,
    leave: Callable[[Seen], bool] = lambda _: False,
    **headers: str,
) -> Seen:
    """Send a request, a GET where there is no body, with the context of a client's span; `leave` is asked after each
    piece of the answer whether the client goes now. `_` in names of headers stands for `-`."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if context is not None:
        fields["traceparent"] = context.traceparent
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    if content is not None:
        fields.setdefault("content-type", "application/json")
    method = "GET" if content is None else "POST"
    with httpx.Client(base_url=base, timeout=PATIENCE_SECONDS, trust_env=False, verify=NO_TLS) as client:
        seen = Seen(context, time.time_ns())
        try:
            with client.stream(method, path, content=content, headers=fields) as answer:
                _watch(seen, answer, leave)
        except httpx.RemoteProtocolError:
            seen.broken = True
        seen.ended_ns = time.time_ns()
    return seen


def _watch(seen: Seen, answer: httpx.Response, leave: Callable[[Seen], bool]) -> None:
    seen.status, seen.headers = answer.status_code, answer.headers
    for piece in answer.iter_raw():
        seen.body += piece
        if seen.first_ns is None and any(map(has_content, _complete(seen))):
            seen.first_ns = time.time_ns()
        if leave(seen):
            return


def _complete(seen: Seen) -> list[dict[str, Any]]:
    """The events that are there to the end of their line."""
    return Seen(None, 0, body=seen.body[: seen.body.rfind(b"\n") + 1]).events


# Where requests go


@dataclass(frozen=True, slots=True)
class Stand:
    """A sidecar between clients and two llama-servers, a real one (Q4) and a fake one (Q3)."""

    receiver: Receiver
    sidecar: Sidecar
    engine: Engine
    fake: Fake

    def ask(self, path: str, body: Any, **options: Any) -> Seen:
        """Of the real one, within a trace of the client's."""
        return ask(self.sidecar.proxy, path, body, **{"context": new_context(), "x_routing_tier": "Q4", **options})

    def ask_fake(self, body: Mapping[str, Any] | None = None, **options: Any) -> Seen:
        """A streamed chat with the fake one, if with nothing else."""
        body = {"model": "auto", "messages": HELLO, "stream": True} if body is None else body
        return self.ask(CHAT, body, **{"x_routing_tier": "Q3", **options})


@contextmanager
def standing(transport: str, engine: Engine, **environment: str) -> Iterator[Stand]:
    """All of it, as soon as both llama-servers are known to be well."""
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver(transport))
        fake = stack.enter_context(Fake())
        upstreams = "--upstream", f"Q3={fake.url}", "--upstream", f"Q4={engine.url}"
        variables = {**receiver.environment, **TRACES_ONLY, **environment}
        sidecar = stack.enter_context(Sidecar(*upstreams, environment=variables))
        wait_for_metrics(sidecar, lambda metrics: metrics.sum("llm_upstream_up") == 2)
        yield Stand(receiver, sidecar, engine, fake)


# What arrived


class Tree(NamedTuple):
    """The spans of one request."""

    request: Span
    attempts: list[Span]
    """By their start."""


def tree_of(receiver: Receiver, seen: Seen) -> Tree:
    """The spans of a request whose client sent a context, as soon as they are there."""
    context = seen.context
    assert context is not None
    return wait_for_tree(receiver, lambda span: (span.trace_id, span.parent_id) == context[:2])


def wait_for_tree(receiver: Receiver, wanted: Callable[[Span], bool]) -> Tree:
    """The spans of the one request that is wanted. Spans of attempts end before it, and so they come before it, or with
    it."""
    found: list[Span] = []

    def look() -> bool:
        found[:] = filter(wanted, receiver.spans)
        return bool(found)

    receiver.wait_for(look, PATIENCE_SECONDS)
    (request,) = found
    beneath = [span for span in receiver.spans if span.parent_id == request.span_id]
    return Tree(request, sorted(beneath, key=lambda span: span.start_ns))


def only(attributes: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """These, None where there is none."""
    return {name: attributes.get(name) for name in names}


def wait_for_metrics(sidecar: Sidecar, condition: Callable[[Metrics], bool]) -> Metrics:
    """A scrape that shows it."""
    scrapes: list[Metrics] = []

    def look() -> bool:
        scrapes[:] = [sidecar.metrics()]
        return condition(scrapes[0])

    sidecar.wait_until(look, PATIENCE_SECONDS)
    return scrapes[0]


def everything_said(receiver: Receiver, sidecar: Sidecar) -> Iterator[str]:
    """All that the sidecar has told anybody who watches it: spans, metrics pushed and scraped, the log."""
    yield from map(repr, receiver.spans)
    yield from map(repr, receiver.metrics)
    yield from map(repr, list(sidecar.log))
    for accepted in ("text/plain", "application/openmetrics-text; version=1.0.0"):
        yield httpx.get(f"{sidecar.admin}/metrics", headers={"accept": accepted}, timeout=PATIENCE_SECONDS).text
