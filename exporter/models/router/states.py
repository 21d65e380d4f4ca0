"""What the models of the home router are doing, as its events and its lists say: the one owner of their states.

`watch` feeds it, `loading` says what was asked for, `overview` reads it. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from exporter.models.model import LOADED, Kind, Status
from exporter.models.router.events import RouterEvent
from exporter.models.router.router import Entry
from exporter.models.router.state import WORDS, State
from exporter.system.model_facts import ListedModel
from exporter.system.snapshot import ModelState

UNLOAD_SECONDS = 60.0
"""For so long a model that is listed as loaded is believed to be on its way out, when it was told to go."""
NO_REASON = "llama-server could not load it; its log says why"
INTERRUPTED = "llama-server ended while it was loading"
DIED = "its process has died"


class States:
    """All models of one router."""

    def __init__(
        self,
        clock: Callable[[], float],
        wall: Callable[[], float],
        tell: Callable[[Kind, str], object],
        last_words: Callable[[str], str | None] = lambda name: None,
    ) -> None:
        """`tell` hears of everything that happens, when it has happened. `last_words` is what the process of a model
        last said of what went wrong."""
        self._clock = clock
        self._wall = wall
        self._tell = tell
        self._last_words = last_words
        self._by_name: dict[str, State] = {}
        self._by_alias: dict[str, State] | None = None
        """Made when it is asked for."""
        self.version = 0

    def get(self, name: str) -> State | None:
        """What is known of a model of that very name."""
        return self._by_name.get(name)

    def find(self, name: str) -> State | None:
        """The same, also by one of its other names."""
        if (state := self._by_name.get(name)) is not None:
            return state
        if self._by_alias is None:
            aliases = [(alias, state) for state in self for alias in state.aliases]
            self._by_alias = dict(reversed(aliases))
        return self._by_alias.get(name)

    def __iter__(self) -> Iterator[State]:
        return iter(self._by_name.values())

    def loading(self) -> State | None:
        """A model that is being loaded."""
        return next((state for state in self if state.status is Status.LOADING), None)

    def heard(self, event: RouterEvent) -> bool:
        """Take up an event. False when it leaves open how things are: a list must say."""
        if event.model is None or event.state is None:
            return False
        state = self._by_name.get(event.model)
        if state is None:
            state = self._by_name[event.model] = State(event.model)
        if event.state is ModelState.UNLOADED:
            return self._heard_of_an_end(state, failed=bool(event.exit_code))
        if state.status is Status.UNLOADING:
            return True  # said before it was told to go
        if event.state is ModelState.LOADING:
            if state.status is Status.RUNNING:
                return False  # a list has said already how that ended, or we have missed an end
            self._load(state, event)
        elif event.state in (ModelState.LOADED, ModelState.SLEEPING):
            state.info = event.info or state.info
            self._hold(state, WORDS[event.state])
        return True

    def listed(self, entries: Mapping[str, Entry], since: int) -> None:
        """Take up a list that was asked for when `version` was `since`: of what has changed meanwhile it may be too
        old to know."""
        for name in [name for name in self._by_name if name not in entries]:
            self._miss(self._by_name[name], since)
        for name, entry in entries.items():
            state = self._by_name.get(name)
            if state is None:
                self._meet(entry)
            else:
                state.entry, self._by_alias = entry, None
                if state.version <= since and not state.asking:
                    self._look(state, entry.listed)

    def away(self) -> None:
        """The router is gone, and whatever it had loaded."""
        for state in self:
            if state.status is Status.LOADING:
                self._end(state, INTERRUPTED)
            elif state.held:
                self._end(state)

    def forget(self) -> None:
        """It is another router from now on."""
        gone, self._by_name, self._by_alias = self._by_name, {}, None
        for state in gone.values():
            self._tell(Kind.UNLOADED if state.held else Kind.CHANGED, state.name)

    def asked_to_load(self, name: str) -> State:
        """We are about to tell the router to load it."""
        state = self._by_name.setdefault(name, State(name))
        state.asking = True
        self._begin(state)
        self._tell(Kind.LOADING, name)
        return state

    def answered(self, state: State, *, begun: bool) -> None:
        """The router has taken that, or not."""
        state.asking = False
        if begun:
            self._touch(state)
        elif state.status is Status.LOADING:
            self._end(state)

    def asked_to_unload(self, state: State) -> None:
        """We are about to tell the router to unload it."""
        state.dismissed = True
        self._set(state, Status.UNLOADING)
        self._tell(Kind.CHANGED, state.name)

    def stays(self, state: State, status: Status) -> None:
        """It was not unloaded after all."""
        state.dismissed = False
        if state.status is Status.UNLOADING:
            self._set(state, status)
            self._tell(Kind.CHANGED, state.name)

    def _heard_of_an_end(self, state: State, *, failed: bool) -> bool:
        if state.status is Status.LOADING and not state.spawned:
            return False  # that of the process before it, or we have not listened
        if state.held:
            self._end(state, self._reason(state) if failed and not state.dismissed else None)
        elif failed and state.status is Status.STOPPED and not state.dismissed:
            self._end(state, self._reason(state))
        return True

    def _load(self, state: State, event: RouterEvent) -> None:
        begins = state.status is not Status.LOADING
        if begins:
            self._begin(state)
        state.spawned = True
        moved = event.progress is not None and (event.share, event.stage) != (state.progress, state.stage)
        if moved:
            state.progress, state.stage = event.share, event.stage
        if begins or moved:
            self._touch(state)
            self._tell(Kind.LOADING, state.name)

    def _begin(self, state: State) -> None:
        state.progress, state.stage, state.error, state.info = None, None, None, None
        state.loaded_at, state.loading_since = None, self._clock()
        state.spawned, state.dismissed = False, False
        self._set(state, Status.LOADING)

    def _hold(self, state: State, status: Status) -> None:
        """It is loaded, awake or asleep."""
        if state.status is status:
            return
        was_held, loaded = state.status in LOADED, state.status is Status.LOADING
        if loaded and state.loading_since is not None:
            state.load_seconds = self._clock() - state.loading_since
        if not was_held:
            state.loaded_at, state.error = self._wall(), None
        self._set(state, status)
        self._tell(Kind.CHANGED if was_held else Kind.LOADED, state.name)

    def _end(self, state: State, error: str | None = None) -> None:
        """It has no process any more."""
        state.info, state.loaded_at, state.error = None, None, error
        self._set(state, Status.STOPPED if error is None else Status.ERROR)
        self._tell(Kind.UNLOADED if error is None else Kind.FAILED, state.name)

    def _meet(self, entry: Entry) -> None:
        """Its first time in a list: what is true of it now may be so for long."""
        state = self._by_name[entry.id] = State(entry.id, entry=entry)
        self._by_alias = None
        if entry.listed.state is ModelState.FAILED:
            state.error = self._last_words(entry.id) or NO_REASON
        self._set(state, WORDS[entry.listed.state])
        state.info = entry.listed if state.status in LOADED else None
        self._tell(Kind.CHANGED, state.name)

    def _look(self, state: State, listed: ListedModel) -> None:
        status = WORDS[listed.state]
        if state.status is Status.UNLOADING and status in (Status.LOADING, Status.RUNNING, Status.IDLE):
            if self._clock() - state.changed_at < UNLOAD_SECONDS:
                return
            state.dismissed = False
        if status in (Status.RUNNING, Status.IDLE):
            state.info = listed
            self._hold(state, status)
        elif status is Status.LOADING and state.status is not Status.LOADING:
            self._begin(state)
            self._tell(Kind.LOADING, state.name)
        elif status is Status.STOPPED and state.held:
            interrupted = state.status is Status.LOADING and not state.dismissed
            self._end(state, INTERRUPTED if interrupted else None)
        elif status is Status.ERROR and state.status is not Status.ERROR and (state.held or not state.dismissed):
            self._end(state, None if state.dismissed else self._reason(state))

    def _miss(self, state: State, since: int) -> None:
        """It is listed no longer."""
        if state.version <= since and not state.asking:
            del self._by_name[state.name]
            self._by_alias = None
            self._tell(Kind.UNLOADED if state.held else Kind.CHANGED, state.name)

    def _reason(self, state: State) -> str:
        return DIED if state.status in LOADED else self._last_words(state.name) or NO_REASON

    def _set(self, state: State, status: Status) -> None:
        state.status = status
        if status is not Status.LOADING:
            state.progress, state.stage, state.loading_since = None, None, None
        self._touch(state)

    def _touch(self, state: State) -> None:
        self.version += 1
        state.version, state.changed_at = self.version, self._clock()
