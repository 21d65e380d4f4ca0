"""The list of all models: what is kept of it is never other than what would be made anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from exporter.models import overview as module
from exporter.models.model import Model, Options, Registered, Status
from exporter.models.overview import Overview, Use
from exporter.models.registry import Registry
from exporter.models.router.events import RouterEvent
from exporter.models.router.router import Entry
from exporter.models.router.states import States
from exporter.system.model_facts import ListedModel
from exporter.system.snapshot import LlamaServerSnapshot, ModelState
from tests.models.house import served

A = Registered("a", path="/models/a.Q4_0.gguf", size_bytes=5, training_context_size=8192, options={"n_ctx": 4096})
KNOWN = Registered("known")
"""By the router alone."""


@dataclass
class World:
    """What the list is made of; all of it can be changed at any time."""

    registry: Registry = field(default_factory=lambda: Registry(None))
    home: str | None = None
    servers: dict[str, LlamaServerSnapshot] = field(default_factory=dict)
    in_flight: dict[tuple[str, str], int] = field(default_factory=dict)
    last_used: dict[tuple[str, str], float] = field(default_factory=dict)
    outdated: set[str] = field(default_factory=set)
    for_all: Options = field(default_factory=dict)
    now: float = 0.0
    words: str = "no memory"

    def __post_init__(self) -> None:
        self.states = States(lambda: self.now, lambda: 1e9 + self.now, lambda *_: None, lambda _: self.words)
        self.register(A, KNOWN)

    def register(self, *models: Registered) -> None:
        self.registry.models = {**self.registry.models, **{each.name: each for each in models}}

    def listed(self, *models: ListedModel) -> None:
        self.states.listed({each.id: Entry(each, (), None) for each in models}, self.states.version)

    def hear(self, state: ModelState, after_seconds: float = 0.0, **said: Any) -> None:
        self.now += after_seconds
        self.states.heard(RouterEvent("a", state, **said))

    def load_again(self, begin: float, end: float, words: str | None = None) -> None:
        """At these times; with `words` it fails."""
        self.hear(ModelState.UNLOADED, exit_code=0)
        self.now = begin
        self.hear(ModelState.LOADING)
        self.now, self.words = end, words or self.words
        self.hear(ModelState.LOADED if words is None else ModelState.UNLOADED, exit_code=None if words is None else 1)

    def look(self) -> Overview:
        return Overview(
            self.registry,
            self.states,
            home=lambda: self.home,
            servers=lambda: self.servers,
            use=Use(lambda: self.in_flight, lambda upstream, name: self.last_used.get((upstream, name))),
            is_outdated=self.outdated.__contains__,
            for_all=lambda: self.for_all,
            clock=lambda: self.now,
            wall=lambda: 1e9 + self.now,
        )


def changes(world: World) -> list[Callable[[], None]]:
    """Each of these is seen in the list, in this order."""
    known, away = ListedModel("known", state=ModelState.UNLOADED), ListedModel("a", state=ModelState.UNLOADED)
    return [
        lambda: setattr(world, "home", "engine"),
        lambda: world.register(replace(A, description="new")),
        lambda: setattr(world, "for_all", {"parallel": 2}),
        lambda: world.listed(away, known),
        lambda: world.listed(away, replace(known, path="/cache/known.gguf")),
        lambda: world.listed(away, replace(known, path="/cache/known.gguf", file_type="Q8_0")),
        lambda: world.last_used.update({("engine", "a"): 7.0}),
        lambda: world.in_flight.update({("engine", "a"): 1}),
        lambda: setattr(world, "now", 5.0),
        world.in_flight.clear,
        lambda: world.hear(ModelState.LOADING),
        lambda: world.hear(ModelState.LOADING, progress=0.5),
        lambda: world.hear(ModelState.LOADING, progress=0.5, stage="text_model"),
        lambda: world.hear(ModelState.LOADED, after_seconds=4.0, info=ListedModel("a", context_size=512)),
        lambda: world.outdated.add("a"),
        lambda: world.listed(replace(away, state=ModelState.LOADED, context_size=512, size_bytes=9), known),
        lambda: world.load_again(10.0, 13.0),
        lambda: world.load_again(11.0, 14.0),
        lambda: world.load_again(12.0, 14.0),
        lambda: world.hear(ModelState.SLEEPING),
        lambda: world.hear(ModelState.UNLOADED, exit_code=0),
        lambda: world.hear(ModelState.LOADING),
        lambda: setattr(world, "now", 15.0),
        lambda: world.hear(ModelState.UNLOADED, exit_code=1),
        lambda: world.load_again(16.0, 17.0, words="no file"),
        lambda: world.servers.update(served()),
        world.servers.clear,
        lambda: setattr(world.registry, "models", {"known": KNOWN}),
        lambda: world.register(replace(A, path="/models/other.gguf")),
    ]


def test_whatever_changes_the_list_is_as_though_it_were_made_anew() -> None:
    world = World()
    kept, before = world.look(), list[Model]()
    for number, change in enumerate([lambda: None, *changes(world)]):
        change()
        now = kept.all()
        assert now == world.look().all(), number
        assert [kept.get(each.name) for each in now] == now, number
        assert now != before, number
        before = now


def test_models_are_made_anew_only_when_something_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    world, made, make = World(home="engine"), [], module._model

    def count(basis: module.Basis) -> Model:
        made.append(basis.name)
        return make(basis)

    monkeypatch.setattr(module, "_model", count)
    overview, listed = world.look(), [ListedModel(name, state=ModelState.UNLOADED) for name in ("a", "known")]
    world.listed(*listed)
    overview.all()
    assert made == ["a", "known"]
    world.listed(*(replace(each) for each in listed))  # as the next look at the router's list has it
    world.now, world.for_all = 10.0, {}
    assert overview.get("a") is overview.all()[0]
    assert made == ["a", "known"]
    world.register(replace(A, description="new"))
    overview.all()
    assert made == ["a", "known", "a"]


def test_nothing_is_kept_of_models_that_are_gone() -> None:
    world = World()
    overview = world.look()
    for number in range(10):
        world.registry.models = {f"m{number}": Registered(f"m{number}")}
        assert [each.status for each in overview.all()] == [Status.STOPPED]
    assert list(overview._made[1]) == ["m9"]
