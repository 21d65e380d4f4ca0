"""What the tests of the built-in page look at: a sidecar that has served real traffic and samples no more, so that its
figures stand still. Beside the real llama-server (Q4) there is a fake one (Q3), whose streams go on when a test says
so."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.demo.engine import Engine
from exporter.demo.kinds import COUNTABLE_KINDS, LEAVING_KINDS, ROUTED_KINDS
from exporter.demo.traffic import plan, play_all
from tests.end_to_end.fake import STREAM_HEAD, Fake, content_frame, frame
from tests.end_to_end.sidecar import Sidecar
from tests.end_to_end.traced import CHAT, HELLO, TRACES_ONLY, Seen, ask, new_context
from tests.fakes.answers import Answer, json_reply, request_received, sse_reply
from tests.fakes.wire import LAST_CHUNK, chunk
from tests.otlp.receiver import Receiver
from tests.system.fake_nvml import compile_library

USAGE = {"prompt_tokens": 7, "completion_tokens": 21, "total_tokens": 28}
TIMINGS = {"prompt_n": 7, "prompt_ms": 12.5, "predicted_n": 21, "predicted_ms": 70.0, "predicted_per_second": 300.0}
END = frame({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE, "timings": TIMINGS})
DONE = b"data: [DONE]\n\n"
STREAMED = sse_reply([content_frame("well"), content_frame(" done"), END, DONE])
BROKEN = json_reply({"error": {"code": 500, "message": "it broke", "type": "server_error"}}, 500)
REQUESTS = 45


class Pause:
    """A step of an answer that waits until the test is ready."""

    def __init__(self) -> None:
        self.is_over = False

    async def __call__(self, _: object) -> None:
        while not self.is_over:
            await asyncio.sleep(0.01)


class SlowStream:
    """A streamed chat of the fake one: a token at once, twenty when it grows, and the end when it finishes."""

    def __init__(self) -> None:
        self._first, self._second = Pause(), Pause()
        self.client: Future[Seen]
        begun = Answer(request_received, STREAM_HEAD, chunk(content_frame("a")), self._first)
        grown = begun.then(*(chunk(content_frame("b")) for _ in range(20)), self._second)
        self.answer = grown.then(chunk(END), chunk(DONE), LAST_CHUNK)

    def grow(self) -> None:
        """Twenty tokens more."""
        self._first.is_over = True

    def finish(self) -> Seen:
        """The end; what the client saw."""
        self.grow()
        self._second.is_over = True
        return self.client.result(60)


@dataclass(frozen=True, slots=True)
class PageWorld:
    """All of it."""

    sidecar: Sidecar
    fake: Fake
    receiver: Receiver
    http: httpx.Client
    """Asks the admin listener."""
    pool: ThreadPoolExecutor

    def document(self, path: str) -> Any:
        """What the API says."""
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def finished(self) -> list[dict[str, Any]]:
        """The finished requests, newest first."""
        found: list[dict[str, Any]] = self.document("/monitoring/requests")["requests"]
        return found

    def stored(self, seen: Seen) -> dict[str, Any]:
        """The record of what a client has asked, as soon as it is there."""
        assert seen.context is not None
        wanted = seen.context.trace_id

        def found() -> list[dict[str, Any]]:
            return [each for each in self.finished() if each["trace_id"] == wanted]

        self.sidecar.wait_until(found, 20)
        return found()[0]

    @contextmanager
    def slow_stream(self, model: str = "auto") -> Iterator[SlowStream]:
        """One that is under way; it ends with the test, at the latest."""
        stream = SlowStream()
        self.fake.answers = [stream.answer, STREAMED]
        stream.client = self.pool.submit(self.ask_fake, model)
        try:
            yield stream
        finally:
            stream.finish()

    def ask_fake(self, model: str = "auto") -> Seen:
        """A streamed chat with the fake one, within a trace of the client's."""
        body = {"model": model, "messages": HELLO, "stream": True}
        return ask(self.sidecar.proxy, CHAT, body, context=new_context(), x_routing_tier="Q3")


def play_traffic(proxy: str, fake: Fake) -> None:
    """What the figures are of: all that clients do with the real one, some of it routed, and a failure of the fake."""
    fake.answers = [BROKEN, STREAMED]
    direct = plan(5, REQUESTS, COUNTABLE_KINDS | LEAVING_KINDS)
    routed = [each for each in plan(5, REQUESTS, ROUTED_KINDS) if each.stream]
    asyncio.run(play_all(proxy, [*routed, *direct], users=4))
    for _ in range(3):
        ask(proxy, CHAT, {"model": "auto", "messages": HELLO, "stream": True}, x_routing_tier="Q3")


def gpus(folder: Path) -> dict[str, str]:
    """What shows two GPUs, where they can be made."""
    if shutil.which("gcc") is None:
        return {}
    return {"LD_LIBRARY_PATH": str(compile_library(folder))}


def settle(world: PageWorld) -> None:
    """Nothing is in flight, all that finished is stored, and what is sampled from now on is never seen."""
    sidecar, http = world.sidecar, world.http
    sidecar.wait_until(lambda: world.document("/metrics/active-requests")["active_requests"] == [], 30)
    total = world.document("/api/metrics?envelope=0")["metrics"]["totalRequests"]
    sidecar.wait_until(lambda: len(world.finished()) == total, 30)
    settled = time.time()
    sidecar.wait_until(lambda: _sampled_since(world, settled), 30)
    assert http.post("/api/metrics", json={"interval": 3600}).status_code == 200


def _sampled_since(world: PageWorld, moment: float) -> bool:
    sampled = [each["sampled_at"] for each in world.document("/monitoring/now")["upstreams"]]
    return all(each is not None and datetime.fromisoformat(each).timestamp() > moment for each in sampled)


@pytest.fixture(scope="session")
def page_world(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageWorld]:
    """It."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "vectors.index").write_bytes(bytes(34_567))
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(4))
        receiver, fake = stack.enter_context(Receiver()), stack.enter_context(Fake())
        environment = {
            **receiver.environment,
            **TRACES_ONLY,
            **gpus(folder),
            "LLAMA_EXPORTER_SAMPLING__INTERVAL_SECONDS": "0.5",
            "LLAMA_EXPORTER_MODELS__DIR": str(engine.options.model.parent),
            "LLAMA_EXPORTER_SAMPLING__INDEX_PATHS": str(folder / "vectors.index"),
        }
        upstreams = "--upstream", f"Q3={fake.url}", "--upstream", f"Q4={engine.url}"
        store = "--store", f"sqlite:///{folder}/history.db"
        sidecar = stack.enter_context(Sidecar(*upstreams, *store, environment=environment))
        http = stack.enter_context(httpx.Client(base_url=sidecar.admin, timeout=30, trust_env=False))
        sidecar.wait_until(lambda: sidecar.metrics().sum("llm_upstream_up") == 2, 30)
        # A browser of this thread would not let it run an event loop.
        pool.submit(play_traffic, sidecar.proxy, fake).result(120)
        world = PageWorld(sidecar, fake, receiver, http, pool)
        settle(world)
        yield world
