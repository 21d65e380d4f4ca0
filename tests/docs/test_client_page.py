"""The example of docs/client.md does what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from exporter.client.collector import DEFAULT_URL
from tests.client.recorder import LIMIT_SECONDS, Recorder

PAGE = Path(__file__).parents[2] / "docs" / "client.md"


def test_the_example_records_what_it_shows(free_port: int) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert DEFAULT_URL in example
    with Recorder(free_port) as recorder:
        command = [sys.executable, "-c", example.replace(DEFAULT_URL, recorder.url)]
        subprocess.run(command, check=True, timeout=LIMIT_SECONDS)
    assert recorder.received == [
        (
            "/api/metrics/record/routing",
            {"complexity": "COMPLEX", "tier": "Q4", "score": 8.2, "decision_time_ms": 0.4, "is_fallback": False},
        ),
        (
            "/api/metrics/record/query",
            {
                "tier": "Q4",
                "latency_ms": 1840.0,
                "tokens_generated": 212,
                "generation_time_ms": 1610.0,
                "is_error": False,
            },
        ),
        ("/api/metrics/record/availability", {"tier": "Q4", "available": 1, "total": 2}),
    ]
