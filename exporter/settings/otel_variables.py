"""The standard `OTEL_...` variables as `OtelSettings`: which signals are on, where they go, and what is wrong with
that.

`config.load_otel` hands over the environment. What belongs to a signal that is off is not looked at: these variables
speak to everything else that people run, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any
from urllib.parse import SplitResult

from exporter.settings.fields import SECRET_HEADERS
from exporter.settings.otel import CONSOLE, GRPC, HTTP_PROTOBUF, OTLP, OtelSettings, SignalSettings, TlsFiles
from exporter.settings.variables import (
    PREFIX,
    Said,
    Variables,
    is_authority,
    is_pair,
    known_word,
    nearest,
    read_url,
    wrong,
)

DISABLED = "OTEL_SDK_DISABLED"
OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
PROPAGATORS = "OTEL_PROPAGATORS"
INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
DELAY = "OTEL_BSP_SCHEDULE_DELAY"
QUEUE = "OTEL_BSP_MAX_QUEUE_SIZE"
BATCH = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
SAMPLER = "OTEL_TRACES_SAMPLER"
TEMPORALITY = f"{PREFIX}_METRICS_TEMPORALITY_PREFERENCE"
AGGREGATION = f"{PREFIX}_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
LATEST_NAMES = "gen_ai_latest_experimental"

NONE = "none"
LOGGING = "logging"
"""What `console` was called at first."""
PROMETHEUS = "prometheus"
"""The listener is there anyway; it pushes nothing."""
TRACE_EXPORTERS = frozenset((OTLP, CONSOLE, NONE, LOGGING))
METRIC_EXPORTERS = TRACE_EXPORTERS | {PROMETHEUS}
PROTOCOLS = frozenset((HTTP_PROTOBUF, GRPC))
COMPRESSIONS = {HTTP_PROTOBUF: frozenset((NONE, "gzip", "deflate")), GRPC: frozenset((NONE, "gzip"))}
DEFAULT_ENDPOINTS = {HTTP_PROTOBUF: "http://localhost:4318", GRPC: "http://localhost:4317"}
USUAL_PORTS = {HTTP_PROTOBUF: 4318, GRPC: 4317}
RATIO = "traceidratio"
SAMPLERS = frozenset(
    f"{parent}{root}" for parent in ("", "parentbased_") for root in ("always_on", "always_off", RATIO)
)
CAPTURED = {
    **dict.fromkeys(("true", "span_only", "span_and_event"), True),
    **dict.fromkeys(("false", "event_only", "no_content"), False),
}
"""The newer words say where content goes; of ours it goes to spans, or nowhere."""
ONE_SHAPE = {
    TEMPORALITY: ("cumulative", "delta", "lowmemory"),
    AGGREGATION: ("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
}
"""What metrics can be asked to be, first what they are."""
SPAN_LIMITS = (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
)

SESSION = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_{}CREDENTIAL_PROVIDER"
RESOURCE = "OTEL_RESOURCE_ATTRIBUTES"
SANITIZED = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS"
PATTERNS = (
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE",
    SANITIZED,
    "OTEL_PYTHON_EXCLUDED_URLS",
    "OTEL_PYTHON_HTTPX_EXCLUDED_URLS",
)
"""Of what the instrumentation reads by itself, those that would break a request, or the start."""
SECRET_FIELDS = (*sorted(SECRET_HEADERS), "set-cookie")
CONTENT_QUEUE, CONTENT_BATCH = 256, 16
"""Spans with content can have 200 KiB each: of so many, a batch is less than the 4 MiB that receivers take."""
PARTS = (
    "CERTIFICATE",
    "CLIENT_CERTIFICATE",
    "CLIENT_KEY",
    "COMPRESSION",
    "ENDPOINT",
    "HEADERS",
    "INSECURE",
    "PROTOCOL",
    "TIMEOUT",
)
SIGNALS = ("", "TRACES_", "METRICS_", "LOGS_", "PROFILES_")
ENDPOINTS = tuple(f"{PREFIX}_{signal}ENDPOINT" for signal in SIGNALS[:3])
"""Any of them switches a signal on that we have, unless something else is said of it."""
KNOWN = (
    *(f"{PREFIX}_{signal}{part}" for signal in SIGNALS for part in PARTS),
    *(f"{PREFIX}_{old}_INSECURE" for old in ("SPAN", "METRIC")),
    TEMPORALITY,
    AGGREGATION,
)


def read(environment: Mapping[str, str]) -> tuple[OtelSettings, list[str]]:
    """The settings, and what a log should warn of. Raises ConfigError with one line that names the variable."""
    variables = Variables(environment)
    if variables.truth(DISABLED):
        return OtelSettings(), variables.warnings
    _suspect_misspelt(variables)
    traces = _exporters(variables, "traces", TRACE_EXPORTERS)
    metrics = _exporters(variables, "metrics", METRIC_EXPORTERS)
    if not (traces or metrics):
        return OtelSettings(), variables.warnings
    _check_common(variables)
    return OtelSettings(
        traces=_signal(variables, "traces", traces),
        metrics=_signal(variables, "metrics", metrics),
        **(_of_traces(variables) if traces else {}),
        **(_of_metrics(variables) if metrics else {}),
        latest_names=_latest_names(variables, opted_in(environment)),
    ), variables.warnings


def opted_in(environment: Mapping[str, str]) -> list[str]:
    """The newer conventions that are asked for."""
    return [word for part in environment.get(OPT_IN, "").split(",") if (word := part.strip())]


def _latest_names(variables: Variables, words: list[str]) -> bool:
    for word in words:
        if word.startswith("gen_ai") and word != LATEST_NAMES:
            variables.warn(f"{OPT_IN} has {word}, which is not known; was {LATEST_NAMES} meant?")
    return LATEST_NAMES in words


def _suspect_misspelt(variables: Variables) -> None:
    """No error: a name that we do not know can be meant for another program."""
    bare = [name.removeprefix(PREFIX) for name in KNOWN]
    for name in sorted(variables):
        if name.startswith(PREFIX) and name not in KNOWN:
            near = nearest(name.removeprefix(PREFIX), bare, 0.75)
            if near:
                variables.warn(f"{name} is not known; was {PREFIX}{near} meant?")


def _exporters(variables: Variables, signal: str, known: frozenset[str]) -> frozenset[str]:
    """Where nobody says which, an endpoint switches the signal on."""
    name = f"OTEL_{signal.upper()}_EXPORTER"
    said = variables.words(name, known)
    if not said:
        return frozenset((OTLP,)) if variables.otlp(signal, "ENDPOINT") else said
    if NONE in said and len(said) > 1:
        raise wrong(name, "none stands alone")
    return frozenset(CONSOLE if word == LOGGING else word for word in said) - {NONE, PROMETHEUS}


def _check_common(variables: Variables) -> None:
    """What the SDK reads by itself, and would complain of in its own way."""
    for name in SPAN_LIMITS:
        variables.check_limit(name)
    said = variables.first(PROPAGATORS)
    for word in said.value.split(",") if said else ():
        known_word(PROPAGATORS, word.strip(), _installed("opentelemetry_propagator") | {NONE})
    said = variables.first(RESOURCE)
    for number, pair in enumerate(said.value.split(",") if said else (), start=1):
        if pair.strip() and ("=" not in pair or not pair.partition("=")[0].strip()):
            raise wrong(RESOURCE, f"part {number} is not name=value")


def _installed(group: str) -> set[str]:
    """What is there to choose from, ours and others'."""
    return {each.name for each in entry_points(group=group)}


def _of_traces(variables: Variables) -> dict[str, Any]:
    """What else matters to traces; here, too, the sampler is checked, which the SDK reads by itself."""
    for name in PATTERNS:
        variables.check_patterns(name)
    sampler = variables.word(variables.first(SAMPLER), SAMPLERS, "parentbased_always_on")
    share = _share(variables, sampler)
    capture = _captures(variables)
    queue, batch = _lengths(variables, capture=capture)
    return {
        "sampled_share": share,
        "queue_spans": queue,
        "batch_spans": batch,
        "batch_delay_seconds": variables.seconds(variables.first(DELAY), OtelSettings().batch_delay_seconds),
        "capture_content": capture,
    }


def _lengths(variables: Variables, *, capture: bool) -> tuple[int, int]:
    """Spans that may wait, and those of one export: fewer where they have content, unless somebody says how many."""
    most, usual = OtelSettings().queue_spans, OtelSettings().batch_spans
    asked = variables.whole(BATCH, 0)
    queue = variables.whole(QUEUE, max(CONTENT_QUEUE, min(asked, most)) if capture else most)
    batch = asked or min(CONTENT_BATCH if capture else usual, queue)
    if batch > queue:
        raise wrong(BATCH, f"{batch} is more than may wait: {QUEUE} is {queue}")
    return queue, batch


def _share(variables: Variables, sampler: str) -> float:
    """Of the traces that begin here, how many are sampled."""
    argument = f"{SAMPLER}_ARG"
    if not sampler.endswith(RATIO):
        if variables.first(argument):
            variables.warn(f"{argument} is of no effect: {SAMPLER} is {sampler}, not {RATIO}")
        return float(sampler.endswith("always_on"))
    if not variables.first(argument):
        variables.warn(f"{SAMPLER} is {sampler} without {argument}: every trace is sampled")
    return variables.share(argument)


def _captures(variables: Variables) -> bool:
    word = variables.word(variables.first(CAPTURE), CAPTURED, "false")
    if word == "event_only":
        variables.warn(f"{CAPTURE} is {word}, and there are no events with content: it goes nowhere")
    return CAPTURED[word]


def _of_metrics(variables: Variables) -> dict[str, Any]:
    """What else matters to metrics."""
    for name, words in ONE_SHAPE.items():
        word = variables.word(variables.first(name), words, words[0])
        if word != words[0]:
            variables.warn(f"{name} asks for {word}; metrics are pushed as {words[0]} all the same")
    return {
        "metrics_interval_seconds": variables.seconds(
            variables.first(INTERVAL), OtelSettings().metrics_interval_seconds
        )
    }


def _signal(variables: Variables, signal: str, exporters: frozenset[str]) -> SignalSettings:
    if OTLP not in exporters:
        return SignalSettings(exporters)
    asked = variables.otlp(signal, "PROTOCOL")
    protocol = variables.word(asked, PROTOCOLS, HTTP_PROTOBUF)
    if asked and protocol == GRPC and find_spec("opentelemetry.exporter.otlp.proto.grpc") is None:
        raise wrong(asked.name, "grpc needs the extra `grpc`: pip install '.[grpc]' in a checkout")
    said = variables.otlp(signal, "ENDPOINT") or Said("", DEFAULT_ENDPOINTS[protocol])
    parts = _read_endpoint(variables, said, signal, protocol)
    variables.check_headers(variables.otlp(signal, "HEADERS"))
    compression = variables.word(variables.otlp(signal, "COMPRESSION"), COMPRESSIONS[protocol], NONE)
    path = parts.path if protocol == GRPC or _is_of(said, signal) else f"{parts.path.removesuffix('/')}/v1/{signal}"
    if protocol != GRPC:
        _suspect_path(variables, said, signal, path)
    return SignalSettings(
        exporters,
        protocol=protocol,
        endpoint=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}",
        timeout_seconds=variables.seconds(variables.otlp(signal, "TIMEOUT"), SignalSettings().timeout_seconds),
        compression=compression,
        tls=_tls(variables, signal, protocol) if parts.scheme == "https" else None,
        own_session=protocol != GRPC and _has_own_session(variables, signal),
    )


def _has_own_session(variables: Variables, signal: str) -> bool:
    """Whether the library is to send by a session that somebody has written. To it, what is said of all signals is
    more than what is said of one."""
    said = variables.first(SESSION.format(""), SESSION.format(f"{signal.upper()}_"))
    if said is not None and said.value not in _installed("opentelemetry_otlp_credential_provider"):
        raise wrong(said.name, f"no package that is installed has a credential provider {said.value!r}")
    return said is not None


def _suspect_path(variables: Variables, said: Said, signal: str, path: str) -> None:
    """One path too few, or one too many."""
    if path in ("", "/"):
        variables.warn(f"{said.name} has no path, and none is put behind it; /v1/{signal} is usual")
    elif not _is_of(said, signal) and path.removesuffix(f"/v1/{signal}").endswith(("/v1", "/v1/traces", "/v1/metrics")):
        variables.warn(f"{said.name} has a path, behind which /v1/{signal} is put; was {said.name} without it meant?")


def _is_of(said: Said, signal: str) -> bool:
    """Whether that is said of this signal alone."""
    return f"_{signal.upper()}_" in said.name


def _read_endpoint(variables: Variables, said: Said, signal: str, protocol: str) -> SplitResult:
    """Where OTLP goes. For gRPC, `host:port` will do, and another variable says whether that is encrypted."""
    if protocol == GRPC and "://" not in said.value:
        insecure = variables.truth(f"{PREFIX}_{signal.upper()}_INSECURE", f"{PREFIX}_INSECURE")
        said = Said(said.name, f"http{'' if insecure else 's'}://{said.value}")
    parts = read_url(said)
    if protocol == GRPC and (parts.username is not None or parts.query or parts.fragment):
        raise wrong(said.name, "for grpc, it must be a host and a port, without a user and a query")
    if protocol == GRPC and parts.port is None and parts.scheme == "http":
        raise wrong(said.name, "for grpc, it must have a port, such as http://localhost:4317")
    if protocol != GRPC and not _is_of(said, signal) and (parts.query or parts.fragment):
        own = f"{PREFIX}_{signal.upper()}_ENDPOINT"
        raise wrong(said.name, f"a path is put behind it, and there must be no query; {own} can have one")
    for other, port in USUAL_PORTS.items():
        if other != protocol and parts.port == port:
            variables.warn(f"{said.name} has port {port}, where {other} is usual; the protocol is {protocol}")
    return parts


def _tls(variables: Variables, signal: str, protocol: str) -> TlsFiles:
    authority, certificate, key = (
        variables.otlp(signal, part) for part in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
    )
    if key and not certificate:
        raise wrong(key.name, "needs a certificate that it belongs to, in ..._CLIENT_CERTIFICATE")
    if certificate and not key and protocol == GRPC:
        raise wrong(certificate.name, "for grpc, it needs its key, in ..._CLIENT_KEY")
    files = TlsFiles(variables.file(authority), variables.file(certificate), variables.file(key))
    if authority and not is_authority(files.certificate):
        raise wrong(authority.name, f"{files.certificate} is no certificate in PEM form")
    if certificate and not is_pair(files.client_certificate, files.client_key):
        what = "is no certificate with its key, in PEM form, without a password"
        raise wrong(certificate.name, f"{files.client_certificate} {what}")
    return files
