"""What a client is told of tokens and of the end of an answer, in each of the dialects that llama-server speaks; and
requests in each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.end_to_end.traced import CHAT, HELLO, Seen

MODEL = "traced"


class Told(NamedTuple):
    """None: the server did not say."""

    input_tokens: int | None
    """Those from the prompt cache included."""
    output_tokens: int | None
    cached_tokens: int | None
    reasons: list[str]
    id: str | None
    model: str | None


class Kind(NamedTuple):
    """One sort of request."""

    operation: str
    path: str
    body: Mapping[str, Any]

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream"))


_STREAM = {"stream": True, "stream_options": {"include_usage": True}}
_CHAT = {"model": MODEL, "messages": HELLO, "max_tokens": 6}
_PROMPT = {"model": MODEL, "prompt": "hi there", "max_tokens": 6}
_RESPONSE = {"model": MODEL, "input": "hi there", "max_output_tokens": 6}
KINDS = {
    "chat": Kind("chat", CHAT, _CHAT),
    "chat-stream": Kind("chat", CHAT, {**_CHAT, **_STREAM}),
    "completion": Kind("text_completion", "/v1/completions", _PROMPT),
    "completion-stream": Kind("text_completion", "/v1/completions", {**_PROMPT, **_STREAM}),
    "native": Kind("text_completion", "/completion", {"model": MODEL, "prompt": "hi there", "n_predict": 6}),
    "messages": Kind("chat", "/v1/messages", _CHAT),
    "messages-stream": Kind("chat", "/v1/messages", {**_CHAT, "stream": True}),
    "responses": Kind("chat", "/v1/responses", _RESPONSE),
    "responses-stream": Kind("chat", "/v1/responses", {**_RESPONSE, "stream": True}),
    "embeddings": Kind("embeddings", "/v1/embeddings", {"model": MODEL, "input": ["hi", "there"]}),
}


def told(kind: Kind, seen: Seen) -> Told:
    """What the client of a request was told."""
    documents = seen.events if kind.stream else [seen.document]
    if kind.path == "/v1/messages":
        return _messages(documents)
    if kind.path == "/v1/responses":
        (whole,) = (each.get("response", each) for each in documents if "usage" in each.get("response", each))
        details = whole["usage"]["input_tokens_details"]
        usage = whole["usage"]["input_tokens"], whole["usage"]["output_tokens"], details["cached_tokens"]
        return Told(*usage, reasons=[], id=whole["id"], model=whole["model"])
    if kind.path == "/completion":
        (whole,) = documents
        usage = whole["tokens_evaluated"], whole["tokens_predicted"], whole["timings"]["cache_n"]
        return Told(*usage, reasons=[whole["stop_type"]], id=None, model=whole["model"])
    return _openai(documents)


def _openai(documents: list[dict[str, Any]]) -> Told:
    usage = documents[-1]["usage"]
    choices = [choice for each in documents for choice in each.get("choices", ())]
    return Told(
        input_tokens=usage["prompt_tokens"],
        output_tokens=usage.get("completion_tokens"),
        cached_tokens=usage.get("prompt_tokens_details", {}).get("cached_tokens"),
        reasons=[choice["finish_reason"] for choice in choices if choice.get("finish_reason")],
        id=documents[0].get("id"),
        model=documents[0]["model"],
    )


def _messages(documents: list[dict[str, Any]]) -> Told:
    """A stream now and then lacks its `message_start`, and with it all but the output tokens and the reason."""
    parts = [*_flat(documents)]
    first = next((each for each in parts if "id" in each), {})
    begun = first.get("usage", {})
    return Told(
        input_tokens=begun["input_tokens"] + begun["cache_read_input_tokens"] if begun else None,
        output_tokens=parts[-1]["usage"]["output_tokens"],
        cached_tokens=begun.get("cache_read_input_tokens"),
        reasons=[each["stop_reason"] for each in parts if each.get("stop_reason")],
        id=first.get("id"),
        model=first.get("model"),
    )


def _flat(documents: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in documents:
        if each["type"] == "message":
            yield each
        elif each["type"] == "message_start":
            yield each["message"]
        elif each["type"] == "message_delta":
            yield {**each["delta"], "usage": each["usage"]}
