"""The standard `OTEL_...` variables: what switches a signal on, what is heeded, and what is warned of."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from exporter.settings import otel_variables
from exporter.settings.otel import OtelSettings, SignalSettings, TlsFiles
from exporter.settings.otel_variables import read
from tests.otlp.receiver import Tls
from tests.settings.reading import ENDPOINT, ON, refused, settings, warned

NONE = frozenset[str]()
OTLP = frozenset(("otlp",))
CONSOLE = frozenset(("console",))


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


def test_everything_that_is_heeded(authority: Tls) -> None:
    pem = authority.certificate
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
        OTEL_RESOURCE_ATTRIBUTES="service.namespace=home, a=b=c,d=,",
        OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST=".*",
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
        batch_spans=16,
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
    found, _ = read({**ENDPOINT, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": word})
    assert found.capture_content == captured


CONTENT = {**ENDPOINT, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
QUEUE, BATCH = "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"


@pytest.mark.parametrize(
    ("variables", "queue", "batch"),
    [
        (ENDPOINT, 2048, 512),
        ({**ENDPOINT, QUEUE: "300"}, 300, 300),
        (CONTENT, 256, 16),
        ({**CONTENT, QUEUE: "2048"}, 2048, 16),
        ({**CONTENT, QUEUE: "8"}, 8, 8),
        ({**CONTENT, BATCH: "512"}, 512, 512),
        ({**CONTENT, BATCH: "20"}, 256, 20),
        ({**CONTENT, QUEUE: "3000", BATCH: "2500"}, 3000, 2500),
    ],
)
def test_fewer_spans_wait_where_they_have_content(variables: dict[str, str], queue: int, batch: int) -> None:
    found = settings(**variables)
    assert (found.queue_spans, found.batch_spans) == (queue, batch)


PROVIDER = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER"
PROVIDER_OF_TRACES = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER"


def test_who_signs_on_by_a_package_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(*, group: str) -> list[EntryPoint]:
        return [EntryPoint("cloud", "package:session", group)] if group.endswith("otlp_credential_provider") else []

    monkeypatch.setattr(otel_variables, "entry_points", installed)
    found = settings(**ENDPOINT, **{PROVIDER_OF_TRACES: "cloud"})
    assert (found.traces.own_session, found.metrics.own_session) == (True, False)
    found = settings(**ENDPOINT, **{PROVIDER: "cloud", PROVIDER_OF_TRACES: "not heeded"})  # as the library has it
    assert (found.traces.own_session, found.metrics.own_session) == (True, True)
    message = f"{PROVIDER}: no package that is installed has a credential provider 'cluod'"
    assert refused(**ENDPOINT, **{PROVIDER: "cluod", PROVIDER_OF_TRACES: "cloud"}) == message


def test_who_signs_on_by_a_package_that_is_not_there() -> None:
    message = f"{PROVIDER_OF_TRACES}: no package that is installed has a credential provider 'cloud'"
    assert refused(**ENDPOINT, **{PROVIDER_OF_TRACES: "cloud"}) == message
    grpc = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert not settings(**grpc, **{PROVIDER: "cloud"}).traces.own_session  # That is for HTTP.


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
        (
            {**ENDPOINT, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "EVENT_ONLY"},
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is event_only, and there are no events with content: "
            "it goes nowhere",
        ),
        (
            {**ENDPOINT, "OTEL_TRACES_SAMPLER": "TraceIdRatio"},
            "OTEL_TRACES_SAMPLER is traceidratio without OTEL_TRACES_SAMPLER_ARG: every trace is sampled",
        ),
        (
            {**ENDPOINT, "OTEL_TRACES_SAMPLER_ARG": "0.1"},
            "OTEL_TRACES_SAMPLER_ARG is of no effect: OTEL_TRACES_SAMPLER is parentbased_always_on, not traceidratio",
        ),
        (
            {**ENDPOINT, "OTEL_SEMCONV_STABILITY_OPT_IN": "http,gen_ai_latest"},
            "OTEL_SEMCONV_STABILITY_OPT_IN has gen_ai_latest, which is not known; was gen_ai_latest_experimental "
            "meant?",
        ),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318"},
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT has no path, and none is put behind it; /v1/traces is usual",
        ),
        (
            {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318/"},
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT has no path, and none is put behind it; /v1/metrics is usual",
        ),
        *(
            (
                {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://c:4318{path}", "OTEL_METRICS_EXPORTER": "none"},
                "OTEL_EXPORTER_OTLP_ENDPOINT has a path, behind which /v1/traces is put; "
                "was OTEL_EXPORTER_OTLP_ENDPOINT without it meant?",
            )
            for path in ("/v1/traces", "/v1/metrics/", "/v1", "/otlp/v1/")
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
    "variables",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c/v1/otlp"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c/otlp/v1"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {**ENDPOINT, "OTEL_SEMCONV_STABILITY_OPT_IN": "database/dup, gen_ai_latest_experimental"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none", "OTEL_TRACES_SAMPLER": "traceidratio"},
        {**ENDPOINT, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
        {**ENDPOINT, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_AND_EVENT"},
    ],
)
def test_what_is_usual_is_not_warned_of(variables: dict[str, str]) -> None:
    assert settings(**variables).on


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
    variables = {**ON, "OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument}
    assert read(variables)[0].sampled_share == share
    assert settings(**ON).sampled_share == 1.0
