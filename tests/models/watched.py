"""States of a router's models with a clock that is set, for tests."""

from __future__ import annotations

from exporter.models.model import Kind
from exporter.models.router.events import RouterEvent
from exporter.models.router.router import Entry
from exporter.models.router.state import State
from exporter.models.router.states import States
from exporter.system.model_facts import ListedModel
from exporter.system.snapshot import ModelState


class Watched:
    """States with a clock that is set, and what they have told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[Kind] = []
        self.words: dict[str, str] = {}
        self.states = States(
            lambda: self.now, lambda: 1e9 + self.now, lambda kind, name: self.told.append(kind), self.words.get
        )

    def hear(self, state: ModelState, **fields: object) -> bool:
        return self.states.heard(RouterEvent("a", state, **fields))  # type: ignore[arg-type]

    def show(self, *states: ModelState, since: int | None = None) -> None:
        """The model `a` in this state, or none."""
        entries = dict(zip("a", map(entry, states), strict=False))
        self.states.listed(entries, self.states.version if since is None else since)

    @property
    def a(self) -> State:
        state = self.states.get("a")
        assert state is not None
        return state

    def take(self) -> list[Kind]:
        told, self.told[:] = list(self.told), []
        return told


def entry(state: ModelState) -> Entry:
    return Entry(ListedModel("a", ("other",), state, context_size=512), (), "preset")
