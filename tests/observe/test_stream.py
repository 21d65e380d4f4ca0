"""Streams: the fast path and the careful path agree, ordinary frames are not parsed, figures are the newest."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable

import pytest

from exporter.observe.documents import parse
from exporter.observe.observation import Observation
from exporter.record import Outcome, RequestRecord, TokenSource
from tests.observe.replays import (
    ANSWERED,
    FINISHED,
    SSE,
    STREAMS,
    chat_chunk,
    event,
    open_request,
    read_stream,
    replay,
)

Rewrite = Callable[[bytes], bytes]


def spaced(body: bytes) -> bytes:
    """The same events as Python's json module would write them: with spaces after colons and commas."""

    def rewrite(match: re.Match[bytes]) -> bytes:
        try:
            return b"data: " + json.dumps(json.loads(match[1])).encode()
        except ValueError:
            return match[0]

    return re.sub(rb"^data: (.*)$", rewrite, body, flags=re.MULTILINE)


def unspaced(body: bytes) -> bytes:
    """The same events without the optional space."""
    return re.sub(rb"^(data|event): ", rb"\1:", body, flags=re.MULTILINE)


def commented(body: bytes) -> bytes:
    """The same events with comment pings, ids and retry fields between and within."""
    return b": hello\n\n" + body.replace(b"data: ", b"id: 7\n:ping\nretry: 10\ndata: ")


def unended(body: bytes) -> bytes:
    """The same events without the blank line at the end."""
    return body.rstrip(b"\n")


@pytest.mark.parametrize("name", sorted(STREAMS))
@pytest.mark.parametrize("rewrite", [spaced, unspaced, commented, unended, b"\xef\xbb\xbf".__add__])
def test_other_ways_to_write_the_same_stream(name: str, rewrite: Rewrite) -> None:
    exchange = STREAMS[name]
    other = dataclasses.replace(exchange, body=rewrite(exchange.body))
    assert other.body != exchange.body
    pieces = re.findall(rb".*?\n\n|.+", other.body, flags=re.DOTALL)
    assert without_size(replay(other, pieces)) == without_size(replay(exchange))


def without_size(record: RequestRecord) -> RequestRecord:
    return dataclasses.replace(record, response_bytes=0)


def frames(name: str) -> list[bytes]:
    return re.findall(rb".*?\n\n", STREAMS[name].body, flags=re.DOTALL)


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_event_by_event_is_the_same_as_whole(name: str) -> None:
    assert replay(STREAMS[name], frames(name)) == replay(STREAMS[name])


ORDINARY: dict[str, Callable[[str], bytes]] = {
    "/v1/chat/completions": chat_chunk,
    "/chat/completions": lambda text: event(
        {"choices": [{"finish_reason": None, "index": 0, "delta": {"reasoning_content": text}}], "created": 1}
    ),
    "/v1/completions": lambda text: event(
        {"choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": None}], "model": "m"}
    ),
    "/completion": lambda text: event(
        {"index": 0, "content": text, "tokens": [1], "stop": False, "tokens_predicted": 1, "tokens_evaluated": 9}
    ),
    "/v1/messages": lambda text: event(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        "content_block_delta",
    ),
    "/v1/messages?thinking": lambda text: event(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": text}},
        "content_block_delta",
    ),
    "/v1/responses": lambda text: event(
        {"type": "response.output_text.delta", "item_id": "msg_1", "delta": text}, "response.output_text.delta"
    ),
    "/v1/responses?reasoning": lambda text: event(
        {"type": "response.reasoning_text.delta", "delta": text, "item_id": "rs_1"}, "response.reasoning_text.delta"
    ),
}
TEXTS = [
    "a",
    " b",
    "\n",
    '"',
    "\\",
    '\\"',
    '"},{"',
    "error",
    "usage",
    '"usage":',
    "\u2028",
    "\x85",
    "\u20ac",
    "data: x",
]


def count_parsing(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """A list that grows by each event that is parsed as JSON."""
    parsed: list[bytes] = []

    def record_and_parse(data: bytes) -> object:
        parsed.append(data)
        return parse(data)

    monkeypatch.setattr("exporter.observe.stream.parse", record_and_parse)
    return parsed


@pytest.mark.parametrize("path", ORDINARY)
@pytest.mark.parametrize("cut", [None, 7, -1])
def test_ordinary_events_are_not_parsed(path: str, cut: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = count_parsing(monkeypatch)
    observation = open_request(path.partition("?")[0])
    observation.answer(ANSWERED, 200, SSE)
    texts = ["first", *(text for text in TEXTS if text not in ("error", "usage")), *("x" * n for n in range(1, 100))]
    for text in texts:
        chunk = ORDINARY[path](text)
        observation.feed(102.0, chunk[:cut])
        if cut is not None:
            observation.feed(102.0, chunk[cut:])
    assert observation.content_chunks == len(texts)
    assert len(parsed) == 1


@pytest.mark.parametrize("path", ORDINARY)
@pytest.mark.parametrize("text", TEXTS)
def test_any_text_is_content(path: str, text: str) -> None:
    chunks = [ORDINARY[path](part) for part in ("first", text, "again", text, "")]
    record = read_stream(path.partition("?")[0], *chunks)
    assert record.gaps is not None
    assert record.gaps.count == 3
    careful = read_stream(path.partition("?")[0], *map(spaced, chunks))
    assert without_size(careful) == without_size(record)


def test_what_only_looks_like_the_last_ordinary_event_is_looked_at() -> None:
    """It begins and ends as that does, but has no content, or more than content, in between."""
    observation = open_request("/v1/chat/completions")
    observation.answer(ANSWERED, 200, SSE)
    chunk = chat_chunk("a")
    observation.feed(102.0, chunk)
    observation.feed(102.0, chunk)
    observation.feed(102.0, chat_chunk(""))
    observation.feed(102.0, chunk.replace(b'"a"', b'"a","tool_calls":[{"index":0,"function":{"name":"f"}}],"b":"c"'))
    observation.feed(102.0, chunk.replace(b'"a"', b'"a"}}]}\n\ndata: {"choices":[{"delta":{"content":"b"'))
    record = observation.finish(FINISHED)
    assert (observation.content_chunks, record.tool_calls) == (5, 1)


def test_several_events_in_one_read_have_gaps_of_zero() -> None:
    record = read_stream("/v1/chat/completions", chat_chunk("a") + chat_chunk("b") + chat_chunk("c"), chat_chunk("d"))
    assert record.gaps is not None
    assert record.gaps.count == 3
    assert record.gaps.counts[0] == 2
    assert record.gaps.total_seconds == pytest.approx(0.5)


TIMINGS = {"cache_n": 4, "prompt_n": 6, "prompt_ms": 20.0, "predicted_n": 2, "predicted_ms": 10.0}


def test_figures_on_every_chunk_are_those_of_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = count_parsing(monkeypatch)
    chunks = [chat_chunk("a", timings=TIMINGS | {"predicted_n": n, "predicted_ms": 5.0 * n}) for n in range(1, 50)]
    record = read_stream("/v1/chat/completions", *chunks, outcome=Outcome.CLIENT_GONE)
    assert (record.input_tokens, record.cached_tokens, record.output_tokens) == (10, 4, 49)
    assert record.token_source is TokenSource.SERVER
    assert record.generation_seconds == pytest.approx(0.245)
    assert len(parsed) == 2


def test_figures_of_each_choice_are_kept_and_added() -> None:
    chunks = [
        chat_chunk("a", index=index, timings=TIMINGS | {"predicted_n": n}) for n in range(1, 5) for index in (0, 1, 12)
    ]
    record = read_stream("/v1/chat/completions", *chunks, outcome=Outcome.CLIENT_GONE)
    assert (record.input_tokens, record.output_tokens) == (10, 12)


def test_a_null_usage_is_no_figure() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    chunks = [chat_chunk(text, usage=None) for text in ("a", "b", "c")]
    end = [chat_chunk(finish="stop", usage=None), event({"choices": [], "usage": usage}), event("[DONE]")]
    record = read_stream("/v1/chat/completions", *chunks, *end)
    assert (record.input_tokens, record.output_tokens, record.token_source) == (7, 2, TokenSource.SERVER)


def test_continuous_usage_is_replaced_by_the_total() -> None:
    chunks = [
        chat_chunk("a", usage={"prompt_tokens": 7, "completion_tokens": n}, index=index)
        for n in (1, 2)
        for index in (0, 1)
    ]
    total = event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}})
    record = read_stream("/v1/chat/completions", *chunks, total, event("[DONE]"), request=b'{"n":2}')
    assert (record.input_tokens, record.output_tokens) == (7, 5)


def test_many_choices_are_settled_early() -> None:
    observation = open_request("/v1/chat/completions")
    observation.answer(ANSWERED, 200, SSE)
    for index in range(100, 300):
        observation.feed(102.0, chat_chunk("a", index=index, timings=TIMINGS | {"predicted_n": 1}))
    assert observation.retained_bytes < 65 * 300
    assert observation.finish(103.0).output_tokens == 200


def test_a_long_frame_with_figures_is_not_kept() -> None:
    observation = open_request("/completion")
    observation.answer(ANSWERED, 200, SSE)
    for n in (1, 2):
        observation.feed(
            102.0,
            event({"index": 0, "content": "x" * 20_000, "stop": False, "tokens_predicted": n, "tokens_evaluated": 3}),
        )
    assert observation.retained_bytes == 0
    assert observation.finish(103.0).output_tokens == 2


def test_a_held_frame_that_is_no_json_is_counted() -> None:
    good = chat_chunk("a", timings=TIMINGS)
    observation = open_request("/v1/chat/completions")
    observation.answer(ANSWERED, 200, SSE)
    observation.feed(102.0, good)
    observation.feed(102.0, good.replace(b'"timings":{', b'"timings":{{'))
    record = observation.finish(103.0)
    assert observation.parse_errors == 1
    assert record.output_tokens == 2
    assert record.token_source is TokenSource.SERVER


def test_a_held_frame_of_another_form_is_no_figure() -> None:
    native = {"index": 0, "content": "a", "stop": False, "tokens_predicted": 1, "tokens_evaluated": 3}
    record = read_stream("/completion", event(native), event(native), event([native | {"tokens_predicted": 9}]))
    assert record.output_tokens == 3
    assert record.token_source is TokenSource.COUNTED


def test_prompt_progress_tells_the_input_of_a_prompt_that_was_not_finished() -> None:
    progress = {"total": 39, "cache": 16, "processed": 20, "time_ms": 3}
    timings = TIMINGS | {"cache_n": 16, "prompt_n": 4, "predicted_n": 0}
    role = {"choices": [{"finish_reason": None, "index": 0, "delta": {"role": "assistant", "content": None}}]}
    record = read_stream(
        "/v1/chat/completions",
        event(role | {"timings": timings, "prompt_progress": progress}),
        outcome=Outcome.CLIENT_GONE,
    )
    assert (record.input_tokens, record.cached_tokens, record.output_tokens) == (39, 16, 0)
    assert (record.ttft_seconds, record.queue_seconds) == (None, None)


def test_the_answer_shows_its_dialect() -> None:
    """`/completions` is llama-server's own form there, and OpenAI's on other servers."""
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    observation = open_request("/completions")
    assert observation.dialect == "llamacpp"
    observation.answer(ANSWERED, 200, SSE)
    assert observation.dialect == "llamacpp"
    observation.feed(102.0, event({"choices": [{"text": "a", "index": 0, "finish_reason": "stop"}], "usage": usage}))
    assert observation.dialect == "openai"
    assert observation.finish(103.0).output_tokens == 1


def test_odd_events_are_no_errors() -> None:
    """llama-server opens a stream for several prompts with `data: null`; other servers send what they like."""
    odd = [
        event("null"),
        event("[]"),
        event("{}"),
        event({"ping": 1}),
        event('"text"'),
        event("7"),
        b"data\n\n",
        b"x\n\n",
    ]
    observation = open_request("/v1/completions")
    observation.answer(ANSWERED, 200, SSE)
    for chunk in odd:
        observation.feed(102.0, chunk)
    assert observation.parse_errors == 1
    assert observation.finish(103.0).outcome is Outcome.COMPLETED


def test_an_event_cut_off_by_the_end_is_no_error() -> None:
    observation = open_request("/v1/chat/completions")
    observation.answer(ANSWERED, 200, SSE)
    observation.feed(102.0, chat_chunk("a") + chat_chunk("b")[:40])
    record = observation.finish(103.0, Outcome.CLIENT_GONE)
    assert observation.parse_errors == 0
    assert (record.output_tokens, record.token_source) == (1, TokenSource.COUNTED)


def test_a_long_last_event_is_read_at_its_ends() -> None:
    """The last event of a native stream repeats the prompt, however long it is."""
    final = {
        "index": 0, "content": "", "tokens": [], "id_slot": 1, "stop": True, "model": "tiny", "tokens_predicted": 4,
        "tokens_evaluated": 400_000, "prompt": 'say "timings": ' * 100_000, "truncated": False, "stop_type": "limit",
        "tokens_cached": 13, "timings": TIMINGS | {"predicted_n": 4},
    }  # fmt: skip
    first = event({"index": 0, "content": "W", "stop": False, "tokens_predicted": 1, "tokens_evaluated": 400_000})
    observation = open_request("/completion")
    observation.answer(ANSWERED, 200, SSE)
    observation.feed(102.0, first)
    data = event(final)
    assert len(data) > 1_500_000
    for at in range(0, len(data), 60_000):
        observation.feed(103.0, data[at : at + 60_000])
        assert observation.retained_bytes < 1 << 20
    assert observation.content_chunks == 1
    record = observation.finish(104.0)
    assert (record.input_tokens, record.output_tokens, record.finish_reasons) == (400_000, 4, ("limit",))
    assert record.prompt_seconds == pytest.approx(0.02)
    assert record.response_model == "tiny"


def test_a_long_last_event_of_a_response_is_read_at_its_ends() -> None:
    response = {
        "id": "resp_1", "object": "response", "status": "completed", "model": "tiny",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "x" * 600_000}]}],
        "usage": {"input_tokens": 27, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 26}},
    }  # fmt: skip
    last = event({"type": "response.completed", "response": response, "timings": TIMINGS}, "response.completed")
    record = read_stream("/v1/responses", ORDINARY["/v1/responses"]("a"), last)
    assert (record.input_tokens, record.cached_tokens, record.output_tokens) == (27, 26, 4)
    assert record.finish_reasons == ("completed",)
    assert record.prompt_seconds == pytest.approx(0.02)


def test_a_long_content_event_is_content() -> None:
    record = read_stream("/v1/chat/completions", chat_chunk("a"), chat_chunk("b" * 600_000), chat_chunk("c"))
    assert record.gaps is not None
    assert record.gaps.count == 2


def live_figures(observation: Observation) -> tuple[float | None, int, int]:
    return observation.first_token_at, observation.content_chunks, observation.tokens_so_far


def test_live_figures() -> None:
    observation = open_request("/v1/chat/completions", b'{"stream":true}')
    assert live_figures(observation) == (None, 0, 0)
    observation.answer(ANSWERED, 200, SSE)
    observation.feed(102.0, chat_chunk("a"))
    observation.feed(103.0, chat_chunk("b"))
    assert live_figures(observation) == (102.0, 2, 2)
