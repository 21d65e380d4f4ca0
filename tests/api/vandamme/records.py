"""Finished requests for this room's tests."""

from __future__ import annotations

from typing import Any

from exporter.record import RequestRecord
from tests.telemetry import examples


def record(**changes: Any) -> RequestRecord:
    """One that went where it asked to go: there was nothing to decide."""
    return examples.record(**{"decision": None, **changes})
