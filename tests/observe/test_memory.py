"""What an observation holds is bounded, whatever is sent and for however long."""

from __future__ import annotations

import sys
import tracemalloc

import pytest

from exporter.observe.observation import Look
from tests.observe.replays import ANSWERED, SSE, chat_chunk, event, open_request

LOOK = Look(frame_bytes=10_000, answer_bytes=10_000)


@pytest.mark.parametrize(
    "chunk",
    [
        b"x" * 1000,
        b"data: " + b"x" * 1000,
        b"data: x\n" * 100,
        b"\r" * 1000,
        chat_chunk("a"),
        chat_chunk("a", timings={"predicted_n": 1}),
        event({"index": 0, "content": "", "stop": False}),
        event({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "x"}}]}}]}),
    ],
)
def test_an_endless_stream(chunk: bytes) -> None:
    observation = open_request("/v1/chat/completions", look=LOOK)
    observation.answer(ANSWERED, 200, SSE)
    for number in range(100):
        observation.feed(number, chunk)
    tracemalloc.start()
    try:
        for number in range(500):
            observation.feed(number, chunk)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert observation.retained_bytes <= 31_000
    assert grown < 40_000


@pytest.mark.parametrize("key", ["finish_reason", "tool", "timings"])
def test_ever_new_choices(key: str) -> None:
    observation = open_request("/v1/chat/completions", look=LOOK)
    observation.answer(ANSWERED, 200, SSE)
    for index in range(5000):
        choice: dict[str, object] = {"index": index, "delta": {}}
        if key == "finish_reason":
            choice["finish_reason"] = "stop"
        elif key == "tool":
            choice["delta"] = {"tool_calls": [{"index": 0, "function": {"name": "f"}}]}
        observation.feed(102.0, event({"choices": [choice], "timings": {"predicted_n": 1}}))
    record = observation.finish(103.0)
    assert record.output_tokens == (5000 if key == "tool" else 256)
    assert len(record.finish_reasons) == (256 if key == "finish_reason" else 0)
    assert record.tool_calls == (256 if key == "tool" else 0)


def test_an_observation_is_small() -> None:
    observation = open_request("/v1/chat/completions")
    assert not hasattr(observation, "__dict__")
    assert sys.getsizeof(observation) < 400
