"""Quantiles within the promised error, in bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.live.sketch import RELATIVE_ERROR, Sketch

VALUES = st.lists(st.floats(1e-4, 1e5), min_size=1, max_size=200)


def sketch_of(values: list[float]) -> Sketch:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


@given(VALUES, st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
def test_quantiles_are_within_the_relative_error(values: list[float], q: float) -> None:
    found = sketch_of(values).quantile(q)
    exact = sorted(values)[int(q * (len(values) - 1))]
    assert found == pytest.approx(exact, rel=RELATIVE_ERROR * 1.001)


@given(VALUES, VALUES)
def test_a_union_is_as_if_all_had_been_added_to_one(one: list[float], other: list[float]) -> None:
    union, whole = Sketch([sketch_of(one), sketch_of(other)]), sketch_of(one + other)
    assert len(union) == len(whole) == len(one) + len(other)
    for q in (0.1, 0.5, 0.9, 1.0):
        assert union.quantile(q) == whole.quantile(q)


def test_without_values_there_are_no_quantiles() -> None:
    assert Sketch().quantile(0.5) is None


def test_extreme_values_count_and_take_no_more_room() -> None:
    sketch = sketch_of([0.0, -1.0, 1e-300, float("nan"), 1e300, float("inf")])
    assert len(sketch) == 6
    assert len(sketch._buckets) == 2


def test_memory_is_bounded() -> None:
    sketch = Sketch()
    value = 1e-7
    while value < 1e9:
        sketch.add(value)
        value *= 1.001
    assert len(sketch._buckets) <= 520
