"""What `models` is made of, for those that work with several of these parts at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exporter.models.events import Events
from exporter.models.joined import Joined, Use
from exporter.models.model import Model, ModelsError, UnavailableError, UnknownModelError
from exporter.models.preset_keeper import PresetKeeper
from exporter.models.registry import Registry
from exporter.models.router import AwayError, NoRouterError
from exporter.models.sections import WantedSections
from exporter.models.states import States
from exporter.models.watch import Watch


@dataclass(frozen=True, slots=True)
class Parts:
    """Each is the owner of its own."""

    registry: Registry
    states: States
    keeper: PresetKeeper
    wanted: WantedSections
    watch: Watch
    joined: Joined
    events: Events
    use: Use
    wall: Callable[[], float]

    def model(self, name: str) -> Model:
        """As it is now. Raises UnknownModelError."""
        found = self.joined.get(name)
        if found is None:
            raise UnknownModelError(f"there is no model {name!r}")
        return found

    async def apply(self) -> None:
        """Bring the preset file, and what the router has read of it, up to date. Only under the lock.

        Raises RefusedError when the router does not take it, UnavailableError when it is there and says nothing: then
        it is not known what is loaded, and nothing is written.
        """
        router = self.watch.turn()
        if router is not None and not self.watch.is_present:
            try:
                await self.watch.look()
            except (AwayError, NoRouterError):
                pass  # nothing is loaded
            except ModelsError as error:
                raise UnavailableError(str(error)) from None
        await self.wanted.prepare()
        since = self.states.version
        entries = await self.keeper.apply(self.wanted.all(), router)
        if entries is not None:
            self.states.listed(entries, since)
