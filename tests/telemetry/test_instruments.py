import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as TheirHistogram

from exporter.telemetry.catalog import Feed, Kind, Metric
from exporter.telemetry.instruments import Counter, Exemplar, Histogram

THINGS = Metric("test_things", Kind.COUNTER, "Things.", Feed.SELF, unit="things", labels=("kind",))
WAIT = Metric("test_wait_seconds", Kind.HISTOGRAM, "Waiting.", Feed.SELF, unit="seconds", labels=("kind",))
BOUNDS = (0.1, 1.0, 10.0)
NOT_NUMBERS = [-1.0, -math.inf, math.inf, math.nan, 10**400]


def test_a_counter_adds_and_keeps_its_beginning() -> None:
    times = iter([100.0, 200.0])
    family = Counter(THINGS, lambda: next(times))
    family.series(("a",)).inc()
    family.series(("a",)).inc(2.5)
    family.series(("b",)).inc(0)
    assert [(s.labels, s.value, s.created) for s in family.all()] == [(("a",), 3.5, 100.0), (("b",), 0.0, 200.0)]


@pytest.mark.parametrize("amount", NOT_NUMBERS)
def test_what_is_no_amount_changes_nothing(amount: float) -> None:
    counter = Counter(THINGS).series(("a",))
    histogram = Histogram(WAIT, BOUNDS).series(("a",))
    counter.inc(amount)
    histogram.observe(amount)
    assert counter.value == 0
    assert (histogram.count, histogram.total) == (0, 0.0)


def test_a_bound_belongs_to_its_bucket() -> None:
    series = Histogram(WAIT, BOUNDS).series(("a",))
    for value in (0.0, 0.1, 0.10001, 1.0, 10.0, 10.1):
        series.observe(value)
    assert series.counts == [2, 2, 1, 1]
    assert series.count == 6


@given(st.lists(st.floats(0, 100)))
def test_buckets_are_those_of_prometheus_client(values: list[float]) -> None:
    ours = Histogram(WAIT, BOUNDS, lambda: 5.0)
    registry = CollectorRegistry()
    theirs = TheirHistogram(WAIT.name, WAIT.help, ["kind"], buckets=BOUNDS, registry=registry)
    for value in values:
        ours.series(("a",)).observe(value)
        theirs.labels("a").observe(value)
    if not values:
        return
    our_text = generate_latest(ours).decode()
    their_text = generate_latest(registry).decode()
    assert [line for line in our_text.splitlines() if "_created" not in line] == [
        line for line in their_text.splitlines() if "_created" not in line
    ]


def test_counts_made_elsewhere_are_added() -> None:
    series = Histogram(WAIT, BOUNDS).series(("a",))
    series.observe(0.5)
    series.merge((1, 0, 0, 2), 25.5)
    assert series.counts == [1, 1, 0, 2]
    assert series.total == 26.0


def test_counts_over_other_bounds_are_refused_and_leave_the_series_alone() -> None:
    series = Histogram(WAIT, BOUNDS).series(("a",))
    with pytest.raises(ValueError, match="shorter"):
        series.merge((1, 2), 3.0)
    assert series.counts == [0, 0, 0, 0]
    assert series.total == 0.0


def test_label_values_must_be_complete() -> None:
    with pytest.raises(ValueError, match="test_things has the labels"):
        Counter(THINGS).series(("a", "b"))


def test_going_through_the_series_is_not_disturbed_by_new_ones() -> None:
    family = Counter(THINGS)
    family.series(("a",))
    seen = []
    for series in family.all():
        family.series((series.labels[0] + "x",))
        seen.append(series.labels)
    assert seen == [("a",)]


def test_the_newest_exemplar_of_a_bucket_is_kept() -> None:
    family = Histogram(WAIT, BOUNDS, lambda: 5.0)
    series = family.series(("a",))
    for span in ("s1", "s2"):
        series.observe(0.5, Exemplar("t", span, 0.5, 7.0))
    assert series.exemplars == [None, Exemplar("t", "s2", 0.5, 7.0), None, None]
    (collected,) = family.collect()
    exemplars = [sample.exemplar for sample in collected.samples if sample.name.endswith("_bucket")]
    assert exemplars[1] == ({"span_id": "s2", "trace_id": "t"}, 0.5, 7.0)
    assert exemplars[0] is None


def test_any_registry_can_show_the_families() -> None:
    registry = CollectorRegistry()
    family = Counter(THINGS, lambda: 5.0)
    registry.register(family)
    family.series(("a",)).inc(3)
    assert registry.get_sample_value("test_things_total", {"kind": "a"}) == 3
