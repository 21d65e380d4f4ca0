"""What the script that draws the dashboards does between Prometheus and the page."""

from __future__ import annotations

import pytest

from tools.pictures.scene import Period, stretches, thin_out


@pytest.mark.parametrize(
    ("seconds", "width", "least", "expected"),
    [(300, 24, 0, 5.0), (300, 24, 30, 30.0), (3600, 8, 0, 10.0), (86_400, 12, 0, 120.0), (864_000, 4, 0, 3600.0)],
)
def test_the_step_suits_the_width_and_the_scrapes(seconds: float, width: int, least: float, expected: float) -> None:
    assert Period(0.0, seconds, scrape_interval_seconds=5).step(width, least) == expected


def test_times_that_follow_each_other_are_one_stretch() -> None:
    assert list(stretches([0, 5, 10, 30, 50, 55], 5)) == [(0, 10), (30, 30), (50, 55)]
    assert list(stretches([], 5)) == []


def test_exemplars_that_lie_close_together_are_one() -> None:
    many = [(1.0, each / 128) for each in range(50)]
    assert thin_out([*many, (2.0, 9.0)], 10) == [(2.0, 9.0), (1.0, 49 / 128)]
    assert thin_out([(1.0, 0.1), (11.0, 0.1)], 10) == [(1.0, 0.1), (11.0, 0.1)]
    assert thin_out([], 10) == []
