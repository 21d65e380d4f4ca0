"""The list of models: what was sampled of each, their order, and what can be asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.api.monitoring.documents import ModelList
from exporter.api.monitoring.models import MOST_MODELS, Orders, model_list, orders
from exporter.models.model import Model, ModelsError, Registered, Status
from exporter.models.models import Models
from exporter.system.snapshot import (
    LlamaServerSnapshot,
    ModelSnapshot,
    ModelState,
    ServerState,
    SlotSnapshot,
    Snapshot,
)
from tests.api.monitoring.documents import read
from tests.api.views import WALL
from tests.models.fake_router import FakeRouter
from tests.models.house import House, behind, served

SLOTS = (SlotSnapshot(0, True, 4096, 5000), SlotSnapshot(1, False, 4096, 900))


def sampled(name: str = "a", **fields: Any) -> ModelSnapshot:
    return ModelSnapshot(name, **{"state": ModelState.LOADED, "slots": SLOTS, "tier": "Q4", **fields})


def seen(*models: ModelSnapshot, **fields: Any) -> Snapshot:
    server = LlamaServerSnapshot("home", ("Q4",), ServerState.READY, router=True, models=models)
    return Snapshot(servers={"home": replace(server, **fields)})


def listed(*models: Model, snapshot: Snapshot | None = None, home: str | None = "home", restored: bool = True) -> Any:
    snapshot = snapshot or seen()
    asked = orders(models, snapshot, home, restored=restored)
    return read(ModelList, model_list(models, snapshot, WALL, asked))


def only(model: Model, **others: Any) -> Any:
    (found,) = listed(model, **others)["models"]
    return found


def running(name: str = "a", **fields: Any) -> Model:
    return Model(name, **{"status": Status.RUNNING, "upstream": "home", **fields})


def test_one_that_runs() -> None:
    model = running(
        quantization="Q4_K_M", size_bytes=5, context_size=4096, last_used_at=WALL, progress=1.0, stage="text_model"
    )
    assert only(model, snapshot=seen(sampled())) == {
        "name": "a",
        "status": "running",
        "upstream": "home",
        "tier": "Q4",
        "quantization": "Q4_K_M",
        "size_bytes": 5,
        "context_size": 4096,
        "slots": 2,
        "slots_busy": 1,
        "context_tokens": 8192,
        "context_tokens_used": 5000,
        "progress": None,
        "stage": None,
        "remaining_seconds": None,
        "last_used_at": "2026-11-20T08:32:30.000Z",
        "error": None,
        "can_load": False,
        "can_unload": True,
    }


def test_one_that_is_not_loaded_has_no_slots() -> None:
    found = only(running(status=Status.STOPPED), snapshot=seen(sampled()))
    figures = ("slots", "slots_busy", "context_tokens", "context_tokens_used")
    assert [found[each] for each in figures] == [None] * 4
    assert (found["tier"], found["can_load"], found["can_unload"]) == ("Q4", True, False)


def test_one_that_is_loading() -> None:
    loading = running(status=Status.LOADING, progress=0.25, stage="text_model", remaining_seconds=3.0)
    found = only(loading)
    assert [found[each] for each in ("progress", "stage", "remaining_seconds")] == [0.25, "text_model", 3.0]
    assert (found["can_load"], found["can_unload"]) == (False, True)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("org/a:Q4", sampled("a", routed_name="org/a:Q4")),
        ("a", sampled("a", routed_name="org/a:Q4")),
        ("also", sampled("b", aliases=("also",))),
    ],
    ids=["routed", "id", "alias"],
)
def test_it_goes_by_each_of_its_names(name: str, theirs: ModelSnapshot) -> None:
    assert only(running(name), snapshot=seen(sampled("x", slots=()), theirs))["slots"] == 2


def test_the_name_that_one_is_asked_for_by_goes_first() -> None:
    others = (sampled("x", aliases=("a",), slots=()), sampled("y", aliases=("a",), slots=()))
    assert only(running(), snapshot=seen(others[0], sampled(), others[1]))["slots"] == 2


def test_elsewhere_it_also_goes_by_its_file() -> None:
    model = running(file_name="a.gguf", registered=Registered("a", "/models/a.gguf"))
    snapshot = seen(sampled("served", file_name="a.gguf"))
    assert only(model, snapshot=snapshot, home=None)["slots"] == 2
    assert only(model, snapshot=snapshot)["slots"] is None, "the home knows it by its name, or not at all"


def test_what_is_loaded_or_failed_comes_first() -> None:
    models = [Model(f"m{number}", status) for number, status in enumerate(reversed(Status))]
    models.append(Model("a", Status.STOPPED))
    found = listed(*models)
    order = [(each["name"], each["status"]) for each in found["models"]]
    assert [status == "stopped" for _, status in order] == [False] * 5 + [True] * 2
    assert [name for name, _ in order[:5]] == sorted(name for name, _ in order[:5])
    assert order[5][0] == "a"


def test_there_is_an_end_to_it() -> None:
    models = [Model(f"m{number:04}", Status.STOPPED) for number in range(MOST_MODELS + 1)]
    found = listed(*models, running("zz"))
    assert (len(found["models"]), found["total"]) == (MOST_MODELS, MOST_MODELS + 2)
    assert found["models"][0]["name"] == "zz"


FILED = Registered("a", "/models/a.gguf")


@pytest.mark.parametrize(
    ("model", "around", "can_load"),
    [
        (Model("a", Status.STOPPED, FILED), {}, True),
        (Model("a", Status.ERROR, FILED), {}, True),
        (Model("a", Status.STOPPED, Registered("a")), {}, False),
        (Model("a", Status.STOPPED, upstream="home"), {}, True),
        (Model("a", Status.STOPPED, upstream="other"), {}, False),
        (Model("a", Status.STOPPED, FILED, upstream="other"), {}, True),
        (Model("a", Status.UNLOADING, FILED, upstream="home"), {}, False),
        (Model("a", Status.STOPPED, FILED), {"home": None}, False),
        (Model("a", Status.STOPPED, FILED), {"restored": False}, False),
        (Model("a", Status.STOPPED, FILED), {"snapshot": seen(state=ServerState.UNREACHABLE)}, False),
        (Model("a", Status.STOPPED, FILED), {"snapshot": Snapshot()}, True),
    ],
)
def test_what_can_be_loaded(model: Model, around: dict[str, Any], can_load: bool) -> None:
    assert only(model, **around)["can_load"] is can_load


@pytest.mark.parametrize(
    ("model", "around"),
    [
        (running(), {"home": None}),
        (running(upstream="other"), {}),
        (running(status=Status.UNLOADING), {}),
        (running(status=Status.ERROR), {}),
        (running(), {"snapshot": seen(state=ServerState.UNREACHABLE)}),
    ],
)
def test_what_cannot_be_unloaded(model: Model, around: dict[str, Any]) -> None:
    assert only(running())["can_unload"] is True
    assert only(model, **around)["can_unload"] is False


def test_one_at_a_time_is_loaded() -> None:
    stopped = Model("a", Status.STOPPED, FILED)
    busy = listed(stopped, running("b", status=Status.LOADING))
    assert [each["can_load"] for each in busy["models"]] == [False, False]
    elsewhere = listed(stopped, running("b", status=Status.LOADING, upstream="other"))
    assert [each["can_load"] for each in elsewhere["models"]] == [False, True]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with FakeRouter({"known": {"value": "unloaded"}}).run() as fake:
        yield behind(fake, tmp_path)


async def can_load(models: Models, name: str) -> bool:
    try:
        await models.load(name, {})
    except ModelsError:
        return False
    return True


async def can_unload(models: Models, name: str) -> bool:
    try:
        await models.unload(name)
    except ModelsError:
        return False
    return True


async def test_what_is_offered_is_not_refused(house: House) -> None:
    """By the real rules, for models of every kind."""
    house.servers = served(model=ModelState.LOADED)
    async with house.run() as models:
        await house.register("a", "b")
        await models.load("b", {})
        await house.settle("b", Status.RUNNING)
        snapshot = Snapshot(servers=house.servers)

        def offers(key: str) -> dict[str, bool]:
            found = models.all()
            asked = orders(found, snapshot, models.home, restored=models.is_restored)
            return {
                each["name"]: each[key] for each in read(ModelList, model_list(found, snapshot, WALL, asked))["models"]
            }

        loads, unloads = offers("can_load"), offers("can_unload")
        assert loads == {"a": False, "b": False, "known": True}, "an upstream has the file of a as its only model"
        assert unloads == {"a": False, "b": True, "known": False}
        assert await can_load(models, "known")
        for name, offered in unloads.items():
            if name != "known":
                assert await can_unload(models, name) is offered


async def test_nothing_is_offered_without_a_router(house: House) -> None:
    house.home = None
    async with house.run() as models:
        await house.register("a")
        found = models.all()
        asked = orders(found, Snapshot(), models.home, restored=models.is_restored)
        assert asked == Orders(None, False, True, None)
        (a,) = model_list(found, Snapshot(), WALL, asked)["models"]
        assert (a["can_load"], await can_load(models, "a")) == (False, False)


MODELS = st.builds(
    Model,
    st.text(),
    st.sampled_from(Status),
    upstream=st.sampled_from([None, "home", "other"]),
    size_bytes=st.none() | st.integers(0),
    context_size=st.none() | st.integers(0),
    last_used_at=st.none() | st.floats(0, 4e9),
    progress=st.none() | st.floats(),
    stage=st.none() | st.text(),
    remaining_seconds=st.none() | st.floats(),
    error=st.none() | st.text(),
)


@settings(deadline=None)
@given(st.lists(MODELS, max_size=8), st.sampled_from([None, "home"]), st.booleans())
def test_whatever_there_is_can_be_read(models: list[Model], home: str | None, restored: bool) -> None:
    found = listed(*models, snapshot=seen(sampled("a"), sampled("")), home=home, restored=restored)
    assert found["total"] == len(found["models"]) == len(models)
    assert not any(each["can_load"] and each["can_unload"] for each in found["models"])
