"""Keeps things as they should be without being asked: takes up what an earlier run has kept, and brings the preset file
up to date when a router appears, parameters change, or a model is gone whose section had to wait. `models` runs it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping

from exporter.errors import StoreError
from exporter.models.model import ACTIVE, LOADED, Kind, Registered, Status, UnavailableError
from exporter.models.parts import Parts
from exporter.models.router.router import RefusedError
from exporter.models.runtime import Runtime, RuntimeSettings
from exporter.models.turns import Turns, bit_by_bit

STORE_SECONDS = 0.5
"""Between two tries to read what the store has."""
RETRY_SECONDS = 2.0


class Upkeep:
    """What is done in the background, beside watching the router."""

    def __init__(self, parts: Parts, runtime: Runtime, turns: Turns, tell: Callable[[Kind, str], object]) -> None:
        self.restored = asyncio.Event()
        """It is known what an earlier run has kept."""
        self._parts = parts
        self._runtime = runtime
        self._turns = turns
        self._tell = tell
        self._due = asyncio.Event()
        self._appeared = False
        self._others: dict[str, Status] = {}
        parts.watch.appeared, parts.watch.looked = self._note_router, self._compare_others
        parts.registry.changed_late = self._due.set
        runtime.trial = self._trial
        runtime.listen(self._note_parameters)

    async def run(self) -> None:
        """For ever."""
        if not self.restored.is_set():
            await self._parts.keeper.open()
            await self._restore()
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                async with self._turns.whenever():
                    await self._update()
            except RefusedError:
                pass  # the keeper has told of it; the next change may be taken
            except UnavailableError:
                self._due.set()
                await asyncio.sleep(RETRY_SECONDS)

    def retry(self) -> None:
        """Something could not be put in force now: it is tried again."""
        self._due.set()

    async def apply(self, before: Mapping[str, Registered], changed: Collection[str]) -> None:
        """Put a change of these models in force, now or when the router answers again. Only in one's turn. Raises
        RefusedError when the router does not take it; then they are as `before`."""
        try:
            await self._parts.apply()
        except UnavailableError:
            self._due.set()
        except RefusedError:
            await self._parts.registry.undo(before, changed)
            raise
        except BaseException:
            self._due.set()
            raise

    def note_end(self, name: str) -> None:
        """A model has no process any more, so that its section need not stay as it is."""
        if self._parts.wanted.is_stale(name):
            self._due.set()

    async def _update(self) -> None:
        if self._appeared and self._parts.wanted.lacking():
            self._parts.keeper.doubt()
        self._appeared = False
        await self._parts.apply()

    async def _restore(self) -> None:
        while True:
            try:
                await self._runtime.restore()
                await self._parts.registry.restore()
                break
            except StoreError:
                await asyncio.sleep(STORE_SECONDS)
        self.restored.set()
        await bit_by_bit(self._tell(Kind.CHANGED, name) for name in self._parts.registry.models)
        # As long as no router is seen, it is not known what one may have loaded by what an earlier run has written.
        if self._parts.watch.turn() is not None or not self._parts.keeper.in_force:
            self._due.set()

    def _note_router(self) -> None:
        """A router has appeared, and has read whatever it was started with."""
        self._appeared = True
        if self.restored.is_set():
            self._due.set()

    def _compare_others(self) -> None:
        """Tell of what has become of models of other upstreams, which are sampled."""
        before, self._others = self._others, self._parts.overview.others()
        for name in sorted(before.keys() | self._others.keys()):
            old, new = before.get(name), self._others.get(name)
            if old is not new:
                self._tell(_kind(old, new), name)

    @contextlib.asynccontextmanager
    async def _trial(self, new: RuntimeSettings) -> AsyncIterator[None]:
        """Have the router read other parameters of all models, before they are kept. Raises RefusedError when it does
        not take them, UnavailableError. While no router answers, they are taken as they are."""
        if new.options == self._runtime.current.options or not self.restored.is_set():
            yield
            return
        async with self._turns.soon():
            try:
                with contextlib.suppress(UnavailableError):
                    await self._parts.apply(new.options)
                yield
            except BaseException:
                self._due.set()  # the file may say what is not to be
                raise

    def _note_parameters(self, old: RuntimeSettings, new: RuntimeSettings) -> None:
        if old.options == new.options or not self.restored.is_set():
            return
        self._due.set()
        for name in [state.name for state in self._parts.states if self._parts.wanted.is_outdated(state.name)]:
            self._tell(Kind.CHANGED, name)


def _kind(old: Status | None, new: Status | None) -> Kind:
    if new is Status.LOADING:
        return Kind.LOADING
    if new is Status.ERROR:
        return Kind.FAILED
    if new in LOADED:
        return Kind.LOADED if old is not None and old not in LOADED else Kind.CHANGED
    return Kind.UNLOADED if old in ACTIVE else Kind.CHANGED
