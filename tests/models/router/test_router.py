"""What is asked of a router, and what its answers mean."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from exporter.models.model import ConflictError, FailedError, ModelsError, UnavailableError, UnknownModelError
from exporter.models.router import router as module
from exporter.models.router.events import RouterEvent
from exporter.models.router.router import AwayError, NoRouterError, RefusedError, Router
from exporter.system.snapshot import ModelState
from tests.models.fake_router import Answer, FakeRouter
from tests.models.real_router import RealRouter, router_binary

ARGUMENTS = ["/bin/llama-server", "--host", "127.0.0.1", "--port", "4711", "--model", "/models/a.gguf"]
RELOAD = "/models?reload=1"


@pytest.fixture
async def fake() -> AsyncIterator[FakeRouter]:
    async with FakeRouter({"a": {"value": "unloaded"}}).run() as fake:
        yield fake


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


@pytest.fixture
def router(fake: FakeRouter, client: httpx.AsyncClient) -> Router:
    return Router(client, fake.url + "/", "secret")


def error(message: str, status: int) -> Answer:
    return status, {"error": {"message": message, "code": status}}


async def test_a_list_says_everything_of_a_model(fake: FakeRouter, router: Router) -> None:
    fake.states = {
        "a": {"value": "unloaded", "failed": True, "exit_code": 1, "args": ARGUMENTS, "source": "preset"},
        "b": {"value": "loaded", "args": ARGUMENTS[:3], "aliases": ["bee"]},
    }
    entries = await router.list()
    assert list(entries) == ["a", "b"]
    a, b = entries.values()
    assert (a.listed.state, a.arguments, a.source, a.has_file) == (ModelState.FAILED, tuple(ARGUMENTS), "preset", True)
    assert (b.listed.state, b.listed.aliases, b.source) == (ModelState.LOADED, ("bee",), None)
    assert "authorization: bearer secret" in fake.heads[0].lower()


async def test_a_section_without_a_file_is_known_as_such(fake: FakeRouter, router: Router) -> None:
    fake.states = {"a": {"value": "unloaded", "source": "preset", "args": ARGUMENTS[:5]}}
    assert not (await router.list())["a"].has_file


async def test_loading_and_unloading(fake: FakeRouter, router: Router) -> None:
    assert await router.load("a")
    assert not await router.load("a")
    assert await router.unload("a")
    fake.answers["/models/unload"] = error("model is not running", 400)
    assert not await router.unload("a")
    assert fake.asked == [f"POST /models/{verb} a" for verb in ("load", "load", "unload", "unload")]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error("File Not Found", 404), UnknownModelError),
        (error("model is not found", 400), UnknownModelError),
        (error("model limit reached, try again later", 500), ConflictError),
        (error("something else", 500), FailedError),
        ((502, None), FailedError),
        ((401, {"error": "no"}), UnavailableError),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", UnavailableError),
    ],
)
async def test_an_order_that_is_refused(
    fake: FakeRouter, router: Router, answer: Answer | bytes, kind: type[ModelsError]
) -> None:
    fake.answers["/models/load"] = answer
    with pytest.raises(kind) as raised:
        await router.load("a")
    assert type(raised.value) is kind
    assert str(fake.port) not in str(raised.value)


async def test_a_refused_reload_says_why(fake: FakeRouter, router: Router) -> None:
    assert list(await router.reload()) == ["a"]
    fake.answers[RELOAD] = error("option 'x' not recognized in preset 'a'", 500)
    with pytest.raises(RefusedError, match="option 'x' not recognized in preset 'a'"):
        await router.reload()


@pytest.mark.parametrize("answer", [(200, {"data": 7}), (404, {}), (200, [])])
async def test_what_is_no_list_of_models_is_an_error(fake: FakeRouter, router: Router, answer: Answer) -> None:
    fake.answers["/models"] = answer
    with pytest.raises(FailedError, match="does not list its models"):
        await router.list()


async def test_a_server_with_one_model_is_no_router(fake: FakeRouter, router: Router) -> None:
    fake.answers["/models"] = (200, {"data": [{"id": "the only one", "object": "model"}]})
    with pytest.raises(NoRouterError):
        await router.list()


async def test_no_answer_is_awaited_for_ever_and_none_is_read_without_bounds(
    fake: FakeRouter, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIST_SECONDS", 0.2)
    monkeypatch.setattr(module, "LIMIT_BYTES", 10_000)
    fake.answers["/models"] = b"HTTP/1.1 200 OK\r\n\r\n"
    with pytest.raises(UnavailableError, match="timed out"):
        await router.list()
    fake.answers["/models"] = (200, ["x" * 20_000])
    with pytest.raises(UnavailableError, match="too large"):
        await router.list()


async def hear(router: Router) -> list[RouterEvent | None]:
    return [event async for event in router.events()]


@pytest.mark.parametrize("ask", [Router.list, Router.reload, lambda router: router.load("a"), hear])
async def test_where_nobody_listens_the_router_is_away(
    fake: FakeRouter, router: Router, ask: Callable[[Router], Awaitable[object]]
) -> None:
    await fake.stop()
    with pytest.raises(AwayError, match="connection refused"):
        await ask(router)


async def test_events_end_with_the_router(fake: FakeRouter, router: Router) -> None:
    heard = []
    async for event in router.events():
        heard.append(event)
        if event is None:
            fake.write(b": hello\n\n")
            fake.tell("a", {"status": "loading"})
            fake.tell("a", {"status": "loaded"})
        elif event.state is ModelState.LOADED:
            fake.write(b"data: {")
            for writer in fake._listeners:
                writer.write(b"0\r\n\r\n")
    assert heard == [None, RouterEvent("a", ModelState.LOADING), RouterEvent("a", ModelState.LOADED)]


async def test_silence_ends_the_events_and_so_does_an_old_router(
    fake: FakeRouter, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.05)
    assert await hear(router) == [None]
    fake.has_events = False
    with pytest.raises(UnavailableError, match="tells no events: 404"):
        await hear(router)


@pytest.mark.router
async def test_a_real_router_understands_all_of_it(client: httpx.AsyncClient, tmp_path: Path) -> None:
    with RealRouter(router_binary(), tmp_path, ("a",), "--api-key", "secret") as real:
        router = Router(client, real.url, "secret")
        assert await router.list() == {}
        real.preset.write_text(f"[a]\nmodel = {real.models['a']}\nthreads = 1\n")
        entry = (await router.reload())["a"]
        assert (entry.listed.state, entry.source, entry.has_file) == (ModelState.UNLOADED, "preset", True)
        assert entry.listed.path == str(real.models["a"])
        heard: list[RouterEvent] = []
        async for event in router.events():
            if event is None:
                assert await router.load("a")
                continue
            heard.append(event)
            if event.state is ModelState.LOADED:
                assert not await router.load("a")
                assert (await router.list())["a"].listed.state is ModelState.LOADED
                assert await router.unload("a")
            if event.state is ModelState.UNLOADED:
                break
        states = [event.state for event in heard]
        assert (states[0], *states[-2:]) == (ModelState.LOADING, ModelState.LOADED, ModelState.UNLOADED)
        assert [event.share for event in heard if event.progress is not None][-1] == 1.0
        assert (heard[-2].info is not None, heard[-1].exit_code) == (True, 0)
        assert not await router.unload("a")
        with pytest.raises(UnknownModelError):
            await router.load("nobody")
        with pytest.raises(UnavailableError, match="API key"):
            await Router(client, real.url, "wrong").list()
