"""kill -9 in the middle of load: the store opens, holds all but the last second, and nothing twice."""

from __future__ import annotations

import pytest

from tests.end_to_end.store_kills import kill_often

KILLS = {"sqlite": 3, "postgresql": 1}


def test_a_killed_sidecar_loses_no_more_than_a_second(
    store_url: str, canned_upstream: str, request: pytest.FixtureRequest
) -> None:
    found = kill_often(store_url, canned_upstream, KILLS[store_url.partition(":")[0]])
    assert found.good, found
    assert all(each.due > 20 for each in found.kills), found
    assert found.rows >= sum(each.kept for each in found.kills)
