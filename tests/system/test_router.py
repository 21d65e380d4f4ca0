from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from exporter.system.llama_server import LlamaServerCollector
from exporter.system.snapshot import LlamaServerSnapshot, ModelSnapshot, ModelState, ServerState, SlotSnapshot
from tests.system import captures
from tests.system.scripted_server import Reply, ScriptedServer, json_reply, scripted_server

SMALL, LARGE = "tiny-Q2_K", "tiny-Q4_K_M"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A router as it was captured: two models, one of them loaded. What else is asked is 404 and shows in `asked`."""
    async with scripted_server(
        health=Reply(body=captures.body("router-health")),
        props=Reply(body=captures.body("router-props")),
        models=Reply(body=captures.body("router-models-loaded")),
        metrics=Reply(400, captures.body("router-metrics-no-model")),
    ) as script:
        let_answer(script, LARGE)
        yield script


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as made:
        yield made


def target(path: str, model: str) -> str:
    return f"{path}?model={model}&autoload=false"


def let_answer(server: ScriptedServer, model: str, **props: object) -> None:
    described = json.loads(captures.body("router-props-model")) | {"model_alias": model} | props
    server.replies[target("/props", model)] = json_reply(
        {key: value for key, value in described.items() if value is not ...}
    )
    server.replies[target("/slots", model)] = Reply(body=captures.body("router-slots"))
    server.replies[target("/metrics", model)] = Reply(body=captures.body("router-metrics"))


def list_models(server: ScriptedServer, states: dict[str, str], *, sleep_seconds: int | None = None) -> None:
    listed = json.loads(captures.body("router-models-loaded"))["data"]
    for entry in listed:
        entry["status"]["value"] = states[entry["id"]]
        if sleep_seconds is not None:
            entry["status"]["args"] += ["--sleep-idle-seconds", str(sleep_seconds)]
    server.replies["/models"] = json_reply({"data": listed, "object": "list"})


def tier_of(quantization: str | None) -> str:
    return {"Q2_K": "Q2", "Q4_K_M": "Q4"}.get(quantization or "", "unknown")


class Poller:
    def __init__(self, server: ScriptedServer, client: httpx.AsyncClient, **options: Any) -> None:
        self.now = 1000.0
        self.activity: float | None = None
        self.server = server
        self.collector = LlamaServerCollector(
            "router",
            tier_of,
            server.url,
            client,
            clock=lambda: self.now,
            last_activity=lambda: self.activity,
            **options,
        )

    async def poll(self, *, after: float = 5.0) -> LlamaServerSnapshot:
        self.now += after
        return await self.collector.collect()

    async def models(self, *, after: float = 5.0) -> dict[str, ModelSnapshot]:
        return {model.id: model for model in (await self.poll(after=after)).models}

    async def asked(self, *, after: float = 5.0) -> list[str]:
        """What was asked of single models, as `/path model`."""
        self.server.asked.clear()
        await self.poll(after=after)
        urls = [httpx.URL(asked) for asked in self.server.asked]
        return [f"{url.path} {url.params['model']}" for url in urls if "model" in url.params]


@pytest.fixture
def poller(server: ScriptedServer, client: httpx.AsyncClient) -> Poller:
    return Poller(server, client)


async def test_a_router_with_one_model_loaded(poller: Poller) -> None:
    snapshot = await poller.poll()
    assert (snapshot.state, snapshot.router, snapshot.build) == (ServerState.READY, True, "b0-unknown")
    unloaded, loaded = snapshot.models
    assert unloaded == ModelSnapshot(
        SMALL,
        ModelState.UNLOADED,
        file_name="tiny-Q2_K.gguf",
        quantization="Q2_K",
        tier="Q2",
        vision=False,
        audio=False,
        routed_name=SMALL,
    )
    assert (loaded.id, loaded.state, loaded.file_name, loaded.quantization) == (
        LARGE,
        ModelState.LOADED,
        "tiny-Q4_K_M.gguf",
        "Q4_K_M",
    )
    assert (loaded.parameters, loaded.size_bytes, loaded.training_context_size) == (125376, 501504, 4096)
    assert (loaded.context_size, loaded.total_slots, loaded.file_type) == (1024, 2, "all F32")
    assert loaded.slots == (SlotSnapshot(0, False, 1024, 0), SlotSnapshot(1, False, 1024, 30))
    assert (loaded.requests_processing, loaded.requests_deferred, len(loaded.mirrored)) == (0, 0, 15)
    assert (loaded.tier, loaded.vision, loaded.audio, loaded.tools) == ("Q4", False, False, False)
    assert loaded.routed_name == LARGE
    assert snapshot.tiers == ("Q2", "Q4")
    assert "/srv/" not in repr(snapshot)


async def test_a_model_keeps_its_tier_in_all_states_and_the_router_its_tiers_when_it_is_down(poller: Poller) -> None:
    for state in ("unloaded", "downloading", "loading", "loaded", "sleeping", "failed"):
        list_models(poller.server, {SMALL: "unloaded", LARGE: state})
        assert {name: model.tier for name, model in (await poller.models()).items()} == {SMALL: "Q2", LARGE: "Q4"}
    for health in (Reply(500), Reply(503)):
        poller.server.replies["/health"] = health
        snapshot = await poller.poll()
        assert (snapshot.up, snapshot.models, snapshot.tiers) == (False, (), ("Q2", "Q4"))


async def test_what_is_no_longer_listed_takes_its_tier_along(poller: Poller) -> None:
    assert (await poller.poll()).tiers == ("Q2", "Q4")
    poller.server.replies["/models"] = json_reply({"data": [{"id": "only-Q2_K", "status": {"value": "unloaded"}}]})
    assert (await poller.poll()).tiers == ("Q2",)


async def test_a_model_that_is_listed_by_a_path_is_asked_for_by_it_and_called_by_its_name(poller: Poller) -> None:
    path = "/srv/llm/models/pet-Q4_K_M.gguf"
    poller.server.replies["/models"] = json_reply({"data": [{"id": path, "status": {"value": "unloaded"}}]})
    [model] = (await poller.poll()).models
    assert (model.id, model.routed_name, model.tier) == ("pet-Q4_K_M.gguf", path, "Q4")


async def test_a_model_is_asked_only_when_loaded_and_never_without_autoload_false(poller: Poller) -> None:
    for state in ("unloaded", "loading", "downloading", "failed", "who knows"):
        list_models(poller.server, {SMALL: state, LARGE: "loaded"})
        assert {asked.split()[1] for asked in await poller.asked(after=61)} == {LARGE}
        assert set(poller.server.asked) == {
            "/health",
            "/props",
            "/models",
            target("/props", LARGE),
            target("/metrics", LARGE),
            target("/slots", LARGE),
        }


async def test_a_model_that_cannot_sleep_is_looked_at_every_time_and_described_once_a_minute(poller: Poller) -> None:
    # The captured router was started without --sleep-idle-seconds.
    assert await poller.asked() == [f"/props {LARGE}", f"/metrics {LARGE}", f"/slots {LARGE}"]
    for _ in range(3):
        assert await poller.asked() == [f"/metrics {LARGE}", f"/slots {LARGE}"]
    assert await poller.asked(after=60) == [f"/props {LARGE}", f"/metrics {LARGE}", f"/slots {LARGE}"]


async def test_the_life_of_a_model(poller: Poller) -> None:
    seen = []
    for state in ("unloaded", "downloading", "loading", "loaded", "sleeping", "loaded", "unloaded"):
        list_models(poller.server, {SMALL: "unloaded", LARGE: state})
        model = (await poller.models())[LARGE]
        seen.append((model.state.value, len(model.slots), len(model.mirrored), model.total_slots))
    assert seen == [
        ("unloaded", 0, 0, None),
        ("downloading", 0, 0, None),
        ("loading", 0, 0, None),
        ("loaded", 2, 15, 2),
        ("sleeping", 0, 15, 2),
        ("loaded", 2, 15, 2),
        ("unloaded", 0, 0, None),
    ]


async def test_a_sleeper_is_left_alone(poller: Poller) -> None:
    list_models(poller.server, {SMALL: "unloaded", LARGE: "sleeping"}, sleep_seconds=300)
    poller.activity = poller.now + 5
    assert await poller.asked() == [f"/props {LARGE}"]
    assert await poller.asked() == []


async def test_an_idle_model_that_may_sleep_is_left_alone_after_one_quiet_look(poller: Poller) -> None:
    list_models(poller.server, {SMALL: "unloaded", LARGE: "loaded"}, sleep_seconds=300)
    looks = [f"/props {LARGE}", f"/metrics {LARGE}", f"/slots {LARGE}"]
    assert await poller.asked() == looks
    assert await poller.asked() == looks
    for _ in range(3):
        assert await poller.asked() == [f"/props {LARGE}"]
    poller.activity = poller.now + 1  # it is the only one awake, so the request was for it
    assert await poller.asked() == looks
    assert await poller.asked() == [f"/props {LARGE}"]


async def test_an_older_router_lists_a_sleeper_as_loaded(poller: Poller) -> None:
    list_models(poller.server, {SMALL: "unloaded", LARGE: "loaded"}, sleep_seconds=300)
    let_answer(poller.server, LARGE, is_sleeping=True)
    poller.activity = poller.now + 5
    assert (await poller.models())[LARGE].state is ModelState.SLEEPING
    assert await poller.asked() == [f"/props {LARGE}"]


async def test_a_router_that_does_not_show_arguments_is_taken_to_sleep_where_its_build_can(poller: Poller) -> None:
    poller.server.replies["/models"] = json_reply({"data": [{"id": LARGE, "status": {"value": "loaded"}}]})
    for _ in range(2):
        await poller.poll()
    assert await poller.asked() == [f"/props {LARGE}"]
    let_answer(poller.server, LARGE, is_sleeping=...)
    await poller.poll()
    assert await poller.asked() == [f"/metrics {LARGE}", f"/slots {LARGE}"]


async def test_a_model_whose_props_stay_out_is_not_looked_at_if_it_may_be_asleep(poller: Poller) -> None:
    list_models(poller.server, {SMALL: "unloaded", LARGE: "loaded"}, sleep_seconds=300)
    poller.server.replies[target("/props", LARGE)] = Reply(500)
    assert await poller.asked() == [f"/props {LARGE}"]


async def test_activity_of_the_upstream_says_nothing_of_one_of_two_models_awake(poller: Poller) -> None:
    list_models(poller.server, {SMALL: "loaded", LARGE: "loaded"}, sleep_seconds=300)
    let_answer(poller.server, SMALL)
    for _ in range(2):
        await poller.poll()
    poller.activity = poller.now + 5
    assert await poller.asked() == [f"/props {SMALL}", f"/props {LARGE}"]


async def test_activity_by_model_is_a_reason_to_look_at_that_model_alone(
    server: ScriptedServer, client: httpx.AsyncClient
) -> None:
    last: dict[str, float] = {}
    poller = Poller(server, client, last_model_activity=last.get)
    list_models(server, {SMALL: "loaded", LARGE: "loaded"}, sleep_seconds=300)
    let_answer(server, SMALL)
    for _ in range(2):
        await poller.poll()
    last[SMALL] = poller.now + 1
    assert await poller.asked() == [f"/props {SMALL}", f"/metrics {SMALL}", f"/slots {SMALL}", f"/props {LARGE}"]


async def test_harmless_metrics_find_the_busy_one_of_two_models(poller: Poller) -> None:
    list_models(poller.server, {SMALL: "loaded", LARGE: "loaded"}, sleep_seconds=300)
    for model in (SMALL, LARGE):
        let_answer(poller.server, model, build_info="b11500-0123abc")
    for _ in range(2):
        await poller.poll()
    busy = captures.body("router-metrics").replace(b"n_decode_total 4", b"n_decode_total 9")
    poller.server.replies[target("/metrics", SMALL)] = Reply(body=busy)
    asked = await poller.asked()
    assert f"/slots {SMALL}" in asked
    assert f"/slots {LARGE}" not in asked
    assert {f"/metrics {SMALL}", f"/metrics {LARGE}"} <= set(asked)


async def test_a_failed_model_says_so(poller: Poller) -> None:
    poller.server.replies["/models"] = json_reply(
        {"data": [{"id": "broken", "status": {"value": "unloaded", "failed": True, "exit_code": 1}}]}
    )
    assert (await poller.models())["broken"].state is ModelState.FAILED


@pytest.mark.parametrize("reply", [Reply(500), Reply(200, b"<html>"), Reply(raw=b""), json_reply({"data": 7})])
async def test_a_list_that_stays_out_leaves_what_was_known(poller: Poller, reply: Reply) -> None:
    before = await poller.poll()
    poller.server.replies["/models"] = reply
    after = await poller.poll()
    assert (after.state, after.models) == (ServerState.READY, before.models)


async def test_models_that_are_no_longer_listed_are_forgotten(poller: Poller) -> None:
    await poller.poll()
    poller.server.replies["/models"] = json_reply({"data": []})
    assert await poller.models() == {}


async def test_features_that_are_off_are_remembered_for_each_model(poller: Poller) -> None:
    let_answer(poller.server, SMALL)
    list_models(poller.server, {SMALL: "loaded", LARGE: "loaded"})
    poller.server.replies[target("/metrics", LARGE)] = Reply(501)
    assert f"/metrics {LARGE}" in await poller.asked()
    asked = await poller.asked()
    assert f"/metrics {LARGE}" not in asked
    assert f"/metrics {SMALL}" in asked


async def test_a_router_whose_own_props_stay_out_once_is_still_a_router(poller: Poller) -> None:
    before = await poller.poll()
    poller.server.replies["/props"] = Reply(500)
    assert await poller.poll() == before


async def test_a_router_that_was_never_recognised_is_only_listed(poller: Poller) -> None:
    poller.server.replies["/v1/models"] = poller.server.replies["/models"]
    poller.server.replies["/props"] = Reply(500)
    snapshot = await poller.poll()
    assert [(model.id, model.state) for model in snapshot.models] == [
        (SMALL, ModelState.UNLOADED),
        (LARGE, ModelState.LOADED),
    ]
    assert set(poller.server.asked) == {"/health", "/props", "/v1/models"}
