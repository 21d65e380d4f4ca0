"""What the metrics of the catalogue, and those mirrored from llama-server, are called in OTLP. `points` asks it.

Prometheus translates names that it is sent: dots become underscores, units become suffixes, sums get `_total`. The
names here are those for which it arrives at the names of a scrape. They are the conventions' own wherever that works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import lru_cache
from types import MappingProxyType

from exporter.telemetry import catalog
from exporter.telemetry.catalog import Kind, Metric

VIEWS_KEPT = 512
"""More than there are metrics: names that are mirrored come from other processes, and there may be many."""


class Instrument(Enum):
    """What a metric is in OpenTelemetry's words."""

    COUNTER = auto()
    UP_DOWN_COUNTER = auto()
    GAUGE = auto()
    HISTOGRAM = auto()


@dataclass(frozen=True, slots=True)
class View:
    """One metric in OTLP, made of all series of one of ours, or of some."""

    name: str
    description: str
    unit: str
    """In UCUM."""
    instrument: Instrument
    attributes: tuple[str, ...]
    """In the order of the metric's labels."""
    whole: bool
    """Whether its values count things, so that they are whole numbers."""
    only: tuple[str, str] | None = None
    """Attribute and value of the series that it is made of, and which it then goes without; None: of all."""
    more: tuple[tuple[str, str], ...] = ()
    """Attributes of all its points, besides."""


_UNITS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "seconds": ("s", "_seconds"),
        "bytes": ("By", "_bytes"),
        "ratio": ("1", "_ratio"),
        "celsius": ("Cel", "_celsius"),
        "watts": ("W", "_watts"),
        "joules": ("J", "_joules"),
        "hertz": ("Hz", "_hertz"),
        "tokens_per_second": ("{token}/s", "_per_second"),
    }
)
"""Units that something is measured in: in UCUM, and the suffix that Prometheus makes of that."""

_COUNTED: Mapping[str, str] = MappingProxyType({"fds": "{file_descriptor}"})
"""Units of things that are counted; the others are the singular of ours."""

_ATTRIBUTES: Mapping[str, str] = MappingProxyType(
    {
        "cpu_mode": "cpu.mode",
        "disk_io_direction": "disk.io.direction",
        "error_type": "error.type",
        "gen_ai_operation_name": "gen_ai.operation.name",
        "gen_ai_provider_name": "gen_ai.provider.name",
        "gen_ai_request_model": "gen_ai.request.model",
        "gen_ai_token_type": "gen_ai.token.type",
        "http_response_status_code": "http.response.status_code",
        "hw_driver_version": "hw.driver_version",
        "hw_gpu_task": "hw.gpu.task",
        "hw_id": "hw.id",
        "hw_name": "hw.name",
        "hw_state": "hw.state",
        "hw_vendor": "hw.vendor",
        "network_interface_name": "network.interface.name",
        "network_io_direction": "network.io.direction",
        "system_device": "system.device",
        "system_filesystem_mountpoint": "system.filesystem.mountpoint",
        "system_filesystem_state": "system.filesystem.state",
        "system_filesystem_type": "system.filesystem.type",
        "system_memory_state": "system.memory.state",
        "system_paging_state": "system.paging.state",
    }
)
"""Labels that are attributes of the conventions. The others keep their names."""

INTEGERS = frozenset({"http.response.status_code"})
"""Attributes whose values are numbers in the conventions."""

_UP_DOWN_COUNTERS = frozenset(
    {
        "hw.gpu.memory.limit",
        "hw.gpu.memory.usage",
        "hw.status",
        "process.memory.usage",
        "process.memory.virtual",
        "system.filesystem.limit",
        "system.filesystem.usage",
        "system.memory.limit",
        "system.memory.linux.available",
        "system.memory.usage",
        "system.paging.usage",
    }
)
"""Conventions that have one where Prometheus has a gauge: what they show may be added up."""

_NAMESPACES = (
    "llm_sidecar_",
    "llm_upstream_",
    "llm_routing_",
    "llm_tier_",
    "llm_",
    "hw_gpu_",
    "system_",
    "process_",
)
"""What of a name that no convention knows is namespace; the first that fits."""

_OTHERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        catalog.LOAD_1M.name: ("system.cpu.load_average.1m", "{thread}"),
        catalog.LOAD_5M.name: ("system.cpu.load_average.5m", "{thread}"),
        catalog.LOAD_15M.name: ("system.cpu.load_average.15m", "{thread}"),
        # "1" is the convention's; a gauge of it would end in `_ratio`, but this is an up-down counter.
        catalog.GPU_STATUS.name: ("hw.gpu.status", "1"),
    }
)
"""Names and units that follow from nothing; those of the load are the OpenTelemetry Collector's."""

_INSTRUMENTS: Mapping[Kind, Instrument] = MappingProxyType(
    {
        Kind.COUNTER: Instrument.COUNTER,
        Kind.GAUGE: Instrument.GAUGE,
        Kind.HISTOGRAM: Instrument.HISTOGRAM,
        Kind.INFO: Instrument.GAUGE,
    }
)

_LATEST = "gen_ai.client.inference."
_LATEST_TIMES: Mapping[Metric, str] = MappingProxyType(
    {
        catalog.REQUEST_DURATION: "duration",
        catalog.TIME_TO_FIRST_TOKEN: "time_to_first_chunk",
        catalog.INTER_TOKEN_LATENCY: "time_per_output_chunk",
    }
)

_UNKNOWN_MODALITY = (("gen_ai.token.modality", "unknown"),)
"""The newer conventions demand it, and have this value for those who are not told it."""


@lru_cache(VIEWS_KEPT)
def views(metric: Metric, *, latest: bool = False) -> tuple[View, ...]:
    """What is pushed of `metric`. `latest`: with the names that the GenAI conventions have after v1.41.0, which replace
    the token usage and stand beside everything else."""
    usual = _usual(metric)
    if not latest:
        return (usual,)
    if metric == catalog.TOKEN_USAGE:
        return tuple(view for kind in ("input", "output") for view in _tokens(usual, kind))
    if metric == catalog.CACHED_TOKENS:
        return usual, replace(usual, name=f"{_LATEST}usage.cache_read.input_tokens", more=_UNKNOWN_MODALITY)
    if metric in _LATEST_TIMES:
        return usual, replace(usual, name=_LATEST + _LATEST_TIMES[metric])
    return (usual,)


def _tokens(usual: View, kind: str) -> tuple[View, View]:
    """Tokens of one type: how they are spread over requests, and their sum."""
    ours = replace(usual, only=("gen_ai.token.type", kind), description=f"Tokens of a request: {kind}.")
    summed = f"Tokens of all requests: {kind}."
    return (
        replace(ours, name=f"{_LATEST}operation.{kind}_tokens"),
        replace(
            ours,
            name=f"{_LATEST}usage.{kind}_tokens",
            description=summed,
            instrument=Instrument.COUNTER,
            more=_UNKNOWN_MODALITY,
        ),
    )


def _usual(metric: Metric) -> View:
    name, unit = _OTHERS.get(metric.name) or (_name(metric), _unit(metric.unit))
    return View(
        name=name,
        description=metric.help,
        unit=unit,
        instrument=_instrument(metric),
        attributes=tuple(_ATTRIBUTES.get(label, label) for label in metric.labels),
        whole=metric.unit == "bytes" or (metric.unit != "" and metric.unit not in _UNITS),
    )


def _name(metric: Metric) -> str:
    """The convention's name, unless ours is another: `hw.power` is for all hardware and needs a `hw.type` to say which,
    `hw_gpu_power_watts` is not."""
    if metric.convention and metric.name.startswith(metric.convention.replace(".", "_")):
        return metric.convention
    name = metric.sample_name if metric.kind is Kind.INFO else metric.name
    if metric.unit in _UNITS:
        name = name.removesuffix(_UNITS[metric.unit][1])
    namespace = next((each for each in _NAMESPACES if name.startswith(each)), "")
    return namespace.replace("_", ".") + name.removeprefix(namespace)


def _unit(unit: str) -> str:
    if unit in _UNITS:
        return _UNITS[unit][0]
    return _COUNTED.get(unit) or (f"{{{unit.removesuffix('s')}}}" if unit else "")


def _instrument(metric: Metric) -> Instrument:
    if metric.convention in _UP_DOWN_COUNTERS:
        return Instrument.UP_DOWN_COUNTER
    return _INSTRUMENTS[metric.kind]
