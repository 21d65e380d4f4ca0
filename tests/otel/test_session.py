"""The credentials that exports over HTTP carry, and that `.netrc` does not replace them."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from exporter import config
from exporter.otel.exporters import span_exporters
from exporter.otel.reasons import quiet_libraries
from tests.otel.exports import environment, loud_again, spans
from tests.otlp.receiver import Receiver

HEADER = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20ours"}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with loud_again():
        quiet_libraries()
        yield


def credentials(user: str, headers: dict[str, str], netrc: Path) -> str | None:
    """What arrives when a span is exported by somebody who has a `.netrc`."""
    netrc.write_text("default login other password theirs\n")
    with Receiver() as receiver:
        endpoint = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://{user}127.0.0.1:{receiver.port}/v1/traces"}
        with environment(**endpoint, **headers):
            os.environ["NETRC"] = str(netrc)
            (exporter,) = span_exporters(config.load_otel().traces)
            assert exporter.export(spans()) is SpanExportResult.SUCCESS
            exporter.shutdown()
        return receiver.requests[0].headers.get("authorization")


@pytest.mark.parametrize(
    ("user", "headers", "expected"),
    [
        ("", {}, None),
        ("", HEADER, "Bearer ours"),
        ("me:p%40ss@", {}, f"Basic {b64encode(b'me:p@ss').decode()}"),
    ],
    ids=["none", "header", "user and password"],
)
def test_who_we_say_we_are(user: str, headers: dict[str, str], expected: str | None, tmp_path: Path) -> None:
    assert credentials(user, headers, tmp_path / "netrc") == expected
