"""Which operation a request asks for, in which dialect it is answered, and whether it runs the model.

The routes are those that llama-server registers (tools/server/server.cpp); a known path behind an unknown prefix
(`--api-prefix`, another proxy) is recognised by its end. Called once per request by `Observation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

LLAMACPP = "llamacpp"
OPENAI = "openai"
ANTHROPIC = "anthropic"
RESPONSES = "responses"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a method and a path mean."""

    operation: str
    """As in `RequestRecord.operation`."""
    dialect: str = LLAMACPP
    """The form of the answer that is to be expected; the answer itself may show another one."""
    inference: bool = False


OTHER = Endpoint("other")

_CHAT = Endpoint("chat", OPENAI, inference=True)
_NATIVE = Endpoint("text_completion", LLAMACPP, inference=True)
_RESPONSES = Endpoint("responses", RESPONSES, inference=True)
_EMBEDDINGS = Endpoint("embeddings", OPENAI, inference=True)
_RERANK = Endpoint("rerank", OPENAI, inference=True)
_TRANSCRIPTION = Endpoint("transcription", OPENAI, inference=True)
_COUNT = Endpoint("count_tokens")

_POST = {
    "chat/completions": _CHAT,
    "v1/chat/completions": _CHAT,
    "api/chat": _CHAT,
    # Without /v1 these two are llama-server's own form, elsewhere they may be OpenAI's: the answer tells.
    "completion": _NATIVE,
    "completions": _NATIVE,
    "v1/completions": Endpoint("text_completion", OPENAI, inference=True),
    "infill": Endpoint("infill", LLAMACPP, inference=True),
    "responses": _RESPONSES,
    "v1/responses": _RESPONSES,
    "v1/messages": Endpoint("messages", ANTHROPIC, inference=True),
    "embedding": _EMBEDDINGS,
    "embeddings": _EMBEDDINGS,
    "v1/embeddings": _EMBEDDINGS,
    "rerank": _RERANK,
    "reranking": _RERANK,
    "v1/rerank": _RERANK,
    "v1/reranking": _RERANK,
    "audio/transcriptions": _TRANSCRIPTION,
    "v1/audio/transcriptions": _TRANSCRIPTION,
    "v1/messages/count_tokens": _COUNT,
    "chat/completions/input_tokens": _COUNT,
    "v1/chat/completions/input_tokens": _COUNT,
    "responses/input_tokens": _COUNT,
    "v1/responses/input_tokens": _COUNT,
    "v1/chat/completions/control": Endpoint("control"),
    "tokenize": Endpoint("tokenize"),
    "detokenize": Endpoint("detokenize"),
    "apply-template": Endpoint("apply_template"),
    "props": Endpoint("props"),
    "lora-adapters": Endpoint("lora_adapters"),
    "models": Endpoint("models_add"),
    "models/load": Endpoint("models_load"),
    "models/unload": Endpoint("models_unload"),
}
_GET = {
    "health": Endpoint("health"),
    "v1/health": Endpoint("health"),
    "metrics": Endpoint("metrics"),
    "props": Endpoint("props"),
    "slots": Endpoint("slots"),
    "models": Endpoint("models"),
    "v1/models": Endpoint("models"),
    "models/sse": Endpoint("models_events"),
    "lora-adapters": Endpoint("lora_adapters"),
    "v1/streams": Endpoint("streams"),
}
_ROUTES = {"POST": _POST, "GET": _GET, "HEAD": _GET, "DELETE": {"models": Endpoint("models_remove")}}
_PARAMETRIC = {
    ("POST", "slots"): Endpoint("slots_action"),
    ("GET", "v1/models"): Endpoint("models"),
    # A replay of a stream that is accounted for already: reading its tokens would count them twice.
    ("GET", "v1/stream"): Endpoint("stream_resume"),
    ("DELETE", "v1/stream"): Endpoint("stream_remove"),
}
_PREFIX_SEGMENTS = 8


@lru_cache(maxsize=512)
def find_endpoint(method: str, path: str) -> Endpoint:
    """Look up an upper-case method and a path without its query; `OTHER` when the pair is not known."""
    route = path.strip("/")
    known = _ROUTES.get(method, {}).get(route)
    if known is not None:
        return known
    parent, _, _ = route.rpartition("/")
    return _PARAMETRIC.get((method, parent)) or (_behind_prefix(route) if method == "POST" else OTHER)


def _behind_prefix(route: str) -> Endpoint:
    """An inference route of two segments or more at the end of a longer path, else `OTHER`."""
    for _ in range(_PREFIX_SEGMENTS):
        _, _, route = route.partition("/")
        if "/" not in route:
            break
        known = _POST.get(route)
        if known is not None:
            return known
    return OTHER
