import re
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.telemetry.guard import ERROR_TYPE, FINISH_REASON, MODEL, ORIGIN, Guard, clean
from tests.telemetry.examples import record, request_metrics


def overflow(guard: Guard) -> dict[str, float]:
    return {series.labels[0]: series.value for series in guard.overflow.all() if series.value}


def test_values_are_admitted_until_there_is_no_room() -> None:
    guard = Guard(limits={FINISH_REASON: 2})
    values = ["stop", "length", "tool_calls", "stop", "eos", "length"]
    assert [guard.admit(FINISH_REASON, value) for value in values] == [
        "stop",
        "length",
        "other",
        "stop",
        "other",
        "length",
    ]
    assert overflow(guard) == {"finish_reason": 2.0}


def test_each_label_has_room_of_its_own() -> None:
    guard = Guard(limits={FINISH_REASON: 1, ERROR_TYPE: 1})
    assert guard.admit(FINISH_REASON, "a") == "a"
    assert guard.admit(ERROR_TYPE, "b") == "b"
    assert overflow(guard) == {}


def test_served_models_are_always_admitted_and_take_no_room() -> None:
    served = {"a", "b", "c"}
    guard = Guard(lambda: served, limits={MODEL: 1})
    assert [guard.admit(MODEL, name) for name in ("a", "b", "mine", "c", "yours")] == ["a", "b", "mine", "c", "other"]
    served.clear()
    assert guard.admit(MODEL, "c") == "c"
    served.add("yours")
    assert guard.admit(MODEL, "yours") == "yours"


def test_served_names_vouch_for_models_only() -> None:
    guard = Guard(lambda: {"x"}, limits={FINISH_REASON: 0})
    assert guard.admit(FINISH_REASON, "x") == "other"


@pytest.mark.parametrize(
    ("requested", "answered", "label"),
    [
        ("asked", "answered", "asked"),
        (None, "answered", "answered"),
        ("", "answered", "answered"),
        (None, None, "unknown"),
        (None, "", "unknown"),
    ],
)
def test_the_model_is_the_one_asked_for_else_the_one_that_answered(
    requested: str | None, answered: str | None, label: str
) -> None:
    assert Guard().model(requested, answered) == label


def test_values_are_made_safe() -> None:
    assert clean("a\nb\x00c\x7fd\u2028e\ud800f") == "a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf"
    assert clean("x" * 200) == "x" * 128
    assert clean("модель 🦙 \"quoted\\'") == "модель 🦙 \"quoted\\'"


@given(st.text(st.characters(), max_size=300))
def test_a_safe_value_can_be_encoded_and_has_one_line(value: str) -> None:
    safe = clean(value)
    assert len(safe) <= 128
    assert safe.encode().decode().splitlines() in ([], [safe])
    assert not re.search(r"[\x00-\x1f]", safe)
    assert clean(safe) == safe


def test_long_values_that_begin_alike_are_one() -> None:
    guard = Guard(limits={MODEL: 1})
    assert guard.admit(MODEL, "x" * 200) == guard.admit(MODEL, "x" * 300) == "x" * 128


def test_ten_thousand_models_stay_within_bounds() -> None:
    guard = Guard()
    metrics = request_metrics(guard)
    for number in range(200):
        metrics.record(record(requested_model=f"warm-{number}"))
    tracemalloc.start()
    try:
        for number in range(10_000):
            metrics.record(record(requested_model=f"{'m' * 100}-{number}"))
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    models = {series.labels[2] for family in metrics.families() for series in family.all() if len(series.labels) > 4}
    assert len(models) == 101
    assert overflow(guard) == {"gen_ai_request_model": 10_100.0}
    assert grown < 64 * 1024, f"{grown} bytes kept, a name alone has {sys.getsizeof('m' * 106)}"


def test_the_overflow_is_there_before_it_happens() -> None:
    """A counter that begins with its first event hides that event from `rate()`."""
    assert {series.labels: series.value for series in Guard().overflow.all()} == {
        (MODEL,): 0.0,
        (ORIGIN,): 0.0,
        (FINISH_REASON,): 0.0,
        (ERROR_TYPE,): 0.0,
    }


def test_requests_that_did_not_work_take_no_room() -> None:
    guard = Guard(lambda: {"real"}, limits={MODEL: 1})
    for number in range(100):
        assert guard.model(f"junk-{number}", None, worked=False) == "other"
    assert guard.model("real", None, worked=False) == "real"
    assert guard.model("wanted", None) == "wanted"
    assert guard.model("wanted", None, worked=False) == "wanted"
    assert guard.model("too much", None) == "other"
    assert overflow(guard) == {MODEL: 1.0}


@pytest.mark.parametrize(
    ("sent", "label"),
    [
        ("https://chat.example", "https://chat.example"),
        ("nightly batch", "nightly batch"),
        ("null", "null"),
        ("a\nb", "a\ufffdb"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_origin_is_what_was_sent(sent: str | None, label: str) -> None:
    assert Guard().origin(sent) == label


def test_requests_that_were_not_let_in_take_no_room() -> None:
    guard = Guard(limits={ORIGIN: 1})
    assert [guard.origin(f"junk-{number}", let_in=False) for number in range(3)] == ["other"] * 3
    assert guard.origin(None, let_in=False) == "unknown"
    assert guard.origin("app") == guard.origin("app", let_in=False) == "app"
    assert guard.origin("too much") == "other"
    assert overflow(guard) == {ORIGIN: 1.0}
