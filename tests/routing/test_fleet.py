"""What the fleet knows of its upstreams, what it makes of a request, and what it learns from how requests go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from exporter.observe.observation import Look, Observation
from exporter.record import Complexity, RoutingReason
from exporter.routing.backend import Backend, Plan
from exporter.routing.choice import UnknownTierError
from exporter.routing.fleet import Fleet, NobodyError
from exporter.routing.health import CheckState
from exporter.routing.request import RoutingHeaderError
from exporter.routing.upstream import Upstream
from exporter.routing.use import Use
from exporter.settings.complexity import ComplexitySettings
from exporter.settings.routing import RoutingSettings
from tests.routing.layouts import model, server, upstream

UP, LOADING, DOWN = CheckState
CHEAP, LEFT, RIGHT, GOOD = (
    upstream(name, tier=tier) for name, tier in (("cheap", "Q2"), ("left", "Q3"), ("right", "Q3"), ("good", "Q4"))
)
BOX = upstream("box")
SMALL, LARGE = model(BOX, "small", "Q2"), model(BOX, "large", "Q4", "best")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A fleet, the time it goes by, and a client."""

    def __init__(self, *upstreams: Upstream, well: bool = True, checked: bool = True, **settings: Any) -> None:
        self.clock = Clock()
        self.fleet = Fleet(upstreams, RoutingSettings(**settings), checked=checked, clock=self.clock)
        if well:
            self.see(UP)

    def see(self, state: CheckState, *names: str, backends: tuple[Backend, ...] = (), router: bool = False) -> None:
        """One look at these upstreams, or at all."""
        for name in names or [each.name for each in self.fleet.upstreams]:
            self.fleet.checked(name, state)
            if state is UP:
                self.fleet.described(name, backends, router=router)

    def see_router(self, name: str, *backends: Backend, state: CheckState = UP) -> None:
        self.see(state, name, backends=backends, router=True)

    def plan(
        self,
        text: str = "hello",
        *,
        named: str | None = None,
        path: str = "/v1/chat/completions",
        seen: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> Plan:
        document: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
        if named is not None:
            document["model"] = named
        sent = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        return self.fleet.plan(observed(path, document, sent, seen=seen), sent, seen=seen)

    def send(self, plan: Plan) -> Use:
        """To the best."""
        return self.fleet.begin(plan, plan.candidates[0], self.clock.now)

    def fail(self, name: str) -> None:
        """A request to one backend that was chosen."""
        plan = self.plan()
        candidate = next(each for each in plan.candidates if each.backend.id == name)
        use = self.fleet.begin(plan, candidate, self.clock.now)
        self.clock.now += 0.001
        use.failed(self.clock.now)
        use.end()


def observed(path: str, document: object, headers: list[tuple[bytes, bytes]], *, seen: bool) -> Observation:
    """A request that has arrived."""
    asked = Observation(
        now=0.0,
        wall=0.0,
        request_id="0",
        method="POST",
        path=path,
        query=b"",
        headers=[*headers, (b"content-type", b"application/json")],
        look=Look(),
    )
    asked.feed_request(json.dumps(document).encode())
    if seen:
        asked.end_request()
    return asked


def ids(plan: Plan) -> list[str]:
    return [candidate.backend.id for candidate in plan.candidates]


def names_of(fleet: Fleet) -> list[str]:
    return [backend.id for backend in fleet.layout.backends]


def make_three(**settings: Any) -> Watched:
    return Watched(CHEAP, LEFT, RIGHT, GOOD, **settings)


def by_tier(plan: Plan) -> str:
    assert plan.decision is not None
    return plan.decision.wanted_tier


class TestSeeing:
    def test_unseen_upstreams_are_what_they_were_configured_to_be(self) -> None:
        fleet = Fleet([upstream("a", tier="Q3", models=("chat",), weight=2), upstream("b")])
        assert [(each.id, each.tier, sorted(each.names)) for each in fleet.layout.backends] == [
            ("a", "Q3", ["chat"]),
            ("b", "unknown", []),
        ]

    def test_a_server_is_what_it_says(self) -> None:
        watched = Watched(upstream("a"), upstream("b"))
        found = server("a", "Q4", "qwen", slots=2, context_size=4096)
        watched.see(UP, "a", backends=(found,))
        assert watched.fleet.layout.backends[0] == found
        assert ids(watched.plan(named="qwen"))[0] == "a"
        assert watched.fleet.tiers == ("Q4",)

    @pytest.mark.parametrize("state", [LOADING, DOWN])
    def test_what_it_was_is_remembered_while_it_is_down(self, state: CheckState) -> None:
        watched = Watched(BOX, GOOD)
        watched.see_router("box", SMALL, LARGE)
        before = watched.fleet.layout
        watched.see_router("box", state=state)
        watched.see(state, "box", backends=(server("box", "Q9"),))
        assert watched.fleet.layout == before
        watched.see_router("box", SMALL, LARGE)
        assert watched.fleet.layout == before

    def test_it_stays_what_it_was_when_a_look_tells_only_that_it_is_up(self) -> None:
        watched = Watched(upstream("a"), upstream("b"))
        watched.see(UP, "a", backends=(server("a", "Q4", "qwen"),))
        watched.see(UP, "a")
        assert watched.fleet.layout.backends[0].tier == "Q4"

    def test_models_of_a_router_come_and_go(self) -> None:
        watched = Watched(BOX, GOOD)
        assert names_of(watched.fleet) == ["box", "good"]
        watched.see_router("box", SMALL)
        assert names_of(watched.fleet) == ["box/small", "good"]
        watched.see_router("box", SMALL, LARGE)
        assert names_of(watched.fleet) == ["box/small", "box/large", "good"]
        assert ids(watched.plan(named="best"))[0] == "box/large"
        watched.see_router("box", LARGE)
        assert names_of(watched.fleet) == ["box/large", "good"]
        watched.see_router("box")
        assert names_of(watched.fleet) == ["box/large", "good"], "no news is no news"
        assert ids(watched.plan(path="/tokenize")) == ["box", "good"], "as a whole it is still there"

    def test_a_router_can_turn_into_a_server(self) -> None:
        watched = Watched(BOX, GOOD)
        watched.see_router("box", SMALL, LARGE)
        watched.see(UP, "box", backends=(server("box", "Q2", "tiny"),))
        assert names_of(watched.fleet) == ["box", "good"]
        assert watched.plan(named="tiny").candidates[0].model is None

    def test_who_is_listed_is_who_may_be_chosen(self) -> None:
        watched = Watched(BOX, GOOD)
        watched.see_router("box", SMALL, model(BOX, "spare", "Q3", loaded=False))
        assert ids(watched.plan(headers={"X-Routing-Complexity": "MODERATE"})) == ["good", "box/small"]
        assert ids(watched.plan(named="spare"))[0] == "box/spare"

    def test_a_request_in_flight_outlives_its_model(self) -> None:
        watched = Watched(BOX, GOOD)
        watched.see_router("box", SMALL)
        plan = watched.plan(named="small")
        use = watched.send(plan)
        watched.see_router("box", LARGE)
        use.answered()
        use.end()
        watched.see_router("box", SMALL)
        assert ids(watched.plan(named="small"))[0] == "box/small"

    def test_a_plan_outlives_its_model(self) -> None:
        """A candidate is tried when those before it have failed, which may take a while."""
        watched = Watched(GOOD, BOX)
        watched.see_router("box", SMALL)
        plan = watched.plan(headers={"X-Routing-Tier": "Q4"})
        watched.see_router("box", LARGE)
        use = watched.fleet.begin(plan, plan.candidates[1], watched.clock.now)
        use.answered()
        use.end()
        assert ids(watched.plan(named="best"))[0] == "box/large"


class TestOneServer:
    """With a single upstream nothing changes."""

    ANYTHING = (
        {"named": "anything"},
        {"named": "auto"},
        {"headers": {"X-Routing-Tier": "Q9"}},
        {"headers": {"X-Routing-Complexity": "nonsense", "X-Routing-Score": "-1"}},
        {"path": "/v1/embeddings"},
        {"path": "/props", "seen": False},
        {"text": "Analyze this step by step. " * 100},
    )

    @pytest.mark.parametrize("state", [None, UP, LOADING, DOWN])
    @pytest.mark.parametrize("asked", ANYTHING)
    def test_the_plan_is_always_the_same(self, state: CheckState | None, asked: dict[str, Any]) -> None:
        watched = Watched(GOOD, well=False)
        if state is not None:
            watched.see(state)
        plan = watched.plan(**asked)
        assert (ids(plan), plan.candidates[0].model, plan.decision, plan.affinity_key) == (["good"], None, None, None)
        assert plan is watched.plan()

    def test_failures_change_nothing(self) -> None:
        watched = Watched(GOOD)
        for _ in range(5):
            watched.fail("good")
        assert ids(watched.plan()) == ["good"]

    def test_it_has_no_tiers_to_choose_from(self) -> None:
        assert Watched(GOOD).fleet.tiers == ()

    def test_its_tier_is_its_models(self) -> None:
        watched = Watched(upstream("a"))
        watched.see(UP, "a", backends=(server("a", "Q8"),))
        assert watched.plan().candidates[0].backend.tier == "Q8"


class TestOneRouter:
    @staticmethod
    def make(**settings: Any) -> Watched:
        watched = Watched(BOX, **settings)
        watched.see_router("box", SMALL, LARGE)
        return watched

    @pytest.mark.parametrize(
        ("named", "tier"),
        [("small", "Q2"), ("large", "Q4"), ("best", "Q4"), ("nobody's", "unknown"), (None, "unknown")],
    )
    def test_the_tier_is_that_of_the_model(self, named: str | None, tier: str) -> None:
        plan = self.make().plan(named=named)
        (candidate,) = plan.candidates
        assert (candidate.backend.tier, candidate.model, plan.decision) == (tier, None, None)
        assert candidate.backend.upstream is BOX

    def test_where_all_have_one_tier_it_is_that(self) -> None:
        watched = Watched(BOX)
        watched.see_router("box", model(BOX, "a", "Q4"), model(BOX, "b", "Q4"))
        assert watched.plan().candidates[0].backend.tier == "Q4"

    def test_it_is_asked_for_the_model_while_it_is_down(self) -> None:
        watched = self.make()
        watched.see_router("box", state=DOWN)
        assert ids(watched.plan(named="small")) == ["box/small"]

    @pytest.mark.parametrize(("level", "chosen"), [("SIMPLE", "small"), ("COMPLEX", "large")])
    def test_an_alias_chooses(self, level: str, chosen: str) -> None:
        plan = self.make().plan(named="auto", headers={"X-Routing-Complexity": level})
        assert plan.candidates[0].model == chosen
        assert plan.decision is not None
        assert plan.decision.reason is RoutingReason.COMPLEXITY

    def test_an_alias_chooses_whatever_became_of_others(self) -> None:
        watched = self.make()
        for _ in range(3):
            use = watched.send(watched.plan(named="auto"))
            watched.clock.now += 0.001
            use.failed(watched.clock.now)
            use.end()
        assert watched.plan(named="auto").candidates[0].model == "small"

    def test_so_does_a_configured_one(self) -> None:
        plan = self.make(aliases=("gpt-4o",)).plan(named="gpt-4o")
        assert plan.candidates[0].model == "small"


class TestDecision:
    def test_by_the_last_user_message(self) -> None:
        plan = make_three().plan("hi")
        assert plan.decision is not None
        assert plan.decision.complexity is Complexity.SIMPLE
        assert plan.decision.score is not None
        assert plan.decision.score < 3
        assert (plan.decision.reason, plan.decision.wanted_tier) == (RoutingReason.COMPLEXITY, "Q2")
        assert not plan.decision.fallback
        assert ids(plan) == ["cheap", "left", "right", "good"]

    def test_long_texts_are_complex(self) -> None:
        plan = make_three().plan("word " * 200)
        assert plan.decision is not None
        assert plan.decision.complexity is Complexity.COMPLEX
        assert ids(plan)[0] == "good"

    @pytest.mark.parametrize(
        ("headers", "complexity", "score"),
        [
            ({"X-Routing-Complexity": "COMPLEX"}, Complexity.COMPLEX, None),
            ({"X-Routing-Complexity": "moderate"}, Complexity.MODERATE, None),
            ({"X-Routing-Score": "2.9"}, Complexity.SIMPLE, 2.9),
            ({"X-Routing-Score": "3"}, Complexity.MODERATE, 3.0),
            ({"X-Routing-Score": "7"}, Complexity.COMPLEX, 7.0),
            ({"X-Routing-Score": "1", "X-Routing-Complexity": "COMPLEX"}, Complexity.COMPLEX, 1.0),
        ],
    )
    @pytest.mark.parametrize("seen", [True, False])
    def test_what_the_client_knows_counts(
        self, headers: dict[str, str], complexity: Complexity, score: float | None, seen: bool
    ) -> None:
        plan = make_three().plan("hi", headers=headers, seen=seen)
        assert plan.decision is not None
        assert (plan.decision.complexity, plan.decision.score) == (complexity, score)
        tier = {Complexity.SIMPLE: "Q2", Complexity.MODERATE: "Q3", Complexity.COMPLEX: "Q4"}[complexity]
        assert plan.candidates[0].backend.tier == by_tier(plan) == tier

    def test_a_body_that_nobody_saw_is_complex_and_has_no_score(self) -> None:
        plan = make_three().plan("hi", seen=False)
        assert plan.decision is not None
        assert (plan.decision.complexity, plan.decision.score) == (Complexity.COMPLEX, None)
        assert ids(plan)[0] == "good"

    def test_a_body_that_nobody_saw_goes_where_it_need_not_be_changed(self) -> None:
        watched = Watched(BOX, LEFT)
        watched.see_router("box", SMALL, LARGE)
        assert ids(watched.plan(headers={"X-Routing-Tier": "Q4"})) == ["box/large", "left", "box/small"]
        plan = watched.plan(headers={"X-Routing-Tier": "Q4"}, seen=False)
        assert ids(plan) == ["left"]
        assert plan.decision is not None
        assert (plan.decision.wanted_tier, plan.decision.fallback) == ("Q4", True)

    def test_a_body_that_nobody_saw_goes_somewhere(self) -> None:
        watched = Watched(BOX, upstream("other"))
        for name in ("box", "other"):
            watched.see_router(name, model(upstream(name), name, "Q4"))
        assert ids(watched.plan(seen=False)) == ["box/box", "other/other"]

    @pytest.mark.parametrize(
        "headers",
        [{"X-Routing-Complexity": "hard"}, {"X-Routing-Score": "many"}, {"X-Routing-Score": "-1"}],
    )
    def test_routing_headers_that_mean_nothing(self, headers: dict[str, str]) -> None:
        with pytest.raises(RoutingHeaderError, match=next(iter(headers))):
            make_three().plan(headers=headers)

    def test_a_tier_that_the_client_names(self) -> None:
        plan = make_three().plan("hi", headers={"X-Routing-Tier": "Q4"})
        assert plan.decision is not None
        assert (plan.decision.reason, plan.decision.wanted_tier) == (RoutingReason.TIER, "Q4")
        assert plan.decision.complexity is Complexity.SIMPLE, "what the request is like is recorded all the same"

    def test_a_tier_that_nobody_has(self) -> None:
        with pytest.raises(UnknownTierError, match=r"Q9.*Q2.*Q3.*Q4"):
            make_three().plan(headers={"X-Routing-Tier": "Q9"})

    def test_tiers_of_complexities_are_settings(self) -> None:
        settings = ComplexitySettings(simple_tier="Q3", moderate_tier="Q3")
        assert by_tier(make_three(complexity=settings).plan("hi")) == "Q3"

    @pytest.mark.parametrize(("tiers", "wanted"), [(("Q2", "Q4"), ("Q2", "Q4", "Q4")), (("Q3",), ("Q3", "Q3", "Q3"))])
    def test_tiers_by_default(self, tiers: tuple[str, ...], wanted: tuple[str, ...]) -> None:
        """The cheapest, the one in the middle, the most capable; of an even number the more capable middle one."""
        watched = make_three(tiers=tiers)
        assert tuple(by_tier(watched.plan(headers={"X-Routing-Complexity": each})) for each in Complexity) == wanted

    def test_the_time_it_took_is_recorded(self) -> None:
        watched = make_three()
        ticks = iter((5.0, 5.25))
        fleet = Fleet(watched.fleet.upstreams, checked=False, clock=lambda: next(ticks))
        headers: list[tuple[bytes, bytes]] = []
        plan = fleet.plan(observed("/v1/chat/completions", {"messages": []}, headers, seen=True), headers, seen=True)
        assert plan.decision is not None
        assert plan.decision.seconds == 0.25

    @pytest.mark.parametrize("path", ["/v1/embeddings", "/tokenize", "/props", "/v1/models"])
    def test_there_is_none_where_no_text_is_generated(self, path: str) -> None:
        plan = make_three().plan(path=path)
        assert (plan.decision, ids(plan)[0]) == (None, "cheap")


class TestNobody:
    def test_message_and_retry(self) -> None:
        watched = make_three()
        watched.see(DOWN)
        with pytest.raises(NobodyError) as caught:
            watched.plan()
        error = caught.value
        assert (error.status, error.type) == (503, "no_upstream_available")
        assert error.retry_seconds is not None
        assert error.retry_seconds >= 1
        assert all(each.name in str(error) for each in watched.fleet.upstreams)
        assert "internal" not in str(error)
        assert "8080" not in str(error)

    @pytest.mark.parametrize("path", ["/v1/embeddings", "/props"])
    def test_nobody_for_what_generates_no_text(self, path: str) -> None:
        watched = make_three()
        watched.see(LOADING)
        with pytest.raises(NobodyError):
            watched.plan(path=path)

    def test_it_says_when_the_first_may_be_tried_again(self) -> None:
        watched = Watched(LEFT, RIGHT, checked=False, well=False)
        for failing in (("left",), ("left",), ("left", "right"), ("left", "right")):  # back-offs of 8 s and 2 s
            watched.clock.now += 30
            for name in failing:
                watched.fail(name)
        assert retry_seconds(watched) == 2
        watched.clock.now += 0.5
        assert retry_seconds(watched) == 2
        watched.clock.now += 0.5
        assert retry_seconds(watched) == 1

    def test_only_what_may_answer_is_named(self) -> None:
        watched = make_three(fallback="tier")
        watched.see(DOWN, "good")
        with pytest.raises(NobodyError, match="good") as caught:
            watched.plan(headers={"X-Routing-Tier": "Q4"})
        assert "cheap" not in str(caught.value)

    def test_no_model_is_loaded(self) -> None:
        watched = Watched(BOX, upstream("other"))
        watched.see_router("box", model(BOX, "small", "Q2", loaded=False))
        watched.see_router("other", model(upstream("other"), "large", "Q4", loaded=False))
        with pytest.raises(NobodyError, match="no model is loaded"):
            watched.plan()
        assert ids(watched.plan(named="small")) == ["box/small"]

    def test_somebody_not_heard_of_yet_is_tried(self) -> None:
        assert ids(Watched(LEFT, RIGHT, well=False).plan()) == ["left", "right"]


def retry_seconds(watched: Watched) -> int:
    with pytest.raises(NobodyError) as caught:
        watched.plan()
    assert caught.value.retry_seconds is not None
    return caught.value.retry_seconds


class TestLoad:
    def test_what_is_in_flight_counts(self) -> None:
        watched = Watched(LEFT, RIGHT, affinity=False)
        first = watched.send(watched.plan())
        second = watched.send(watched.plan())
        assert ids(watched.plan()) == ["left", "right"]
        first.end()
        assert ids(watched.plan()) == ["left", "right"]
        third = watched.send(watched.plan())
        second.end()
        assert ids(watched.plan()) == ["right", "left"]
        third.end()

    def test_an_end_counts_once(self) -> None:
        watched = Watched(LEFT, RIGHT, affinity=False)
        uses = [watched.send(watched.plan()) for _ in range(4)]
        uses[0].end()
        uses[0].end()  # one is left on the left, two are on the right
        watched.send(watched.plan())
        assert ids(watched.plan()) == ["right", "left"], "two each, and the left has had more"

    def test_it_counts_on_when_others_change(self) -> None:
        watched = Watched(LEFT, RIGHT, affinity=False)
        watched.send(watched.plan())
        watched.see(UP, "right", backends=(server("right", "Q3", "medium"),))
        assert ids(watched.plan()) == ["right", "left"]

    def test_requests_are_spread_by_weight(self) -> None:
        light, heavy = upstream("light", tier="Q3", weight=1), upstream("heavy", tier="Q3", weight=3)
        watched = Watched(light, heavy, affinity=False)
        sent = []
        for _ in range(400):
            plan = watched.plan()
            sent.append(ids(plan)[0])
            watched.send(plan).end()
        assert sent.count("light") == pytest.approx(100, abs=2)


class TestAffinity:
    def test_the_conversation_goes_back(self) -> None:
        watched = Watched(LEFT, RIGHT)
        one, other = watched.plan("about cats"), watched.plan("about dogs")
        assert one.affinity_key != other.affinity_key
        assert one.affinity_key is not None
        watched.fleet.begin(one, one.candidates[1], watched.clock.now).end()
        assert [ids(watched.plan("about cats"))[0] for _ in range(3)] == ["right", "right", "right"]
        assert ids(watched.plan("about dogs"))[0] == "left"

    def test_the_last_to_be_tried_has_it(self) -> None:
        watched = Watched(LEFT, RIGHT)
        plan = watched.plan()
        for candidate in plan.candidates:
            watched.fleet.begin(plan, candidate, watched.clock.now).end()
        assert ids(watched.plan())[0] == plan.candidates[-1].backend.id

    def test_it_can_be_switched_off(self) -> None:
        watched = Watched(LEFT, RIGHT, affinity=False)
        plan = watched.plan()
        assert plan.affinity_key is None
        watched.fleet.begin(plan, plan.candidates[0], watched.clock.now).end()
        assert ids(watched.plan())[0] == "right"

    def test_it_is_kept_while_the_server_is_away(self) -> None:
        watched = Watched(LEFT, RIGHT)
        plan = watched.plan()
        watched.fleet.begin(plan, plan.candidates[1], watched.clock.now).end()
        watched.see(DOWN, "right")
        assert ids(watched.plan()) == ["left"]


class TestRecovery:
    @pytest.mark.parametrize(("state", "well"), [(UP, True), (LOADING, False), (DOWN, False)])
    def test_how_somebody_is_some_time_after_the_plan(self, state: CheckState, well: bool) -> None:
        watched = Watched(LEFT, RIGHT)
        plan = watched.plan()
        watched.see(state, "right")
        assert [watched.fleet.is_well(each, watched.clock.now) for each in plan.candidates] == [True, well]

    def test_without_checks_one_trial_after_the_back_off(self) -> None:
        watched = Watched(LEFT, RIGHT, checked=False, well=False, affinity=False)
        watched.fail("left")
        assert ids(watched.plan()) == ["right"]
        watched.clock.now += 1.1
        plan = watched.plan()
        assert sorted(ids(plan)) == ["left", "right"]
        trial = watched.fleet.begin(plan, find(plan, "left"), watched.clock.now)
        assert ids(watched.plan()) == ["right"], "one is enough"
        trial.answered()
        assert sorted(ids(watched.plan())) == ["left", "right"]
        trial.end()

    def test_with_checks_a_good_one_is_needed_too(self) -> None:
        watched = Watched(LEFT, RIGHT)
        watched.fail("left")
        watched.clock.now += 60
        assert ids(watched.plan()) == ["right"]
        watched.see(UP, "left")
        assert sorted(ids(watched.plan())) == ["left", "right"]

    def test_a_trial_that_fails(self) -> None:
        watched = Watched(LEFT, RIGHT, checked=False, well=False)
        watched.fail("left")
        watched.clock.now += 1.1
        watched.fail("left")
        watched.clock.now += 1.1
        assert ids(watched.plan()) == ["right"], "the back-off is longer now"
        watched.clock.now += 1.0
        assert sorted(ids(watched.plan())) == ["left", "right"]

    def test_a_trial_that_tells_nothing(self) -> None:
        """The client left."""
        watched = Watched(LEFT, RIGHT, checked=False, well=False)
        watched.fail("left")
        watched.clock.now += 1.1
        plan = watched.plan()
        watched.fleet.begin(plan, find(plan, "left"), watched.clock.now).end()
        assert sorted(ids(watched.plan())) == ["left", "right"], "the next one may try"

    def test_who_comes_back_is_not_flooded(self) -> None:
        watched = Watched(LEFT, RIGHT, affinity=False)
        watched.see(DOWN, "left")
        for _ in range(100):
            watched.send(watched.plan()).end()
        watched.see(UP, "left")
        sent = []
        for _ in range(10):
            plan = watched.plan()
            sent.append(ids(plan)[0])
            use = watched.send(plan)
            use.answered()
            use.end()
        assert sent.count("left") in {5, 6}

    def test_fallback_is_recorded(self) -> None:
        watched = make_three()
        watched.see(DOWN, "good")
        plan = watched.plan(headers={"X-Routing-Tier": "Q4"})
        assert plan.decision is not None
        assert (plan.decision.wanted_tier, plan.decision.fallback) == ("Q4", True)
        assert ids(plan) == ["left", "right", "cheap"]


def find(plan: Plan, name: str) -> Any:
    return next(candidate for candidate in plan.candidates if candidate.backend.id == name)


class TestLostRequests:
    """A connection that ends before an answer may be the request's own fault."""

    def test_they_are_left_to_the_health_checks(self) -> None:
        watched = Watched(LEFT, RIGHT)
        for _ in range(5):
            plan = watched.plan()
            use = watched.fleet.begin(plan, plan.candidates[0], watched.clock.now)
            use.lost(watched.clock.now)
            use.end()
        assert len(watched.plan().candidates) == 2
        assert watched.fleet.out_of_rotation() == frozenset()

    def test_without_checks_they_tell(self) -> None:
        watched = Watched(LEFT, RIGHT, well=False, checked=False)
        plan = watched.plan()
        watched.fleet.begin(plan, plan.candidates[0], watched.clock.now).lost(watched.clock.now)
        assert watched.fleet.out_of_rotation() == {plan.candidates[0].backend.id}

    def test_a_trial_that_is_lost_has_failed(self) -> None:
        watched = Watched(LEFT, RIGHT)
        watched.see(DOWN, "left")
        watched.clock.now += 10
        watched.see(UP, "left")
        plan = watched.plan()
        use = watched.fleet.begin(plan, next(c for c in plan.candidates if c.backend.id == "left"), watched.clock.now)
        assert use.is_trial
        use.lost(watched.clock.now)
        assert watched.fleet.out_of_rotation() == {"left"}


def test_last_use_of_a_routers_model() -> None:
    watched = Watched(BOX, GOOD)
    watched.see_router("box", SMALL, LARGE)
    assert watched.fleet.last_used("box", "small", 5000.0) is None
    plan = watched.plan(named="small")
    use = watched.fleet.begin(plan, plan.candidates[0], 4000.0)
    assert watched.fleet.last_used("box", "small", 5000.0) == 5000.0, "it is still at it"
    use.end()
    assert watched.fleet.last_used("box", "small", 6000.0) == 4000.0
    assert watched.fleet.last_used("box", "large", 6000.0) is None
    assert watched.fleet.last_used("box", "gone", 6000.0) is None
    assert watched.fleet.last_used("nobody", "small", 6000.0) is None


def test_what_was_used_is_known_of_the_models_that_a_router_has_now() -> None:
    box = upstream("box")
    small, large = model(box, "small", "Q2"), model(box, "large", "Q4")
    watched = Watched(box)
    watched.see(UP, "box", backends=(small,), router=True)
    plan = watched.plan(named="small")
    watched.fleet.begin(plan, plan.candidates[0], 4000.0).end()
    watched.see(UP, "box", backends=(large, small), router=True)
    assert (watched.fleet.last_used("box", "small", 5000.0), watched.fleet.last_used("box", "large", 5000.0)) == (
        4000.0,
        None,
    )
    watched.see(UP, "box", backends=(large,), router=True)
    assert watched.fleet.last_used("box", "small", 6000.0) is None


def test_a_newcomer_is_not_given_everything() -> None:
    watched = Watched(LEFT, RIGHT)
    only_left = watched.plan().candidates[0]
    for _ in range(50):
        watched.fleet.begin(watched.plan(), only_left, watched.clock.now).end()
    watched.see(UP, "right", backends=(server("right", "Q3", "new"),))
    chosen = []
    for number in range(10):
        plan = watched.plan(f"hello {number}", headers={"X-Routing-Tier": "Q3"})
        chosen.append(plan.candidates[0].backend.id)
        watched.fleet.begin(plan, plan.candidates[0], watched.clock.now).end()
    assert sorted(chosen) == ["left"] * 5 + ["right"] * 5
