"""`load_otel`: what it leaves in the environment for the libraries, which read it by themselves."""

from __future__ import annotations

import os

import pytest
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.util.http import SanitizeValue, get_custom_headers

from exporter import config
from exporter.errors import ConfigError
from exporter.keys import CREDENTIAL_FIELDS
from exporter.settings.fields import SECRET_HEADERS
from tests.otel.exports import environment, load, logged

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "http"),
        ("", "http"),
        ("http", "http"),
        ("http/dup", "http/dup"),
        ("database , gen_ai_latest_experimental", "database,gen_ai_latest_experimental,http"),
    ],
)
def test_attributes_of_http_have_their_stable_names(before: str | None, after: str) -> None:
    with environment(**ENDPOINT, **({} if before is None else {OPT_IN: before})):
        config.load_otel()
        assert os.environ[OPT_IN] == after


def test_what_is_empty_is_not_set() -> None:
    blank = {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "", "OTEL_EXPORTER_OTLP_COMPRESSION": " "}
    with environment(OTEL_EXPORTER_OTLP_ENDPOINT=" http://collector:4318 ", **blank):
        assert config.load_otel().on
        assert os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"
        assert not blank.keys() & os.environ.keys()


def test_a_limit_that_is_unset_is_not_set() -> None:
    """Though the SDK would take the word for a broken number."""
    unset = {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "unset", "OTEL_SPAN_EVENT_COUNT_LIMIT": " UNSET "}
    with environment(**ENDPOINT, **unset, OTEL_SPAN_LINK_COUNT_LIMIT="5", OTEL_SERVICE_NAME="unset"):
        assert config.load_otel().on
        assert not unset.keys() & os.environ.keys()
        assert (os.environ["OTEL_SPAN_LINK_COUNT_LIMIT"], os.environ["OTEL_SERVICE_NAME"]) == ("5", "unset")
        assert SpanLimits().max_links == 5


SANITIZED = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS"


@pytest.mark.parametrize(("before", "own"), [({}, []), ({SANITIZED: " x-own "}, ["x-own"])])
def test_header_fields_that_spans_show_are_no_secrets(before: dict[str, str], own: list[str]) -> None:
    with environment(**ENDPOINT, OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST=".*", **before):
        config.load_otel()
        hidden = SanitizeValue(get_custom_headers(SANITIZED))
    secrets = {*SECRET_HEADERS, *(name.decode() for name in CREDENTIAL_FIELDS), "set-cookie", "X-Goog-Api-Key", *own}
    assert {name: hidden.sanitize_header_value(name.title(), "s3cret") for name in secrets} == dict.fromkeys(
        secrets, "[REDACTED]"
    )
    assert hidden.sanitize_header_value("x-plain", "shown") == "shown"


def test_grpc_does_not_write_to_standard_error() -> None:
    with environment(**ENDPOINT):
        os.environ.pop("GRPC_VERBOSITY", None)
        config.load_otel()
        assert "GRPC_VERBOSITY" not in os.environ
        os.environ["OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"] = "grpc"
        config.load_otel()
        assert os.environ["GRPC_VERBOSITY"] == "ERROR"
        os.environ["GRPC_VERBOSITY"] = "DEBUG"
        config.load_otel()
        assert os.environ["GRPC_VERBOSITY"] == "DEBUG"


def test_nothing_changes_when_nothing_is_on() -> None:
    with environment(OTEL_EXPORTER_OTLP_TIMEOUT="", OTEL_SDK_DISABLED="true", **ENDPOINT):
        before = dict(os.environ)
        assert not config.load_otel().on
        assert dict(os.environ) == before


def test_what_is_odd_is_logged_once() -> None:
    with logged() as lines:
        assert load(OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4317").on
    assert [(line.levelname, line.getMessage()) for line in lines] == [
        (
            "WARNING",
            "OTEL_EXPORTER_OTLP_ENDPOINT has port 4317, where grpc is usual; the protocol is http/protobuf",
        )
    ]


@pytest.mark.parametrize(
    "variables",
    [
        {**ENDPOINT, "OTEL_SDK_DISABLED": "true"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "prometheus"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/x", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_an_endpoint_that_nothing_goes_to_is_remarked_upon(variables: dict[str, str]) -> None:
    with logged() as lines:
        assert not load(**variables).on
    assert [(line.levelname, line.getMessage()) for line in lines] == [
        ("INFO", "nothing is pushed, for OTEL_SDK_DISABLED or OTEL_..._EXPORTER says so")
    ]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_EXPORTER_OTLP_HEADERS": "a=b", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://collector:4318"},
    ],
)
def test_without_an_endpoint_there_is_nothing_to_remark_upon(variables: dict[str, str]) -> None:
    with logged() as lines:
        assert not load(**variables).on
    assert lines == []


def test_what_is_wrong_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^environment: OTEL_TRACES_EXPORTER: 'x' is none of [^\n]*$"):
        load(OTEL_TRACES_EXPORTER="x")
