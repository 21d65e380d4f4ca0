"""Where requests go, rule by rule, on three tiers: `box` is a router with a Q2 and a Q4 model; `left` and `right`
serve Q3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from exporter.record import Complexity, RoutingReason
from exporter.routing.backend import Backend
from exporter.routing.choice import (
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
from tests.routing.layouts import ask, ask_other, change, layout, model, read, server, upstream

SIMPLE, MODERATE, COMPLEX = Complexity
READY, UNKNOWN, DOWN = Condition

BOX = upstream("box")
SMALL = model(BOX, "small", "Q2")
LARGE = model(BOX, "large", "Q4", "best")
LEFT = server("left", "Q3", "medium")
RIGHT = server("right", "Q3", "medium")
USUAL = layout(SMALL, LARGE, LEFT, RIGHT)
DEFAULT_POLICY = Policy()

Changes = Mapping[str, Mapping[str, Any]]


def standing(
    conditions: Mapping[str, Condition] | None = None,
    in_flight: Mapping[str, int] | None = None,
    begun: Mapping[str, int] | None = None,
    at: Layout = USUAL,
) -> dict[str, Standing]:
    """By upstream name (conditions) or backend id; the others are ready and idle."""
    conditions, in_flight, begun = conditions or {}, in_flight or {}, begun or {}
    return {
        backend.id: Standing(
            conditions.get(backend.id, conditions.get(backend.upstream.name, READY)),
            in_flight.get(backend.id, 0),
            begun.get(backend.id, 0),
        )
        for backend in at.members
    }


def pick(
    request: Request,
    level: Complexity = MODERATE,
    *,
    at: Layout = USUAL,
    conditions: Mapping[str, Condition] | None = None,
    in_flight: Mapping[str, int] | None = None,
    begun: Mapping[str, int] | None = None,
    policy: Policy = DEFAULT_POLICY,
    cached_at: Mapping[str, str] | None = None,
) -> Choice:
    """`cached_at`: who has the conversation, by tier."""
    standings = standing(conditions, in_flight, begun, at)
    return choose(request, level, at, standings, policy, favourite=(cached_at or {}).get)


def alike(facts: dict[str, Any], *backend_ids: str) -> Changes:
    """The same facts of several, or of all."""
    return dict.fromkeys(backend_ids or [each.id for each in USUAL.members], facts)


def ids(choice: Choice) -> list[str]:
    return [candidate.backend.id for candidate in choice.candidates]


def models(choice: Choice) -> dict[str, str | None]:
    return {candidate.backend.id: candidate.model for candidate in choice.candidates}


class TestWhatDecides:
    """R1: the tier that the client names, else the model, else the complexity."""

    @pytest.mark.parametrize(
        ("request_", "level", "reason", "tier", "order"),
        [
            (ask(tier="Q2"), COMPLEX, RoutingReason.TIER, "Q2", ["box/small", "left", "right", "box/large"]),
            (ask(tier="Q3"), SIMPLE, RoutingReason.TIER, "Q3", ["left", "right", "box/large", "box/small"]),
            (ask(tier="Q4"), SIMPLE, RoutingReason.TIER, "Q4", ["box/large", "left", "right", "box/small"]),
            (ask("small", tier="Q4"), SIMPLE, RoutingReason.TIER, "Q4", ["box/large", "left", "right", "box/small"]),
            (ask("small"), COMPLEX, RoutingReason.MODEL, "Q2", ["box/small", "left", "right", "box/large"]),
            (ask("medium"), COMPLEX, RoutingReason.MODEL, "Q3", ["left", "right", "box/large", "box/small"]),
            (ask("best"), SIMPLE, RoutingReason.MODEL, "Q4", ["box/large", "left", "right", "box/small"]),
            (ask("auto"), SIMPLE, RoutingReason.COMPLEXITY, "Q2", ["box/small", "left", "right", "box/large"]),
            (ask(None), SIMPLE, RoutingReason.COMPLEXITY, "Q2", ["box/small", "left", "right", "box/large"]),
            (ask(None), MODERATE, RoutingReason.COMPLEXITY, "Q3", ["left", "right", "box/large", "box/small"]),
            (ask("auto"), COMPLEX, RoutingReason.COMPLEXITY, "Q4", ["box/large", "left", "right", "box/small"]),
        ],
    )
    def test_table(
        self, request_: Request, level: Complexity, reason: RoutingReason, tier: str, order: Sequence[str]
    ) -> None:
        choice = pick(request_, level)
        assert (choice.reason, choice.wanted_tier, ids(choice)) == (reason, tier, order)
        assert not choice.fallback

    def test_a_tier_that_nobody_has_is_the_clients_mistake(self) -> None:
        with pytest.raises(UnknownTierError) as caught:
            pick(ask(tier="Q9"))
        assert all(tier in str(caught.value) for tier in ("Q9", "Q2", "Q3", "Q4"))
        assert caught.value.status == 400
        assert caught.value.retry_seconds is None

    def test_a_configured_tier_that_nobody_has_stands_for_the_next(self) -> None:
        at = layout(server("b", "Q2"), server("d", "Q4"))
        choice = pick(ask(tier="Q3"), at=at)
        assert (choice.wanted_tier, ids(choice), choice.fallback) == ("Q4", ["d", "b"], False)

    def test_a_named_tier_that_cannot_take_the_request_is_left(self) -> None:
        at = layout(server("b", "Q2", vision=False), server("d", "Q4"))
        choice = pick(replace(ask(tier="Q2"), images=True), at=at)
        assert (choice.wanted_tier, ids(choice), choice.fallback) == ("Q4", ["d"], False)

    def test_of_the_named_tier_the_named_model_goes_first(self) -> None:
        at = layout(server("plain", "Q4", "other"), SMALL, LARGE)
        assert ids(pick(ask("large", tier="Q4"), at=at))[0] == "box/large"

    def test_an_alias_leaves_the_choice_to_us(self) -> None:
        policy = Policy(aliases=frozenset(("auto", "gpt-4o")))
        choice = pick(ask("gpt-4o"), SIMPLE, policy=policy)
        assert choice.reason is RoutingReason.COMPLEXITY
        assert ids(choice)[0] == "box/small"

    def test_an_alias_goes_before_a_model_of_the_same_name(self) -> None:
        choice = pick(ask("medium"), COMPLEX, policy=Policy(aliases=frozenset(("medium",))))
        assert choice.reason is RoutingReason.COMPLEXITY
        assert ids(choice)[0] == "box/large"


class TestUnknownNames:
    """A server that is no router answers to any name; a router does not."""

    def test_plain_servers_by_complexity(self) -> None:
        at = layout(server("cheap", "Q2", "a"), server("good", "Q4", "b"))
        choice = pick(ask("gpt-4o"), COMPLEX, at=at)
        assert choice.reason is RoutingReason.COMPLEXITY
        assert ids(choice) == ["good", "cheap"]
        assert models(choice) == {"good": None, "cheap": None}

    def test_routers_alone_are_left_to_say_so_themselves(self) -> None:
        other = model(upstream("other"), "huge", "Q8")
        choice = pick(ask("gpt-4o"), SIMPLE, at=layout(SMALL, LARGE, other))
        assert models(choice) == {"box": None, "other": None}, "each as a whole, asked for the name that it was sent"

    @pytest.mark.parametrize(
        "request_", [ask("gpt-4o", tools=True), ask("gpt-4o", images=True), ask("gpt-4o", tokens=9000)]
    )
    def test_routers_alone_whatever_it_holds(self, request_: Request) -> None:
        at = layout(model(BOX, "small", "Q2", context_size=512, vision=False, tools=False))
        assert models(pick(request_, at=at)) == {"box": None}

    def test_routers_in_the_order_of_their_tiers(self) -> None:
        at = layout(model(upstream("big"), "a", "Q4"), model(upstream("tiny"), "b", "Q2"))
        for in_flight in ({"big": 1}, {"tiny": 1}):
            choice = pick(ask("gpt-4o"), SIMPLE, at=at, in_flight=in_flight)
            assert (ids(choice), choice.wanted_tier, choice.fallback) == (["tiny", "big"], "Q2", False)

    def test_routers_are_no_more_than_stand_ins_for_plain_servers(self) -> None:
        choice = pick(ask("gpt-4o"), SIMPLE)
        assert choice.wanted_tier == "Q3"
        assert ids(choice) == ["left", "right", "box/large", "box/small"]
        assert models(choice)["box/large"] == "large"


class TestNameInTheBody:
    """R5 of the requirement: bytes stay as they are, but for a name that the router does not know."""

    def test_only_a_router_is_given_another_name(self) -> None:
        assert models(pick(ask("auto"), SIMPLE)) == {
            "box/small": "small",
            "left": None,
            "right": None,
            "box/large": "large",
        }

    @pytest.mark.parametrize("name", ["large", "best"])
    def test_a_name_that_the_model_answers_to_stays(self, name: str) -> None:
        given = models(pick(ask(name)))
        assert given["box/large"] is None
        assert given["box/small"] == "small", "who stands in for it must be asked for by its own name"

    def test_none_at_all(self) -> None:
        assert models(pick(ask(None), COMPLEX))["box/large"] == "large"


class TestWantedTier:
    """R2."""

    @pytest.mark.parametrize(
        ("level", "tiers", "wanted"),
        [
            (SIMPLE, ("Q3", "Q4"), "Q3"),
            (MODERATE, ("Q2", "Q4"), "Q4"),
            (COMPLEX, ("Q2", "Q3"), "Q3"),
            (MODERATE, ("Q2", "Q8"), "Q8"),
            (COMPLEX, ("unknown", "Q2"), "Q2"),
            (SIMPLE, ("unknown",), "unknown"),
        ],
    )
    def test_the_nearest_where_nobody_has_it(self, level: Complexity, tiers: Sequence[str], wanted: str) -> None:
        choice = pick(ask(), level, at=layout(*(server(tier, tier) for tier in tiers)))
        assert choice.wanted_tier == wanted
        assert choice.candidates[0].backend.tier == wanted
        assert not choice.fallback

    @pytest.mark.parametrize(("level", "first"), [(SIMPLE, "a"), (MODERATE, "a"), (COMPLEX, "c")])
    def test_a_model_in_several_tiers(self, level: Complexity, first: str) -> None:
        at = layout(server("z", "Q2"), server("a", "Q3", "chat"), server("b", "Q8"), server("c", "Q4", "chat"))
        choice = pick(ask("chat"), level, at=at)
        assert choice.reason is RoutingReason.MODEL
        assert ids(choice)[0] == first
        assert {*ids(choice)[:2]} == {"a", "c"}, "those who serve it go before all who do not"

    def test_complexities_may_share_a_tier(self) -> None:
        at = layout(SMALL, LARGE, LEFT, tier_of_level=dict.fromkeys(Complexity, "Q4"))
        assert [pick(ask(), level, at=at).wanted_tier for level in Complexity] == ["Q4", "Q4", "Q4"]


class TestFit:
    """R3: what is known not to work is not tried; what is not known is held against nobody."""

    @pytest.mark.parametrize(
        ("request_", "unfit", "fit"),
        [
            (ask(images=True), {"vision": False}, {"vision": True}),
            (ask(audio=True), {"audio": False}, {"audio": True}),
            (ask(tools=True), {"tools": False}, {"tools": True}),
            (ask(tokens=3000), {"context_size": 2048}, {"context_size": 4096}),
        ],
    )
    def test_moves_to_a_tier_that_fits(self, request_: Request, unfit: dict[str, Any], fit: dict[str, Any]) -> None:
        at = change(USUAL, {"box/small": unfit, "left": unfit, "right": fit})
        choice = pick(request_, SIMPLE, at=at)
        assert (choice.wanted_tier, choice.fallback) == ("Q3", False), "it belongs there, nobody failed"
        assert ids(choice) == ["right", "box/large"]
        assert ids(pick(ask(), SIMPLE, at=at)) == ["box/small", "left", "right", "box/large"]

    def test_within_the_tier_when_one_fits(self) -> None:
        choice = pick(ask(images=True), at=change(USUAL, {"left": {"vision": False}}))
        assert (choice.wanted_tier, ids(choice)[0]) == ("Q3", "right")

    def test_to_a_cheaper_tier_when_only_that_fits(self) -> None:
        at = change(USUAL, alike({"context_size": 512}, "left", "right", "box/large"))
        choice = pick(ask(tokens=1000), COMPLEX, at=at)
        assert (choice.wanted_tier, ids(choice)) == ("Q2", ["box/small"])

    def test_where_nobody_fits_the_server_says_so(self) -> None:
        at = change(USUAL, alike({"vision": False}))
        assert ids(pick(ask(images=True), SIMPLE, at=at)) == ["box/small", "left", "right", "box/large"]

    def test_one_that_does_not_fit_is_no_stand_in(self) -> None:
        at = change(USUAL, alike({"vision": False}, "box/small", "box/large", "left"))
        with pytest.raises(NoneAvailableError):
            pick(ask(images=True), SIMPLE, at=at, conditions={"right": DOWN})

    def test_images_are_not_counted_as_text(self) -> None:
        at = change(USUAL, {"box/small": {"context_size": 256}})
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
        document = {"messages": [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, image]}]}
        assert ids(pick(read("chat", True, None, document), SIMPLE, at=at))[0] == "box/small"


class TestWhoIsAble:
    """R4."""

    def test_one_that_is_down_is_left_out(self) -> None:
        assert ids(pick(ask(), conditions={"left": DOWN, "box": DOWN})) == ["right"]

    def test_a_model_that_is_not_loaded_is_left_alone(self) -> None:
        choice = pick(ask(), SIMPLE, at=change(USUAL, {"box/small": {"loaded": False}}))
        assert (ids(choice), choice.fallback) == (["left", "right", "box/large"], True)

    def test_the_client_may_have_it_loaded_by_naming_it(self) -> None:
        choice = pick(ask("small"), at=change(USUAL, {"box/small": {"loaded": False}, "box/large": {"loaded": False}}))
        assert (ids(choice), choice.fallback) == (["box/small", "left", "right"], False)

    def test_an_alias_names_none(self) -> None:
        at = change(USUAL, {"box/small": {"loaded": False}})
        policy = Policy(aliases=frozenset(("small",)))
        assert "box/small" not in ids(pick(ask("small"), SIMPLE, at=at, policy=policy))

    def test_so_may_the_operator(self) -> None:
        at = change(USUAL, {"box/small": {"loaded": False}})
        choice = pick(ask(), SIMPLE, at=at, policy=Policy(load_models=True))
        assert (ids(choice)[0], choice.fallback) == ("box/small", False)

    def test_a_loaded_one_goes_first_within_its_tier(self) -> None:
        at = layout(model(BOX, "a", "Q2", loaded=False), model(BOX, "b", "Q2"))
        assert ids(pick(ask(), SIMPLE, at=at, policy=Policy(load_models=True))) == ["box/b", "box/a"]

    def test_a_sleeping_one_may_be_woken(self) -> None:
        at = change(USUAL, {"left": {"asleep": True}})
        assert ids(pick(ask(), at=at))[:2] == ["right", "left"]
        assert ids(pick(ask(), at=at, conditions={"right": DOWN}))[0] == "left"


class TestOrderWithinTheTier:
    """R5."""

    @pytest.mark.parametrize(
        ("state", "first"),
        [
            ({}, "left"),
            ({"conditions": {"left": UNKNOWN}}, "right"),
            ({"in_flight": {"left": 1}}, "right"),
            ({"begun": {"left": 1}}, "right"),
            ({"in_flight": {"left": 1}, "begun": {"right": 100}}, "right"),
            ({"in_flight": {"right": 1}, "begun": {"left": 100}}, "left"),
            ({"conditions": {"left": UNKNOWN}, "in_flight": {"right": 50}}, "right"),
        ],
    )
    def test_table(self, state: dict[str, Any], first: str) -> None:
        assert ids(pick(ask(), **state))[0] == first

    def test_load_is_relative_to_slots(self) -> None:
        at = change(USUAL, {"left": {"slots": 8}, "right": {"slots": 2}})
        assert ids(pick(ask(), at=at, in_flight={"left": 3, "right": 1}))[0] == "left"
        assert ids(pick(ask(), at=at, in_flight={"left": 4, "right": 0}))[0] == "right"

    def test_an_unknown_one_of_the_tier_goes_before_another_tier(self) -> None:
        assert ids(pick(ask(), conditions={"left": UNKNOWN, "right": UNKNOWN}))[:2] == ["left", "right"]

    @pytest.mark.parametrize(
        ("fallback", "order"),
        [("any", ["left", "right", "box/large", "box/small"]), ("tier", ["left", "right"]), ("off", ["left"])],
    )
    def test_who_else(self, fallback: Any, order: Sequence[str]) -> None:
        assert ids(pick(ask(), policy=Policy(fallback=fallback))) == order


class TestWeights:
    """A share of the requests within the tier."""

    LIGHT = server("light", "Q3", weight=1, slots=4)
    HEAVY = server("heavy", "Q3", weight=3, slots=4)
    AT = layout(LIGHT, HEAVY)

    def test_one_after_the_other(self) -> None:
        begun: Counter[str] = Counter()
        for _ in range(400):
            begun[ids(pick(ask(), at=self.AT, begun=begun))[0]] += 1
        assert begun["light"] == pytest.approx(100, abs=2)

    def test_at_once(self) -> None:
        in_flight: Counter[str] = Counter()
        for number in range(400):
            in_flight[ids(pick(ask(), at=self.AT, in_flight=in_flight, begun=in_flight))[0]] += 1
            assert in_flight["light"] == pytest.approx((number + 1) / 4, abs=2)

    @pytest.mark.parametrize("concurrency", [1, 4, 16])
    def test_a_steady_stream(self, concurrency: int) -> None:
        begun: Counter[str] = Counter()
        going: list[str] = []
        for _ in range(400):
            if len(going) == concurrency:
                going.pop(0)
            name = ids(pick(ask(), at=self.AT, in_flight=Counter(going), begun=begun))[0]
            begun[name] += 1
            going.append(name)
        assert begun["light"] == pytest.approx(100, rel=0.2)


class TestAffinity:
    """A conversation goes back to the server that has it cached."""

    def test_goes_back(self) -> None:
        assert ids(pick(ask(), cached_at={"Q3": "right"}))[:2] == ["right", "left"]
        assert ids(pick(ask(), cached_at={"Q3": "right"}, in_flight={"right": 3}, begun={"right": 9}))[0] == "right"

    def test_not_while_that_is_saturated(self) -> None:
        at = change(USUAL, {"right": {"slots": 2}})
        assert ids(pick(ask(), at=at, cached_at={"Q3": "right"}, in_flight={"right": 1}))[0] == "right"
        assert ids(pick(ask(), at=at, cached_at={"Q3": "right"}, in_flight={"right": 2}))[0] == "left"

    def test_not_across_tiers(self) -> None:
        assert ids(pick(ask(), SIMPLE, cached_at={"Q3": "right"}))[:2] == ["box/small", "right"]
        everywhere = dict.fromkeys(("Q2", "Q3", "Q4"), "right")
        assert ids(pick(ask(), SIMPLE, cached_at=everywhere))[:2] == ["box/small", "right"]

    @pytest.mark.parametrize("condition", [DOWN, UNKNOWN])
    def test_not_to_one_that_may_not_be_well(self, condition: Condition) -> None:
        assert ids(pick(ask(), cached_at={"Q3": "right"}, conditions={"right": condition}))[0] == "left"

    def test_not_to_one_that_sleeps_and_has_lost_its_cache(self) -> None:
        at = change(USUAL, {"right": {"asleep": True}})
        assert ids(pick(ask(), at=at, cached_at={"Q3": "right"}))[0] == "left"

    def test_not_to_one_that_is_gone(self) -> None:
        assert ids(pick(ask(), cached_at={"Q3": "gone"}))[0] == "left"


class TestNobody:
    """R6."""

    @pytest.mark.parametrize("request_", [ask(), ask("auto"), ask("medium"), ask(tier="Q2")])
    def test_all_are_down(self, request_: Request) -> None:
        with pytest.raises(NoneAvailableError):
            pick(request_, conditions={"box": DOWN, "left": DOWN, "right": DOWN})

    @pytest.mark.parametrize("fallback", ["tier", "off"])
    def test_the_tier_is_down_and_no_other_may(self, fallback: Any) -> None:
        with pytest.raises(NoneAvailableError):
            pick(ask(), conditions={"left": DOWN, "right": DOWN}, policy=Policy(fallback=fallback))

    def test_nothing_is_loaded(self) -> None:
        at = layout(model(BOX, "small", "Q2", loaded=False), model(BOX, "large", "Q4", loaded=False))
        with pytest.raises(NoneAvailableError):
            pick(ask(), at=at)
        assert ids(pick(ask("large"), at=at)) == ["box/large"]

    @pytest.mark.parametrize("named", [None, "auto"])
    def test_no_router_lists_a_model(self, named: str | None) -> None:
        with pytest.raises(NoneAvailableError):
            pick(ask(named), at=layout(routers=(BOX, upstream("other"))))


class TestFallbackFlag:
    """R7: whether the first is another than the request belongs to."""

    FRUIT: Layout = layout(server("a", "Q3", "apple"), server("b", "Q3", "pear"))

    @pytest.mark.parametrize(
        ("request_", "down", "first", "flag"),
        [
            (ask(), (), "left", False),
            (ask(), ("left",), "right", False),
            (ask(), ("left", "right"), "box/large", True),
            (ask(tier="Q3"), ("left", "right"), "box/large", True),
            (ask(tier="Q4"), ("box",), "left", True),
            (ask("small"), ("box",), "left", True),
            (ask("medium"), ("left", "right"), "box/large", True),
        ],
    )
    def test_table(self, request_: Request, down: Sequence[str], first: str, flag: bool) -> None:
        choice = pick(request_, conditions=dict.fromkeys(down, DOWN))
        assert (ids(choice)[0], choice.fallback) == (first, flag)

    @pytest.mark.parametrize("fallback", ["any", "tier"])
    def test_another_model_of_the_same_tier(self, fallback: Any) -> None:
        choice = pick(ask("apple"), at=self.FRUIT, conditions={"a": DOWN}, policy=Policy(fallback=fallback))
        assert (ids(choice), choice.wanted_tier, choice.fallback) == (["b"], "Q3", True)

    def test_another_model_is_a_fallback_that_can_be_switched_off(self) -> None:
        with pytest.raises(NoneAvailableError):
            pick(ask("apple"), at=self.FRUIT, conditions={"a": DOWN}, policy=Policy(fallback="off"))


class TestOthers:
    """Requests that generate no text."""

    E1: Backend = server("e1", "Q8", "embedder")
    E2: Backend = server("e2", "Q8", "embedder")
    AT: Layout = layout(LEFT, E1, E2, SMALL, LARGE)

    def other(self, request: Request, at: Layout = AT, **state: Any) -> list[str]:
        candidates = choose_other(request, at, standing(**state, at=at), DEFAULT_POLICY)
        assert all(each.model is None for each in candidates)
        return [each.backend.id for each in candidates]

    @pytest.mark.parametrize("operation", ["embeddings", "rerank", "tokenize"])
    def test_never_another_model(self, operation: str) -> None:
        assert self.other(ask_other(operation, "embedder")) == ["e1", "e2"]
        assert self.other(ask_other(operation, "embedder"), conditions={"e1": DOWN}) == ["e2"]
        with pytest.raises(NoneAvailableError):
            self.other(ask_other(operation, "embedder"), conditions={"e1": DOWN, "e2": DOWN})

    def test_embeddings_are_shared_out(self) -> None:
        assert self.other(ask_other("embeddings", "embedder"), in_flight={"e1": 1}) == ["e2", "e1"]
        assert self.other(ask_other("embeddings", "embedder"), conditions={"e1": UNKNOWN}) == ["e2", "e1"]

    def test_all_else_stays_with_the_first(self) -> None:
        assert self.other(ask_other("other")) == ["left", "e1", "e2", "box"]
        assert self.other(ask_other("other"), in_flight={"left": 100}, begun={"left": 100})[0] == "left"
        assert self.other(ask_other("other"), conditions={"left": DOWN}) == ["e1", "e2", "box"]
        assert self.other(ask_other("tokenize", "embedder"), in_flight={"e1": 100}) == ["e1", "e2"]

    def test_a_router_keeps_its_place(self) -> None:
        assert self.other(ask_other("other"), layout(SMALL, LARGE, LEFT)) == ["box", "left"]

    def test_naming_no_model_loads_none(self) -> None:
        at = layout(LEFT, model(BOX, "small", "Q2", loaded=False))
        request = ask_other("embeddings", "auto", tier="Q2")
        try:
            candidates = choose_other(request, at, standing(at=at), DEFAULT_POLICY)
        except NoneAvailableError:
            return
        assert all(candidate.model is None for candidate in candidates)

    def test_an_unloaded_model_that_is_named(self) -> None:
        at = layout(LEFT, model(BOX, "embedder", "Q8", loaded=False))
        assert self.other(ask_other("embeddings", "embedder"), at) == ["box/embedder"]

    def test_nobody(self) -> None:
        with pytest.raises(NoneAvailableError):
            self.other(ask_other("other"), conditions=dict.fromkeys(("left", "e1", "e2", "box"), DOWN))
