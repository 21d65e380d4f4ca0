"""UTC wall time as everything that leaves the process writes it."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(wall: float, timespec: str = "milliseconds") -> str:
    """`2026-11-20T08:32:35.123Z`; strict clients refuse `+00:00`. `timespec` as for `datetime.isoformat`."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
