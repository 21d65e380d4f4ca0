from __future__ import annotations

import pytest

from exporter.demo.scrape import Scrape, histogram_quantile, increase, parse, rate, series, total


def scrape(text: str, at: float, *names: str) -> Scrape:
    return parse(text, at=at, names=names)


def buckets(at: float, **counts: float) -> Scrape:
    """A histogram `t` with bounds 0.1, 0.5, 1 and +Inf."""
    bounds = {"a": "0.1", "b": "0.5", "c": "1.0", "inf": "+Inf"}
    text = "".join(f't_bucket{{le="{bounds[name]}"}} {count}\n' for name, count in counts.items())
    return scrape(text, at, "t_bucket")


NOTHING = Scrape(at=0.0, samples={})


def test_only_wanted_names_are_kept() -> None:
    text = "# HELP a_total A.\n# TYPE a_total counter\na_total 1.0\na_total_seconds 2.0\nb 3.0\n"
    assert scrape(text, 1.0, "a_total").samples == {"a_total": {frozenset(): 1.0}}


def test_labels_are_read_whatever_they_hold() -> None:
    text = 'a_total{x="1\N{LINE SEPARATOR}2",y="q\\"}"} 4.0\na_total{x="",y="z"} 1.0\n'
    found = {labels["x"]: value for labels, value in series(scrape(text, 1.0, "a_total"), "a_total")}
    assert found == {"1\N{LINE SEPARATOR}2": 4.0, "": 1.0}


def test_malformed_text_is_an_error() -> None:
    with pytest.raises(ValueError, match="could not convert"):
        scrape('a_total{x="1"} many\n', 1.0, "a_total")


def test_total_sums_what_matches_and_is_none_without_any() -> None:
    now = scrape('a{x="1",y="1"} 2\na{x="1",y="2"} 3\na{x="2",y="1"} 5\n', 1.0, "a")
    assert total(now, "a") == 10
    assert total(now, "a", x="1") == 5
    assert total(now, "a", x="3") is None
    assert total(now, "b") is None


def test_increase_counts_new_series_from_nothing_and_resets_from_zero() -> None:
    old = scrape('a{x="1"} 10\na{x="2"} 10\n', 1.0, "a")
    new = scrape('a{x="1"} 14\na{x="2"} 3\na{x="3"} 2\n', 3.0, "a")
    assert increase(old, new, "a") == 4 + 3 + 2
    assert increase(old, new, "a", x="2") == 3
    assert rate(old, new, "a") == 4.5


def test_increase_needs_two_scrapes_and_the_metric() -> None:
    now = scrape("a 10\n", 1.0, "a")
    assert increase(now, now, "a") is None
    assert rate(now, now, "a") is None
    assert increase(NOTHING, now, "b") is None


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        (0.25, 0.05),  # 5 of 10 in the first bucket: the middle of 0 to 0.1
        (0.5, 0.1),
        (0.75, 0.3),  # 15 of 20: halfway through the 10 between 0.1 and 0.5
        (1.0, 0.5),
    ],
)
def test_quantiles_are_interpolated_within_their_bucket(q: float, expected: float) -> None:
    new = buckets(2.0, a=10, b=20, c=20, inf=20)
    assert histogram_quantile(q, NOTHING, new, "t") == pytest.approx(expected)


def test_quantiles_are_those_of_the_window() -> None:
    old, new = buckets(1.0, a=100, b=100, c=100, inf=100), buckets(2.0, a=100, b=100, c=104, inf=104)
    assert histogram_quantile(0.5, old, new, "t") == pytest.approx(0.75)


def test_quantile_above_all_bounds_is_the_highest_of_them() -> None:
    assert histogram_quantile(0.95, NOTHING, buckets(2.0, a=0, b=0, c=1, inf=10), "t") == 1.0


def test_quantile_of_nothing_is_none() -> None:
    same = buckets(1.0, a=1, b=1, c=1, inf=1)
    assert histogram_quantile(0.5, NOTHING, NOTHING, "t") is None
    assert histogram_quantile(0.5, same, Scrape(2.0, same.samples), "t") is None


def test_quantile_is_over_all_series_together() -> None:
    text = "".join(
        f't_bucket{{le="{le}",model="{model}"}} {count}\n'
        for model, counts in {"x": (4, 4), "y": (0, 4)}.items()
        for le, count in zip(("1.0", "+Inf"), counts, strict=True)
    )
    assert histogram_quantile(0.25, NOTHING, scrape(text, 1.0, "t_bucket"), "t") == pytest.approx(0.5)


def test_quantile_can_be_that_of_some_series() -> None:
    text = "".join(
        f't_bucket{{le="{le}",tier="{tier}"}} {count}\n'
        for tier, counts in {"Q2": (4, 4, 4), "Q4": (0, 8, 8)}.items()
        for le, count in zip(("1.0", "2.0", "+Inf"), counts, strict=True)
    )
    new = scrape(text, 1.0, "t_bucket")
    assert histogram_quantile(0.5, NOTHING, new, "t", tier="Q2") == pytest.approx(0.5)
    assert histogram_quantile(0.5, NOTHING, new, "t", tier="Q4") == pytest.approx(1.5)
    assert histogram_quantile(0.5, NOTHING, new, "t", tier="Q8") is None
