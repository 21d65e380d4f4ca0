"""Registering, changing, removing and finding models, and what is known of those that other servers have."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.models import library, upkeep
from exporter.models.model import (
    ConflictError,
    Discovered,
    Document,
    Event,
    FailedError,
    InvalidError,
    Kind,
    OutsideError,
    Search,
    Status,
    UnavailableError,
    UnknownModelError,
)
from exporter.models.preset import preset
from exporter.models.registry import write
from tests.models.house import House, served
from tests.models.real_router import write_models
from tests.models.shelves import A, B, Board


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Without a router."""
    write_models(tmp_path / "models", ("a", "b"))
    return House(tmp_path / "models", tmp_path / "models.ini")


async def test_what_a_file_says_is_registered_with_it(house: House) -> None:
    async with house.run() as models:
        (a,) = await house.register("a", description="Mine", options={"ctx-size": 512})
        registered = a.registered
        assert registered is not None
        assert (a.status, a.file_name, a.context_size, a.upstream) == (Status.STOPPED, "a.gguf", 512, None)
        assert (registered.description, registered.options) == ("Mine", {"n_ctx": 512})
        assert (registered.family, registered.format) == ("llama", "gguf")
        assert registered.size_bytes == (house.root / "a.gguf").stat().st_size
        assert registered.created_at == registered.updated_at > 0
        assert preset.parse(house.preset.read_text()) == {"a": {"model": registered.path, "ctx-size": "512"}}
        assert house.events == [Event(Kind.CHANGED, "a", a)]

        changed = await models.update("a", {"family": "mine", "options": {"top_k": 5}, "path": "b.gguf"})
        assert changed.registered is not None
        assert (changed.file_name, changed.registered.family, changed.registered.description) == (
            "b.gguf",
            "mine",
            "Mine",
        )
        assert changed.registered.options == {"top_k": 5}
        assert changed.registered.created_at == registered.created_at
        assert "top-k = 5" in house.preset.read_text()

        assert (await models.remove("a")).name == "a"
        assert models.all() == []
        assert preset.parse(house.preset.read_text()) == {}
        assert house.events[-1] == Event(Kind.CHANGED, "a", None)


@pytest.mark.parametrize(
    ("entries", "error", "fields"),
    [
        ([{"name": "a", "path": "a.gguf"}, {"name": "b]"}], InvalidError, {"models.1.name"}),
        ([{"path": "a.gguf", "family": 7}], InvalidError, {"models.0.name", "models.0.family"}),
        ([{"name": "a", "path": "a.gguf"}] * 2, InvalidError, {"models.1.name"}),
        ([{"name": "a", "path": "a.gguf", "options": {"n_ctxx": 1}}], InvalidError, {"models.0.options.n_ctxx"}),
        ([{"name": "a", "path": "a.gguf", "options": [1]}], InvalidError, {"models.0.options"}),
        (
            [{"name": "a", "path": 7, "description": "x" * 5000}],
            InvalidError,
            {"models.0.path", "models.0.description"},
        ),
        ([{"name": "a"}], InvalidError, {"models.0.path"}),
        ([{"name": "a", "path": "gone.gguf"}], InvalidError, {"models.0.path"}),
        ([{"name": "a", "path": "a.gguf"}, {"name": "b", "path": "../models.ini"}], OutsideError, {"models.1.path"}),
        ([{"name": "there", "path": "b.gguf"}], ConflictError, {"models.0.name"}),
        ([{"name": "also", "path": "b.gguf"}], ConflictError, {"models.0.name"}),
    ],
)
async def test_of_what_is_wrong_nothing_is_registered(
    house: House, entries: list[dict[str, Any]], error: type[Exception], fields: set[str]
) -> None:
    house.servers = served()
    async with house.run() as models:
        await models.register([{"name": "there", "path": "b.gguf"}])
        with pytest.raises(error) as raised:
            await models.register(entries)
        assert set(getattr(raised.value, "fields", {})) == fields
        assert [model.name for model in models.all()] == ["there", "served"]


async def test_changes_that_cannot_be_made(house: House) -> None:
    async with house.run() as models:
        await house.register("a")
        for changes, field in (({"name": "b"}, "name"), ({"path": "gone.gguf"}, "path"), ({"version": []}, "version")):
            with pytest.raises(InvalidError) as raised:
                await models.update("a", changes)
            assert set(raised.value.fields) == {field}
        for unknown in (models.update("b", {}), models.remove("b"), models.load("b", {}), models.unload("b")):
            with pytest.raises(UnknownModelError, match="'b'"):
                await unknown
        with pytest.raises(ConflictError, match="--manage-llama-server"):
            await models.load("a", {})


async def test_what_the_store_does_not_take_is_not_done(house: House) -> None:
    shelf = house.shelf = Board()
    async with house.run() as models:
        await house.register("a")
        before = house.preset.read_text()
        shelf.away = True
        for change in (house.register("b"), models.update("a", {"family": "x"}), models.remove("a")):
            with pytest.raises(FailedError, match="disk I/O error"):
                await change
        assert [(model.name, model.registered and model.registered.family) for model in models.all()] == [
            ("a", "llama")
        ]
        assert house.preset.read_text() == before


async def test_what_was_registered_is_back_as_soon_as_the_store_is_open(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Board):
        tries = 0

        async def all(self) -> Mapping[str, Document]:
            self.tries += 1
            return await super().all()

    monkeypatch.setattr(upkeep, "STORE_SECONDS", 0.01)
    shelf = house.shelf = Slow({A.name: write(A), "b": write(B)})
    shelf.away = True
    async with house.run(ready=False) as models:
        await house.until(lambda: shelf.tries == 2)
        with pytest.raises(UnavailableError, match="not open yet"):
            await house.register("a")
        shelf.away = False
        await house.until(lambda: models.is_restored)
        assert [model.registered for model in models.all()] == [A, B]
        assert house.told() == [(Kind.CHANGED, A.name), (Kind.CHANGED, "b")]
        await house.until(lambda: preset.parse(house.preset.read_text()) == {A.name: preset.section(A.path, A.options)})


async def test_as_long_as_no_router_is_seen_what_one_may_have_loaded_stays_written(house: House) -> None:
    text = preset.render({A.name: {"model": "/models/a.gguf", "top-k": "7"}})
    house.preset.write_text(text)
    house.shelf = Board({A.name: write(A)})
    async with house.run() as models:
        await house.until(lambda: len(models.all()) == 1)
        assert house.preset.read_text() == text


async def test_files_are_found_one_search_at_a_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.run() as models:
        found = await models.discover(Search())
        assert [os.path.basename(file.path) for file in found.files] == ["a.gguf", "b.gguf"]
        with pytest.raises(OutsideError):
            await models.discover(Search(paths=("/etc",)))

        def search(*_: object, cancelled: Any) -> Discovered:
            while not cancelled():
                pass
            return Discovered([], [], [], 0)

        monkeypatch.setattr(library, "discover", search)
        slow = asyncio.ensure_future(models.discover(Search()))
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError, match="another search"):
            await models.discover(Search())
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        monkeypatch.undo()
        await house.until(lambda: models._library._search is not None and models._library._search.done())
        assert len((await models.discover(Search())).files) == 2


async def test_a_listener_that_fails_harms_nobody(house: House, caplog: pytest.LogCaptureFixture) -> None:
    def fail(event: Event) -> None:
        raise ValueError(event.name)

    async with house.run() as models:
        house.events.clear()
        heard: list[Event] = []
        end = models.listen(fail), models.listen(heard.append)
        await house.register("a")
        assert heard == house.events
        assert "a listener failed" in caplog.text
        for each in (*end, *end):
            each()
        await house.register("b")
        assert len(heard) == 1


async def test_waiting_has_a_limit(house: House) -> None:
    async with house.run() as models:
        await house.register("a")
        assert (await models.settled("a", 0)).status is Status.STOPPED
        with pytest.raises(UnknownModelError):
            await models.settled("b", 10)
