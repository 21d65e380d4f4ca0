from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from exporter.system.llama_server import LlamaServerCollector
from exporter.system.snapshot import LlamaServerSnapshot, ModelSnapshot, ModelState, ServerState, SlotSnapshot
from tests.system import captures
from tests.system.scripted_server import Reply, ScriptedServer, json_reply, scripted_server

OFF = Reply(501, b'{"error":{"code":501,"message":"This server does not support it"}}')
GIANT = Reply(body=b"[" + b" " * 5_000_000 + b"]")
HTML = Reply(body=b"<!doctype html><html><body>It works!</body></html>")


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A llama-server as it was captured: ready, one model, idle."""
    async with scripted_server(
        health=Reply(body=captures.body("health")),
        props=Reply(body=captures.body("props")),
        slots=Reply(body=captures.body("slots-after")),
        metrics=Reply(body=captures.body("metrics")),
    ) as script:
        script.replies["/v1/models"] = Reply(body=captures.body("models"))
        yield script


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as made:
        yield made


def tier_of(quantization: str | None) -> str:
    return {"Q4_K_M": "Q4", "Q8_0": "Q8"}.get(quantization or "", "unknown")


class Poller:
    """A collector whose clock stands still until it is moved, and whose upstream's last request is set by hand."""

    def __init__(self, server: ScriptedServer, client: httpx.AsyncClient, **options: Any) -> None:
        self.now = 1000.0
        self.activity: float | None = None
        self.server = server
        self.collector = LlamaServerCollector(
            "gpu0",
            tier_of,
            server.url,
            client,
            clock=lambda: self.now,
            **({"last_activity": lambda: self.activity} | options),
        )

    async def poll(self, *, after: float = 5.0) -> LlamaServerSnapshot:
        self.now += after
        return await self.collector.collect()

    async def asked(self, *, after: float = 5.0) -> list[str]:
        self.server.asked.clear()
        await self.poll(after=after)
        return self.server.asked


@pytest.fixture
def poller(server: ScriptedServer, client: httpx.AsyncClient) -> Poller:
    return Poller(server, client)


def change_props(server: ScriptedServer, **changes: object) -> None:
    """A value of ... removes a key."""
    props = json.loads(captures.body("props")) | changes
    server.replies["/props"] = json_reply({key: value for key, value in props.items() if value is not ...})


def change_metric(server: ScriptedServer, name: str, value: int) -> None:
    lines = server.replies["/metrics"].body.decode().splitlines()
    changed = [f"llamacpp:{name} {value}" if line.startswith(f"llamacpp:{name} ") else line for line in lines]
    server.replies["/metrics"] = Reply(body="\n".join([*changed, ""]).encode())


def only_model(snapshot: LlamaServerSnapshot) -> ModelSnapshot:
    [model] = snapshot.models
    return model


# What a healthy server says


async def test_everything_that_a_server_says(poller: Poller) -> None:
    assert poller.collector.name == "llama_server:gpu0"
    snapshot = await poller.poll()
    model = only_model(snapshot)
    assert replace(snapshot, models=()) == LlamaServerSnapshot(
        upstream="gpu0", tiers=("Q4",), state=ServerState.READY, health_seconds=0.0, router=False, build="b0-unknown"
    )
    assert snapshot.up
    assert replace(model, mirrored=()) == ModelSnapshot(
        id="tiny",
        state=ModelState.LOADED,
        file_name="tiny-Q4_K_M.gguf",
        quantization="Q4_K_M",
        parameters=125376,
        size_bytes=501504,
        context_size=2048,
        training_context_size=4096,
        slots=(SlotSnapshot(0, False, 2048, 24), SlotSnapshot(1, False, 2048, 30)),
        total_slots=2,
        requests_processing=0,
        requests_deferred=0,
        file_type="all F32",
        tier="Q4",
        vision=False,
        audio=False,
        tools=False,
    )
    assert len(model.mirrored) == 15


async def test_health_is_timed(server: ScriptedServer, client: httpx.AsyncClient) -> None:
    snapshot = await LlamaServerCollector("gpu0", tier_of, server.url, client).collect()
    assert snapshot.health_seconds is not None
    assert 0 < snapshot.health_seconds < 2


async def test_the_list_of_models_is_believed_for_a_minute_or_until_the_server_changes(poller: Poller) -> None:
    assert "/v1/models" in await poller.asked()
    assert "/v1/models" not in await poller.asked(after=59)
    assert "/v1/models" in await poller.asked(after=1)
    change_props(poller.server, model_path="models/other-Q8_0.gguf")
    assert "/v1/models" in await poller.asked()
    assert "/v1/models" not in await poller.asked()


async def test_the_key_goes_along(server: ScriptedServer, client: httpx.AsyncClient) -> None:
    await Poller(server, client, api_key="secret").poll()
    assert len(server.heads) == 5
    assert all("authorization: bearer secret" in head.lower() for head in server.heads)


# Tiers


async def test_a_server_that_is_down_or_loading_keeps_the_tier_that_it_had(poller: Poller) -> None:
    replies = poller.server.replies
    well = replies["/health"]
    replies["/health"] = Reply(500)
    assert (await poller.poll()).tiers == ("unknown",)
    replies["/health"] = well
    assert (await poller.poll()).tiers == ("Q4",)
    for health in (Reply(500), Reply(503), Reply(raw=b""), Reply(503)):
        replies["/health"] = health
        assert (await poller.poll()).tiers == ("Q4",)


async def test_another_model_at_the_same_address_has_its_own_tier(poller: Poller) -> None:
    assert (await poller.poll()).tiers == ("Q4",)
    change_props(poller.server, model_path="models/other-Q8_0.gguf")
    snapshot = await poller.poll()
    assert (snapshot.tiers, only_model(snapshot).tier) == (("Q8",), "Q8")


async def test_a_configured_tier_goes_before_what_the_model_is(
    server: ScriptedServer, client: httpx.AsyncClient
) -> None:
    collector = LlamaServerCollector("gpu0", lambda _: "large", server.url, client)
    server.replies["/health"] = Reply(503)
    assert (await collector.collect()).tiers == ("large",)
    server.replies["/health"] = Reply(200)
    snapshot = await collector.collect()
    assert (snapshot.tiers, only_model(snapshot).tier) == (("large",), "large")


async def test_the_tiers_of_several_models_are_told_once_each(
    server: ScriptedServer, client: httpx.AsyncClient
) -> None:
    listed = [{"id": name} for name in ("a-Q8_0", "b-Q4_K_M", "c-Q8_0", "d")]
    server.replies = {"/v1/models": json_reply({"data": listed})}
    poller = Poller(server, client)
    snapshot = await poller.poll()
    assert snapshot.tiers == ("Q8", "Q4", "unknown")
    assert [model.tier for model in snapshot.models] == ["Q8", "Q4", "Q8", "unknown"]
    assert {model.routed_name for model in snapshot.models} == {None}


# When the server is not well


async def test_a_server_that_nobody_started(server: ScriptedServer, client: httpx.AsyncClient) -> None:
    poller = Poller(server, client)
    server.port = 1  # nothing listens there
    poller = Poller(server, client)
    snapshot = await poller.poll()
    assert snapshot == LlamaServerSnapshot("gpu0", ("unknown",), ServerState.UNREACHABLE, error="connection refused")
    assert not snapshot.up


async def test_a_server_that_does_not_answer(poller: Poller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.system.health_check.HEALTH_SECONDS", 0.05)
    poller.server.replies["/health"] = Reply(after=asyncio.Event())
    snapshot = await poller.poll()
    assert (snapshot.state, snapshot.error, snapshot.health_seconds) == (ServerState.UNREACHABLE, "timed out", None)


async def test_a_server_that_loads_keeps_the_names_that_are_known(poller: Poller) -> None:
    poller.server.replies["/health"] = Reply(503, b'{"error":{"code":503,"message":"Loading model"}}')
    at_first = await poller.poll()
    assert (at_first.state, at_first.error, at_first.models) == (ServerState.LOADING, "loading the model", ())
    assert poller.server.take_asked() == ["/health"]

    poller.server.replies["/health"] = Reply(body=b'{"status":"ok"}')
    assert only_model(await poller.poll()).state is ModelState.LOADED
    poller.server.replies["/health"] = Reply(503)
    loading = only_model(await poller.poll())
    assert (loading.id, loading.state, loading.quantization) == ("tiny", ModelState.LOADING, "Q4_K_M")
    assert (loading.slots, loading.mirrored, loading.requests_processing) == ((), (), None)

    # Started again, it may have other flags and another model: everything is asked anew.
    poller.server.replies["/health"] = Reply(body=b'{"status":"ok"}')
    assert await poller.asked() == ["/health", "/props", "/v1/models", "/metrics", "/slots"]


@pytest.mark.parametrize(("path", "status"), [("/health", 401), ("/health", 403), ("/props", 401), ("/props", 403)])
async def test_a_refused_key_is_an_error_in_words(poller: Poller, path: str, status: int) -> None:
    await poller.poll()
    poller.server.replies[path] = Reply(status, b'{"error":{"code":401,"message":"Invalid API Key"}}')
    snapshot = await poller.poll()
    assert (snapshot.state, snapshot.error, snapshot.models) == (ServerState.ERROR, "API key refused", ())


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (Reply(500), "health check answered 500"),
        (Reply(502, HTML.body), "health check answered 502"),
        (Reply(302), "health check answered 302"),
        (Reply(raw=b"noise\r\n\r\n"), "answer is not HTTP"),
        (GIANT, "answer too large"),
    ],
)
async def test_other_answers_to_the_health_check_are_errors(poller: Poller, health: Reply, words: str) -> None:
    poller.server.replies["/health"] = health
    snapshot = await poller.poll()
    assert (snapshot.state, snapshot.error) == (ServerState.ERROR, words)
    assert set(poller.server.asked) == {"/health"}


async def test_a_server_that_dies_between_two_questions_is_unreachable(
    poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await poller.poll()
    ask = poller.collector._endpoints.ask

    async def ask_and_die(path: str, model: str | None = None, **limits: float) -> Any:
        if path == "/props":
            poller.collector._endpoints._base_url = "http://127.0.0.1:1"
        return await ask(path, model, **limits)

    monkeypatch.setattr(poller.collector._endpoints, "ask", ask_and_die)
    snapshot = await poller.poll()
    assert (snapshot.state, snapshot.error, snapshot.models) == (ServerState.UNREACHABLE, "connection refused", ())


async def test_another_server_at_the_same_address_is_asked_from_the_start(poller: Poller) -> None:
    poller.server.replies["/metrics"] = OFF
    assert only_model(await poller.poll()).mirrored == ()
    poller.server.replies["/health"] = Reply(500)
    await poller.poll()
    poller.server.replies["/health"] = Reply(body=b'{"status":"ok"}')
    poller.server.replies["/metrics"] = Reply(body=captures.body("metrics"))
    assert len(only_model(await poller.poll()).mirrored) == 15


# One failing endpoint never spoils the others

FAULTS = {
    "off": OFF,
    "missing": Reply(404),
    "bad request": Reply(400),
    "refused": Reply(401),
    "failing": Reply(500),
    "html": HTML,
    "giant": GIANT,
    "broken": Reply(body=b'{"data": [{"id"'),
    "empty": Reply(),
    "wrong type": Reply(body=b"7"),
    "null": Reply(body=b"null"),
    "not http": Reply(raw=b"noise\r\n\r\n"),
    "hang up": Reply(raw=b""),
    "cut off": Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{"),
    "not utf-8": Reply(body=b"\xff\xfe[]"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("path", ["/slots", "/metrics"])
async def test_faults_of_slots_and_metrics(poller: Poller, path: str, fault: str) -> None:
    poller.server.replies[path] = FAULTS[fault]
    snapshot = await poller.poll()
    model = only_model(snapshot)
    assert (snapshot.state, model.id, model.parameters) == (ServerState.READY, "tiny", 125376)
    assert len(model.slots) == (0 if path == "/slots" else 2)
    assert len(model.mirrored) == (0 if path == "/metrics" else 15)
    assert model.requests_processing == 0  # from whichever of the two there is
    assert model.requests_deferred == (None if path == "/metrics" else 0)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "refused"])
async def test_faults_of_props(poller: Poller, fault: str) -> None:
    poller.server.replies["/props"] = FAULTS[fault]
    snapshot = await poller.poll()
    model = only_model(snapshot)
    assert (snapshot.state, snapshot.build) == (ServerState.READY, None)
    assert (model.id, model.parameters, model.context_size) == ("tiny", 125376, 2048)
    assert (model.total_slots, model.file_name, model.quantization) == (2, None, "all F32")


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "refused"])
async def test_faults_of_the_list(poller: Poller, fault: str) -> None:
    poller.server.replies["/v1/models"] = FAULTS[fault]
    snapshot = await poller.poll()
    model = only_model(snapshot)
    assert snapshot.state is ServerState.READY
    assert (model.id, model.quantization, model.context_size, model.parameters) == ("tiny", "Q4_K_M", 2048, None)
    assert len(model.slots) == 2


async def test_a_feature_that_is_off_is_asked_once_a_minute(poller: Poller) -> None:
    poller.server.replies["/metrics"] = poller.server.replies["/slots"] = OFF
    change_props(poller.server, is_sleeping=...)
    assert {"/metrics", "/slots"} <= set(await poller.asked())
    assert not {"/metrics", "/slots"} & set(await poller.asked(after=59))
    assert {"/metrics", "/slots"} <= set(await poller.asked(after=1))


async def test_a_feature_that_was_switched_off_is_forgotten(poller: Poller) -> None:
    change_props(poller.server, is_sleeping=...)
    await poller.poll()
    poller.server.replies["/metrics"] = poller.server.replies["/slots"] = OFF
    model = only_model(await poller.poll())
    assert (model.slots, model.mirrored, model.requests_processing) == ((), (), None)


async def test_an_answer_that_stays_out_leaves_what_was_known(poller: Poller) -> None:
    change_props(poller.server, is_sleeping=...)
    before = only_model(await poller.poll())
    for path in ("/slots", "/metrics", "/props", "/v1/models"):
        poller.server.replies[path] = Reply(raw=b"")
    assert only_model(await poller.poll()) == before


# Other builds and other servers


async def test_an_old_build(poller: Poller) -> None:
    poller.server.replies |= {
        "/props": json_reply({"default_generation_settings": {"n_ctx": 512}, "total_slots": 1, "chat_template": "x"}),
        "/v1/models": json_reply({"object": "list", "data": [{"id": "/srv/models/llama-Q5_K_S.gguf", "meta": None}]}),
        "/slots": json_reply([{"id": 0, "state": 1, "n_ctx": 512, "n_past": 99, "prompt": "secret"}]),
        "/metrics": OFF,
    }
    model = only_model(await poller.poll())
    assert model == ModelSnapshot(
        id="llama-Q5_K_S.gguf",
        state=ModelState.LOADED,
        quantization="Q5_K_S",
        context_size=512,
        slots=(SlotSnapshot(0, True, 512, 99),),
        total_slots=1,
        requests_processing=1,
    )


async def test_a_build_that_cannot_sleep_is_looked_at_every_time(poller: Poller) -> None:
    change_props(poller.server, is_sleeping=...)
    for _ in range(4):
        assert {"/metrics", "/slots"} <= set(await poller.asked())


async def test_vllm(server: ScriptedServer, client: httpx.AsyncClient) -> None:
    server.replies = {
        "/health": Reply(200, b""),
        "/v1/models": json_reply({"object": "list", "data": [{"id": "Qwen/Qwen3-8B", "max_model_len": 32768}]}),
        "/metrics": Reply(body=b"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 3\n"),
    }
    poller = Poller(server, client)
    snapshot = await poller.poll()
    assert snapshot.state is ServerState.READY
    assert snapshot.models == (ModelSnapshot("Qwen/Qwen3-8B", ModelState.LOADED),)
    # It will never say anything to mirror: asked as seldom as what is off.
    assert await poller.asked() == ["/health"]


async def test_ollama_lists_several_models_and_has_no_health(server: ScriptedServer, client: httpx.AsyncClient) -> None:
    server.replies = {"/v1/models": json_reply({"data": [{"id": "llama3.2:latest"}, {"id": "qwen3:8b-q4_K_M"}]})}
    poller = Poller(server, client)
    snapshot = await poller.poll()
    assert (snapshot.state, snapshot.error) == (ServerState.READY, None)
    assert [(model.id, model.state) for model in snapshot.models] == [
        ("llama3.2:latest", ModelState.LOADED),
        ("qwen3:8b-q4_K_M", ModelState.LOADED),
    ]
    assert server.take_asked() == ["/health", "/props", "/v1/models"]
    # The list is its only sign of life, so it is asked every time.
    assert await poller.asked() == ["/health", "/v1/models"]
    server.replies["/v1/models"] = Reply(500)
    assert (await poller.poll()).state is ServerState.ERROR


@pytest.mark.parametrize("answer", [HTML, Reply(404), json_reply({"status_code": 0})])
async def test_a_web_page_is_no_llama_server(server: ScriptedServer, client: httpx.AsyncClient, answer: Reply) -> None:
    server.replies = dict.fromkeys(("/health", "/props", "/v1/models", "/slots", "/metrics"), answer)
    snapshot = await Poller(server, client).poll()
    assert (snapshot.state, snapshot.models) == (ServerState.ERROR, ())
    assert snapshot.error == "answers, but not as a llama-server does"


async def test_a_server_without_health_that_refuses_the_key(server: ScriptedServer, client: httpx.AsyncClient) -> None:
    server.replies = {"/v1/models": Reply(401)}
    snapshot = await Poller(server, client).poll()
    assert (snapshot.state, snapshot.error) == (ServerState.ERROR, "API key refused")


# Sleep


async def test_an_idle_server_that_may_sleep_is_left_alone_after_one_quiet_look(poller: Poller) -> None:
    first = only_model(await poller.poll())
    assert poller.server.take_asked() == ["/health", "/props", "/v1/models", "/metrics", "/slots"]
    assert "/slots" in await poller.asked()  # the first look saw the counters for the first time
    for _ in range(5):
        assert await poller.asked() == ["/health", "/props"]
    assert only_model(await poller.poll()) == first


async def test_a_request_is_a_reason_to_look_until_nothing_changes(poller: Poller) -> None:
    for _ in range(3):
        await poller.poll()
    poller.activity = poller.now + 4  # one second before the next poll: it may not have reached the server yet
    assert "/slots" in await poller.asked()
    change_metric(poller.server, "n_decode_total", 57)
    assert "/slots" in await poller.asked()  # within the settling time of the look before
    assert "/slots" in await poller.asked()  # that look saw the counter move
    assert await poller.asked() == ["/health", "/props"]


async def test_a_busy_server_is_looked_at_every_time(poller: Poller) -> None:
    for _ in range(3):
        await poller.poll()
    change_metric(poller.server, "requests_deferred", 1)
    poller.activity = poller.now
    for _ in range(4):
        assert "/slots" in await poller.asked()
    assert only_model(await poller.poll()).requests_deferred == 1


async def test_a_busy_slot_is_a_reason_where_there_are_no_metrics(poller: Poller) -> None:
    poller.server.replies["/metrics"] = OFF
    poller.server.replies["/slots"] = json_reply([{"id": 0, "is_processing": True, "n_ctx": 64}])
    for _ in range(4):
        assert "/slots" in await poller.asked()
    poller.server.replies["/slots"] = json_reply([{"id": 0, "is_processing": False, "n_ctx": 64}])
    assert "/slots" in await poller.asked()
    assert "/slots" in await poller.asked()
    assert "/slots" not in await poller.asked()


async def test_a_sleeping_model_is_not_asked_and_looked_at_when_it_wakes(poller: Poller) -> None:
    awake = only_model(await poller.poll())
    change_props(poller.server, is_sleeping=True)
    poller.activity = poller.now
    poller.server.asked.clear()
    asleep = only_model(await poller.poll(after=61))
    assert poller.server.asked == ["/health", "/props"]  # the list is due, but may wake it
    assert (asleep.state, asleep.slots, asleep.total_slots) == (ModelState.SLEEPING, (), 2)
    assert (asleep.requests_processing, asleep.requests_deferred) == (0, 0)
    assert asleep.mirrored == awake.mirrored  # its counters go on when it wakes
    assert (asleep.parameters, asleep.context_size) == (125376, 2048)

    change_props(poller.server, is_sleeping=False)
    poller.activity = None
    assert await poller.asked() == ["/health", "/props", "/v1/models", "/metrics", "/slots"]


async def test_a_model_that_sleeps_from_the_start_is_known_by_its_props(poller: Poller) -> None:
    change_props(poller.server, is_sleeping=True)
    model = only_model(await poller.poll())
    assert poller.server.asked == ["/health", "/props"]
    assert (model.id, model.state, model.quantization, model.parameters) == (
        "tiny",
        ModelState.SLEEPING,
        "Q4_K_M",
        None,
    )


async def test_a_server_whose_props_stay_out_is_not_looked_at_for_it_may_be_asleep(poller: Poller) -> None:
    before = await poller.poll()
    poller.server.replies["/props"] = Reply(500)
    poller.activity = poller.now + 5
    poller.server.asked.clear()
    after = await poller.poll(after=61)
    assert poller.server.asked == ["/health", "/props"]
    assert (after.models, after.build, after.state) == (before.models, "b0-unknown", ServerState.READY)


async def test_where_metrics_are_harmless_they_are_asked_always_and_tell_when_to_look(poller: Poller) -> None:
    change_props(poller.server, build_info="b11434-5c0d8a1")
    for _ in range(2):
        await poller.poll()
    assert await poller.asked() == ["/health", "/props", "/metrics"]
    # A request that by-passed the sidecar moves the counters.
    change_metric(poller.server, "n_decode_total", 57)
    assert await poller.asked() == ["/health", "/props", "/metrics", "/slots"]
    assert await poller.asked() == ["/health", "/props", "/metrics", "/slots"]
    assert await poller.asked() == ["/health", "/props", "/metrics"]
    change_props(poller.server, build_info="b11434-5c0d8a1", is_sleeping=True)
    change_metric(poller.server, "n_decode_total", 99)
    assert await poller.asked() == ["/health", "/props", "/metrics"]


async def test_an_operator_who_rules_out_sleep_gets_every_look_but_sleepers_are_still_left_alone(
    server: ScriptedServer, client: httpx.AsyncClient
) -> None:
    poller = Poller(server, client, ask_idle=True)
    for _ in range(4):
        assert {"/metrics", "/slots"} <= set(await poller.asked())
    change_props(server, is_sleeping=True)
    assert await poller.asked() == ["/health", "/props"]
