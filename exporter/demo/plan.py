"""What the demo's clients will ask: deterministic descriptions of requests, made from a seed and nothing else.

`traffic` plays them; the tests and the end-to-end checks choose kinds of them. Requests come in shuffled decks, so that
each deck holds every kind: 42 requests, or 102 with those that leave the model to the sidecar.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from exporter.demo import questions
from exporter.demo.kinds import DECK, DIRECT_KINDS, Kind
from exporter.demo.model import WORDS

MODEL = "tiny"
AUTO = "auto"
"""The model name that leaves the choice to the sidecar; an engine alone takes any name."""
ORIGINS = {"https://chat.example": 6, "https://ide.example": 3, None: 2, "https://batch.example": 1}
"""Where requests come from, and how often."""
OVERLONG_TOKENS = 3000
"""More than the context of a slot (2048 unless the engine is told otherwise)."""
CONVERSATION_TURNS = 5
CONVERSATIONS = 3
QUESTIONS = {
    Kind.ROUTED_SIMPLE: questions.SIMPLE,
    Kind.ROUTED_MODERATE: questions.MODERATE,
    Kind.ROUTED_COMPLEX: questions.COMPLEX,
}
ANSWER_TOKENS = {Kind.ROUTED_SIMPLE: (8, 32), Kind.ROUTED_MODERATE: (32, 96), Kind.ROUTED_COMPLEX: (96, 200)}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, and when its client leaves."""

    kind: Kind
    method: str
    path: str
    body: bytes | None
    stream: bool
    expected_status: int | None
    """None when the client leaves before there is one."""
    origin: str | None = None
    """Value of the `Origin` header."""
    leave_after_seconds: float | None = None
    """The client leaves then, if nothing of the answer has come."""
    leave_after_chunks: int | None = None
    """The client leaves after so many content chunks."""


def plan(seed: int, count: int, kinds: Collection[Kind] = DIRECT_KINDS) -> list[Exchange]:
    """The first `count` requests of `exchanges`: equal arguments give equal requests."""
    return list(islice(exchanges(seed, kinds), count))


def exchanges(seed: int, kinds: Collection[Kind] = DIRECT_KINDS, *, model: str = MODEL) -> Iterator[Exchange]:
    """Requests without end, of the given kinds; those that name a model name `model`. Raises ValueError when there are
    no kinds."""
    if not kinds:
        raise ValueError("no kinds of requests were given")
    rng = random.Random(seed)
    conversations: list[list[dict[str, str]]] = [[] for _ in range(CONVERSATIONS)]
    while True:
        deck = [kind for kind in Kind if kind in kinds for _ in range(DECK[kind])]
        rng.shuffle(deck)
        for kind in deck:
            made = _continue(rng, rng.choice(conversations)) if kind is Kind.CONVERSATION else MAKERS[kind](rng, kind)
            yield _naming(made, model)


def _naming(asked: Exchange, model: str) -> Exchange:
    """The same, of another model. Bytes are replaced, since some bodies are no JSON on purpose."""
    if asked.body is None or model == MODEL:
        return asked
    named = asked.body.replace(_member("model", MODEL), _member("model", model), 1)
    return replace(asked, body=named)


def _member(name: str, value: str) -> bytes:
    return f"{json.dumps(name)}:{json.dumps(value)}".encode()


def _words(rng: random.Random, least: int, most: int) -> str:
    """So many words, each of which is one token."""
    return " ".join(rng.choices(WORDS, k=rng.randint(least, most)))


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _origin(rng: random.Random) -> str | None:
    return rng.choices([*ORIGINS], [*ORIGINS.values()])[0]


def _post(rng: random.Random, kind: Kind, path: str, body: dict[str, Any], *, status: int | None = 200) -> Exchange:
    return Exchange(
        kind=kind,
        method="POST",
        path=path,
        body=json.dumps(body, separators=(",", ":")).encode(),
        stream=bool(body.get("stream")),
        expected_status=status,
        origin=_origin(rng),
    )


def _chat_body(rng: random.Random, messages: list[dict[str, str]], *, stream: bool, tokens: int) -> dict[str, Any]:
    body: dict[str, Any] = {"model": MODEL, "messages": messages, "max_tokens": tokens, "seed": rng.getrandbits(31)}
    if stream:
        body["stream"] = True
        if rng.random() < 0.5:
            body["stream_options"] = {"include_usage": True}
    return body


def _chat(rng: random.Random, kind: Kind) -> Exchange:
    messages = [_user(_words(rng, 8, 120))]
    body = _chat_body(rng, messages, stream=kind is Kind.CHAT_STREAM, tokens=rng.randint(8, 64))
    return _post(rng, kind, "/v1/chat/completions", body)


def _continue(rng: random.Random, history: list[dict[str, str]]) -> Exchange:
    """The next turn of a conversation; `history` grows, and begins anew after some turns."""
    if len(history) > 2 * CONVERSATION_TURNS:
        history.clear()
    if not history:
        history.append({"role": "system", "content": _words(rng, 150, 200)})
    history.append(_user(_words(rng, 5, 25)))
    body = _chat_body(rng, history, stream=True, tokens=rng.randint(16, 48))
    # What the model will say is not known here; a client may put any words into its mouth.
    history.append({"role": "assistant", "content": _words(rng, 10, 30)})
    return _post(rng, Kind.CONVERSATION, "/v1/chat/completions", body)


def _long_stream(rng: random.Random, kind: Kind) -> Exchange:
    body = _chat_body(rng, [_user(_words(rng, 300, 700))], stream=True, tokens=rng.randint(200, 300))
    return _post(rng, kind, "/v1/chat/completions", body)


def _completion(rng: random.Random, kind: Kind) -> Exchange:
    body = {"model": MODEL, "prompt": _words(rng, 4, 80), "max_tokens": rng.randint(4, 48), "seed": rng.getrandbits(31)}
    return _post(rng, kind, "/v1/completions", body | ({"stream": True} if kind is Kind.COMPLETION_STREAM else {}))


def _native(rng: random.Random, kind: Kind) -> Exchange:
    body = {"prompt": _words(rng, 4, 80), "n_predict": rng.randint(4, 48), "seed": rng.getrandbits(31)}
    return _post(rng, kind, "/completion", body | ({"stream": True} if kind is Kind.NATIVE_STREAM else {}))


def _messages(rng: random.Random, kind: Kind) -> Exchange:
    body: dict[str, Any] = {"model": MODEL, "messages": [_user(_words(rng, 8, 80))], "max_tokens": rng.randint(4, 48)}
    return _post(rng, kind, "/v1/messages", body | ({"stream": True} if kind is Kind.MESSAGES_STREAM else {}))


def _responses(rng: random.Random, kind: Kind) -> Exchange:
    body = {"model": MODEL, "input": _words(rng, 8, 80), "max_output_tokens": rng.randint(4, 48)}
    return _post(rng, kind, "/v1/responses", body | ({"stream": True} if kind is Kind.RESPONSES_STREAM else {}))


def _tokenize(rng: random.Random, kind: Kind) -> Exchange:
    return _post(rng, kind, "/tokenize", {"content": _words(rng, 2, 60)})


def _models(rng: random.Random, kind: Kind) -> Exchange:
    return Exchange(kind, "GET", "/v1/models", None, stream=False, expected_status=200, origin=_origin(rng))


def _leave_early(rng: random.Random, kind: Kind) -> Exchange:
    """Leaves a request behind that keeps the server busy for far longer than the client waits."""
    body = {"prompt": _words(rng, 1000, 1200), "n_predict": 200, "cache_prompt": False, "ignore_eos": True}
    asked = _post(rng, kind, "/completion", body, status=None)
    return replace(asked, leave_after_seconds=rng.uniform(0.005, 0.02))


def _leave_midway(rng: random.Random, kind: Kind) -> Exchange:
    body = _chat_body(rng, [_user(_words(rng, 8, 80))], stream=True, tokens=1000) | {"ignore_eos": True}
    return replace(_post(rng, kind, "/v1/chat/completions", body), leave_after_chunks=rng.randint(2, 20))


def _routed(rng: random.Random, kind: Kind) -> Exchange:
    messages = [_user(rng.choice(QUESTIONS[kind]))]
    body = _chat_body(rng, messages, stream=rng.random() < 0.7, tokens=rng.randint(*ANSWER_TOKENS[kind]))
    return _post(rng, kind, "/v1/chat/completions", body | {"model": AUTO})


def _bad_json(rng: random.Random, kind: Kind) -> Exchange:
    asked = _post(
        rng, kind, "/v1/chat/completions", {"model": MODEL, "messages": [_user(_words(rng, 2, 9))]}, status=400
    )
    return replace(asked, body=(asked.body or b"")[:-3])


def _unknown_path(rng: random.Random, kind: Kind) -> Exchange:
    return _post(rng, kind, "/v1/does-not-exist", {"input": _words(rng, 1, 3)}, status=404)


def _context_exceeded(rng: random.Random, kind: Kind) -> Exchange:
    messages = [_user(_words(rng, OVERLONG_TOKENS, OVERLONG_TOKENS))]
    body = _chat_body(rng, messages, stream=rng.random() < 0.5, tokens=8)
    return _post(rng, kind, "/v1/chat/completions", body, status=400)


MAKERS: dict[Kind, Callable[[random.Random, Kind], Exchange]] = {
    Kind.CHAT: _chat,
    Kind.CHAT_STREAM: _chat,
    Kind.LONG_STREAM: _long_stream,
    Kind.COMPLETION: _completion,
    Kind.COMPLETION_STREAM: _completion,
    Kind.NATIVE: _native,
    Kind.NATIVE_STREAM: _native,
    Kind.MESSAGES: _messages,
    Kind.MESSAGES_STREAM: _messages,
    Kind.RESPONSES: _responses,
    Kind.RESPONSES_STREAM: _responses,
    Kind.TOKENIZE: _tokenize,
    Kind.MODELS: _models,
    Kind.LEAVE_EARLY: _leave_early,
    Kind.LEAVE_MIDWAY: _leave_midway,
    Kind.BAD_JSON: _bad_json,
    Kind.UNKNOWN_PATH: _unknown_path,
    Kind.CONTEXT_EXCEEDED: _context_exceeded,
    **dict.fromkeys(QUESTIONS, _routed),
}
"""Every kind but conversations, which have a past."""
