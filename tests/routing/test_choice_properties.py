"""What holds of every choice, whatever the servers, their state, the request and the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product, starmap
from math import inf
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from exporter.record import Complexity, RoutingReason
from exporter.routing.backend import Backend, Candidate
from exporter.routing.choice import (
    ASSUMED_SLOTS,
    Choice,
    NoneAvailableError,
    Policy,
    Standing,
    UnknownTierError,
    choose,
    choose_other,
)
from exporter.routing.health import Condition
from exporter.routing.layout import Layout
from exporter.routing.request import Request
from exporter.routing.upstream import Upstream
from exporter.settings.routing import UNKNOWN_TIER
from tests.routing.layouts import ask, ask_other, layout, model, upstream

TIERS = ("Q2", "Q3", "Q4", "Q8", "large", UNKNOWN_TIER)
NAMES = ("small", "big", "coder")
SOME_NAMES = tuple(frozenset(names) for size in range(4) for names in combinations(NAMES, size))
DOWN = Condition.DOWN

# All that may be told of a backend, and of how it does, in one draw each: examples are made several times as fast.
KNOWN = (None, True, False)
ABILITIES = tuple(product((None, 512, 8192), KNOWN, KNOWN, KNOWN))
STATES = ((True, False), (True, True), (False, False))
FACTS = tuple(product(TIERS, (None, 1, 2, 4), STATES, ABILITIES))
all_facts = st.sampled_from(FACTS)
all_contents = st.sampled_from(tuple(product((10, 1000), (False, True), (False, True), (False, True))))
all_standings = st.sampled_from(tuple(starmap(Standing, product(Condition, range(6), range(6)))))

few = settings(max_examples=100, deadline=None)


@dataclass(frozen=True)
class World:
    """All that a choice depends on."""

    layout: Layout
    standings: Mapping[str, Standing]
    policy: Policy
    cached_at: Mapping[str, str]
    level: Complexity
    request: Request

    def choose(self) -> Choice:
        return choose(self.request, self.level, self.layout, self.standings, self.policy, favourite=self.cached_at.get)


@st.composite
def backends_of(draw: st.DrawFn, of: Upstream, models: int) -> list[Backend]:
    """Those of a router, which knows no two models by the same name; or one that is no router's, for no `models`."""
    taken: frozenset[str] = frozenset()
    made = []
    for number in range(max(models, 1)):
        names = draw(st.sampled_from([each for each in SOME_NAMES if not each & taken]))
        taken |= names
        tier, slots, (loaded, asleep), (context, vision, audio, tools) = draw(all_facts)
        facts: dict[str, Any] = {"vision": vision, "audio": audio, "tools": tools, "asleep": asleep}
        facts |= {"slots": slots, "context_size": context}
        if models:
            made.append(model(of, f"{of.name}-{number}", tier, *names, loaded=loaded, **facts))
        else:
            made.append(Backend(of.name, of, tier=tier, names=names, **facts))
    return made


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """1 to 6 models on 1 to 4 upstreams."""
    backends: list[Backend] = []
    for number in range(draw(st.integers(1, 4))):
        of = upstream(f"u{number}", weight=draw(st.sampled_from((1.0, 0.5, 3.0))))
        backends += draw(backends_of(of, draw(st.integers(0, 3))))
    levels = {level: draw(st.sampled_from(("Q2", "Q3", "Q4", "nobody's"))) for level in Complexity}
    return layout(*backends[:6], tier_of_level=levels)


@st.composite
def worlds(draw: st.DrawFn, others: bool = False) -> World:
    """With a request for text, or with one of the `others`. It names no tier that nobody has."""
    at = draw(layouts())
    tier = draw(st.sampled_from((None, None, *at.tiers)))
    named = draw(st.sampled_from((None, "auto", *NAMES, "u0-0", "nobody's")))
    if others:
        operation = draw(st.sampled_from(("embeddings", "rerank", "tokenize", "other")))
        request = ask_other(operation, named, tier=tier)
    else:
        tokens, images, audio, tools = draw(all_contents)
        request = ask(named, tier=tier, tokens=tokens, images=images, audio=audio, tools=tools)
    places = {tier: [each.id for each in at.backends if each.tier == tier] for tier in at.tiers}
    return World(
        layout=at,
        standings={backend.id: draw(all_standings) for backend in at.members},
        policy=draw(policies),
        cached_at={tier: draw(st.sampled_from((*ids, "gone"))) for tier, ids in places.items()},
        level=draw(st.sampled_from(Complexity)),
        request=request,
    )


policies = st.builds(
    Policy,
    aliases=st.sampled_from((frozenset(("auto",)), frozenset(("auto", "small")))),
    fallback=st.sampled_from(("any", "tier", "off")),
    load_models=st.booleans(),
)


# The rules once more, in the plainest form


def serving(world: World) -> list[Backend]:
    """Who answers to the model that the client named."""
    name = world.request.model
    if name is None or name in world.policy.aliases:
        return []
    return [backend for backend in world.layout.backends if name in backend.names]


def pool(world: World) -> list[Backend]:
    """R1, and the first half of R3."""
    request, named, every = world.request, serving(world), world.layout.backends
    if request.tier is not None:
        tier = [backend for backend in every if backend.tier == request.tier]
        preferred = [backend for backend in tier if backend in named] or tier
        return fitting(request, preferred if any(fits(request, each) for each in preferred) else every)
    if named or request.model is None or request.model in world.policy.aliases:
        return fitting(request, named or every)
    plain = [backend for backend in every if backend.routed_model is None]
    return fitting(request, plain or world.layout.doors)


def fitting(request: Request, backends: Sequence[Backend]) -> list[Backend]:
    """Those that can take it; else those of the longest context that take what is in it; else all."""
    longest = max((backend.context_size or 0 for backend in backends), default=0)
    return (
        [backend for backend in backends if fits(request, backend)]
        or [backend for backend in backends if takes(request, backend) and (backend.context_size or 0) == longest]
        or list(backends)
    )


def wanted_tier(world: World) -> str:
    """R2, and the second half of R3: the first tier of the pool, as seen from where the request belongs."""
    belongs = world.request.tier or world.layout.tier_of_level[world.level]
    return world.layout.order.resolve(belongs, [backend.tier for backend in pool(world)])


def takes(request: Request, backend: Backend) -> bool:
    return not (
        (request.images and backend.vision is False)
        or (request.audio and backend.audio is False)
        or (request.tools and backend.tools is False)
    )


def fits(request: Request, backend: Backend) -> bool:
    return takes(request, backend) and (backend.context_size is None or backend.context_size > request.prompt_tokens)


def able(world: World, backend: Backend) -> bool:
    """R4."""
    well = world.standings[backend.id].condition is not DOWN
    return well and (backend.loaded or backend in serving(world) or world.policy.load_models)


def key(world: World, backend: Backend) -> tuple[object, ...]:
    """R5 but for the configured order; smaller is better."""
    wanted = wanted_tier(world)
    tiers = world.layout.order.fallback_order(wanted, [each.tier for each in world.layout.members])
    condition, in_flight, begun = world.standings[backend.id]
    slots, weight = backend.slots or ASSUMED_SLOTS, backend.upstream.weight
    return (
        backend not in pool(world),
        tiers.index(backend.tier),
        condition,
        backend.asleep or not backend.loaded,
        in_flight >= slots,
        not (world.cached_at.get(backend.tier) == backend.id and in_flight < slots),
        in_flight / (slots * weight),
        begun / weight,
    )


def chosen(world: World) -> list[Backend]:
    """Empty where nobody is able."""
    try:
        return [candidate.backend for candidate in world.choose().candidates]
    except NoneAvailableError:
        return []


def groups(world: World, backends: Sequence[Backend]) -> list[list[Backend]]:
    """Those that the request belongs to, and the others."""
    pooled = pool(world)
    return [[each for each in backends if (each in pooled) is inside] for inside in (True, False)]


def tiers_of(backends: Sequence[Backend]) -> list[str]:
    """Each once, in the order in which they come first."""
    return list(dict.fromkeys(backend.tier for backend in backends))


class TestWho:
    @few
    @given(worlds())
    def test_only_who_is_able_and_nobody_twice(self, world: World) -> None:
        backends = chosen(world)
        assert all(able(world, backend) for backend in backends)
        assert len({backend.id for backend in backends}) == len(backends)

    @few
    @given(worlds())
    def test_nobody_exactly_when_nobody_is_able(self, world: World) -> None:
        pooled = pool(world)
        if world.policy.fallback != "any":
            belonging = [each for each in pooled if each.tier == wanted_tier(world)]
        elif set(pooled) <= set(world.layout.backends):
            belonging = [*pooled, *fitting(world.request, world.layout.backends)]
        else:
            belonging = pooled
        event("somebody" if chosen(world) else "nobody")
        if world.policy.fallback == "tier":
            belonging += [each for each in chosen(world) if each.tier == wanted_tier(world)]
        assert bool(chosen(world)) is any(able(world, each) for each in belonging)

    @few
    @given(worlds())
    def test_what_the_server_is_asked_for(self, world: World) -> None:
        assume(chosen(world))
        for backend, asked_for in ((each.backend, each.model) for each in world.choose().candidates):
            rewritten = backend.routed_model is not None and world.request.model not in backend.names
            assert asked_for == (backend.routed_model if rewritten else None)

    @few
    @given(worlds())
    def test_the_setting_takes_away_from_the_end_alone(self, world: World) -> None:
        every, tier, off = (
            chosen(replace(world, policy=replace(world.policy, fallback=each))) for each in ("any", "tier", "off")
        )
        assert tier == [backend for backend in every if backend.tier == wanted_tier(world)]
        assert off == [backend for backend in tier if backend in pool(world)][:1]


class TestOrder:
    @few
    @given(worlds())
    def test_by_all_rules_at_once(self, world: World) -> None:
        configured = [*world.layout.backends, *world.layout.doors]
        keys = [(*key(world, backend), configured.index(backend)) for backend in chosen(world)]
        assert keys == sorted(keys)

    @few
    @given(worlds())
    def test_ready_before_unknown_within_group_and_tier(self, world: World) -> None:
        for group in groups(world, chosen(world)):
            for tier in tiers_of(group):
                conditions = [world.standings[each.id].condition for each in group if each.tier == tier]
                assert conditions == sorted(conditions)

    @few
    @given(worlds())
    def test_the_wanted_tier_then_more_capable_ones_then_cheaper_ones(self, world: World) -> None:
        wanted, rank = wanted_tier(world), world.layout.order.rank
        for group in groups(world, chosen(world)):
            tiers = [tier for tier in tiers_of(group) if tier != wanted]
            assert tiers_of(group) == [wanted] * (wanted in tiers_of(group)) + tiers
            above = sorted((tier for tier in tiers if rank(wanted) < rank(tier) < inf), key=rank)
            below = sorted((tier for tier in tiers if rank(tier) < rank(wanted)), key=rank, reverse=True)
            assert tiers == [*above, *below, *(tier for tier in tiers if tier == UNKNOWN_TIER)]

    @few
    @given(worlds())
    def test_those_that_the_request_belongs_to_go_first(self, world: World) -> None:
        backends = chosen(world)
        assert backends == [backend for group in groups(world, backends) for backend in group]

    @few
    @given(worlds())
    def test_never_one_that_does_not_fit_before_one_that_does(self, world: World) -> None:
        for group in groups(world, chosen(world)):
            unfit = [not fits(world.request, each) for each in group]
            assert unfit == sorted(unfit)

    @few
    @given(worlds(), st.data())
    def test_configured_order_decides_on_ties_alone(self, world: World, data: st.DataObject) -> None:
        shuffled = data.draw(st.permutations(world.layout.backends))
        turned = replace(world, layout=layout(*shuffled, tier_of_level=world.layout.tier_of_level))
        before, after = chosen(world), chosen(turned)
        assert [key(world, backend) for backend in after] == [key(world, backend) for backend in before]
        if world.policy.fallback != "off":
            assert {backend.id for backend in after} == {backend.id for backend in before}


class TestOutcome:
    @few
    @given(worlds())
    def test_the_same_for_the_same(self, world: World) -> None:
        turned = replace(world, standings=dict(reversed([*world.standings.items()])))
        assert outcome(world) == outcome(world) == outcome(turned)

    @few
    @given(worlds())
    def test_wanted_tier_reason_and_flag(self, world: World) -> None:
        backends = chosen(world)
        assume(backends)
        choice = world.choose()
        assert choice.wanted_tier == wanted_tier(world)
        assert choice.fallback is (backends[0].tier != choice.wanted_tier or backends[0] not in pool(world))
        if world.request.tier is not None:
            assert choice.reason is RoutingReason.TIER
        else:
            assert choice.reason is (RoutingReason.MODEL if serving(world) else RoutingReason.COMPLEXITY)

    @few
    @given(worlds(), st.sampled_from(("Q9", *TIERS)))
    def test_a_tier_that_nobody_has_and_that_is_not_configured(self, world: World, tier: str) -> None:
        assume(tier not in world.layout.tiers and tier not in world.layout.order.names)
        with pytest.raises(UnknownTierError) as caught:
            replace(world, request=ask(world.request.model, tier=tier)).choose()
        assert all(each in str(caught.value) for each in (tier, *world.layout.tiers))


def outcome(world: World) -> Choice | None:
    try:
        return world.choose()
    except NoneAvailableError:
        return None


class TestOthers:
    """Requests that generate no text."""

    @staticmethod
    def chosen(world: World) -> list[Candidate]:
        try:
            return list(choose_other(world.request, world.layout, world.standings, world.policy))
        except NoneAvailableError:
            return []

    @few
    @given(worlds(others=True))
    def test_nobody_who_is_down_and_nobody_twice(self, world: World) -> None:
        ids = [candidate.backend.id for candidate in self.chosen(world)]
        assert len(set(ids)) == len(ids)
        assert all(world.standings[each].condition is not DOWN for each in ids)

    @few
    @given(worlds(others=True))
    def test_never_has_a_model_loaded_that_the_client_did_not_name(self, world: World) -> None:
        for candidate in self.chosen(world):
            if candidate.model is not None:
                assert candidate.backend.loaded or world.policy.load_models

    @few
    @given(worlds(others=True))
    def test_never_another_model(self, world: World) -> None:
        named, candidates = serving(world), self.chosen(world)
        assume(named)
        assert all(candidate.backend in named and candidate.model is None for candidate in candidates)

    @few
    @given(worlds(others=True))
    def test_nobody_exactly_when_nobody_is_able(self, world: World) -> None:
        assume(world.request.tier is None)
        belonging = serving(world) or world.layout.doors[: 1 if world.request.inference else None]
        assert bool(self.chosen(world)) is any(able(world, backend) for backend in belonging)

    @few
    @given(worlds(others=True))
    def test_ready_before_unknown_then_configured_order_where_no_model_runs(self, world: World) -> None:
        ids = [candidate.backend.id for candidate in self.chosen(world)]
        conditions = [world.standings[each].condition for each in ids]
        assert conditions == sorted(conditions)
        if not world.request.inference and world.request.tier is None:
            pooled = [backend.id for backend in serving(world) or world.layout.doors]
            assert ids == sorted(ids, key=lambda each: (world.standings[each].condition, pooled.index(each)))

    @few
    @given(worlds(others=True))
    def test_the_body_is_changed_for_an_alias_alone(self, world: World) -> None:
        if world.request.model not in world.policy.aliases:
            assert all(candidate.model is None for candidate in self.chosen(world))

    @few
    @given(worlds(others=True))
    def test_the_same_for_the_same(self, world: World) -> None:
        turned = replace(world, standings=dict(reversed([*world.standings.items()])))
        assert self.chosen(world) == self.chosen(world) == self.chosen(turned)
