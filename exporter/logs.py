"""Structured logs on standard error: readable text on a terminal, one JSON object a line otherwise.

`cli` calls `configure` once. Fields beside the message are given as `extra={...}`; prompts, answers and secrets are
never logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable
from typing import Any, Literal, TextIO

from exporter.record import RequestRecord
from exporter.utc import utc

Level = Literal["error", "warn", "info", "debug"]
"""Of a line, whoever has written it, as those read it who read logs from afar."""

access_log = logging.getLogger("exporter.access")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Set up the root logger. `level` is debug, info, warning or error; `form` is text, json or auto."""
    target = sys.stderr if stream is None else stream
    as_json = form == "json" or (form == "auto" and not target.isatty())
    handler = logging.StreamHandler(target)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    handler.addFilter(_is_worth_saying)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error", "asyncio", "httpx", "httpcore", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def attach(handler: logging.Handler) -> Callable[[], None]:
    """Have a further handler told what is logged. Returned is what ends it."""
    root = logging.getLogger()
    handler.addFilter(_is_worth_saying)
    root.addHandler(handler)

    def detach() -> None:
        root.removeHandler(handler)
        handler.removeFilter(_is_worth_saying)

    return detach


def set_level(level: str) -> None:
    """What is logged from now on: debug, info, warning or error."""
    logging.getLogger().setLevel(level.upper())


def write_access(record: RequestRecord) -> None:
    """One line per request, at debug; a sink."""
    access_log.debug(
        "request",
        extra={
            "request_id": record.request_id,
            "method": record.method,
            "path": record.path,
            "status": record.status_code,
            "outcome": str(record.outcome),
            "origin": record.origin,
            "upstream": record.upstream,
            "tier": record.tier,
            "model": record.response_model or record.requested_model,
            "seconds": round(record.duration_seconds, 6),
            "ttft_seconds": record.ttft_seconds and round(record.ttft_seconds, 6),
            "input_tokens": record.input_tokens,
            "output_tokens": record.output_tokens,
            **({"trace_id": record.trace.trace_id, "span_id": record.trace.span_id} if record.trace else {}),
            **_routing(record),
        },
    )


def _routing(record: RequestRecord) -> dict[str, Any]:
    """Fields of a request that was routed; none for others."""
    decision = record.decision
    if decision is None:
        return {}
    return {
        "complexity": str(decision.complexity),
        "score": decision.score and round(decision.score, 3),
        "routed_by": str(decision.reason),
        "fallback": decision.fallback,
        "attempts": [f"{attempt.upstream}:{attempt.result}" for attempt in record.attempts],
    }


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message", ...}`; whatever is given as `extra` stands beside them."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        entry: dict[str, Any] = {
            "time": utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **extra_fields(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class TextFormatter(logging.Formatter):
    """`time LEVEL message key=value ...`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback below it when there is one."""
        fields = "".join(f" {key}={_plain(value)}" for key, value in extra_fields(record).items() if value is not None)
        line = f"{utc(record.created)} {record.levelname:7} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _plain(value: object) -> str:
    """A value on one line: what a client has put into it must not look like a line of ours."""
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if text.isprintable() else repr(text)


def extra_fields(record: logging.LogRecord) -> dict[str, Any]:
    """What was given beside the message."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


_EXPECTED = (
    "ASGI callable returned without",  # how the proxy tells a client that an answer broke off: it has logged why
    "Cancel ",  # the shutdown's grace is over: our own line says it
)


def _is_worth_saying(record: logging.LogRecord) -> bool:
    """Drops what the server reports of events that the proxy means to happen, and answers for itself."""
    if record.name != "uvicorn.error":
        return True
    if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
        return False
    return not record.getMessage().startswith(_EXPECTED)
