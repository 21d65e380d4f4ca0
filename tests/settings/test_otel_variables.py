"""The standard `OTEL_...` variables: what switches a signal on, what is refused, and how clearly."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.settings.otel import OtelSettings, SignalSettings, TlsFiles
from exporter.settings.otel_variables import read

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
ON = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp"}
NONE = frozenset[str]()
OTLP = frozenset(("otlp",))
CONSOLE = frozenset(("console",))


def settings(**variables: str) -> OtelSettings:
    found, warnings = read(variables)
    assert warnings == []
    return found


def refused(**variables: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(variables)
    message = str(caught.value)
    assert message.startswith("environment: OTEL_")
    assert "\n" not in message
    return message.removeprefix("environment: ")


def warned(**variables: str) -> list[str]:
    return read(variables)[1]


# What is on


def test_nothing_is_on_by_itself() -> None:
    assert settings() == OtelSettings()
    assert not settings().on


@pytest.mark.parametrize(
    ("variables", "traces", "metrics"),
    [
        (ENDPOINT, OTLP, OTLP),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, OTLP, NONE),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318/v1/metrics"}, NONE, OTLP),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, NONE, OTLP),
        ({**ENDPOINT, "OTEL_METRICS_EXPORTER": "prometheus"}, OTLP, NONE),
        ({**ENDPOINT, "OTEL_METRICS_EXPORTER": "prometheus,otlp"}, OTLP, OTLP),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": ""}, OTLP, OTLP),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, NONE, NONE),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, OTLP, NONE),
        ({"OTEL_TRACES_EXPORTER": " Console , OTLP "}, OTLP | CONSOLE, NONE),
        ({"OTEL_TRACES_EXPORTER": "logging", "OTEL_METRICS_EXPORTER": "console"}, CONSOLE, CONSOLE),
        ({**ENDPOINT, **ON, "OTEL_SDK_DISABLED": "TRUE"}, NONE, NONE),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "false"}, OTLP, OTLP),
    ],
)
def test_what_switches_a_signal_on(variables: dict[str, str], traces: frozenset[str], metrics: frozenset[str]) -> None:
    found = settings(**variables)
    assert (found.traces.exporters, found.metrics.exporters) == (traces, metrics)
    assert found.on == bool(traces | metrics)


def test_what_is_off_is_not_looked_at() -> None:
    wrong = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "smoke",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "never",
        "OTEL_BSP_MAX_QUEUE_SIZE": "-1",
        "OTEL_METRIC_EXPORT_INTERVAL": "often",
        "OTEL_TRACES_SAMPLER": "dice",
        "OTEL_PROPAGATORS": "pigeon",
    }
    assert settings(**wrong) == OtelSettings()
    assert settings(**wrong, OTEL_TRACES_EXPORTER="otpl", OTEL_SDK_DISABLED="true") == OtelSettings()
    metrics = {"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "5000"}
    usable = {
        name: value for name, value in wrong.items() if name not in ("OTEL_METRIC_EXPORT_INTERVAL", "OTEL_PROPAGATORS")
    }
    assert settings(**usable, **metrics, OTEL_METRICS_EXPORTER="otlp").metrics.timeout_seconds == 5
    assert settings(**usable, OTEL_METRICS_EXPORTER="console").metrics == SignalSettings(CONSOLE)


def test_everything_that_is_heeded(tmp_path: Path) -> None:
    pem = tmp_path / "pem"
    pem.write_text("pem")
    found = settings(
        OTEL_EXPORTER_OTLP_ENDPOINT="https://user:secret@collector/otlp/",
        OTEL_EXPORTER_OTLP_CERTIFICATE=str(pem),
        OTEL_EXPORTER_OTLP_TIMEOUT="2500",
        OTEL_EXPORTER_OTLP_COMPRESSION="GZIP",
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT="collector:4317",
        OTEL_EXPORTER_OTLP_METRICS_PROTOCOL="grpc",
        OTEL_EXPORTER_OTLP_METRICS_INSECURE="true",
        OTEL_EXPORTER_OTLP_METRICS_TIMEOUT="100.5",
        OTEL_EXPORTER_OTLP_METRICS_COMPRESSION="none",
        OTEL_METRIC_EXPORT_INTERVAL="15000",
        OTEL_BSP_MAX_QUEUE_SIZE="100",
        OTEL_BSP_SCHEDULE_DELAY="250",
        OTEL_TRACES_SAMPLER="parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0.01",
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="True",
        OTEL_SEMCONV_STABILITY_OPT_IN="http, gen_ai_latest_experimental",
        OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="unset",
        OTEL_PROPAGATORS="tracecontext,baggage",
    )
    assert found == OtelSettings(
        traces=SignalSettings(
            OTLP,
            endpoint="https://collector/otlp/v1/traces",
            timeout_seconds=2.5,
            compression="gzip",
            tls=TlsFiles(str(pem)),
        ),
        metrics=SignalSettings(OTLP, protocol="grpc", endpoint="http://collector:4317", timeout_seconds=0.1005),
        metrics_interval_seconds=15,
        sampled_share=0.01,
        queue_spans=100,
        batch_spans=100,
        batch_delay_seconds=0.25,
        capture_content=True,
        latest_names=True,
    )


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({}, "http://localhost:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http://localhost:4317"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1]:4318/"}, "http://[::1]:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://u@c/x?key=secret#y"}, "https://c/x"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "c:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "https://c:1"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "https://c"),
    ],
)
def test_endpoints_for_people(variables: dict[str, str], endpoint: str) -> None:
    traces = settings(OTEL_TRACES_EXPORTER="otlp", **variables).traces
    assert traces.endpoint == endpoint
    assert (traces.tls is not None) == endpoint.startswith("https:")


@pytest.mark.parametrize(
    ("word", "captured"),
    [
        ("true", True),
        ("SPAN_ONLY", True),
        ("SPAN_AND_EVENT", True),
        ("EVENT_ONLY", False),
        ("NO_CONTENT", False),
        ("false", False),
        ("", False),
    ],
)
def test_whether_content_is_captured(word: str, captured: bool) -> None:
    found = settings(**ENDPOINT, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=word)
    assert found.capture_content == captured


def test_who_signs_on_by_a_package_of_their_own() -> None:
    found = settings(**ENDPOINT, OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER="cloud")
    assert (found.traces.own_session, found.metrics.own_session) == (True, False)


# What is wrong


MILLISECONDS = "must be a number of milliseconds above 0"
MILLION = "must be a whole number from 1 to 1000000"
SHARE = "must be a number from 0 to 1"
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
    ],
)
def test_what_is_refused(variable: str, what: str) -> None:
    name, _, value = variable.partition("=")
    assert refused(**ON | {name: value}) == f"{name}: {what}"


@pytest.mark.parametrize("share", ["1%", "1.5", "-0.1", "nan"])
def test_the_share_of_traces(share: str) -> None:
    argument = {"OTEL_TRACES_SAMPLER_ARG": share}
    assert refused(**ON, **argument, OTEL_TRACES_SAMPLER="traceidratio") == f"OTEL_TRACES_SAMPLER_ARG: {SHARE}"
    assert settings(**ON, **argument, OTEL_TRACES_SAMPLER="always_on").on


def test_grpc_compresses_in_one_way_only() -> None:
    message = "OTEL_EXPORTER_OTLP_COMPRESSION: 'deflate' is none of gzip, none"
    assert refused(**ON, OTEL_EXPORTER_OTLP_COMPRESSION="deflate", OTEL_EXPORTER_OTLP_PROTOCOL="grpc") == message
    assert settings(**ON, OTEL_EXPORTER_OTLP_COMPRESSION="deflate").traces.compression == "deflate"


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


def test_files_of_tls(tmp_path: Path) -> None:
    there, missing = tmp_path / "there.pem", tmp_path / "missing.pem"
    there.write_text("pem")
    secure = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4318"}
    assert refused(**secure, OTEL_EXPORTER_OTLP_CERTIFICATE=str(missing)) == (
        f"OTEL_EXPORTER_OTLP_CERTIFICATE: {missing} cannot be read (no such file or directory)"
    )
    assert refused(**secure, OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE=str(tmp_path)).endswith("(is a directory)")
    assert refused(**secure, OTEL_EXPORTER_OTLP_CLIENT_KEY=str(there)) == (
        "OTEL_EXPORTER_OTLP_CLIENT_KEY: needs a certificate that it belongs to, in ..._CLIENT_CERTIFICATE"
    )
    ours = {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(there)}
    assert settings(**secure, **ours).traces.tls == TlsFiles(client_certificate=str(there))
    assert refused(**secure, **ours, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="grpc") == (
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: for grpc, it needs its key, in ..._CLIENT_KEY"
    )
    assert settings(**ENDPOINT, OTEL_EXPORTER_OTLP_CERTIFICATE=str(missing)).traces.tls is None


# What is odd


@pytest.mark.parametrize(
    ("variables", "warning"),
    [
        (
            {"OTEL_EXPORTER_OTLP_ENDPIONT": "http://c"},
            "OTEL_EXPORTER_OTLP_ENDPIONT is not known; was OTEL_EXPORTER_OTLP_ENDPOINT meant?",
        ),
        (
            {"OTEL_EXPORTER_OTLP_TRACE_ENDPOINT": "http://c"},
            "OTEL_EXPORTER_OTLP_TRACE_ENDPOINT is not known; was OTEL_EXPORTER_OTLP_TRACES_ENDPOINT meant?",
        ),
        ({"OTEL_SDK_DISABLED": "1"}, "OTEL_SDK_DISABLED is neither true nor false, and counts as false"),
        (
            {**ENDPOINT, "OTEL_EXPORTER_OTLP_TIMEOUT": "10"},
            "OTEL_EXPORTER_OTLP_TIMEOUT is 10 milliseconds; were seconds meant?",
        ),
        (
            {**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_ENDPOINT has port 4318, where http/protobuf is usual; the protocol is grpc",
        ),
        (
            {**ENDPOINT, "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "Delta"},
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE asks for delta; "
            "metrics are pushed as cumulative all the same",
        ),
        (
            {
                **ENDPOINT,
                "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram",
            },
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION asks for base2_exponential_bucket_histogram; "
            "metrics are pushed as explicit_bucket_histogram all the same",
        ),
    ],
)
def test_what_is_warned_of(variables: dict[str, str], warning: str) -> None:
    assert warned(**variables) == [warning]


def test_what_is_meant_for_others_is_no_concern() -> None:
    foreign = {
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://c",
        "OTEL_EXPORTER_OTLP_SPAN_INSECURE": "true",
        "OTEL_EXPORTER_OTLP_FLAVOUR_OF_THE_DAY": "mint",
        "OTEL_EXPORTER_JAEGER_ENDPOINT": "http://c",
        "OTEL_RESOURCE_ATTRIBUTES": "a=b",
    }
    assert warned(**foreign) == []


@pytest.mark.parametrize(
    ("sampler", "argument", "share"),
    [
        ("always_on", "0.5", 1.0),
        ("parentbased_always_off", "0.5", 0.0),
        ("traceidratio", "0.25", 0.25),
        ("parentbased_traceidratio", "", 1.0),
    ],
)
def test_the_share_of_traces_that_begin_here(sampler: str, argument: str, share: float) -> None:
    assert settings(**ON, OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=argument).sampled_share == share
    assert settings(**ON).sampled_share == 1.0
