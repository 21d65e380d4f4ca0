"""What is set while the sidecar runs: all of a change or nothing of it, kept on a shelf, and back after a restart."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from exporter.errors import StoreError
from exporter.models.model import Document, FailedError, InvalidError
from exporter.models.runtime import NAME, Runtime, RuntimeSettings
from exporter.tasks import cancel, spawn
from tests.models.shelves import Board


async def test_a_change_is_in_force_kept_and_told() -> None:
    shelf = Board()
    runtime = Runtime(shelf)
    told: list[tuple[RuntimeSettings, RuntimeSettings]] = []
    runtime.listen(lambda old, new: told.append((old, new)))
    before = runtime.current
    await runtime.change({"metrics_interval_ms": 500, "options": {"temperature": 0.7}})
    assert runtime.current.metrics_interval_ms == 500
    assert runtime.current.options == {"temperature": 0.7}
    assert shelf.documents == {NAME: {"metrics_interval_ms": 500, "options": {"temperature": 0.7}}}
    assert told == [(before, runtime.current)]


async def test_the_same_again_is_no_change() -> None:
    runtime = Runtime(None)
    runtime.listen(lambda old, new: pytest.fail("nothing has changed"))
    await runtime.change({"metrics_interval_ms": 10_000})
    assert runtime.current == RuntimeSettings()
    assert not runtime.is_kept


async def test_of_a_change_that_is_not_valid_nothing_is_done_and_every_field_is_named() -> None:
    runtime = Runtime(None)
    bad: dict[str, Any] = {"metrics_interval_ms": 1, "log_level": "loud", "models_interval_ms": 500, "colour": "red"}
    with pytest.raises(InvalidError) as error:
        await runtime.change(bad)
    assert error.value.fields.keys() == {"metrics_interval_ms", "log_level", "colour"}
    assert runtime.current == RuntimeSettings()


async def test_what_cannot_be_kept_is_not_in_force() -> None:
    shelf = Board()
    runtime = Runtime(shelf)
    shelf.away = True
    with pytest.raises(FailedError, match="disk I/O error"):
        await runtime.change({"load_wait_ms": 5})
    with pytest.raises(StoreError):
        await runtime.restore()
    assert runtime.current == RuntimeSettings()


async def test_of_two_changes_at_once_none_is_lost() -> None:
    class Slow(Board):
        async def put(self, documents: Mapping[str, Document]) -> None:
            await asyncio.sleep(0)
            await super().put(documents)

    runtime = Runtime(Slow())
    await asyncio.gather(runtime.change({"metrics_interval_ms": 500}), runtime.change({"default_model": "tiny"}))
    assert (runtime.current.metrics_interval_ms, runtime.current.default_model) == (500, "tiny")


async def test_a_change_that_nobody_waits_for_is_made_in_the_store_and_here() -> None:
    class Slow(Board):
        async def put(self, documents: Mapping[str, Document]) -> None:
            await super().put(documents)
            await answers.wait()

    answers, shelf = asyncio.Event(), Slow()
    runtime = Runtime(shelf)
    change = spawn(runtime.change({"default_model": "tiny"}), name="change")
    while not shelf.documents:
        await asyncio.sleep(0)
    await cancel(change)
    answers.set()
    await runtime.change({"load_wait_ms": 5})
    assert (runtime.current.default_model, runtime.current.load_wait_ms) == ("tiny", 5)
    assert shelf.documents == {NAME: {"default_model": "tiny", "load_wait_ms": 5}}


async def test_what_does_not_stand_its_trial_is_neither_kept_nor_in_force() -> None:
    @contextlib.asynccontextmanager
    async def fail(new: RuntimeSettings) -> AsyncIterator[None]:
        tried.append(new)
        if new.options:
            raise FailedError("no")
        yield

    shelf, tried = Board(), list[RuntimeSettings]()
    runtime = Runtime(shelf)
    runtime.listen(lambda old, new: pytest.fail("nothing has changed"))
    runtime.trial = fail
    with pytest.raises(FailedError, match="no"):
        await runtime.change({"options": {"top_k": 5}})
    assert (runtime.current, shelf.documents) == (RuntimeSettings(), {})
    assert tried == [RuntimeSettings(options={"top_k": 5})]


async def test_it_is_back_after_a_restart_and_reset_forgets_it() -> None:
    shelf = Board()
    await Runtime(shelf).change({"default_model": "tiny", "max_loaded": 2})
    again = Runtime(shelf)
    await again.restore()
    assert (again.current.default_model, again.current.max_loaded) == ("tiny", 2)
    await again.reset()
    assert again.current == RuntimeSettings()
    later = Runtime(shelf)
    await later.restore()
    assert later.current == RuntimeSettings()


async def test_what_another_version_has_kept_is_taken_up_as_far_as_it_is_valid() -> None:
    runtime = Runtime(Board({NAME: {"models_interval_ms": 2000, "metrics_interval_ms": -1, "unheard_of": True}}))
    await runtime.restore()
    assert runtime.current == RuntimeSettings(models_interval_ms=2000)


async def test_parameters_that_are_not_valid_any_more_are_left_out_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    options = {"temperature": 99, "top_k": 5, "invented_later": [1]}
    runtime = Runtime(Board({NAME: {"default_model": "tiny", "options": options}}))
    await runtime.restore()
    assert runtime.current == RuntimeSettings(default_model="tiny", options={"top_k": 5})
    reason = str(caplog.records[-1].__dict__["reason"])
    assert "temperature" in reason
    assert "invented_later" in reason
