"""Rows of requests in flight: names, figures as they become known, order."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.api.vandamme.names import Names
from exporter.api.vandamme.snapshot import active_requests
from exporter.live.active import ActiveRequests
from exporter.observe.observation import Observation
from tests.api.vandamme.traffic import answer, get, in_flight
from tests.api.views import NOW, WALL, make_views

NAMES = Names(("llama_cpp", "Other"))
CHAT = "/v1/chat/completions"


def row_of(observation: Observation, now: float = NOW) -> dict[str, Any]:
    (row,) = active_requests([observation], NAMES, now)
    return dict(row)


def names_of(requested: str | None, served: str | None = None) -> tuple[str, ...]:
    observation = in_flight(served=served) if requested is None else in_flight(served=served, model=requested)
    row = row_of(observation)
    assert row["provider"] == "llama_cpp"
    return row["model"], row["requested_model"], row["resolved_model"], row["qualified_model"]


@pytest.mark.parametrize(
    ("requested", "served", "expected"),
    [
        ("tiny", "tiny", ("tiny", "tiny", "tiny", "llama_cpp:tiny")),
        # Whoever names a model has asked for that one, whatever its server calls it.
        ("fast", "tiny", ("fast", "fast", "fast", "llama_cpp:fast")),
        ("tiny", None, ("tiny", "tiny", "tiny", "llama_cpp:tiny")),
        # A prefix is a provider when one is configured under that name, in any case.
        ("llama_cpp:tiny", "tiny", ("tiny", "llama_cpp:tiny", "tiny", "llama_cpp:tiny")),
        ("LLAMA_cpp:tiny", None, ("tiny", "LLAMA_cpp:tiny", "tiny", "LLAMA_cpp:tiny")),
        ("other:a:b", None, ("a:b", "other:a:b", "a:b", "other:a:b")),
        ("llama3.1:8b", None, ("llama3.1:8b", "llama3.1:8b", "llama3.1:8b", "llama_cpp:llama3.1:8b")),
        ("llama_cpp:", None, ("llama_cpp:", "llama_cpp:", "llama_cpp:", "llama_cpp:llama_cpp:")),
        # Who names no model gets the one that there is.
        (None, "tiny", ("tiny", "unknown", "tiny", "llama_cpp:tiny")),
        (None, None, ("unknown", "unknown", "", "llama_cpp:unknown")),
        # Nobody needs to know where files lie.
        ("/srv/a/b.gguf", "/srv/a/b.gguf", ("b.gguf", "b.gguf", "b.gguf", "llama_cpp:b.gguf")),
        ("llama_cpp:/srv/a/b", None, ("b", "llama_cpp:b", "b", "llama_cpp:b")),
        ("/", None, ("unknown", "unknown", "", "llama_cpp:unknown")),
    ],
)
def test_names(requested: str | None, served: str | None, expected: tuple[str, ...]) -> None:
    assert names_of(requested, served) == expected


@settings(deadline=None)
@given(st.text(max_size=40), st.none() | st.text(max_size=40))
def test_names_are_never_empty(requested: str, served: str | None) -> None:
    model, asked, _, qualified = names_of(requested, served)
    assert model
    assert asked
    assert qualified.endswith(model)
    assert len(qualified) > len(model)


def test_figures_of_a_stream() -> None:
    observation = in_flight(
        model="tiny",
        stream=True,
        tools=[{"name": "get_time"}],
        messages=[
            {"role": "user", "content": "When?"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "get_time", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "noon"}]},
        ],
    )
    before = row_of(observation, NOW + 0.0506)
    assert before == {
        "request_id": "0000000000000001",
        "provider": "llama_cpp",
        "model": "tiny",
        "requested_model": "tiny",
        "resolved_model": "tiny",
        "qualified_model": "llama_cpp:tiny",
        "is_streaming": True,
        "start_time": WALL,
        "duration_ms": 51,
        "input_tokens": 0,
        "output_tokens": 0,
        "cache_read_tokens": 0,
        "cache_creation_tokens": 0,
        "tool_uses": 1,
        "tool_results": 1,
        "tool_calls": 0,
        "request_size": observation.request_bytes,
        "message_count": 3,
    }
    assert observation.request_bytes > 100
    usage = {"cache_read_input_tokens": 30, "input_tokens": 12, "output_tokens": 0}
    answer(
        observation,
        event("message_start", message={"model": "tiny", "usage": usage}),
        event("content_block_start", index=0, content_block={"type": "tool_use", "id": "2", "name": "get_time"}),
        *(event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": "{"}),) * 3,
    )
    after = row_of(observation, NOW + 0.0506)
    assert {key for key in after if after[key] != before[key]} == {
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "tool_calls",
    }
    assert (after["input_tokens"], after["cache_read_tokens"]) == (42, 30)
    assert (after["output_tokens"], after["tool_calls"]) == (4, 1)


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def test_progress_of_the_prompt_tells_the_input() -> None:
    observation = in_flight(path=CHAT, model="tiny", stream=True)
    progress = {"total": 500, "cache": 100, "processed": 200, "time_ms": 5}
    timings = {"cache_n": 100, "prompt_n": 100, "predicted_n": 0}
    choice = {"index": 0, "finish_reason": None, "delta": {"role": "assistant", "content": None}}
    frame = {"choices": [choice], "object": "chat.completion.chunk", "prompt_progress": progress, "timings": timings}
    answer(observation, f"data: {json.dumps(frame)}\n\n".encode())
    row = row_of(observation)
    assert (row["input_tokens"], row["cache_read_tokens"], row["output_tokens"]) == (500, 100, 0)


def test_a_stream_that_nobody_asked_for_is_one() -> None:
    observation = in_flight(model="tiny")
    assert row_of(observation)["is_streaming"] is False
    answer(observation)
    assert row_of(observation)["is_streaming"] is True


def test_a_request_that_has_only_begun_has_a_row() -> None:
    row = row_of(in_flight(upstream=None))
    assert (row["model"], row["request_size"], row["is_streaming"]) == ("unknown", 0, False)


def test_newest_first() -> None:
    active = [in_flight(number, started_at=WALL + start) for number, start in ((1, 2.0), (2, 3.5), (3, 1.0), (4, 3.5))]
    rows = active_requests(active, NAMES, NOW + 5)
    assert [(row["request_id"][-1], row["start_time"] - WALL) for row in rows] == [
        ("2", 3.5),
        ("4", 3.5),
        ("1", 2.0),
        ("3", 1.0),
    ]


def test_durations_are_never_negative() -> None:
    assert row_of(in_flight(started_at=WALL + 1), NOW)["duration_ms"] == 0


async def test_only_what_asks_a_model_is_shown() -> None:
    active = ActiveRequests()
    for number, path in enumerate(("/v1/models", "/tokenize", CHAT, "/v1/embeddings", "/health")):
        active.start(in_flight(number, path=path))
    told = await get("/metrics/active-requests", make_views(active=active))
    assert {row["request_id"][-1] for row in told.json()["active_requests"]} == {"2", "3"}


async def test_the_snapshot_is_compact_and_utf_8() -> None:
    active = ActiveRequests()
    active.start(in_flight(model="\N{GRINNING FACE}é\ud800"))
    told = await get("/metrics/active-requests", make_views(active=active))
    assert '"model":"\N{GRINNING FACE}é?",' in told.text
    assert ": " not in told.text
