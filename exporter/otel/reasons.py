"""Why an export failed, in a few words without addresses and secrets; and what the libraries write to the log, which
is made lines of level debug.

`delivery` listens to the thread that exports, `session` tells it why a request failed. The libraries tell their callers
only that it failed, and the log why, at every attempt anew.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from http import HTTPStatus

LIBRARIES = ("opentelemetry",)
"""All of them: what they say of a broken trace context, they say at every request, in the client's words."""
CONNECTIONS = "urllib3"
"""Writes addresses to the log, with keys that may be in them."""
UNKNOWN = "unknown"
TIMED_OUT = "timed out"
CONNECTING = "failed to connect to all addresses"
"""How the core of gRPC begins to say why there is no connection; other details can be the receiver's words."""


class Note:
    """What was heard last of one export."""

    def __init__(self) -> None:
        self.reason = UNKNOWN


class _Notes(threading.local):
    current: Note | None = None


_notes = _Notes()


@contextlib.contextmanager
def noting() -> Iterator[Note]:
    """Gathers why the export that this thread makes meanwhile fails."""
    _notes.current = note = Note()
    try:
        yield note
    finally:
        _notes.current = None


def note(reason: str) -> None:
    """Say why something failed, to whoever listens to this thread."""
    if _notes.current is not None:
        _notes.current.reason = reason


def status_reason(status: int) -> str:
    """`HTTP 503 (Service Unavailable)`."""
    try:
        return f"HTTP {status} ({HTTPStatus(status).phrase})"
    except ValueError:
        return f"HTTP {status}"


def error_reason(error: BaseException) -> str:
    """What the operating system says, or TLS; else the kind of error. Errors of HTTP libraries name addresses and hold
    header fields, so their texts are not used."""
    chain = list(_chain(error))
    for each in reversed(chain):
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"certificate not trusted: {getattr(each, 'verify_message', UNKNOWN)}"
        if isinstance(each, ssl.SSLError):
            return f"TLS: {(getattr(each, 'reason', None) or UNKNOWN).lower().replace('_', ' ')}"
        if isinstance(each, TimeoutError):
            return TIMED_OUT
        if isinstance(each, socket.gaierror):
            return f"name not found: {each.strerror}".lower()
        if isinstance(each, OSError) and each.errno is not None and each.strerror:
            return each.strerror.lower()
    return TIMED_OUT if any("Timeout" in type(each).__name__ for each in chain) else type(chain[-1]).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    """From what was raised to what has begun it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


class Quiet(logging.Handler):
    """Hears what the libraries write: keeps the reason for whoever is noting, and passes the line on at debug."""

    def emit(self, record: logging.LogRecord) -> None:
        """Lines come at every attempt that failed, and at the end of the last one."""
        args = record.args if isinstance(record.args, tuple) else ()
        _note_what_is_in(args)
        root = logging.getLogger()
        if root.isEnabledFor(logging.DEBUG):
            copy = logging.makeLogRecord(vars(record))
            copy.levelno, copy.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
            copy.args = tuple(error_reason(arg) if isinstance(arg, BaseException) else arg for arg in args)
            copy.exc_info = copy.exc_text = None
            root.handle(copy)


def _note_what_is_in(args: tuple[object, ...]) -> None:
    """A status of gRPC, which nobody else tells, perhaps with details; or an error of whatever kind, unless more is
    known."""
    listening = _notes.current
    if listening is None:
        return
    for arg in args:
        if type(arg).__name__ == "StatusCode":
            listening.reason = f"gRPC {getattr(arg, 'name', arg)}{_why_not_connected(args[-1])}"
        elif isinstance(arg, BaseException) and listening.reason == UNKNOWN:
            listening.reason = error_reason(arg)


def _why_not_connected(details: object) -> str:
    if not isinstance(details, str) or not details.startswith(CONNECTING):
        return ""
    return f" ({details.removesuffix(': OK').rpartition(': ')[2].lower()})"


def quiet_libraries() -> None:
    """From now on, nothing of the libraries is shown above debug. Doing so again changes nothing."""
    for name in LIBRARIES:
        logger = logging.getLogger(name)
        if not any(isinstance(handler, Quiet) for handler in logger.handlers):
            logger.addHandler(Quiet())
        logger.propagate = False
        logger.setLevel(min(logging.WARNING, logging.getLogger().level))
    logging.getLogger(CONNECTIONS).setLevel(logging.ERROR)
