"""What of the standard `OTEL_...` variables is refused, and how clearly."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from exporter.settings import otel_variables
from exporter.settings.otel import TlsFiles
from exporter.settings.otel_variables import read
from tests.otel.exports import make_certificate
from tests.otlp.receiver import Tls
from tests.settings.reading import ENDPOINT, ON, refused, settings

MILLISECONDS = "must be a number of milliseconds above 0"
MILLION = "must be a whole number from 1 to 1000000"
SHARE = "must be a number from 0 to 1"
PATTERNS = "must be regular expressions, separated by commas"
SAMPLERS = (
    "always_off, always_on, parentbased_always_off, parentbased_always_on, parentbased_traceidratio, traceidratio"
)
CAPTURES = "event_only, false, no_content, span_and_event, span_only, true"


@pytest.mark.parametrize(
    ("variable", "what"),
    [
        ("OTEL_TRACES_EXPORTER=otpl", "'otpl' is none of console, logging, none, otlp; did you mean otlp?"),
        ("OTEL_TRACES_EXPORTER=prometheus", "'prometheus' is none of console, logging, none, otlp"),
        ("OTEL_METRICS_EXPORTER=none,otlp", "none stands alone"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "'http/json' is none of grpc, http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http", "'http' is none of grpc, http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT=10s", MILLISECONDS),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT=0", MILLISECONDS),
        ("OTEL_METRIC_EXPORT_INTERVAL=nan", MILLISECONDS),
        ("OTEL_BSP_SCHEDULE_DELAY=-1", MILLISECONDS),
        ("OTEL_BSP_MAX_QUEUE_SIZE=0", MILLION),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE=1.5", MILLION),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE=4096", "4096 is more than may wait: OTEL_BSP_MAX_QUEUE_SIZE is 2048"),
        ("OTEL_TRACES_SAMPLER=traceidrato", f"'traceidrato' is none of {SAMPLERS}; did you mean traceidratio?"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION=brotli", "'brotli' is none of deflate, gzip, none"),
        ("OTEL_PROPAGATORS=tracecontext,b3", "'b3' is none of baggage, none, tracecontext"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT=many", "must be a whole number from 0"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=deltas",
            "'deltas' is none of cumulative, delta, lowmemory; did you mean delta?",
        ),
        ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=1", f"'1' is none of {CAPTURES}"),
        ("OTEL_RESOURCE_ATTRIBUTES=a=b,c", "part 2 is not name=value"),
        ("OTEL_RESOURCE_ATTRIBUTES= =b,c=d", "part 1 is not name=value"),
        ("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST=*", PATTERNS),
        ("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE=x-a,(x", PATTERNS),
        ("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS=[", PATTERNS),
        ("OTEL_PYTHON_EXCLUDED_URLS=a,(?i)b", PATTERNS),
        ("OTEL_PYTHON_HTTPX_EXCLUDED_URLS=*", PATTERNS),
    ],
)
def test_what_is_refused(variable: str, what: str) -> None:
    name, _, value = variable.partition("=")
    assert refused(**ON | {name: value}) == f"{name}: {what}"


@pytest.mark.parametrize("share", ["1%", "1.5", "-0.1", "nan"])
def test_the_share_of_traces(share: str) -> None:
    argument = {"OTEL_TRACES_SAMPLER_ARG": share}
    assert refused(**ON, **argument, OTEL_TRACES_SAMPLER="traceidratio") == f"OTEL_TRACES_SAMPLER_ARG: {SHARE}"
    assert read({**ON, **argument, "OTEL_TRACES_SAMPLER": "always_on"})[0].on  # It is not heeded.


def test_grpc_compresses_in_one_way_only() -> None:
    message = "OTEL_EXPORTER_OTLP_COMPRESSION: 'deflate' is none of gzip, none"
    assert refused(**ON, OTEL_EXPORTER_OTLP_COMPRESSION="deflate", OTEL_EXPORTER_OTLP_PROTOCOL="grpc") == message
    assert settings(**ON, OTEL_EXPORTER_OTLP_COMPRESSION="deflate").traces.compression == "deflate"


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"])
def test_grpc_is_an_extra(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otel_variables, "find_spec", lambda name: None if name.endswith(".grpc") else name)
    message = f"{variable}: grpc needs the extra `grpc`: pip install '.[grpc]' in a checkout"
    assert refused(**ON, **{variable: "grpc"}) == message
    assert settings(**{variable: "grpc"}, OTEL_TRACES_EXPORTER="console").on
    assert settings(**ON, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf").on


NOT_AN_ENDPOINT = "must be a URL with http or https and a host, such as http://localhost:4318"


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("localhost:4318", NOT_AN_ENDPOINT),
        ("ftp://user:secret@localhost", NOT_AN_ENDPOINT),
        ("http://", NOT_AN_ENDPOINT),
        ("http://user:secret@:4318", NOT_AN_ENDPOINT),
        ("http://local host", NOT_AN_ENDPOINT),
        ("http://localhost:port", "is not a URL"),
        ("http://[::1", "is not a URL"),
        (
            "http://localhost:4318?key=secret",
            "a path is put behind it, and there must be no query; OTEL_EXPORTER_OTLP_TRACES_ENDPOINT can have one",
        ),
    ],
)
def test_endpoints_that_are_none(endpoint: str, message: str) -> None:
    assert refused(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) == f"OTEL_EXPORTER_OTLP_ENDPOINT: {message}"


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("collector", "for grpc, it must have a port, such as http://localhost:4317"),
        ("http://collector", "for grpc, it must have a port, such as http://localhost:4317"),
        ("http://user:secret@collector:4317", "for grpc, it must be a host and a port, without a user and a query"),
        ("unix:///run/collector", NOT_AN_ENDPOINT),
        ("collector:port", "is not a URL"),
    ],
)
def test_endpoints_that_are_none_for_grpc(endpoint: str, message: str) -> None:
    variables = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_INSECURE": "true"}
    assert refused(**variables, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) == f"OTEL_EXPORTER_OTLP_ENDPOINT: {message}"


@pytest.mark.parametrize(
    "headers",
    ["secret", "a=b;c=secret", "a b=secret", "=secret", 'a="secret"', "a=secret%0Ax", "a=b,secret", "a=%C3%A4secret"],
)
def test_headers_that_are_none(headers: str) -> None:
    message = refused(**ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS=headers)
    assert message.startswith("OTEL_EXPORTER_OTLP_HEADERS: part ")
    assert "secret" not in message.replace("may be secret", "")


@pytest.mark.parametrize("headers", ["a=b", "api-key=x%20y , b=", "authorization=Bearer x=/+:", "a=b,", "%61=b"])
def test_headers_as_people_write_them(headers: str) -> None:
    assert settings(**ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS=headers).on


SECURE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4318"}


def test_files_of_tls(tmp_path: Path, authority: Tls) -> None:
    missing = tmp_path / "missing.pem"
    assert refused(**SECURE, OTEL_EXPORTER_OTLP_CERTIFICATE=str(missing)) == (
        f"OTEL_EXPORTER_OTLP_CERTIFICATE: {missing} cannot be read (no such file or directory)"
    )
    assert refused(**SECURE, OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE=str(tmp_path)).endswith("(is a directory)")
    assert refused(**SECURE, OTEL_EXPORTER_OTLP_CLIENT_KEY=str(authority.key)) == (
        "OTEL_EXPORTER_OTLP_CLIENT_KEY: needs a certificate that it belongs to, in ..._CLIENT_CERTIFICATE"
    )
    both = tmp_path / "both.pem"
    both.write_bytes(authority.certificate.read_bytes() + authority.key.read_bytes())
    ours = {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(both)}
    assert settings(**SECURE, **ours).traces.tls == TlsFiles(client_certificate=str(both))
    assert refused(**SECURE, **ours, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="grpc") == (
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: for grpc, it needs its key, in ..._CLIENT_KEY"
    )
    assert settings(**ENDPOINT, OTEL_EXPORTER_OTLP_CERTIFICATE=str(missing)).traces.tls is None


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_files_that_are_no_certificates(protocol: str, tmp_path: Path, authority: Tls) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    secure = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4444", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    assert refused(**secure, OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE=str(nonsense)) == (
        f"OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE: {nonsense} is no certificate in PEM form"
    )
    other = make_certificate(tmp_path, "other", authority)
    secured = tmp_path / "secured.key"
    subprocess.run(
        ["openssl", "ec", "-in", other.key, "-out", secured, "-aes256", "-passout", "pass:word"],
        check=True,
        capture_output=True,
    )
    pair = {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(other.certificate)}
    for key in (authority.key, nonsense, secured):
        assert refused(**secure, **pair, OTEL_EXPORTER_OTLP_CLIENT_KEY=str(key)) == (
            f"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: {other.certificate} is no certificate with its key, in PEM form, "
            "without a password"
        )
    found = settings(**secure, **pair, OTEL_EXPORTER_OTLP_CLIENT_KEY=str(other.key))
    assert found.traces.tls == TlsFiles("", str(other.certificate), str(other.key))
