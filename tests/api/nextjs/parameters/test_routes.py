"""Parameters over HTTP: 15, 8 and 12 of them, what they take, and changing them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests import nextjs_document
from tests.api.nextjs import typed
from tests.api.nextjs.stand import Stand, managing

PATH = "/api/parameters"


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with managing(tmp_path) as made:
        yield made


async def test_the_categories_are_those_of_the_document(stand: Stand) -> None:
    document = await stand.get(PATH)
    assert typed.differences(nextjs_document.CATEGORIES, document) == []
    assert [(each["id"], each["name"], each["count"]) for each in document["categories"]] == [
        ("model", "Model Parameters", 15),
        ("system", "System Parameters", 8),
        ("performance", "Performance Parameters", 12),
    ]


@pytest.mark.parametrize(("category", "count"), [("model", 15), ("system", 8), ("performance", 12)])
async def test_the_parameters_of_a_category(stand: Stand, category: str, count: int) -> None:
    document = await stand.get(f"{PATH}/{category}")
    assert document["category"] == category
    assert len(document["parameters"]) == count
    if category == "model":
        assert typed.differences(nextjs_document.PARAMETERS, document) == []
    for name, each in document["parameters"].items():
        assert each["type"] in ("number", "integer", "boolean", "string")
        assert each["value"] == each["default"]
        assert ("min" in each) == ("max" in each)
        assert "min" in each or each["type"] in ("boolean", "string"), name
        assert None not in each.values()
        assert each["description"]
        assert each["group"]


@pytest.mark.parametrize("name", ["temperature", "temp", "Temperature"])
async def test_one_parameter(stand: Stand, name: str) -> None:
    document = await stand.get(f"{PATH}/category/{name}")
    assert typed.differences(nextjs_document.PARAMETER, document) == []
    assert (document["parameter"], document["category"], document["value"]) == ("temperature", "model", 0.8)


async def test_what_there_is_not(stand: Stand) -> None:
    for path, hint in (
        ("/category/temprature", "did you mean 'temperature'?"),
        ("/category/" + "x" * 5000, "there is no parameter"),
        ("/nope", "only model, system, performance"),
        ("/category", "only model, system, performance"),
    ):
        answer = await stand.ask("GET", PATH + path)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "NOT_FOUND"
        assert hint in answer.json()["error"]["message"]
        assert len(answer.content) < 1000
    assert (await stand.ask("POST", f"{PATH}/nope", json={"parameters": {"temperature": 1}})).status_code == 404


async def test_the_documented_change(stand: Stand) -> None:
    body = {"parameters": {"temperature": 0.7, "maxTokens": 1024, "top_p": 0.9}}
    answer = await stand.post(f"{PATH}/model", body)
    assert answer == {
        "message": "Parameters updated successfully",
        "category": "model",
        "updated": ["temperature", "max_tokens", "top_p"],
        "requiresRestart": False,
        "restart": [],
        "saved": True,
    }
    assert stand.runtime.current.options == {"temperature": 0.7, "max_tokens": 1024, "top_p": 0.9}
    assert (await stand.get(f"{PATH}/category/max_tokens"))["value"] == 1024
    await stand.post(f"{PATH}/model", {"parameters": {"temperature": None}})
    assert stand.runtime.current.options == {"max_tokens": 1024, "top_p": 0.9}


async def test_all_or_nothing_and_every_mistake_is_named(stand: Stand) -> None:
    body = {"parameters": {"temperature": 0.7, "top_p": 7, "nope": 1, "top_k": "x"}}
    answer = await stand.post(f"{PATH}/model", body, 400)
    assert list(answer["error"]["fields"]) == ["parameters.top_p", "parameters.nope", "parameters.top_k"]
    every = {"parameters": {"threads": 2, "top_p": 7, "n_ctx": -1, "temprature": 1}}
    answer = await stand.post(f"{PATH}/model", every, 400)
    assert answer["error"]["fields"] == {
        "parameters.top_p": "must be a number from 0 to 1",
        "parameters.n_ctx": "is a parameter of the category 'performance'",
        "parameters.temprature": "is not a parameter; did you mean temperature?",
        "parameters.threads": "is a parameter of the category 'system'",
    }
    many = await stand.post(f"{PATH}/model", {"parameters": {f"x{number}": 1 for number in range(201)}}, 400)
    assert "201 were given" in many["error"]["fields"]["parameters"]
    other = await stand.post(f"{PATH}/model", {"parameters": {"threads": 2, "temperature": 0.7}}, 400)
    assert other["error"]["fields"] == {"parameters.threads": "is a parameter of the category 'system'"}
    empties: tuple[Any, ...] = ({}, {"parameters": {}}, {"parameters": []}, {"parameters": {"temperature": [1]}})
    for empty in empties:
        assert (await stand.post(f"{PATH}/model", empty, 400))["error"]["fields"]
    assert stand.runtime.current.options == {}


async def test_what_goes_on_as_before_is_named(stand: Stand) -> None:
    await stand.register("a")
    await stand.post("/api/models/a/start")
    answer = await stand.post(f"{PATH}/model", {"parameters": {"temperature": 0.1}})
    assert answer["requiresRestart"] is True
    assert answer["restart"] == ["model a: it runs with other parameters; load it again"]


async def test_when_it_cannot_be_saved(stand: Stand) -> None:
    stand.shelf.failing = True
    answer = await stand.post(f"{PATH}/model", {"parameters": {"temperature": 0.1}}, 500)
    assert answer["error"]["code"] == "INTERNAL_ERROR"
    assert stand.runtime.current.options == {}
