from __future__ import annotations

import pytest

from tests.bench.load import Sample
from tests.bench.scrape import GapFigures, count_series
from tests.fakes.captures import golden


def test_series_are_the_lines_that_are_no_comments() -> None:
    assert count_series(b"# HELP a x\n# TYPE a counter\na_total 1\na_created 2\n\n# EOF\n") == 2
    assert count_series(golden("metrics").body) == golden("metrics").body.count(b"# TYPE")


def test_lateness_is_beyond_the_pace_and_the_longest_of_all_rounds() -> None:
    rounds = [
        Sample(3.3, 0.0, 1.0, 0, 330, None, None, None, p99, longest) for p99, longest in [(0.011, 0.03), (0.012, 0.02)]
    ]
    found = GapFigures.of(rounds)
    assert found.p99 == pytest.approx(0.0015)
    assert found.longest == pytest.approx(0.02)
    assert found.errors == 0
