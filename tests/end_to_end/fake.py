"""A fake llama-server in a thread of its own, for tests that are clients, and what it answers with."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Coroutine, Mapping
from typing import Any, Self, TypeVar

from tests.fakes.answers import Answer, by_path, json_reply, sse_reply
from tests.fakes.llama_server import FakeServer
from tests.fakes.received import Request
from tests.fakes.wire import head

PATIENCE_SECONDS = 20.0
Result = TypeVar("Result")


class Fake:
    """A fake llama-server beside the test: healthy, with one model, and answering POSTs with `answers`."""

    def __init__(self, model: str = "brittle") -> None:
        self.answers = [json_reply({"error": {"code": 500, "message": "not told yet", "type": "server_error"}}, 500)]
        """To POSTs, one after the other; the last again and again."""
        models = {"object": "list", "data": [{"id": model, "object": "model", "owned_by": "llamacpp"}]}
        self._looks = by_path({"/health": json_reply({"status": "ok"}), "/v1/models": json_reply(models)})
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.server = FakeServer(self._choose)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self.server.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self.server.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def posts(self) -> list[Request]:
        """What clients sent."""
        return [each for each in self.server.requests if each.method == "POST"]

    def stop_listening(self) -> None:
        """Who connects from now on is refused, and connections that were kept are closed."""

        async def close() -> None:
            await self.server.stop_listening()
            for connection in self.server.connections:
                await connection.stop()

        self._run(close())

    def _choose(self, request: Request) -> Answer:
        if request.method == "GET":
            return self._looks(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)


class Gate:
    """A step of an answer that waits until the test opens it, and tells that it has been reached."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    async def __call__(self, _: object) -> None:
        self.reached.set()
        await asyncio.to_thread(self._open.wait, PATIENCE_SECONDS)

    def open(self) -> int:
        """UTC nanoseconds since the epoch just before."""
        now = time.time_ns()
        self._open.set()
        return now


def frame(document: Mapping[str, Any]) -> bytes:
    """One event of a stream."""
    return f"data: {json.dumps(document)}\n\n".encode()


def content_frame(text: str) -> bytes:
    """One piece of a streamed chat."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return frame({"id": "fake-1", "object": "chat.completion.chunk", "model": "brittle", "choices": [choice]})


STREAM_HEAD = head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
WELL = sse_reply(
    [
        content_frame("well"),
        frame({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        b"data: [DONE]\n\n",
    ]
)
"""A streamed chat that goes well."""
