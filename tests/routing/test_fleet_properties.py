"""Plain requests are planned in a shorter way; whatever has happened, it must lead where the long one leads."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.routing.backend import Plan
from exporter.routing.fleet import Fleet, NobodyError
from exporter.routing.health import CheckState
from exporter.routing.use import Use
from exporter.settings.routing import RoutingSettings
from tests.routing.layouts import server, upstream
from tests.routing.test_fleet import Clock, observed

UPSTREAMS = tuple(upstream(name, tier=tier) for name, tier in (("cheap", "Q2"), ("middle", "Q3"), ("good", "Q4")))
TEXTS = ("hello", "Explain why the sky is blue.", "Analyze this design, and then compare it with others, if you can")

TEXT = st.tuples(st.just("ask"), st.sampled_from(TEXTS), st.sampled_from((None, "auto", "other", "cheap-model")))
CHECK = st.tuples(st.just("check"), st.sampled_from(UPSTREAMS), st.sampled_from(CheckState))
END = st.tuples(st.just("end"), st.sampled_from(("answered", "failed", "lost", "timed_out", "end")), st.integers(0, 3))
WAIT = st.tuples(st.just("wait"), st.sampled_from((0.0, 0.5, 1.0, 5.0, 40.0)), st.none())
DESCRIBE = st.tuples(st.just("describe"), st.sampled_from(UPSTREAMS), st.sampled_from((None, 64, 8192)))
EVENTS = st.lists(TEXT | CHECK | END | WAIT | DESCRIBE, max_size=40)


class LongWay(Fleet):
    def _plain_text(self, *_: object) -> None:
        return None


class ShortWay(Fleet):
    taken = 0

    def _plan_plain(self, text: str, started: float) -> Plan:
        ShortWay.taken += 1
        return super()._plan_plain(text, started)


def seen(plan: Plan | str) -> object:
    if isinstance(plan, str):
        return plan
    assert plan.decision is not None
    return [(each.backend.id, each.model) for each in plan.candidates], plan.decision._replace(seconds=0.0)


def ask(fleet: Fleet, text: str, named: str | None) -> Plan | str:
    document = {"messages": [{"role": "user", "content": text}]} | ({} if named is None else {"model": named})
    try:
        return fleet.plan(observed("/v1/chat/completions", document, [], seen=True), [], seen=True)
    except NobodyError as nobody:
        return f"{nobody} {nobody.wanted_tier} {nobody.retry_seconds}"


HELLO = ("ask", "hello", "auto")
A_BACK_OFF_ENDS = [HELLO, ("end", "failed", 0), HELLO, ("wait", 1.0, None), HELLO, HELLO]
"""Time alone makes somebody be tried again; a request ends that."""


@settings(max_examples=300, deadline=None)
@example(A_BACK_OFF_ENDS, False)
@given(EVENTS, st.booleans())
def test_the_short_way_leads_where_the_long_one_does(events: list[tuple[str, object, object]], checked: bool) -> None:
    clock = Clock()
    fleets = [kind(UPSTREAMS, RoutingSettings(), checked=checked, clock=clock) for kind in (ShortWay, LongWay)]
    uses: list[list[Use]] = []
    for kind, first, second in events:
        clock.now += 0.001
        if kind == "ask":
            plans = [ask(fleet, str(first), None if second is None else str(second)) for fleet in fleets]
            assert seen(plans[0]) == seen(plans[1])
            uses.append(
                [
                    fleet.begin(plan, plan.candidates[0], clock.now)
                    for fleet, plan in zip(fleets, plans, strict=True)
                    if isinstance(plan, Plan)
                ]
            )
        elif kind == "end" and uses:
            for use in uses.pop(int(str(second)) % len(uses)):
                if first in ("failed", "lost", "timed_out"):
                    getattr(use, str(first))(clock.now)
                elif first == "answered":
                    use.answered()
                use.end()
        elif kind == "wait":
            clock.now += float(str(first))
        else:
            for fleet in fleets:
                tell(fleet, kind, first, second)


def tell(fleet: Fleet, kind: str, first: object, second: object) -> None:
    each = next((each for each in UPSTREAMS if each is first), None)
    if each is None:
        return
    if isinstance(second, CheckState):
        fleet.checked(each.name, second)
    elif kind == "describe":
        backend = replace(server(each.name, each.tier or "", f"{each.name}-model"), upstream=each)
        size = None if second is None else int(str(second))
        fleet.described(each.name, (replace(backend, id=each.name, context_size=size),), router=False)


@pytest.mark.parametrize("text", TEXTS)
def test_it_is_taken(text: str) -> None:
    before = ShortWay.taken
    assert isinstance(ask(ShortWay(UPSTREAMS), text, "auto"), Plan)
    assert ShortWay.taken == before + 1
