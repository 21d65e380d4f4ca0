"""The log: one line an event, as text or JSON, without what the proxy means to happen."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from exporter import logs
from exporter.record import Attempt, AttemptResult, Complexity, Decision, RequestRecord, RoutingReason
from tests.telemetry.examples import DECISION, NOTHING_KNOWN, record


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before[0], before[1]


def logged(level: str, form: str, *events: tuple[int, str, dict[str, Any]], name: str = "exporter.x") -> list[str]:
    stream = io.StringIO()
    logs.configure(level, form, stream)
    for severity, message, extra in events:
        logging.getLogger(name).log(severity, message, extra=extra)
    return stream.getvalue().splitlines()


def accessed(form: str, request: RequestRecord) -> str:
    """The line of the access log for `request`."""
    stream = io.StringIO()
    logs.configure("debug", form, stream)
    logs.write_access(request)
    (line,) = stream.getvalue().splitlines()
    return line


def test_json_has_the_fields_given() -> None:
    (line,) = logged("info", "json", (logging.INFO, "listening", {"port": 1, "upstream": None}))
    entry = json.loads(line)
    assert entry.pop("time").endswith("Z")
    assert entry == {"level": "info", "logger": "exporter.x", "message": "listening", "port": 1, "upstream": None}


def test_text_leaves_out_what_is_unknown() -> None:
    (line,) = logged("info", "text", (logging.WARNING, "listening", {"port": 1, "upstream": None}))
    assert line.endswith("Z WARNING listening port=1")


def test_auto_is_json_where_nobody_sits() -> None:
    (line,) = logged("info", "auto", (logging.INFO, "x", {}))
    assert json.loads(line)["message"] == "x"


def test_level() -> None:
    assert logged("warning", "text", (logging.INFO, "x", {})) == []


def test_what_is_meant_to_happen_is_not_reported() -> None:
    events: list[tuple[int, str, dict[str, Any]]] = [
        (logging.ERROR, "ASGI callable returned without completing response.", {}),
        (logging.ERROR, "something else", {}),
    ]
    lines = logged("info", "text", *events, name="uvicorn.error")
    assert [line.rsplit(" ", 2)[1:] for line in lines] == [["something", "else"]]


def test_cut_off_requests_are_no_tracebacks() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    log = logging.getLogger("uvicorn.error")
    log.error("Exception in ASGI application", exc_info=asyncio.CancelledError())
    log.error("Exception in ASGI application", exc_info=ValueError("real"))
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: real" in json.loads(line)["exception"]


def test_what_a_client_wrote_stays_on_its_line() -> None:
    (line,) = logged("info", "text", (logging.INFO, "request", {"path": "/x\nERROR forged\x1b[31m"}))
    assert line.endswith(r"INFO    request path='/x\nERROR forged\x1b[31m'")


FALLBACK = record(
    attempts=(
        Attempt("cpu", AttemptResult.UNAVAILABLE, 0.02, 503),
        Attempt("gpu-0", AttemptResult.ANSWERED, 0.01, 200),
    ),
    decision=Decision(RoutingReason.COMPLEXITY, Complexity.SIMPLE, 0.1 + 0.2, "Q8", fallback=True, seconds=1e-5),
)


def test_the_access_log_says_where_a_request_went() -> None:
    entry = json.loads(accessed("json", record(**NOTHING_KNOWN)))
    assert {key: entry[key] for key in ("status", "upstream", "tier", "model", "seconds", "ttft_seconds")} == {
        "status": 200, "upstream": "gpu-0", "tier": "Q4", "model": "tiny", "seconds": 1.5, "ttft_seconds": None,
    }  # fmt: skip
    assert not {"complexity", "score", "routed_by", "fallback", "attempts"} & set(entry)


def test_the_access_log_says_why_a_request_went_there() -> None:
    entry = json.loads(accessed("json", FALLBACK))
    assert {key: entry[key] for key in ("tier", "complexity", "score", "routed_by", "fallback", "attempts")} == {
        "tier": "Q4", "complexity": "SIMPLE", "score": 0.3, "routed_by": "complexity", "fallback": True,
        "attempts": ["cpu:unavailable", "gpu-0:answered"],
    }  # fmt: skip


def test_the_access_log_as_text() -> None:
    routing = " complexity=SIMPLE score=0.3 routed_by=complexity fallback=True attempts=cpu:unavailable,gpu-0:answered"
    assert accessed("text", FALLBACK).endswith(routing)
    assert " score=" not in accessed("text", record(decision=DECISION._replace(score=None)))
