from __future__ import annotations

import pytest

from tests.bench.arithmetic import (
    Middle,
    difference,
    median_interval,
    middle,
    of_rounds,
    per_chunk_us,
    per_request_us,
    percentile,
    ratio,
)


@pytest.mark.parametrize(("q", "expected"), [(0, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)])
def test_percentiles_are_values_that_were_measured(q: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], q) == expected


def test_percentiles_of_few_values() -> None:
    assert percentile([], 50) is None
    assert percentile([7.0], 99) == 7.0
    assert percentile([1.0, 2.0], 50) == 1.0


def test_cost_per_request_and_per_chunk() -> None:
    json_us = per_request_us(0.9, 50_000)
    stream_us = per_request_us(1.0, 1_000)
    assert json_us == pytest.approx(18)
    assert per_chunk_us(stream_us, json_us, 67) == pytest.approx((1000 - 18) / 67)
    assert per_request_us(1.0, 0) is None
    assert per_chunk_us(stream_us, None, 67) is None
    assert per_chunk_us(stream_us, json_us, 0) is None


def test_ratios_and_differences_of_the_unknown_are_unknown() -> None:
    assert ratio(36.0, 18.0) == 2.0
    assert ratio(36.0, 0.0) is None
    assert ratio(36.0, -1.0) is None
    assert ratio(None, 18.0) is None
    assert difference(0.5, 0.75) == -0.25
    assert difference(0.5, None) is None


def test_one_noisy_round_does_not_decide() -> None:
    assert middle([20.0, 19.0, 90.0]) == Middle(20.0, 3.55)
    assert middle([None, 20.0]) == Middle(20.0, None)
    assert middle([None]) is None
    assert of_rounds([3, 1, 2], float) == 2.0
    assert of_rounds([3], lambda _: None) is None


def test_the_interval_of_a_median_narrows_with_the_number_of_values() -> None:
    assert median_interval([]) is None
    assert median_interval([3.0, 1.0, 2.0]) == (1, 3)
    # The 40th and the 61st of a hundred: what the binomial distribution gives.
    assert median_interval([float(value) for value in range(100, 0, -1)]) == (40, 61)
