from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.demo.engine import ACCEPTANCE, Engine, EngineOptions, from_arguments, to_arguments
from exporter.errors import StartupError


def post(engine: Engine, path: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(engine.url + path, json=body, timeout=30, trust_env=False)


def get(engine: Engine, path: str) -> httpx.Response:
    return httpx.get(engine.url + path, timeout=30, trust_env=False)


def test_chat_is_answered_with_usage_and_timings(engine: Engine) -> None:
    answer = post(engine, "/v1/chat/completions", {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5})
    document = answer.json()
    assert document["model"] == "tiny"
    assert 1 <= document["usage"]["completion_tokens"] <= 5
    assert document["timings"]["predicted_n"] == document["usage"]["completion_tokens"]


def test_words_are_single_tokens(engine: Engine) -> None:
    tokens = post(engine, "/tokenize", {"content": "please explain the latency of the server"}).json()["tokens"]
    assert len(tokens) == 7


def test_answers_are_streamed(engine: Engine) -> None:
    body = {"prompt": "the server", "n_predict": 20, "ignore_eos": True, "stream": True}
    with httpx.stream("POST", f"{engine.url}/completion", json=body, timeout=30, trust_env=False) as answer:
        events = [json.loads(line[6:]) for line in answer.read().split(b"\n") if line.startswith(b"data: {")]
    assert events[-1]["stop"] is True
    assert events[-1]["tokens_predicted"] == 20
    assert len(events) > 10


def test_equal_seeds_give_equal_answers(engine: Engine) -> None:
    body = {"prompt": "the server", "n_predict": 30, "ignore_eos": True}
    first, again = (post(engine, "/completion", {**body, "seed": 7}).json()["content"] for _ in range(2))
    other = post(engine, "/completion", {**body, "seed": 8}).json()["content"]
    assert first == again
    assert first != other


def test_a_repeated_prompt_comes_from_the_cache(start_engine: Callable[..., Engine]) -> None:
    engine = start_engine(parallel=1)
    body = {"prompt": "count the tokens of this prompt and then count the tokens again", "n_predict": 2}
    post(engine, "/completion", body)
    timings = post(engine, "/completion", body).json()["timings"]
    assert timings["cache_n"] > timings["prompt_n"]


def test_metrics_slots_and_props_are_served(engine: Engine) -> None:
    assert "llamacpp:prompt_tokens_total" in get(engine, "/metrics").text
    assert [slot["n_ctx"] for slot in get(engine, "/slots").json()] == [2048] * 4
    assert get(engine, "/props").json()["total_slots"] == 4


def test_endpoints_can_be_left_out(start_engine: Callable[..., Engine]) -> None:
    assert get(start_engine(metrics=False), "/metrics").status_code == 501


def test_embeddings_work_with_the_option_and_only_then(engine: Engine, start_engine: Callable[..., Engine]) -> None:
    body = {"model": "tiny", "input": ["hello server", "hi"]}
    assert post(engine, "/v1/embeddings", body).status_code == 501
    document = post(start_engine(embedding=True), "/v1/embeddings", body).json()
    assert [len(item["embedding"]) for item in document["data"]] == [64, 64]


def test_reranking_works_with_the_option_and_only_then(engine: Engine, start_engine: Callable[..., Engine]) -> None:
    body = {"query": "what is latency", "documents": ["latency is time", "chart", "cache"]}
    assert post(engine, "/v1/rerank", body).status_code == 501
    document = post(start_engine(reranking=True), "/v1/rerank", body).json()
    assert sorted(result["index"] for result in document["results"]) == [0, 1, 2]


def test_drafts_are_made_with_a_draft_model_and_some_are_accepted(
    start_engine: Callable[..., Engine], tiny_model: Path
) -> None:
    body = {"prompt": "the server", "n_predict": 200, "ignore_eos": True}
    assert "draft_n" not in post(start_engine(), "/completion", body).json()["timings"]
    timings = post(start_engine(draft=tiny_model), "/completion", body).json()["timings"]
    assert timings["predicted_n"] == 200
    expected = sum(ACCEPTANCE) / len(ACCEPTANCE)
    assert abs(timings["draft_n_accepted"] / timings["draft_n"] - expected) < 0.2


def test_an_engine_with_drafts_can_do_what_others_can(start_engine: Callable[..., Engine], tiny_model: Path) -> None:
    body = {"prompt": "the server", "n_predict": 30, "ignore_eos": True, "seed": 7}
    engine = start_engine(draft=tiny_model, embedding=True)
    first, again = (post(engine, "/completion", body).json() for _ in range(2))
    assert first["content"] == again["content"]
    assert first["tokens_predicted"] == 30
    document = post(engine, "/v1/embeddings", {"model": "tiny", "input": ["hello server", "hi"]}).json()
    assert [len(item["embedding"]) for item in document["data"]] == [64, 64]


def test_context_size_is_that_of_a_slot(start_engine: Callable[..., Engine]) -> None:
    engine = start_engine(parallel=2, context_size=512)
    assert [slot["n_ctx"] for slot in get(engine, "/slots").json()] == [512, 512]
    answer = post(engine, "/completion", {"prompt": "word " * 600, "n_predict": 1})
    assert answer.status_code == 400
    assert answer.json()["error"]["n_ctx"] == 512


def test_alias_and_port_are_as_asked(tiny_model: Path, free_port: int) -> None:
    with Engine(EngineOptions(model=tiny_model, port=free_port, alias="my-model")) as engine:
        assert engine.url == f"http://127.0.0.1:{free_port}"
        assert [model["id"] for model in get(engine, "/v1/models").json()["data"]] == ["my-model"]


def test_starts_and_stops_fast_even_in_the_middle_of_an_answer(tiny_model: Path) -> None:
    began = time.monotonic()
    engine = Engine(EngineOptions(model=tiny_model))
    engine.start()
    assert time.monotonic() - began < 10
    body = {"prompt": "the", "n_predict": 1900, "ignore_eos": True, "stream": True}
    with httpx.stream("POST", f"{engine.url}/completion", json=body, timeout=30, trust_env=False) as answer:
        next(answer.iter_raw())
        began = time.monotonic()
        engine.stop()
        assert time.monotonic() - began < 2
    assert not engine.running
    with pytest.raises(httpx.ConnectError):
        get(engine, "/health")


async def test_is_an_async_context_manager_as_well(tiny_model: Path) -> None:
    async with Engine(EngineOptions(model=tiny_model)) as engine, httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{engine.url}/health")).json() == {"status": "ok"}
    assert not engine.running


def test_taken_port_is_told_in_one_line(engine: Engine, tiny_model: Path) -> None:
    port = int(engine.url.rpartition(":")[2])
    with pytest.raises(StartupError, match=r"the engine did not start: .*couldn't bind") as raised:
        Engine(EngineOptions(model=tiny_model, port=port)).start()
    assert "\n" not in str(raised.value)


def test_broken_model_is_told_in_one_line(tmp_path: Path, tiny_model: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny_model.read_bytes()[:5000])
    engine = Engine(EngineOptions(model=broken))
    with pytest.raises(StartupError, match="failed to load model"):
        engine.start()
    assert not engine.running


def test_without_xllamacpp_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(StartupError, match=r"'\.\[demo\]'"):
        Engine(EngineOptions(model=tmp_path / "none.gguf")).start()


def test_url_is_not_guessed_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not started"):
        _ = Engine(EngineOptions(model=tmp_path / "none.gguf")).url


@pytest.mark.parametrize(
    "options",
    [
        EngineOptions(model=Path("/m.gguf")),
        EngineOptions(
            model=Path("/a b.gguf"),
            draft=Path("/c d.gguf"),
            host="127.0.0.2",
            port=8080,
            parallel=1,
            context_size=256,
            embedding=True,
            reranking=True,
            alias="x",
            seed=3,
            threads=2,
            metrics=False,
            slots=False,
            props=False,
        ),
    ],
)
def test_options_survive_the_command_line(options: EngineOptions) -> None:
    assert from_arguments(to_arguments(options)) == options
