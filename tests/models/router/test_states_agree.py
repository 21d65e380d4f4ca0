"""Whatever is heard of a model, and in whatever order: a list that is up to date has the last word."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exporter.models.model import Status
from exporter.models.router import states as module
from exporter.models.router.state import WORDS
from exporter.system.snapshot import ModelState
from tests.models.watched import Watched

MODELS = st.sampled_from([state for state in ModelState if state is not ModelState.DOWNLOADING])
STEPS = st.lists(
    st.tuples(st.just("hear"), MODELS, st.sampled_from([None, 0, 1]))
    | st.tuples(st.just("show"), MODELS, st.booleans())
    | st.tuples(st.sampled_from(["load", "refuse", "unload", "keep", "away", "miss"]), st.none(), st.none()),
    max_size=12,
)


@given(STEPS, MODELS)
def test_whatever_was_heard_the_states_agree_with_a_list_of_now(
    steps: list[tuple[str, Any, Any]], last: ModelState
) -> None:
    watched = Watched()
    watched.show(ModelState.UNLOADED)
    for step, state, detail in steps:
        watched.now += 1
        take(watched, step, state, detail)
    if (a := watched.states.get("a")) is not None:
        watched.states.answered(a, begun=True)
    watched.now += module.UNLOAD_SECONDS
    watched.show(last)
    expected = WORDS[last]
    if watched.a.dismissed and expected is Status.ERROR:
        expected = Status.STOPPED
    if watched.a.status is not Status.ERROR or expected is not Status.STOPPED:
        assert watched.a.status is expected
    assert watched.a.loading_since is None or watched.a.status is Status.LOADING
    assert (watched.a.error is not None) == (watched.a.status is Status.ERROR)


def take(watched: Watched, step: str, state: Any, detail: Any) -> None:
    a = watched.states.get("a")
    if step == "hear":
        watched.hear(state, exit_code=detail)
    elif step == "show":
        watched.show(state, since=0 if detail else None)
    elif step == "load":
        watched.states.asked_to_load("a")
    elif step == "refuse" and a is not None and a.asking:
        watched.states.answered(a, begun=False)
    elif step == "unload" and a is not None and a.held:
        watched.states.asked_to_unload(a)
    elif step == "keep" and a is not None:
        watched.states.stays(a, Status.RUNNING)
    elif step == "away":
        watched.states.away()
    elif step == "miss":
        watched.show()
