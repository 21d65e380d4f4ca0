"""How pushing by OpenTelemetry fares, in figures. `exporter.otel` keeps the account, `sidecar` shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TRACES = "traces"
METRICS = "metrics"

QUEUE_FULL = "queue_full"
EXPORT_FAILED = "export_failed"
DROP_REASONS = (QUEUE_FULL, EXPORT_FAILED)


@dataclass(frozen=True, slots=True)
class PushStatus:
    """Counts since the start of the process."""

    exports: Mapping[str, int]
    """Exports that the receiver has taken, by signal; a signal that is off has no key."""
    failures: Mapping[str, int]
    """Exports that were given up after all repetitions, by signal."""
    spans_exported: int | None
    """Spans that the receiver has taken; None, as the next two, where no traces are pushed."""
    spans_dropped: Mapping[str, int] | None
    """Spans that nobody will ever have, by one of `DROP_REASONS`."""
    queue_length: int | None
    """Spans that wait."""
    queue_limit: int | None
    """How many may."""
