"""The operator hears of each change once."""

from __future__ import annotations

import logging

import pytest

from exporter.system.snapshot import LlamaServerSnapshot, ServerState
from exporter.system.upstream_log import UpstreamLog


def test_changes_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    upstreams = UpstreamLog()
    states = [ServerState.UNREACHABLE] * 3 + [ServerState.READY] * 2 + [ServerState.LOADING]
    with caplog.at_level(logging.INFO):
        for state in states:
            reason = None if state is ServerState.READY else "connection refused"
            upstreams.note(LlamaServerSnapshot(upstream="q4", tiers=("Q4", "Q8"), state=state, error=reason))
    assert [(record.levelname, record.message, vars(record)["state"]) for record in caplog.records] == [
        ("WARNING", "upstream is not ready", "unreachable"),
        ("INFO", "upstream is ready", "ready"),
        ("WARNING", "upstream is not ready", "loading"),
    ]
    assert vars(caplog.records[0])["reason"] == "connection refused"
    assert [vars(record).get("tiers") for record in caplog.records] == [None, ["Q4", "Q8"], None]
