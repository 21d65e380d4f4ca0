from __future__ import annotations

import pytest

from exporter.system.rates import Rates


def test_rates_are_differences_over_the_time_between_two_readings() -> None:
    rates = Rates()
    assert rates.update(10.0, {"sda": (1000, 50)}) == {"sda": (None, None)}
    assert rates.update(12.0, {"sda": (3000, 50)}) == {"sda": (1000.0, 0.0)}


def test_a_counter_that_was_reset_has_no_rate_and_the_other_one_keeps_its_own() -> None:
    rates = Rates()
    rates.update(0.0, {"eth0": (5000, 100)})
    assert rates.update(1.0, {"eth0": (10, 300)}) == {"eth0": (None, 200.0)}
    assert rates.update(2.0, {"eth0": (20, 300)}) == {"eth0": (10.0, 0.0)}


@pytest.mark.parametrize("pause", [0.0, 0.09, -5.0])
def test_a_reading_too_soon_gives_the_rate_known_and_does_not_move_the_base(pause: float) -> None:
    rates = Rates()
    rates.update(100.0, {"sda": (0, 0)})
    known = rates.update(101.0, {"sda": (100, 200)})
    assert rates.update(101.0 + pause, {"sda": (999, 999)}) == known == {"sda": (100.0, 200.0)}
    assert rates.update(102.0, {"sda": (400, 200)}) == {"sda": (300.0, 0.0)}


def test_a_device_that_was_gone_starts_afresh() -> None:
    rates = Rates()
    rates.update(0.0, {"sda": (0, 0), "sdb": (0, 0)})
    assert rates.update(1.0, {"sda": (5, 5)}) == {"sda": (5.0, 5.0)}
    assert rates.update(2.0, {"sda": (5, 5), "sdb": (9, 9)}) == {"sda": (0.0, 0.0), "sdb": (None, None)}
