"""Documents while the database is slow, or away: a change is made or it is not, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event

from exporter.errors import StoreError
from exporter.store import documents as documents_module
from exporter.store.database import READERS, Database
from exporter.store.documents import Documents
from tests.databases import PostgreSQL

pytestmark = pytest.mark.usefixtures("no_complaints")
LIMIT_SECONDS = 30.0
Make = Callable[..., Documents]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_commit_that_nobody_heard_the_end_of_is_made_again(
    severed: tuple[Database, Callable[[str], None]], make: Make, when: str
) -> None:
    database, cut = severed
    own = make(database)
    await own.put({"a": {"n": 1}})
    cut(when)
    await own.put({"a": {"n": 2}, "b": {}})
    assert await own.all() == {"a": {"n": 2}, "b": {}}
    cut(when)
    await own.delete("a")
    assert await own.all() == {"b": {}}


async def test_a_store_that_is_not_open(tmp_path: Path, make: Make) -> None:
    own = make(Database(f"sqlite:///{tmp_path / 'history.db'}"), is_open=lambda: False)
    for question in (own.all(), own.put({"a": {}}), own.delete("a")):
        with pytest.raises(StoreError, match="not open yet"):
            await question
    assert list(tmp_path.iterdir()) == []


async def test_a_server_that_is_away_and_comes_back(postgresql: PostgreSQL, make: Make) -> None:
    database = Database(postgresql.create(postgresql.migrated))
    own = make(database)
    await own.put({"a": {"n": 1}})
    postgresql.stop("immediate")
    try:
        for question in (own.all(), own.put({"a": {"n": 2}}), own.delete("a")):
            with pytest.raises(StoreError) as caught:
                await question
            assert "\n" not in str(caught.value)
    finally:
        postgresql.start()
    assert await own.all() == {"a": {"n": 1}}
    await own.put({"b": {}})
    assert list(await own.all()) == ["a", "b"]
    database.close()


class Held:
    """The next change waits in its thread, before it is made or while it is committed."""

    def __init__(self, database: Database, name: str) -> None:
        self.begun, self.may_go_on = threading.Event(), threading.Event()

        @event.listens_for(database.writing, name)
        def hold(*_: object) -> None:
            if not self.begun.is_set():
                self.begun.set()
                assert self.may_go_on.wait(LIMIT_SECONDS)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Nobody waits for long from now on."""
    return lambda: monkeypatch.setattr(documents_module, "LIMIT_SECONDS", 0.5)


async def test_who_has_waited_too_long_has_changed_nothing(
    database: Database, make: Make, impatient: Callable[[], None]
) -> None:
    own = make(database)
    await own.put({"before": {}})
    held = Held(database, "before_cursor_execute")
    impatient()
    for name in ("at work", "waiting"):
        with pytest.raises(StoreError, match="does not answer; nothing was changed"):
            await own.put({name: {}})
    assert held.begun.is_set()
    assert await until_free(own, held) == ["before"]


async def test_who_has_waited_too_long_for_a_commit_does_not_know(
    database: Database, make: Make, impatient: Callable[[], None]
) -> None:
    own = make(database)
    await own.put({"before": {}})
    held = Held(database, "commit")
    impatient()
    with pytest.raises(StoreError, match="does not answer; it is not known whether"):
        await own.put({"before": {}, "committed": {}})
    assert await until_free(own, held) == ["before", "committed"]


async def until_free(own: Documents, held: Held) -> list[str]:
    """Names, after all that was begun is over; on a busy machine, to read them may take a while."""
    documents_module.LIMIT_SECONDS = LIMIT_SECONDS
    held.may_go_on.set()
    await asyncio.wrap_future(own._worker.submit(lambda: None))
    return list(await own.all())


async def test_who_leaves_has_changed_nothing(database: Database, make: Make) -> None:
    own = make(database)
    held = Held(database, "before_cursor_execute")
    leaving = [asyncio.ensure_future(own.put({name: {}})) for name in ("at work", "waiting")]
    await asyncio.to_thread(held.begun.wait, LIMIT_SECONDS)
    for task in leaving:
        task.cancel()
    assert [type(each) for each in await asyncio.gather(*leaving, return_exceptions=True)] == [
        asyncio.CancelledError
    ] * 2
    held.may_go_on.set()
    await own.put({"next": {}})
    assert await own.all() == {"next": {}}


async def test_readers_that_are_busy_are_not_waited_for_for_ever(
    database: Database, make: Make, impatient: Callable[[], None]
) -> None:
    own = make(database)
    go_on = threading.Event()
    busy = [asyncio.ensure_future(own._reader.ask(lambda _: go_on.wait(LIMIT_SECONDS))) for _ in range(READERS)]
    await asyncio.sleep(0)
    impatient()
    with pytest.raises(StoreError, match="does not answer"):
        await own.all()
    go_on.set()
    assert await asyncio.gather(*busy) == [True] * READERS
    assert await own.all() == {}
