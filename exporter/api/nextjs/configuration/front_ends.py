"""What front ends send as a configuration: `serverConfig` and `appConfig`, or the keys of these on the top level,
always complete, with whatever they fell back to. What can be set of it is; what cannot is said, and is no error.

They take our 0 for nothing, and send something else in its place when a form is saved that nobody has touched. So these
values change nothing as long as ours is 0: who wants them then says so in the documented form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from exporter.api.nextjs.configuration.shape import app_config, server_config
from exporter.api.nextjs.facts import Facts
from exporter.models.parameters.parameters import find
from exporter.models.runtime import LogLevel, RuntimeSettings

SERVER_KEYS = frozenset(
    ("host", "port", "basePath", "baseModelsPath", "serverPath", "ctx_size", "batch_size", "threads", "gpu_layers")
)
APP_KEYS = frozenset(("maxConcurrentModels", "logLevel", "autoUpdate", "notificationsEnabled"))
DEFAULTS_KEYS = frozenset(("modelDefaults", "modelDefaultsParams", "runtimes"))
FLAT_KEYS = SERVER_KEYS | APP_KEYS | DEFAULTS_KEYS
FIXED = "is set where the sidecar is started"
NOT_MANAGED = "the sidecar runs no llama-server itself; whoever starts it sets this (--models-max)"
NOT_HERE = "has no meaning here"
ALWAYS_SENT = "forms send this whatever was chosen; send consoleLevel alone"
FALLBACKS: Mapping[str, int] = {"ctx_size": 8192, "threads": -1, "gpu_layers": -1, "maxConcurrentModels": 1}
"""What they send for 0."""
UNTOUCHED_LOGGER: Mapping[str, Any] = {
    "consoleLevel": "info",
    "fileLevel": "info",
    "errorLevel": "error",
    "maxFileSize": "20m",
    "maxFiles": "30d",
    "enableFileLogging": True,
    "enableConsoleLogging": True,
}
"""What they send of the log whenever any form is saved, whatever the level is, and whatever was chosen."""
LEVELS: tuple[LogLevel, ...] = ("error", "warn", "info", "debug", "verbose")
MOST_MODELS = 1000


class Wish(NamedTuple):
    """One thing that is to be set, or why it is not. Nothing of both: it is so already."""

    key: str
    """As it was sent."""
    name: str = ""
    """As the document calls it: `llama_config.n_ctx`."""
    value: Any = None
    ignored: str = ""


def wishes(body: Mapping[str, Any], facts: Facts, now: RuntimeSettings, *, managed: bool) -> Iterator[Wish]:
    """Everything that the forms of front ends say. `managed`: the sidecar runs a llama-server itself."""
    sections = (("serverConfig.", body.get("serverConfig")), ("appConfig.", body.get("appConfig")), ("", body))
    for prefix, section in sections:
        for key, value in (section or {}).items():
            if prefix or key in FLAT_KEYS:
                yield from _read(prefix, key, value, facts, now, managed=managed)


def _read(prefix: str, key: str, value: Any, facts: Facts, now: RuntimeSettings, *, managed: bool) -> Iterator[Wish]:
    at = f"{prefix}{key}"
    if key in ("modelDefaults", "modelDefaultsParams") and isinstance(value, dict):
        for name, each in value.items():
            yield _parameter(f"{at}.{name}", str(name), each, now)
        return
    shown: dict[str, Any] = {**server_config(facts, now), **app_config(facts, now)}
    if key in shown and shown[key] == value and type(shown[key]) is type(value):
        return
    if key in FALLBACKS and shown[key] == 0 and value == FALLBACKS[key] and type(value) is int:
        return
    if key in ("host", "port", "serverPath"):
        yield Wish(at, ignored=FIXED)
    elif key in ("basePath", "baseModelsPath"):
        text = isinstance(value, str)
        yield Wish(at, "model_paths.modelsDir", value) if text else Wish(at, ignored="must be a text")
    elif key in SERVER_KEYS:
        yield _parameter(at, key, value, now)
    elif key in APP_READERS:
        yield APP_READERS[key](at, value, managed)
    else:
        yield Wish(at, ignored=NOT_HERE)


def _parameter(at: str, name: str, value: Any, now: RuntimeSettings) -> Wish:
    parameter = find(name)
    if parameter is None:
        return Wish(at, ignored="is not a parameter")
    try:
        found = parameter.read(value)
    except ValueError as error:
        return Wish(at, ignored=str(error))
    if found == now.options.get(parameter.name, parameter.default):
        return Wish(at)
    return Wish(at, f"llama_config.{parameter.name}", found)


def _max_loaded(at: str, value: Any, managed: bool) -> Wish:
    if not managed:
        return Wish(at, ignored=NOT_MANAGED)
    if type(value) is not int or not 1 <= value <= MOST_MODELS:
        return Wish(at, ignored=f"must be a whole number from 1 to {MOST_MODELS}")
    return Wish(at, at if "." in at else f"appConfig.{at}", value)


def _level(at: str, value: Any, _: bool) -> Wish:
    if value not in LEVELS:
        return Wish(at, ignored=f"must be one of {', '.join(LEVELS)}")
    return Wish(at, "appConfig.logLevel", value)


def _switch(name: str) -> Callable[[str, Any, bool], Wish]:
    def read(at: str, value: Any, _: bool) -> Wish:
        if not isinstance(value, bool):
            return Wish(at, ignored="must be true or false")
        return Wish(at, name, value)

    return read


APP_READERS: Mapping[str, Callable[[str, Any, bool], Wish]] = {
    "maxConcurrentModels": _max_loaded,
    "logLevel": _level,
    "autoUpdate": _switch("appConfig.autoUpdate"),
    "notificationsEnabled": _switch("appConfig.notificationsEnabled"),
}
