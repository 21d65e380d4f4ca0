"""What `models` is made of, for those that work with several of these parts at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exporter.models.events import Events
from exporter.models.model import Model, ModelsError, Options, UnavailableError, UnknownModelError
from exporter.models.overview import Overview, Use
from exporter.models.preset.keeper import PresetKeeper, Sections
from exporter.models.registry import Registry
from exporter.models.router.router import AwayError, NoRouterError, Router
from exporter.models.router.states import States
from exporter.models.router.watch import SURE_SECONDS, Watch
from exporter.models.sections import WantedSections


class WaitingError(UnavailableError):
    """A model without a process is asked for something: its new options have to wait."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Each is the owner of its own."""

    registry: Registry
    states: States
    keeper: PresetKeeper
    wanted: WantedSections
    watch: Watch
    overview: Overview
    events: Events
    use: Use
    wall: Callable[[], float]

    def model(self, name: str) -> Model:
        """As it is now. Raises UnknownModelError."""
        found = self.overview.get(name)
        if found is None:
            raise UnknownModelError(f"there is no model {name!r}")
        return found

    def is_there(self, name: str) -> bool:
        """Whether there is such a model: registered, at another upstream, or one that the router has by itself. While
        that is away, it is not asked what it would have had of us."""
        state = self.states.get(name)
        own = state is not None and state.entry is not None and state.entry.source not in ("preset", None)
        return own or name in self.registry or name in self.overview.others()

    def requests(self, name: str) -> int:
        """Requests of ours that the model is answering at the home, by whichever of its names it was asked for."""
        home, state = self.watch.home, self.states.get(name)
        if home is None:
            return 0
        names = {name, *(state.aliases if state is not None else ())}
        asked = self.use.in_flight()
        return sum(asked.get((home.name, each), 0) for each in names)

    def check_open(self) -> None:
        """Raises UnavailableError as long as it is not known what an earlier run has kept, and written."""
        self.registry.check_open()
        self.keeper.check_open()

    async def apply(self, for_all: Options | None = None) -> None:
        """Bring the preset file, and what the router has read of it, up to date; with other parameters of all models
        than those in force, where these are given. Only in one's turn.

        Raises RefusedError when the router does not take it, UnavailableError when it is there and says nothing: then
        it is not known what is loaded, and nothing is written; the same as long as nothing is restored. WaitingError
        when all is done that can be done without cutting requests, and something is left to do.
        """
        self.check_open()
        router = self.watch.turn()
        if router is not None:
            await self.see(router, SURE_SECONDS)
        await self.wanted.prepare(for_all)
        applying = _Applying(self, router, for_all)
        await self.keeper.apply(applying)
        applying.check_waiting()

    async def see(self, router: Router, within_seconds: float | None = None) -> None:
        """See what the router holds; unless that was done `within_seconds`. Raises UnavailableError where that cannot
        be seen."""
        watch = self.watch
        try:
            found = await (watch.look() if within_seconds is None else watch.confirm(within_seconds))
        except (AwayError, NoRouterError):
            return  # nothing is loaded
        except ModelsError as error:
            raise UnavailableError(str(error)) from None
        if found is not router:
            raise UnavailableError("another llama-server has taken the place of the one that loads models")


class _Applying:
    """What the keeper needs to know, and to have done, for one `apply`."""

    def __init__(self, parts: Parts, router: Router | None, for_all: Options | None) -> None:
        self._parts = parts
        self._router = router
        self._for_all = for_all

    @property
    def has_router(self) -> bool:
        return self._router is not None

    def all(self) -> Sections:
        return self.keep(self._parts.wanted.all(self._for_all))

    def keep(self, sections: Sections) -> Sections:
        return self._parts.wanted.keep(sections, self._parts.requests)

    async def look(self) -> None:
        if self._router is not None:
            await self._parts.see(self._router)

    async def read(self) -> None:
        if self._router is not None:
            states, since = self._parts.states, self._parts.states.version
            states.listed(await self._router.reload(), since)

    def check_waiting(self) -> None:
        """Raises WaitingError for a model whose end nobody will tell of, as it has no process."""
        wanted = self._parts.wanted.all(self._for_all)
        for name, section in self.keep(wanted).items():
            state = self._parts.states.get(name)
            if section != wanted.get(name) and state is not None and not state.held:
                raise WaitingError(f"{name} is in use: it gets its new options later")
