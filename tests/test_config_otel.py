"""`load_otel`: what it leaves in the environment for the libraries, which read it by themselves."""

from __future__ import annotations

import os

import pytest

from exporter import config
from exporter.errors import ConfigError
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


def test_what_is_wrong_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^environment: OTEL_TRACES_EXPORTER: 'x' is none of [^\n]*$"):
        load(OTEL_TRACES_EXPORTER="x")
