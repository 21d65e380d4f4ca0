"""The registry: all of a change or nothing of it, and back after a restart, also from what others have written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from exporter.errors import StoreError
from exporter.models import registry as module
from exporter.models.model import ConflictError, Document, FailedError, Registered, UnavailableError
from exporter.models.registry import Registry, read, write
from exporter.tasks import cancel, spawn
from tests.models.shelves import A, B, Board


async def opened(shelf: Board | None) -> Registry:
    registry = Registry(shelf)
    await registry.restore()
    return registry


async def test_what_was_registered_is_back_after_a_restart_in_its_order() -> None:
    shelf = Board()
    first = await opened(shelf)
    await first.put([B, A])
    again = await opened(shelf)
    assert list(again.models.values()) == [B, A]
    assert "b" in again
    await again.delete("b")
    await again.delete("b")
    assert list((await opened(shelf)).models) == [A.name]


async def test_without_a_shelf_it_is_in_memory_alone() -> None:
    registry = Registry(None)
    await registry.put([A])
    await registry.delete(A.name)
    assert registry.models == {}


async def test_nothing_is_changed_before_it_is_known_what_there_is() -> None:
    shelf = Board({"b": write(B)})
    shelf.away = True
    registry = Registry(shelf)
    with pytest.raises(StoreError):
        await registry.restore()
    for change in (registry.put([A]), registry.delete("b")):
        with pytest.raises(UnavailableError, match="not open yet"):
            await change
    shelf.away = False
    await registry.restore()
    assert list(registry.models) == ["b"]


async def test_what_the_store_does_not_take_is_not_done() -> None:
    shelf = Board({"b": write(B)})
    registry = await opened(shelf)
    shelf.away = True
    for change in (registry.put([A]), registry.delete("b")):
        with pytest.raises(FailedError, match="disk I/O error"):
            await change
    assert list(registry.models) == ["b"]


async def test_an_undo_leaves_what_others_have_changed_since() -> None:
    shelf = Board({"b": write(B), "d": write(Registered("d"))})
    registry = await opened(shelf)
    before = registry.models
    await registry.put([Registered("b", description="refused"), Registered("c")])
    await registry.put([Registered("d", description="by others")])
    await registry.undo(before, ["b", "c"])
    assert list(registry.models) == ["b", "d"] == list(shelf.documents)
    assert (registry.models["b"], registry.models["d"].description) == (before["b"], "by others")


async def test_a_change_is_undone(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Board({"b": write(B)})
    registry = await opened(shelf)
    before = registry.models
    await registry.put([A, Registered("b", description="new")])
    await registry.undo(before, [A.name, "b"])
    assert (registry.models, list(shelf.documents)) == (before, ["b"])
    assert shelf.documents["b"] == write(B)
    await registry.delete("b")
    shelf.away = True
    await registry.undo(before, ["b"])
    assert registry.models == before
    assert "could not be taken back" in caplog.text


class Slow(Board):
    """It has what it was given before it says so."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()

    async def put(self, documents: Mapping[str, Document]) -> None:
        await super().put(documents)
        await self.answers.wait()

    async def delete(self, name: str) -> None:
        await super().delete(name)
        await self.answers.wait()


@pytest.mark.parametrize("verb", ["put", "delete", "undo"])
async def test_a_change_that_nobody_waits_for_is_made_in_the_store_and_here(verb: str) -> None:
    shelf, late = Slow(), asyncio.Event()
    shelf.answers.set()
    registry = await opened(shelf)
    await registry.put([B])
    registry.changed_late = late.set
    shelf.answers.clear()
    do: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "put": lambda: registry.put([A]),
        "delete": lambda: registry.delete("b"),
        "undo": lambda: registry.undo({}, ["b"]),
    }
    change = spawn(do[verb](), name="change")
    while len(shelf.documents) == 1:
        await asyncio.sleep(0)
    await cancel(change)
    after = spawn(registry.put([Registered("c")]), name="after")
    assert list(registry.models) == ["b"], "nobody has said that it is done"
    shelf.answers.set()
    await after
    assert late.is_set()
    assert list(registry.models) == list(shelf.documents) == (["b", A.name, "c"] if verb == "put" else ["c"])


async def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 2)
    registry = Registry(None)
    await registry.put([A, B])
    await registry.put([Registered("b", description="changed")])
    with pytest.raises(ConflictError, match="no more than 2"):
        await registry.put([Registered("c")])
    assert len(registry.models) == 2


@pytest.mark.parametrize("model", [A, B])
def test_a_document_is_what_it_was_written_of(model: Registered) -> None:
    assert read(model.name, write(model)) == model


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, Registered("b")),
        ({"path": 7, "description": None, "created_at": "then", "size_bytes": -1}, Registered("b")),
        ({"options": {"n_ctx": 512, "invented_later": 1, "top_p": "much"}}, Registered("b", options={"n_ctx": 512})),
        ({"options": [], "from_the_future": {}, "updated_at": True}, Registered("b")),
        ({"path": "relative.gguf"}, None),
    ],
)
def test_what_another_version_has_written_is_read_as_far_as_it_goes(
    document: Document, expected: Registered | None
) -> None:
    assert read("b", document) == expected


def test_an_option_that_is_not_valid_any_more_is_left_out_and_told_of(caplog: pytest.LogCaptureFixture) -> None:
    found = read("b", {"options": {"n_ctx": 512, "top_p": 7}})
    assert found is not None
    assert found.options == {"n_ctx": 512}
    assert "top_p" in str(caplog.records[-1].__dict__["reason"])


def test_a_name_that_cannot_be_written_is_left_out() -> None:
    assert read("a]\n[b", {}) is None
