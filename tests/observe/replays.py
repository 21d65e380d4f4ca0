"""Captured exchanges with real servers, played back to an Observation in any split."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from exporter.observe.observation import Look, Observation
from exporter.record import Outcome, RequestRecord

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
STARTED = 100.0
ANSWERED = 101.0
FINISHED = 104.0
SSE = ((b"content-type", b"text/event-stream"),)
JSON = ((b"content-type", b"application/json; charset=utf-8"),)


@dataclass(frozen=True)
class Exchange:
    """One captured request and its answer."""

    name: str
    method: str
    path: str
    query: bytes
    request: bytes
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    counters: dict[str, int]
    """By how much the server's own counters grew (input, cached, output); empty when that was not captured."""


def load(path: Path) -> Exchange:
    """Read a capture: comment lines, status line, headers, blank line, body without chunk framing."""
    comments: dict[str, str] = {}
    data = path.read_bytes()
    while data.startswith(b"# "):
        line, _, data = data.partition(b"\n")
        key, _, value = line[2:].decode().partition(": ")
        comments[key] = value
    found = re.search(rb"\r?\n\r?\n", data)
    assert found is not None
    status, *fields = data[: found.start()].replace(b"\r\n", b"\n").split(b"\n")
    pairs = tuple((name.lower(), value) for name, _, value in (field.partition(b": ") for field in fields))
    target, body = _request(comments.get("request", "curl $BASE/models/sse"))
    route, _, query = target.partition("?")
    counters = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", comments.get("counters", ""))}
    method = "POST" if body else "GET"
    return Exchange(
        path.stem, method, route, query.encode(), body, int(status.split()[1]), pairs, data[found.end() :], counters
    )


def _request(command: str) -> tuple[str, bytes]:
    found = re.fullmatch(r"curl \$BASE(\S+)(?: -H .*? -d (.*))?", command)
    assert found is not None, command
    return found[1], (found[2] or "").encode()


SERVER = {path.stem: load(path) for path in sorted((GOLDEN / "llama-server").glob("*.http"))}
"""llama-server, build 11434."""
ENGINE = {path.stem: load(path) for path in sorted((GOLDEN / "engine").glob("*.http"))}
"""llama.cpp in xllamacpp 2026.10.11549, with what its counters said."""
CUT = {path.stem: load(path) for path in sorted((GOLDEN / "router-cut").glob("*.http"))}
"""A router of build 11434 whose model was killed while it answered: none of these answers is whole."""
EXCHANGES = {f"llama-server/{name}": exchange for name, exchange in SERVER.items()} | {
    f"engine/{name}": exchange for name, exchange in ENGINE.items()
}
STREAMS = {
    name: exchange for name, exchange in EXCHANGES.items() if b"event-stream" in dict(exchange.headers)[b"content-type"]
}


def begin(exchange: Exchange, look: Look | None = None) -> Observation:
    """An observation of the exchange, up to the head of the answer."""
    observation = open_request(exchange.path, exchange.request, method=exchange.method, query=exchange.query, look=look)
    observation.answer(ANSWERED, exchange.status, exchange.headers)
    return observation


def open_request(
    path: str,
    body: bytes = b"",
    *,
    method: str = "POST",
    query: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    look: Look | None = None,
) -> Observation:
    """An observation whose request is complete."""
    observation = Observation(
        now=STARTED,
        wall=1e9,
        request_id="0123456789abcdef",
        method=method,
        path=path,
        query=query,
        headers=list(headers),
        look=look or Look(),
    )
    if body:
        observation.feed_request(body)
    observation.end_request()
    return observation


def replay(exchange: Exchange, pieces: Iterable[bytes] | None = None, look: Look | None = None) -> RequestRecord:
    """The record of the exchange when its answer arrives in `pieces`, all at the same moment."""
    observation = begin(exchange, look)
    for piece in [exchange.body] if pieces is None else pieces:
        observation.feed(102.0, piece)
    return observation.finish(FINISHED)


def read_stream(path: str, *chunks: bytes, request: bytes = b"{}", outcome: Outcome | None = None) -> RequestRecord:
    """The record of a streamed answer whose chunks arrive half a second apart, the first 1.5 s after the start."""
    observation = open_request(path, request)
    observation.answer(ANSWERED, 200, SSE)
    for number, chunk in enumerate(chunks):
        observation.feed(101.5 + 0.5 * number, chunk)
    return observation.finish(110.0, outcome)


def read_json(path: str, answer: object, *, status: int = 200, request: bytes = b"{}") -> RequestRecord:
    """The record of an answer that is not streamed."""
    observation = open_request(path, request)
    observation.answer(ANSWERED, status, JSON)
    observation.feed(102.0, answer if isinstance(answer, bytes) else json.dumps(answer).encode())
    return observation.finish(FINISHED)


def event(data: object, name: str = "") -> bytes:
    """One event as llama-server writes it: compact JSON."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return (f"event: {name}\n" if name else "").encode() + b"data: " + text.encode() + b"\n\n"


def chat_chunk(content: str | None = None, *, finish: str | None = None, index: int = 0, **more: object) -> bytes:
    """One chunk of a chat stream as llama-server writes it."""
    delta = {} if content is None else {"content": content}
    choice = {"finish_reason": finish, "index": index, "delta": delta}
    return event({"choices": [choice], "created": 1, "id": "chatcmpl-1", "model": "tiny", **more})
