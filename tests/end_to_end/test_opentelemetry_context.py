"""The context of a client's trace goes on to llama-server; which traces are sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from exporter.demo.engine import Engine
from tests.end_to_end.dialects import KINDS, MODEL
from tests.end_to_end.fake import WELL
from tests.end_to_end.traced import (
    CHAT,
    HELLO,
    Context,
    Stand,
    Tree,
    ask,
    new_context,
    standing,
    tree_of,
    wait_for_metrics,
    wait_for_tree,
)
from tests.fakes.received import Request
from tests.otlp.receiver import HTTP

REQUESTS = 60
SHARE = range(10, 51)
"""So many of them are sampled, if it is half; seldom, by one of ten million, fewer or more."""
STATE = "vendor=opaque,other=1"


@pytest.fixture(scope="module")
def stand(start_engine: Callable[..., Engine]) -> Iterator[Stand]:
    with standing(HTTP, start_engine(embedding=True, alias=MODEL)) as stand:
        yield stand


def pass_on(stand: Stand, context: Context | None = None, **headers: Any) -> Request:
    """What llama-server gets of a request."""
    stand.fake.answers = [WELL]
    before = len(stand.fake.posts)
    assert stand.ask_fake(context=context, **headers).status == 200
    (request,) = stand.fake.posts[before:]
    return request


def passed(request: Request) -> Context:
    """The context that was passed on."""
    (value,) = request.values("traceparent")
    version, trace_id, span_id, flags = value.split("-")
    assert version == "00"
    return Context(trace_id, span_id, bool(int(flags, 16) & 1))


def wait_for_trace(stand: Stand, trace_id: str) -> Tree:
    return wait_for_tree(
        stand.receiver, lambda span: span.trace_id == trace_id and "gen_ai.operation.name" in span.attributes
    )


def test_a_context_is_continued_and_passed_on(stand: Stand) -> None:
    context = new_context()
    received = pass_on(stand, context, tracestate=STATE, baggage="user=7,plan=free;secret=no")
    request, (attempt,) = wait_for_trace(stand, context.trace_id)
    assert passed(received) == (context.trace_id, attempt.span_id, True)
    assert (request.parent_id, request.trace_state, attempt.trace_state) == (context.span_id, STATE, STATE)
    assert received.values("tracestate") == [STATE]
    assert received.values("baggage") == ["user=7,plan=free;secret=no"]


def test_without_a_context_a_trace_begins(stand: Stand) -> None:
    received = pass_on(stand)
    trace_id, span_id, sampled = passed(received)
    request, (attempt,) = wait_for_trace(stand, trace_id)
    assert (request.parent_id, attempt.span_id, sampled) == ("", span_id, True)
    assert received.header("tracestate") is None


@pytest.mark.parametrize(
    "broken",
    [
        "garbage",
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
        f"00-{'a' * 31}-{'1' * 16}-01",
        f"00-{'A' * 32}-{'1' * 16}-01",
        f"00-{'a' * 32}-{'1' * 16}-01-more",
        f"ff-{'a' * 32}-{'1' * 16}-01",
    ],
)
def test_a_broken_context_starts_a_new_trace(stand: Stand, broken: str) -> None:
    trace_id, span_id, sampled = passed(pass_on(stand, traceparent=broken))
    assert trace_id not in ("0" * 32, "a" * 32)
    request, (attempt,) = wait_for_trace(stand, trace_id)
    assert (request.parent_id, attempt.span_id, sampled) == ("", span_id, True)


@pytest.mark.parametrize("others", [{"traceparent": "garbage"}, {}], ids=["broken", "absent"])
def test_the_state_of_no_trace_is_not_passed_on(stand: Stand, others: dict[str, Any]) -> None:
    """W3C: who starts a trace deletes the `tracestate` that came with what could not be read."""
    received = pass_on(stand, tracestate=STATE, **others)
    request, _ = wait_for_trace(stand, passed(received).trace_id)
    assert request.trace_state == ""
    assert received.header("tracestate") is None


def test_a_state_in_several_lines(stand: Stand) -> None:
    """They are one list, in the order in which they come."""
    context = new_context()
    lines = [("tracestate", "one=1"), ("tracestate", "two=2,three=3")]
    stand.fake.answers = [WELL]
    fields = [("traceparent", context.traceparent), ("x-routing-tier", "Q3"), *lines]
    answer = httpx.post(f"{stand.sidecar.proxy}{CHAT}", json={"model": "auto", "messages": HELLO}, headers=fields)
    assert answer.status_code == 200
    request, _ = wait_for_trace(stand, context.trace_id)
    assert ",".join(stand.fake.posts[-1].values("tracestate")) == request.trace_state == "one=1,two=2,three=3"


def test_a_later_version_of_the_context_is_continued(stand: Stand) -> None:
    context = new_context()
    received = pass_on(stand, traceparent=f"cc-{context.trace_id}-{context.span_id}-01-what-the-future-will-be-like")
    request, (attempt,) = wait_for_trace(stand, context.trace_id)
    assert (request.parent_id, passed(received).span_id) == (context.span_id, attempt.span_id)


def test_a_trace_that_is_not_sampled_is_passed_on_as_that(stand: Stand) -> None:
    context = new_context(sampled=False)
    received = pass_on(stand, context, tracestate=STATE)
    trace_id, _, sampled = passed(received)
    assert (trace_id, sampled) == (context.trace_id, False)
    assert received.values("tracestate") == [STATE]
    tree_of(stand.receiver, stand.ask(CHAT, KINDS["chat"].body))  # what comes later is there
    assert context.trace_id not in {span.trace_id for span in stand.receiver.spans}


def test_nothing_else_of_a_request_changes(stand: Stand) -> None:
    body = b'{ "model":"auto" ,"messages": [{"role":"user","content":"hi"}], "stream":true }'
    stand.fake.answers = [WELL]
    seen = ask(stand.sidecar.proxy, CHAT, body, x_routing_tier="Q3", x_own="1", context=new_context())
    received = stand.fake.posts[-1]
    assert received.body == body
    assert received.header("x-own") == "1"
    assert sorted(name.lower() for name, _ in received.headers) == [
        *("accept", "accept-encoding", "content-length", "content-type", "host", "traceparent", "user-agent"),
        *("x-own", "x-routing-tier"),
    ]
    assert seen.headers.get("traceparent") is None
    tree_of(stand.receiver, seen)


def sampled_traces(stand: Stand, requests: list[Request]) -> set[str]:
    """The traces of these that were passed on as sampled; each of them, and no other, has arrived."""
    sampled = {context.trace_id for context in map(passed, requests) if context.sampled}
    spans = 2 * sum(passed(each).sampled for each in requests)
    wait_for_metrics(stand.sidecar, lambda metrics: metrics.sum("llm_sidecar_otlp_exported_spans_total") == spans)
    assert {span.trace_id for span in stand.receiver.spans} == sampled
    return sampled


def test_a_share_of_all_traces(start_engine: Callable[..., Engine]) -> None:
    """Half of them, whatever the client has decided, and the same half whenever they come."""
    sampler = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    with standing(HTTP, start_engine(embedding=True, alias=MODEL), **sampler) as stand:
        contexts = [new_context(sampled=number % 2 == 0) for number in range(REQUESTS)]
        requests = [pass_on(stand, context) for context in contexts]
        sampled = sampled_traces(stand, requests)
        assert len(sampled) in SHARE
        assert {context.sampled for context in contexts if context.trace_id in sampled} == {True, False}
        again = [pass_on(stand, context._replace(sampled=not context.sampled)) for context in contexts[:8]]
        assert [passed(each).sampled for each in again] == [passed(each).sampled for each in requests[:8]]


@pytest.fixture(scope="module")
def only_theirs(start_engine: Callable[..., Engine]) -> Iterator[Stand]:
    """Samples what the client samples, and nothing else."""
    sampler = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
    with standing(HTTP, start_engine(embedding=True, alias=MODEL), **sampler) as stand:
        yield stand


def test_a_share_of_nothing_but_for_what_the_client_samples(only_theirs: Stand) -> None:
    wanted, unwanted = new_context(), new_context(sampled=False)
    for context in (None, unwanted, wanted, None):
        pass_on(only_theirs, context)
    wait_for_trace(only_theirs, wanted.trace_id)
    assert {span.trace_id for span in only_theirs.receiver.spans} == {wanted.trace_id}


def test_a_request_that_the_sampler_leaves_out_passes_as_it_came(only_theirs: Stand) -> None:
    assert [tuple(pass_on(only_theirs, None).values("traceparent")) for _ in range(3)] == [()] * 3
