"""Method and path to operation."""

from __future__ import annotations

import pytest

from exporter.observe.endpoints import OTHER, find_endpoint

RUNS_THE_MODEL = {
    ("/v1/chat/completions", "chat", "openai"),
    ("/chat/completions", "chat", "openai"),
    ("/api/chat", "chat", "openai"),
    ("/v1/completions", "text_completion", "openai"),
    ("/completion", "text_completion", "llamacpp"),
    ("/completions", "text_completion", "llamacpp"),
    ("/infill", "infill", "llamacpp"),
    ("/v1/responses", "responses", "responses"),
    ("/responses", "responses", "responses"),
    ("/v1/messages", "messages", "anthropic"),
    ("/v1/embeddings", "embeddings", "openai"),
    ("/embedding", "embeddings", "openai"),
    ("/embeddings", "embeddings", "openai"),
    ("/rerank", "rerank", "openai"),
    ("/reranking", "rerank", "openai"),
    ("/v1/rerank", "rerank", "openai"),
    ("/v1/reranking", "rerank", "openai"),
    ("/v1/audio/transcriptions", "transcription", "openai"),
    ("/audio/transcriptions", "transcription", "openai"),
    ("/v1/chat/completions/", "chat", "openai"),
    ("/llama/v1/chat/completions", "chat", "openai"),
    ("/upstream/qwen/v1/messages", "messages", "anthropic"),
}


@pytest.mark.parametrize(("path", "operation", "dialect"), sorted(RUNS_THE_MODEL))
def test_inference(path: str, operation: str, dialect: str) -> None:
    endpoint = find_endpoint("POST", path)
    assert (endpoint.operation, endpoint.dialect, endpoint.inference) == (operation, dialect, True)
    assert find_endpoint("OPTIONS", path) is OTHER


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "/health", "health"),
        ("HEAD", "/health", "health"),
        ("GET", "/v1/health", "health"),
        ("GET", "/props", "props"),
        ("POST", "/props", "props"),
        ("GET", "/slots", "slots"),
        ("POST", "/slots/3", "slots_action"),
        ("GET", "/metrics", "metrics"),
        ("GET", "/models", "models"),
        ("GET", "/v1/models", "models"),
        ("GET", "/v1/models/tiny", "models"),
        ("GET", "/models/sse", "models_events"),
        ("POST", "/models", "models_add"),
        ("DELETE", "/models", "models_remove"),
        ("POST", "/models/load", "models_load"),
        ("POST", "/models/unload", "models_unload"),
        ("GET", "/lora-adapters", "lora_adapters"),
        ("POST", "/lora-adapters", "lora_adapters"),
        ("POST", "/tokenize", "tokenize"),
        ("POST", "/detokenize", "detokenize"),
        ("POST", "/apply-template", "apply_template"),
        ("POST", "/v1/messages/count_tokens", "count_tokens"),
        ("POST", "/v1/chat/completions/input_tokens", "count_tokens"),
        ("POST", "/v1/responses/input_tokens", "count_tokens"),
        ("POST", "/v1/chat/completions/control", "control"),
        ("GET", "/v1/stream/abc", "stream_resume"),
        ("DELETE", "/v1/stream/abc", "stream_remove"),
        ("GET", "/v1/streams", "streams"),
        ("GET", "/", "other"),
        ("GET", "/index.html", "other"),
        ("GET", "/v1/chat/completions", "other"),
        ("POST", "/v1/unknown", "other"),
        ("POST", "/a/b/c/d/e/f/g/h/i/j/k/l/v1/messages", "other"),
        ("POST", "/x/completion", "other"),
        ("GET", "/v1/stream/a/b", "other"),
        ("BREW", "/v1/chat/completions", "other"),
        ("POST", "", "other"),
    ],
)
def test_no_inference(method: str, path: str, operation: str) -> None:
    endpoint = find_endpoint(method, path)
    assert (endpoint.operation, endpoint.inference) == (operation, False)
