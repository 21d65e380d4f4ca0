"""Documents by name: kept as they are, for one sidecar alone, all of a change or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Table, event, select

from exporter.errors import StoreError
from exporter.models.shelf import Shelf
from exporter.store.database import Database
from exporter.store.documents import DOCUMENT_BYTES, NAME_BYTES, Documents
from exporter.store.schema import MODELS, SETTINGS
from tests.store.requests import MIDNIGHT_US, SECOND_US, Clock

pytestmark = pytest.mark.usefixtures("no_complaints")
LIMIT_SECONDS = 30.0
Make = Callable[..., Documents]


def times(database: Database, table: Table = MODELS) -> list[tuple[str, int, int]]:
    """Name, and seconds since midnight at which it was made and updated."""
    with database.read() as connection:
        rows = connection.execute(select(table.c.name, table.c.created_us, table.c.updated_us).order_by(table.c.name))
        return [
            (name, (made - MIDNIGHT_US) // SECOND_US, (updated - MIDNIGHT_US) // SECOND_US)
            for name, made, updated in rows
        ]


async def test_it_is_a_shelf(database: Database, make: Make) -> None:
    shelf: Shelf = make(database)
    assert await shelf.all() == {}
    await shelf.put({"a": {"path": "/a.gguf"}})
    await shelf.delete("a")
    await shelf.delete("a")
    assert await shelf.all() == {}


async def test_in_the_order_in_which_they_came(database: Database, make: Make, clock: Clock) -> None:
    own = make(database)
    await own.put({"B": {"n": 1}, "a": {"n": 2}, "ä": {"n": 3}})
    clock.now_us += SECOND_US
    await own.put({"0": {"n": 4}, "a": {"n": 5}})
    assert list((await own.all()).items()) == [
        ("B", {"n": 1}),
        ("a", {"n": 5}),
        ("ä", {"n": 3}),
        ("0", {"n": 4}),
    ]
    assert sorted(times(database)) == [("0", 1, 1), ("B", 0, 0), ("a", 0, 1), ("ä", 0, 0)]
    await own.delete("a")
    clock.now_us += SECOND_US
    await own.put({"a": {}})
    assert list(await own.all()) == ["B", "ä", "0", "a"]


async def test_of_one_sidecar_and_of_one_table(database: Database, make: Make) -> None:
    every = [make(database, table, name) for table in (MODELS, SETTINGS) for name in ("box:8001", "other")]
    for number, each in enumerate(every):
        await each.put({"runtime": {"n": number}})
    assert [await each.all() for each in every] == [{"runtime": {"n": number}} for number in range(4)]
    await every[0].delete("runtime")
    assert [len(await each.all()) for each in every] == [0, 1, 1, 1]


async def test_another_run_finds_them(database: Database, make: Make) -> None:
    await make(database).put({"a": {"n": 1}})
    assert await make(database).all() == {"a": {"n": 1}}


TEXTS = ["", "ä", "\N{GRINNING FACE}", "\0", "a\0b", "\ud800", "\u2028", '"\\', "%s :name ?", "'; DROP TABLE models --"]


async def test_any_text_comes_back(database: Database, make: Make) -> None:
    own = make(database)
    document: dict[str, Any] = {"texts": TEXTS, **dict.fromkeys(TEXTS, True)}
    await own.put({"odd": document})
    assert await own.all() == {"odd": document}


async def test_any_value_comes_back(database: Database, make: Make) -> None:
    document: dict[str, Any] = {"none": None, "n": [0, -1, 2**63, 10**30, 0.1, 1e300, True], "deep": {"a": [{"b": {}}]}}
    await make(database).put({"a": document})
    assert await make(database).all() == {"a": document}


async def test_any_name_comes_back(database: Database, make: Make) -> None:
    own = make(database)
    names = ["a/b:c", " ", "A", "a", "ä", "a\N{COMBINING DIAERESIS}", "%s", ":x", "'", "n" * NAME_BYTES, "ä" * 500]
    await own.put({name: {"name": name} for name in names})
    assert await own.all() == {name: {"name": name} for name in names}
    for name in names:
        await own.delete(name)
    assert await own.all() == {}


@pytest.mark.parametrize("name", ["", "a\0", "\ud800", "n" * (NAME_BYTES + 1), "ä" * 501])
async def test_a_name_that_cannot_be_kept(database: Database, make: Make, name: str) -> None:
    own = make(database)
    with pytest.raises(StoreError, match="name"):
        await own.put({"good": {}, name: {}})
    with pytest.raises(StoreError, match="name"):
        await own.delete(name)
    assert await own.all() == {}


def nested(depth: int) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(depth):
        document = {"a": document}
    return document


BAD = [
    pytest.param({"x": float("nan")}, "'bad' cannot be kept: out of range float", id="not a number"),
    pytest.param(
        {"x": "x" * DOCUMENT_BYTES}, "'bad' is too large to be kept: 1,000,009 bytes, of 1,000,000", id="large"
    ),
    pytest.param(nested(100_000), "'bad' cannot be kept: maximum recursion depth", id="deep"),
]


@pytest.mark.parametrize(("document", "reason"), BAD)
async def test_a_document_that_cannot_be_kept(
    database: Database, make: Make, document: dict[str, Any], reason: str
) -> None:
    own = make(database)
    await own.put({"a": {"n": 1}})
    with pytest.raises(StoreError, match=reason):
        await own.put({"a": {"n": 2}, "bad": document, "c": {}})
    assert await own.all() == {"a": {"n": 1}}


async def test_the_largest_document(database: Database, make: Make) -> None:
    document = {"x": "x" * (DOCUMENT_BYTES - len('{"x": ""}'))}
    await make(database).put({"a": document})
    assert await make(database).all() == {"a": document}


async def test_all_of_it_or_nothing(database: Database, make: Make) -> None:
    own = make(database)
    await own.put({"a": {"n": 1}})
    statements = 0

    @event.listens_for(database.writing, "before_cursor_execute")
    def fail(*_: object) -> None:
        nonlocal statements
        statements += 1
        if statements == 3:
            raise StoreError("disk full")

    with pytest.raises(StoreError, match="disk full"):
        await own.put({"a": {"n": 2}, "b": {}, "c": {}})
    assert await own.all() == {"a": {"n": 1}}
    await own.put({"b": {}})
    assert list(await own.all()) == ["a", "b"]


async def test_what_is_changed_after_it_was_given_is_not_kept(database: Database, make: Make) -> None:
    own = make(database)
    document = {"list": [1]}
    putting = asyncio.ensure_future(own.put({"a": document}))
    await asyncio.sleep(0)
    document["list"].append(2)
    await putting
    assert await own.all() == {"a": {"list": [1]}}
