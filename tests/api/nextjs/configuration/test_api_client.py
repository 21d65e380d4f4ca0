"""What the client library of real front ends needs: it takes `data` out of every body, and fails without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.nextjs.stand import Stand, managing


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with managing(tmp_path) as made:
        await made.register("a")
        yield made


def unwrap(answer: httpx.Response) -> Any:
    """As it does: whatever the status says, and whatever `success` does."""
    assert answer.is_success, answer.text
    data = answer.json()["data"]
    assert data is not None
    return data


async def test_every_body_that_it_reads_has_data(stand: Stand) -> None:
    (model,) = unwrap(await stand.ask("GET", "/api/models"))
    assert model["name"].lower() == "a"
    assert unwrap(await stand.ask("GET", "/api/models/a"))["id"] == "a"
    created = await stand.ask(
        "POST", "/api/models", json={"name": "b", "path": "b.gguf", "type": "llama", "status": "idle"}
    )
    assert unwrap(created)["name"] == "b"
    assert (
        unwrap(await stand.ask("PUT", "/api/models/b", json={"status": "running", "description": "x"}))["name"] == "b"
    )
    found = unwrap(await stand.ask("POST", "/api/models/discover", json={"paths": [str(stand.root)]}))
    assert [each["name"] for each in found["discovered"]] == ["a", "b"]
    assert unwrap(await stand.ask("GET", "/api/config"))["serverConfig"]["ctx_size"] == 0
    assert unwrap(await stand.ask("PUT", "/api/config", json={"appConfig": {"autoUpdate": True}}))["appConfig"]
    assert unwrap(await stand.ask("GET", "/api/logger/config"))["level"] == "info"


async def test_nothing_that_is_drawn_as_text_is_an_object(stand: Stand) -> None:
    await stand.ask("POST", "/api/models/a/start")
    document = await stand.get("/api/models")
    for model in document["models"]:
        drawn = {key: value for key, value in model.items() if key != "parameters"}
        assert not [key for key, value in drawn.items() if isinstance(value, dict | list)]
        assert model["status"] in ("running", "loading", "idle", "stopped", "error", "unloading")
        assert model["createdAt"].endswith("Z")


async def test_a_start_as_the_pages_do_it(stand: Stand) -> None:
    """They read JSON before they look at the status, and show `error`."""
    for path, expected in (("/api/models/a/start", None), ("/api/models/nope/start", "there is no model 'nope'")):
        answer = await stand.ask("POST", path, json={"template": "chatml"})
        document = answer.json()
        shown = None if answer.is_success else document.get("error") or "Failed to start model"
        assert shown == expected
