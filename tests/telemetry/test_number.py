import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.utils import floatToGoString

from exporter.telemetry.number import go_float


@given(st.one_of(st.floats(), st.integers(-(10**18), 10**18), st.booleans()))
def test_numbers_are_written_as_prometheus_client_writes_them(value: float) -> None:
    assert go_float(value) == floatToGoString(value)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.0"),
        (999_999, "999999.0"),
        (1_000_000, "1e+06"),
        (1_234_567.5, "1.2345675e+06"),
        (1e22, "1e+22"),
        (-1_234_567.0, "-1234567.0"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_known_numbers(value: float, text: str) -> None:
    assert go_float(value) == text
