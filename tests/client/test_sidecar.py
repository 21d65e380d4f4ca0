"""The client and a real sidecar: what is recorded is what its pages show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from exporter.client import MetricsCollector
from tests.client.threaded import LIMIT_SECONDS
from tests.end_to_end.sidecar import Sidecar

KEY = "open-sesame"


def test_what_is_recorded_is_shown(make_collector: Callable[..., MetricsCollector], free_port: int) -> None:
    upstream = f"Q4=http://127.0.0.1:{free_port}"  # nobody is there: what is shown was recorded
    with Sidecar("--upstream", upstream, environment={"PROXY_API_KEY": KEY}) as sidecar:
        collector = make_collector(sidecar.admin, api_key=KEY)
        for call in range(10):
            collector.record_query("Q4", 100.0, 50, 80.0, is_error=call == 0)
        collector.record_routing_decision("COMPLEX", "Q4", 8.5, 0.5, is_fallback=True)
        collector.update_model_availability("Q3", 1, 2)
        collector.record_query("Q4", -1.0)
        collector.record_routing_decision("HARD", "Q4", 8.5, 0.5)
        collector.update_model_availability("Q4", 2, 1)
        assert collector.flush(LIMIT_SECONDS)
        assert (collector.sent, collector.refused, collector.dropped) == (12, 3, 0)

        def shown(page: str) -> Any:
            return httpx.get(f"{sidecar.admin}/api/metrics/{page}", headers={"x-api-key": KEY}).json()

        queries = shown("queries")
        assert (queries["totalQueries"], queries["tierDistribution"]["Q4"]) == (10, 10)
        tier = next(each for each in shown("tiers")["tiers"] if each["name"] == "Q4")
        assert (tier["requestCount"], tier["errorRate"]) == (10, 0.1)
        assert tier["tokensPerSec"] == [625.0] * len(tier["tokensPerSec"])
        routing = shown("routing")
        assert routing["accuracyMetrics"] == {
            "totalDecisions": 1,
            "avgDecisionTimeMs": 0.5,
            "fallbackRate": 1.0,
        }
        assert {"tier": "Q3", "available": 1, "total": 2} in routing["modelAvailability"]

        locked_out = make_collector(sidecar.admin, api_key="wrong")
        locked_out.record_query("Q4", 1.0)
        assert locked_out.flush(LIMIT_SECONDS)
        assert (locked_out.sent, locked_out.refused) == (0, 1)
        assert shown("queries")["totalQueries"] == 10
