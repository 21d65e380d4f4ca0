"""A sidecar in use, for the examples of the documentation: three tiers of fake llama-servers that answer as a real one
did, traffic of every kind that has finished, and one stream that is being served all the time.

The tiers are Q2, Q3 and Q4, the models behind them `tiny-q2`, `tiny-q3` and `tiny-q4`. Its models folder has a file
`tiny.gguf` and, below `more`, another one; nobody could load them, for none of the three is a router.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from tests.end_to_end.sidecar import Sidecar
from tests.fakes.answers import Answer, reply, request_received, sse_reply
from tests.fakes.captures import golden
from tests.fakes.connection import Connection
from tests.fakes.llama_server import FakeServer
from tests.fakes.received import Request
from tests.fakes.wire import chunk, head, sse_frames
from tests.models.gguf_files import write_gguf

TIERS = ("Q2", "Q3", "Q4")
CHAT = "/v1/chat/completions"
ANSWERS = {
    "/health": "health",
    "/props": "props",
    "/v1/models": "models",
    "/slots": "slots-idle",
    "/metrics": "metrics",
    "/tokenize": "tokenize",
    CHAT: "chat",
    "/v1/completions": "completion-oai",
    "/completion": "completion-native",
    "/v1/messages": "messages",
    "/v1/responses": "responses",
    "/v1/embeddings": "embeddings",
}
"""Captures by path."""
STREAMS = {
    CHAT: "chat-stream-usage",
    "/v1/completions": "completion-oai-stream",
    "/completion": "completion-native-stream",
    "/v1/messages": "messages-stream",
    "/v1/responses": "responses-stream",
}
"""Captures of what is answered to `"stream": true`."""
HOLD = "X-Hold"
"""Header of a request whose answer goes on for ever."""
TOKEN_SECONDS = 0.1
QUESTIONS = ("Hello!", "Explain why the sky is blue.", "Design and implement a distributed cache, then explain why.")
IN_FLIGHT = 1
NOT_STORED = 1
"""`/tokenize` runs no model."""
SETTINGS = {
    "LLAMA_EXPORTER_SAMPLING__INTERVAL_SECONDS": "0.5",
    # The examples are those of a machine without a GPU.
    "LLAMA_EXPORTER_SAMPLING__GPU": "false",
}


@contextmanager
def in_use() -> Iterator[Sidecar]:
    """The sidecar, when everything has been sampled, counted and stored."""
    with ExitStack() as stack:
        urls = stack.enter_context(llama_servers())
        upstreams = [word for tier, url in zip(TIERS, urls, strict=True) for word in ("--upstream", f"{tier}={url}")]
        folder = Path(stack.enter_context(TemporaryDirectory()))
        places = ("--store", f"sqlite:///{folder}/history.db", "--models-dir", str(models_folder(folder)))
        settings = {**SETTINGS, "LLAMA_EXPORTER_MODELS__PRESET_FILE": str(folder / "models.ini")}
        sidecar = stack.enter_context(Sidecar(*upstreams, *places, environment=settings))
        sidecar.wait_until(lambda: sidecar.metrics().sum("llm_upstream_up") == len(TIERS))
        client = stack.enter_context(httpx.Client(base_url=sidecar.proxy, trust_env=False, timeout=10))
        stack.enter_context(client.stream("POST", CHAT, json=question("tiny-q4", stream=True), headers={HOLD: "1"}))
        sent = send_traffic(client)
        sidecar.wait_until(lambda: is_counted(sidecar, sent))
        sidecar.wait_until(lambda: stored_requests(sidecar) == sent - NOT_STORED)
        sidecar.wait_until(lambda: has_stored_samples(folder / "history.db"))
        yield sidecar


def models_folder(folder: Path) -> Path:
    """Model files for those who look for some; llama-server would not take them."""
    write_gguf(folder / "models" / "tiny.gguf", general_file_type=15, general_version="1.0")
    write_gguf(folder / "models" / "more" / "other.gguf", general_file_type=7, general_version="1.0")
    return folder / "models"


def is_counted(sidecar: Sidecar, sent: int) -> bool:
    """Whether all requests have been accounted for, and the machine has been looked at twice."""
    metrics = sidecar.metrics()
    counted = metrics.sum("llm_requests_total") == sent and metrics.sum("llm_requests_in_flight") == IN_FLIGHT
    return counted and "system_cpu_utilization_ratio" in metrics.names()


def stored_requests(sidecar: Sidecar) -> int | None:
    """How many the store has; None while it is not open."""
    answer = httpx.get(f"{sidecar.admin}/metrics", headers={"accept": "application/json"}, timeout=10)
    total: int | None = answer.json().get("total_requests")
    return total


def has_stored_samples(database: Path) -> bool:
    """Whether the machine is in the history, too: that is not told by anything that is not counted."""
    with closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM samples").fetchone()
    return bool(count)


def question(model: str, text: str = "hi there", *, stream: bool = False) -> dict[str, Any]:
    """A chat."""
    return {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 6, "stream": stream}


def send_traffic(client: httpx.Client) -> int:
    """Requests of every kind to every tier, one after the other. How many."""
    chats = [question(f"tiny-{tier.lower()}", stream=stream) for tier in TIERS for stream in (False, True)]
    routed = [question("auto", text) for text in QUESTIONS]
    asked: list[tuple[str, Any]] = [(CHAT, chat) for chat in (*chats, *routed)]
    asked += [(path, question("tiny-q3", stream=stream)) for path in STREAMS for stream in (False, True)]
    asked += [("/v1/embeddings", {"input": "hi"}), ("/tokenize", {"content": "hi there"})]
    for path, body in asked:
        answer = client.post(path, json=body)
        assert answer.status_code == (501 if path == "/v1/embeddings" else 200), answer.text
    return len(asked)


# The llama-servers


@contextmanager
def llama_servers() -> Iterator[list[str]]:
    """One per tier, on an event loop in a thread of its own. Their addresses."""
    started: SimpleQueue[tuple[list[str], Callable[[], object]]] = SimpleQueue()

    async def serve() -> None:
        stop = asyncio.Event()
        async with AsyncExitStack() as stack:
            servers = [await stack.enter_async_context(FakeServer(partial(answer_as, tier))) for tier in TIERS]
            loop = asyncio.get_running_loop()
            started.put(([server.url for server in servers], partial(loop.call_soon_threadsafe, stop.set)))
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    urls, stop = started.get(timeout=10)
    try:
        yield urls
    finally:
        stop()
        thread.join()


def answer_as(tier: str, request: Request) -> Answer:
    """What the llama-server of a tier answers."""
    if request.header(HOLD):
        return endless(tier)
    plain = captured(ANSWERS.get(request.path, "not-found"), tier)
    streamed = captured(STREAMS[request.path], tier) if request.path in STREAMS else plain
    return Answer(partial(play, plain=plain, streamed=streamed))


async def play(connection: Connection, plain: Answer, streamed: Answer) -> None:
    """Give the answer that the body of the request asks for."""
    await request_received(connection)
    body = bytes(connection.current.body)
    wants_stream = body and json.loads(body).get("stream")
    for step in (streamed if wants_stream else plain).steps:
        if isinstance(step, bytes):
            await connection.write(step)


def captured(name: str, tier: str) -> Answer:
    """A captured answer, as that of the model `tiny-q4` where it was `tiny`."""
    capture = golden(name)
    body = capture.body.replace(b'"tiny"', f'"tiny-{tier.lower()}"'.encode())
    body = body.replace(b"tiny-Q4_K_M.gguf", f"tiny-{tier}_K_M.gguf".encode())
    if capture.chunked:
        return sse_reply(sse_frames(body))
    fields = [field for field in capture.headers if field[0] not in ("Content-Length", "Keep-Alive", "Connection")]
    return reply(capture.status, fields, body)


def endless(tier: str) -> Answer:
    """A chat that is streamed for as long as somebody reads it."""
    *frames, _ = sse_frames(golden("chat-stream").body.replace(b'"tiny"', f'"tiny-{tier.lower()}"'.encode()))
    token = next(frame for frame in frames if b'"content":"' in frame)

    async def generate(connection: Connection) -> None:
        while True:
            await connection.write(chunk(token))
            await asyncio.sleep(TOKEN_SECONDS)

    fields = [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]
    return Answer(request_received, head(200, fields), generate)
