"""A writer that cannot keep up: what it drops is counted, and one line of the log is enough for all of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

import pytest

from exporter.store.database import Database
from exporter.store.writer import BATCH_RECORDS, Writer
from tests.telemetry.examples import record

LIMIT = 5 * BATCH_RECORDS // 2


async def test_a_queue_that_stays_full_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = Writer(Database(f"sqlite:///{tmp_path / 'history.db'}"), "box:8001", queue_limit=LIMIT)
    running = asyncio.create_task(writer.run())
    with caplog.at_level(logging.WARNING):
        for batches in (0, 1, 2):
            while writer.status().written < batches * BATCH_RECORDS:
                await asyncio.sleep(0)
            for _ in range(LIMIT + 100):
                writer.record(record())
        assert writer.status().dropped["queue_full"] >= 300
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await writer.close()
    assert [each.getMessage() for each in caplog.records] == [
        "the store's queue is full; what finishes is dropped until it is back"
    ]
    status = writer.status()
    assert status.written + status.dropped["queue_full"] == 3 * (LIMIT + 100)
