"""Very many models at once: streams have their turn in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.models import registration, registry, sections, turns
from exporter.models.model import InvalidError
from exporter.models.registry import write
from tests.models.house import House
from tests.models.real_router import write_models
from tests.models.shelves import A, Board

COUNT = 20
ENTRIES = [{"name": f"m{number}", "path": "a.gguf"} for number in range(COUNT)]


class Turns:
    """Counts how often others have had their turn, and in which ones something was done."""

    def __init__(self) -> None:
        self.number = 0
        self.of: dict[str, list[int]] = {}

    def note(self, what: str) -> None:
        self.of.setdefault(what, []).append(self.number)

    def noting(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            self.note(what)
            return function(*arguments)

        return noted

    @contextlib.asynccontextmanager
    async def counted(self) -> AsyncIterator[None]:
        async def count() -> None:
            while True:
                self.number += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        try:
            yield
        finally:
            counting.cancel()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """Without a router. Of everything that is done in slices, each is over at once."""
    monkeypatch.setattr(turns, "SLICE_SECONDS", 0.0)
    write_models(tmp_path / "models", ("a",))
    return House(tmp_path / "models", tmp_path / "models.ini", shelf=Board())


async def test_others_have_their_turns_while_many_are_registered(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Turns()
    monkeypatch.setattr(registration, "_read", seen.noting("read", registration._read))
    monkeypatch.setattr(registration.Entry, "filled", seen.noting("filled", registration.Entry.filled))
    monkeypatch.setattr(registry, "write", seen.noting("written", registry.write))
    monkeypatch.setattr(sections, "make", seen.noting("made", sections.make))
    async with house.run() as models, seen.counted():
        models.listen(lambda event: seen.note("told"))
        found = await models.register(ENTRIES)
        assert [each.name for each in found] == [each["name"] for each in ENTRIES]
        assert found == models.all()
    assert {what: len(set(numbers)) for what, numbers in seen.of.items()} == dict.fromkeys(
        ("read", "filled", "written", "made", "told"), COUNT
    )


async def test_others_have_their_turns_while_it_is_told_what_an_earlier_run_has_kept(house: House) -> None:
    house.shelf = Board({f"m{number}": write(A) for number in range(COUNT)})
    seen = Turns()
    async with seen.counted(), house.run(ready=False) as models:
        models.listen(lambda event: seen.note("told"))
        await house.until(lambda: len(seen.of.get("told", ())) == COUNT)
    assert len(set(seen.of["told"])) == COUNT


async def test_what_comes_behind_many_mistakes_is_not_looked_at(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Turns()
    monkeypatch.setattr(registration, "_read", seen.noting("read", registration._read))
    wrong = [{"name": f"{number}]", "path": "a.gguf"} for number in range(2 * registration.MOST_MISTAKES)]
    async with house.run() as models:
        with pytest.raises(InvalidError) as raised:
            await models.register(wrong)
        assert models.all() == []
    assert len(raised.value.fields) == len(seen.of["read"]) == registration.MOST_MISTAKES
