"""Why an export failed, in words that name nobody and give nothing away."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator

import pytest
import requests

from exporter.otel.reasons import UNKNOWN, Quiet, error_reason, note, noting, quiet_libraries, status_reason
from exporter.otel.session import Session
from tests.otel.exports import logged, loud_again
from tests.otlp.receiver import GRPC, Failure, Receiver

LIBRARY = logging.getLogger("opentelemetry.exporter.otlp.some")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with loud_again():
        quiet_libraries()
        yield


def reason_of_post(url: str, timeout: float = 5.0) -> str:
    with Session() as session, noting() as heard:
        session.trust_env = False
        with pytest.raises(requests.RequestException):
            session.post(url, data=b"", timeout=timeout)
    return heard.reason


def test_what_the_connection_says() -> None:
    away = Receiver()
    assert reason_of_post(away.endpoint) == "connection refused"
    with Receiver() as plain, Receiver(GRPC) as strange:
        assert reason_of_post(plain.endpoint.replace("http:", "https:")).startswith("TLS: ")
        assert reason_of_post(strange.endpoint) in ("BadStatusLine", "connection reset by peer")
        plain.hang()
        assert reason_of_post(f"{plain.endpoint}/v1/traces", timeout=0.2) == "timed out"


def test_what_the_answer_says() -> None:
    with Receiver() as receiver, Session() as session, noting() as heard:
        session.trust_env = False
        assert session.post(f"{receiver.endpoint}/v1/traces", data=b"").status_code == 200
        assert heard.reason == UNKNOWN
        receiver.fail(1, Failure(500))
        assert session.post(f"{receiver.endpoint}/v1/traces", data=b"").status_code == 500
        assert heard.reason == "HTTP 500 (Internal Server Error)"
    assert status_reason(599) == "HTTP 599"


def test_what_the_operating_system_says() -> None:
    assert error_reason(socket.gaierror(-2, "Name or service not known")) == "name not found: name or service not known"
    assert error_reason(ConnectionResetError(104, "Connection reset by peer")) == "connection reset by peer"
    assert error_reason(TimeoutError("timed out")) == "timed out"
    assert error_reason(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")) == "TLS: unknown"
    assert error_reason(ValueError("authorization: secret")) == "ValueError"


def test_the_first_cause_counts() -> None:
    last = RuntimeError("http://user:secret@host")
    last.__context__ = middle = ValueError("secret")
    middle.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert error_reason(last) == "connection refused"


def test_nobody_listens_outside_of_an_export() -> None:
    note("lost")
    with noting() as heard:
        pass
    note("lost")
    assert heard.reason == UNKNOWN


def test_a_library_that_says_why() -> None:
    with noting() as heard:
        LIBRARY.error("Failed to encode: %s", ValueError("secret"))
    assert heard.reason == "ValueError"
    with noting() as heard:
        note("HTTP 503")
        LIBRARY.error("Failed: %s", ValueError("secret"))
    assert heard.reason == "HTTP 503"


def test_lines_are_shown_at_debug_only_and_without_texts_of_errors() -> None:
    with logged(logging.INFO) as lines:
        LIBRARY.error("Failed: %s", ValueError("secret"))
    assert lines == []
    with logged(logging.DEBUG) as lines:
        LIBRARY.error("Failed after %.2fs: %s", 1.5, ValueError("secret"), exc_info=ValueError("secret"))
    (line,) = lines
    assert (line.levelname, line.getMessage(), line.exc_info) == ("DEBUG", "Failed after 1.50s: ValueError", None)


def test_quiet_once_is_quiet_enough() -> None:
    quiet_libraries()
    handlers = logging.getLogger("opentelemetry").handlers
    assert len([each for each in handlers if isinstance(each, Quiet)]) == 1
