"""Requests to register very many models: limited, read in slices, and every mistake under its number."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from exporter.api.nextjs.asked import MOST_MODELS
from exporter.api.nextjs.mistakes import MISTAKES
from exporter.api.nextjs.models.registrations import SLICE, read_entries
from exporter.models.model import InvalidError
from tests.api.nextjs.stand import Stand, managing
from tests.turns import counted


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with managing(tmp_path) as made:
        yield made


async def mistakes(body: Any) -> dict[str, str]:
    with pytest.raises(InvalidError) as raised:
        await read_entries(body)
    return raised.value.fields


def entries(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"name": f"m{number}", "path": "a.gguf", **more} for number in range(count)]


async def turns_during(body: Any) -> int:
    """How often others have their turn while it is read."""
    async with counted() as turns:
        with contextlib.suppress(InvalidError):
            await read_entries(body)
    return turns.count


async def test_as_many_as_may_come_and_one_more(stand: Stand) -> None:
    found, bare = await read_entries({"models": entries(MOST_MODELS)})
    assert ([each["name"] for each in found], bare) == ([f"m{number}" for number in range(MOST_MODELS)], False)
    answer = await stand.post("/api/models", {"models": entries(MOST_MODELS + 1)}, 400)
    assert "at most 1000" in answer["error"]["fields"]["models"]


async def test_others_have_their_turns_meanwhile() -> None:
    assert await turns_during({"models": entries(MOST_MODELS)}) >= MOST_MODELS // SLICE


async def test_mistakes_have_the_number_of_their_model(stand: Stand) -> None:
    models = entries(3 * SLICE)
    models[SLICE + 5] = {"nam": "x"}
    models[3 * SLICE - 1] = {"name": 5}
    assert await mistakes({"models": models, "modls": 1}) == {
        "modls": "unknown; did you mean 'models'?",
        f"models.{SLICE + 5}.name": "is required",
        f"models.{SLICE + 5}.nam": "unknown; did you mean 'name'?",
        f"models.{3 * SLICE - 1}.name": "must be a text",
    }
    models = entries(3 * SLICE)
    models[SLICE + 5]["name"] = "a]"
    models[2 * SLICE]["parameters"] = {"n_ctx": -7}
    answer = await stand.post("/api/models", {"models": models}, 400)
    assert list(answer["error"]["fields"]) == [f"models.{SLICE + 5}.name", f"models.{2 * SLICE}.parameters.n_ctx"]


async def test_many_mistakes_are_named_up_to_a_limit(stand: Stand) -> None:
    answer = await stand.post("/api/models", {"models": [{"nam": "x"}] * 1000}, 400)
    assert len(answer["error"]["fields"]) == MISTAKES
    unknown = {f"temperatur{number}": 1 for number in range(40)}
    answer = await stand.post("/api/models", {"models": entries(1000, parameters=unknown)}, 400)
    assert len(answer["error"]["fields"]) == MISTAKES
    assert "models.2.parameters.temperatur19" in answer["error"]["fields"]


async def test_many_are_registered_and_shown(stand: Stand) -> None:
    answer = await stand.post("/api/models", {"models": entries(3 * SLICE + 1)})
    assert answer["registered"] == len(answer["models"]) == len(answer["data"]) == 3 * SLICE + 1
    listed = await stand.get("/api/models")
    assert listed["data"] == listed["models"] == answer["data"]
    assert listed["count"] == 3 * SLICE + 1
