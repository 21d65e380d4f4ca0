"""What is wrong with a body, in words for clients, and no more of long names than their beginning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, FiniteFloat

from exporter.api.nextjs.asked import Asked, read
from exporter.models.model import InvalidError
from tests.api.nextjs.stand import Stand, managing

LONG = "x" * 5000


class Body(Asked):
    """One of everything."""

    text: Annotated[str, Field(min_length=1, max_length=3)] = "a"
    number: Annotated[int, Field(ge=1, le=9)] = 1
    share: Annotated[FiniteFloat, Field(gt=0, lt=1)] = 0.5
    switch: bool = True
    word: Literal["loud", "low"] = "low"
    names: Annotated[list[str] | None, Field(min_length=1, max_length=2)] = None
    more: dict[str, int] | None = None


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with managing(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"text": 1}, "must be a text"),
        ({"text": ""}, "must not be empty"),
        ({"text": "abcd"}, "must have at most 3 characters"),
        ({"number": "1"}, "must be a whole number"),
        ({"number": 1.5}, "must be a whole number"),
        ({"number": 0}, "must be at least 1"),
        ({"number": 10}, "must be at most 9"),
        ({"share": "x"}, "must be a number"),
        ({"share": float("inf")}, "must be a number"),
        ({"share": 0.0}, "must be more than 0.0"),
        ({"share": 1.0}, "must be less than 1.0"),
        ({"switch": 1}, "must be true or false"),
        ({"word": "x"}, "must be one of 'loud' or 'low'"),
        ({"names": "x"}, "must be a list"),
        ({"names": []}, "must not be empty"),
        ({"names": ["a", "b", "c"]}, "must have at most 2 of them"),
        ({"more": []}, "must be an object"),
        ({"nubmer": 1}, "unknown; did you mean 'number'?"),
        ({"zzz": 1}, "unknown"),
        (5, "must be an object"),
    ],
)
def test_words(body: Any, said: str) -> None:
    with pytest.raises(InvalidError) as raised:
        read(Body, body)
    assert list(raised.value.fields.values()) == [said]


CALLS: list[tuple[str, str, Any]] = [
    ("GET", f"/api/models/{LONG}", None),
    ("PUT", f"/api/models/{LONG}", {"description": "x"}),
    ("DELETE", f"/api/models/{LONG}", None),
    ("POST", f"/api/models/{LONG}/load", {}),
    ("POST", f"/api/models/{LONG}/start", {}),
    ("POST", f"/api/models/{LONG}/stop", {}),
    ("POST", "/api/models", {"models": [{"name": LONG, "path": "a.gguf"}]}),
    ("POST", "/api/models", {"models": [{"name": "a", "path": LONG}]}),
    ("POST", "/api/models", {"models": [{"name": "a", "path": "a.gguf", LONG: 1}]}),
    ("POST", "/api/models", {"models": [{"name": "a", "path": "a.gguf", "parameters": {LONG: 1}}]}),
    ("POST", "/api/models/discover", {"paths": [LONG]}),
    ("POST", "/api/models/discover", {LONG: 1}),
    ("GET", f"/api/parameters/{LONG}", None),
    ("GET", f"/api/parameters/category/{LONG}", None),
    ("POST", "/api/parameters/model", {"parameters": {LONG: 1}}),
    ("POST", "/api/config", {"llama_config": {LONG: 1}}),
    ("POST", "/api/config", {"model_paths": {"modelsDir": LONG, "defaultModel": LONG}}),
    ("POST", "/api/config", {"serverConfig": {LONG: 1, "baseModelsPath": LONG}}),
    ("POST", "/api/logger/config", {LONG: 1}),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_of_long_names_only_the_beginning_is_told(stand: Stand, method: str, path: str, body: Any) -> None:
    answer = await stand.ask(method, path, **({} if body is None else {"json": body}))
    errors = {key: value for key, value in answer.json().items() if key != "data"}
    assert len(str(errors)) < 2500


async def test_a_long_name_that_has_to_be_written_otherwise(stand: Stand) -> None:
    answer = await stand.ask("GET", "/api/models/" + "%0A" * 3000)
    assert (answer.status_code, len(answer.content) < 3000) == (404, True)


async def test_the_folder_that_is_to_blame_is_named(stand: Stand) -> None:
    (stand.root / "more").mkdir()
    for wrong, status in (("/etc", 403), ("a.gguf", 400), ("", 400)):
        body = {"paths": [str(stand.root), "more", wrong]}
        answer = await stand.post("/api/models/discover", body, status)
        assert list(answer["error"]["fields"]) == ["paths.2"], wrong


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_there_is_no_analysis(stand: Stand, method: str) -> None:
    """Front ends have a button for it, and show `error.message`."""
    await stand.register("a")
    for name in ("a", "org/a"):
        answer = await stand.ask(method, f"/api/models/{name}/analyze")
        assert answer.status_code == 404
        assert "there is no such analysis" in answer.json()["error"]["message"]
