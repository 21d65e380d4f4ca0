"""What the sidecar's access log says of each request; needs a sidecar that logs at debug."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from exporter.demo.traffic import Exchange
from tests.end_to_end.sidecar import Sidecar

Entry = dict[str, Any]


def tagged(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """Each with an origin of its own, by which its record is found again."""
    return [replace(exchange, origin=f"http://request-{number}") for number, exchange in enumerate(exchanges)]


def wait_for_records(sidecar: Sidecar, count: int) -> dict[str, Entry]:
    """Access-log entries by origin; raises when one is missing or comes twice."""
    sidecar.wait_until(lambda: sum(e["message"] == "request" for e in sidecar.log) >= count)
    entries = [entry for entry in sidecar.log if entry["message"] == "request"]
    records = {str(entry["origin"]): entry for entry in entries}
    assert len(entries) == len(records) == count, (len(entries), len(records), count)
    return records
