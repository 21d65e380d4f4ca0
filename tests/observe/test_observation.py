"""The life of an observation: what is known when, how it ends, and the times in its record."""

from __future__ import annotations

import json
from typing import cast

import pytest

from exporter.observe.observation import Look, Observation
from exporter.record import (
    Attempt,
    AttemptResult,
    Complexity,
    Decision,
    GapHistogram,
    Outcome,
    RoutingReason,
    TokenSource,
)
from tests.observe.replays import (
    ANSWERED,
    FINISHED,
    JSON,
    SSE,
    STARTED,
    chat_chunk,
    event,
    open_request,
    read_json,
    read_stream,
)

CHAT = "/v1/chat/completions"
TIMINGS = {
    "cache_n": 4, "prompt_n": 6, "prompt_ms": 400.0, "prompt_per_second": 15.0,
    "predicted_n": 3, "predicted_ms": 1000.0, "predicted_per_second": 2.5,
}  # fmt: skip


def test_identity_and_route() -> None:
    observation = Observation(
        now=STARTED,
        wall=1.7e9,
        request_id="00000000deadbeef",
        method="POST",
        path="/" + "x" * 300,
        query=b"",
        headers=[(b"x-origin", b"web")],
        look=Look(),
    )
    assert (observation.upstream, observation.provider, observation.tier) == (None, "llama_cpp", "unknown")
    observation.route(upstream="a", provider="llama_cpp", tier="fast")
    observation.route(upstream="b", provider="vllm", tier="strong")
    record = observation.finish(STARTED + 1)
    assert (record.request_id, record.started_at, record.origin) == ("00000000deadbeef", 1.7e9, "web")
    assert (record.upstream, record.provider, record.tier) == ("b", "vllm", "strong")
    assert (record.path, record.operation) == ("/" + "x" * 255, "other")


def test_the_last_choice_counts_with_its_decision() -> None:
    first = Decision(RoutingReason.COMPLEXITY, Complexity.SIMPLE, 0.5, "fast", fallback=False, seconds=2e-5)
    second = first._replace(fallback=True)
    observation = open_request(CHAT)
    observation.route(upstream="a", provider="llama_cpp", tier="fast", decision=first)
    observation.route(upstream="b", provider="llama_cpp", tier="strong", decision=second)
    assert observation.decision is second
    record = observation.finish(FINISHED)
    assert (record.upstream, record.tier, record.decision) == ("b", "strong", second)


def test_a_choice_without_a_decision_leaves_none() -> None:
    decision = Decision(RoutingReason.TIER, Complexity.COMPLEX, None, "fast", fallback=False, seconds=2e-5)
    observation = open_request(CHAT)
    observation.route(upstream="a", provider="llama_cpp", tier="fast", decision=decision)
    observation.route(upstream="b", provider="llama_cpp", tier="fast")
    assert observation.finish(FINISHED).decision is None


def test_finish_happens_once() -> None:
    observation = open_request(CHAT)
    observation.finish(FINISHED, Outcome.REJECTED)
    with pytest.raises(RuntimeError):
        observation.finish(FINISHED)


@pytest.mark.parametrize(
    ("outcome", "given", "expected"),
    [
        (Outcome.CLIENT_GONE, None, "client_gone"),
        (Outcome.TIMEOUT, None, "timeout"),
        (Outcome.REJECTED, None, "rejected"),
        (Outcome.REJECTED, "rate_limited", "rate_limited"),
        (Outcome.UPSTREAM_ERROR, "connect_error", "connect_error"),
        (Outcome.UPSTREAM_ERROR, None, "disconnected"),
        (Outcome.STREAM_ERROR, None, "error"),
        (Outcome.COMPLETED, "ignored", None),
        (None, None, "disconnected"),
    ],
)
def test_reasons(outcome: Outcome | None, given: str | None, expected: str | None) -> None:
    record = open_request(CHAT).finish(FINISHED, outcome, given)
    assert record.outcome is (outcome or Outcome.UPSTREAM_ERROR)
    assert (record.error_type, record.status_code, record.response_bytes) == (expected, None, 0)


def test_our_own_refusal() -> None:
    observation = open_request(CHAT)
    observation.answer(ANSWERED, 429, JSON)
    observation.feed(ANSWERED, b'{"error":{"type":"rate_limit_error"}}')
    record = observation.finish(ANSWERED, Outcome.REJECTED, "rejected")
    assert (record.status_code, record.error_type, record.attempts) == (429, "rejected", ())
    assert record.first_byte_seconds is None


def test_attempts_and_overhead() -> None:
    observation = open_request(CHAT)
    failed = Attempt("a", AttemptResult.CONNECT_ERROR, 0.1)
    answered = Attempt("b", AttemptResult.ANSWERED, 0.5, status_code=200, reused=True)
    observation.add_attempt(failed)
    observation.add_overhead(0.25)
    observation.answer(ANSWERED, 200, JSON)
    observation.add_attempt(answered)
    observation.add_overhead(0.5)
    record = observation.finish(FINISHED)
    assert record.attempts == (failed, answered)
    assert (record.overhead_seconds, record.first_byte_seconds) == (0.75, 1.0)


def test_nothing_was_reached() -> None:
    observation = open_request(CHAT)
    observation.add_attempt(Attempt("a", AttemptResult.CONNECT_ERROR, 0.1))
    observation.answer(ANSWERED, 502, JSON)
    record = observation.finish(FINISHED)
    assert (record.overhead_seconds, record.first_byte_seconds) == (None, None)


def test_times_of_a_stream() -> None:
    """Content at 101.5, 102.5, 103.0 and 103.5; the role-only chunk at 102 is none."""
    role = event({"choices": [{"finish_reason": None, "index": 0, "delta": {"role": "assistant", "content": None}}]})
    chunks = [chat_chunk("a"), role, chat_chunk("b"), chat_chunk("c"), chat_chunk("d"), b": ping\n\n"]
    last = [chat_chunk(finish="stop", timings=TIMINGS | {"predicted_n": 5}), event("[DONE]")]
    record = read_stream(CHAT, *chunks, *last, request=b'{"stream":true}')
    assert (record.duration_seconds, record.ttft_seconds, record.last_token_seconds) == (10.0, 1.5, 3.5)
    assert record.time_per_output_token_seconds == pytest.approx(8.5 / 4)
    assert record.queue_seconds == pytest.approx(1.1)
    assert (record.prompt_seconds, record.generation_seconds) == (0.4, 1.0)
    assert (record.prompt_tokens_per_second, record.output_tokens_per_second) == (15.0, 2.5)
    bounds = Look().gap_bounds
    counts = [0] * (len(bounds) + 1)
    counts[bounds.index(1.0)] = 1
    counts[bounds.index(0.5)] = 2
    assert record.gaps == GapHistogram(bounds, tuple(counts), 2.0, 1.0)


def test_gaps_beyond_the_last_bound() -> None:
    record = read_stream(CHAT, chat_chunk("a"), *[b": ping\n\n"] * 9, chat_chunk("b"))
    assert record.gaps is not None
    assert record.gaps.counts[-1] == 1
    assert record.gaps.count == 1


def test_one_chunk_has_no_gaps() -> None:
    record = read_stream(CHAT, chat_chunk("a"))
    assert (record.gaps, record.ttft_seconds, record.time_per_output_token_seconds) == (None, 1.5, None)
    assert record.output_tokens_per_second is None


def test_a_stream_without_figures_is_counted() -> None:
    chunks = [chat_chunk(text) for text in "abcde"]
    record = read_stream(CHAT, *chunks, chat_chunk(finish="stop"), event("[DONE]"))
    assert (record.input_tokens, record.output_tokens, record.token_source) == (None, 5, TokenSource.COUNTED)
    assert record.output_tokens_per_second == pytest.approx(2.0)
    assert (record.queue_seconds, record.prompt_seconds, record.prompt_tokens_per_second) == (None, None, None)


def test_a_stream_without_an_end_is_completed() -> None:
    """Its bytes ended well as far as HTTP is concerned."""
    assert read_stream(CHAT, chat_chunk("a")).outcome is Outcome.COMPLETED


@pytest.mark.parametrize("outcome", [Outcome.CLIENT_GONE, Outcome.TIMEOUT, Outcome.UPSTREAM_ERROR])
def test_a_stream_that_breaks_off_keeps_its_facts(outcome: Outcome) -> None:
    native = [
        event({"index": 0, "content": text, "stop": False, "tokens_predicted": n, "tokens_evaluated": 10})
        for n, text in ((1, "a"), (3, "b"), (4, ""))
    ]
    record = read_stream("/completion", *native, outcome=outcome)
    assert (record.outcome, record.input_tokens, record.output_tokens) == (outcome, 10, 4)
    assert (record.token_source, record.ttft_seconds) == (TokenSource.SERVER, 1.5)
    assert record.time_per_output_token_seconds is None


def test_old_figures_of_a_broken_stream_give_way_to_the_count() -> None:
    """`message_start` says 0 output tokens; what comes after it can only be counted."""
    start = event(
        {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 0}}}, "message_start"
    )
    delta = event(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}, "content_block_delta"
    )
    record = read_stream("/v1/messages", start, delta, delta, outcome=Outcome.CLIENT_GONE)
    assert (record.input_tokens, record.output_tokens, record.token_source) == (9, 2, TokenSource.COUNTED)


def test_a_client_that_leaves_before_the_first_token() -> None:
    observation = open_request(CHAT, b'{"stream":true}')
    record = observation.finish(FINISHED, Outcome.CLIENT_GONE)
    assert (record.stream, record.ttft_seconds, record.output_tokens, record.token_source) == (True, None, None, None)


def test_a_client_that_leaves_after_the_last_token_has_the_servers_figures() -> None:
    """A token can come as several chunks at the end; the server's count is right all the same."""
    chunks = [chat_chunk(text) for text in "abcde"]
    record = read_stream(CHAT, *chunks, chat_chunk(finish="stop", timings=TIMINGS), outcome=Outcome.CLIENT_GONE)
    assert (record.output_tokens, record.token_source) == (3, TokenSource.SERVER)


def test_one_of_two_choices_has_ended() -> None:
    chunks = [chat_chunk(text, index=index) for text in "abcde" for index in (0, 1)]
    ended = chat_chunk(finish="stop", timings=TIMINGS)
    record = read_stream(CHAT, *chunks, ended, request=b'{"n":2}', outcome=Outcome.CLIENT_GONE)
    assert (record.output_tokens, record.token_source) == (10, TokenSource.COUNTED)


def test_times_of_an_answer_that_is_not_streamed() -> None:
    answer = {"choices": [{"finish_reason": "stop", "message": {}}], "timings": TIMINGS}
    record = read_json(CHAT, answer)
    assert record.queue_seconds == pytest.approx(2.6)
    assert (record.ttft_seconds, record.last_token_seconds, record.gaps) == (None, None, None)
    assert (record.time_per_output_token_seconds, record.stream) == (None, False)


def test_queueing_is_never_negative() -> None:
    record = read_json(CHAT, {"choices": [], "timings": TIMINGS | {"prompt_ms": 9e6}})
    assert record.queue_seconds == 0.0


def test_a_stream_that_nobody_asked_for() -> None:
    assert read_stream(CHAT, event("[DONE]")).stream


def test_answers_of_other_kinds_are_only_counted() -> None:
    observation = open_request("/v1/chat/completions")
    observation.answer(ANSWERED, 200, [(b"content-type", b"application/x-ndjson")])
    observation.feed(102.0, b'{"usage":{"prompt_tokens":1}}\n')
    record = observation.finish(FINISHED)
    assert (record.outcome, record.response_bytes, record.input_tokens) == (Outcome.COMPLETED, 30, None)


def test_bytes_before_the_head_of_the_answer_are_only_counted() -> None:
    observation = open_request(CHAT)
    observation.feed(ANSWERED, b"xx")
    assert observation.finish(FINISHED).response_bytes == 2


class Unreadable:
    def __len__(self) -> int:
        return 1


def test_a_failing_reader_is_let_go() -> None:
    """Whatever goes wrong while looking is counted once; traffic and the facts so far do not suffer."""
    observation = open_request("/completions")
    observation.answer(ANSWERED, 200, SSE)
    observation.feed(102.0, chat_chunk("a"))
    observation.feed(102.0, cast(bytes, Unreadable()))
    observation.feed(102.0, chat_chunk("b"))
    assert (observation.parse_errors, observation.content_chunks, observation.dialect) == (1, 1, "openai")
    assert observation.finish(FINISHED).output_tokens == 1


def test_a_reader_that_fails_at_the_end_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(answer: object, facts: object) -> None:
        raise KeyError

    monkeypatch.setattr("exporter.observe.reader.read_answer", fail)
    observation = open_request(CHAT)
    observation.answer(ANSWERED, 200, JSON)
    observation.feed(102.0, b"{}")
    assert observation.finish(FINISHED).outcome is Outcome.COMPLETED
    assert observation.parse_errors == 1


def test_no_model_is_called_by_the_path_of_its_file() -> None:
    """As a server without `--alias` calls it."""
    path = "/srv/models/tiny-Q4_K_M.gguf"
    request = json.dumps({"model": path}).encode()
    assert open_request(CHAT, request).requested_model == path
    record = read_json(CHAT, {"model": path, "choices": [{"message": {}}]}, request=request)
    assert (record.requested_model, record.response_model) == ("tiny-Q4_K_M.gguf", "tiny-Q4_K_M.gguf")
