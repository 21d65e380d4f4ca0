"""Changing what can be set at run time: all of a request or nothing, one request after the other. The routes of the
configuration, the parameters and the log change it here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.api.nextjs.asked import WRONG
from exporter.api.nextjs.configuration.documents import ConfigData
from exporter.api.nextjs.configuration.shape import BY_NAME, config_data
from exporter.api.nextjs.desk import Desk
from exporter.api.nextjs.mistakes import shortened
from exporter.models.files.places import Places
from exporter.models.model import LOADED, InvalidError, Model, ModelsError, UnavailableError, Value
from exporter.models.parameters import parameters
from exporter.models.runtime import RuntimeSettings
from exporter.worker import Worker, outcome

OPTION = "llama_config."
FIELDS = {
    "update_intervals.metrics": "metrics_interval_ms",
    "update_intervals.models": "models_interval_ms",
    "update_intervals.logs": "logs_interval_ms",
    "llama_server.timeout": "load_wait_ms",
    "model_paths.modelsDir": "models_dir",
    "model_paths.defaultModel": "default_model",
    "appConfig.maxConcurrentModels": "max_loaded",
    "appConfig.logLevel": "log_level",
    "appConfig.autoUpdate": "auto_update",
    "appConfig.notificationsEnabled": "notifications",
}
"""What the document calls it, and what `RuntimeSettings` does. Parameters are `llama_config.` and their name."""
LONGEST_REASON = 300
FOLDER_SECONDS = 5.0
"""Longest look at a folder; that of a dead file server never ends."""
RELOAD = "model {name}: it runs with other parameters; load it again"
NO_ROUTER = (
    "llama-server: none here takes parameters over the API; start it anew with them, or run one in router mode "
    "(without a model), or have the sidecar run one (--manage-llama-server PATH)"
)
RESTART = "llama-server: it keeps as many models loaded as before, until the sidecar is restarted"


@dataclass(slots=True)
class Change:
    """What is to be set, by its documented name; the value None: its default."""

    values: dict[str, Any] = field(default_factory=dict)
    reset: bool = False
    """First go back to how everything was."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What has come of it."""

    values: dict[str, Any]
    """By documented name, as they are in force now: those that were to be set, and what else is another now."""
    restart: list[str]
    """What goes on as before, and what to do."""
    data: ConfigData
    """The whole configuration."""


class Changing:
    """Changes it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._turn = asyncio.Lock()
        self._places = Places(desk.facts.roots)
        self._folders = Worker("models-folders")

    async def apply(self, change: Change) -> Changed:
        """Set all of it, or, raising, nothing. Raises FailedError when it cannot be kept."""
        async with self._turn:
            runtime = self._desk.runtime
            before, data_before = runtime.current, self.data()
            await runtime.change(fields(RuntimeSettings() if change.reset else before, change))
            after, data = runtime.current, self.data()
        shown, was = dict(flat(data)), dict(flat(data_before))
        values = {name: shown[name] for name in shown if name in change.values or shown[name] != was.get(name)}
        return Changed(values, self._restart(before, after), data)

    def data(self) -> ConfigData:
        """The whole configuration."""
        return config_data(self._desk.facts, self._desk.views.version, self._desk.runtime.current)

    async def folder(self, path: str) -> str:
        """The folder that a path leads to. Raises InvalidError, OutsideError, UnavailableError."""
        try:
            job = self._folders.submit(lambda: _folder(self._places, path))
            return await asyncio.wait_for(outcome(job), FOLDER_SECONDS)
        except TimeoutError:
            raise UnavailableError(f"{shortened(path)} does not answer") from None

    def model(self, name: str) -> str:
        """The name, where there is such a model. Raises UnknownModelError."""
        return self._desk.models.get(name).name

    def _restart(self, before: RuntimeSettings, after: RuntimeSettings) -> list[str]:
        found = []
        if before.options != after.options:
            found = running_on(self._desk, self._desk.models.all())
        server = self._desk.server()
        wanted = self._desk.facts.max_loaded if after.max_loaded is None else after.max_loaded
        if before.max_loaded != after.max_loaded and server is not None and server.models_max not in (None, wanted):
            found.append(RESTART)
        return found


def running_on(desk: Desk, models: Iterable[Model]) -> list[str]:
    """Which of these models go on with other parameters than are set, and what to do. Where no llama-server loads
    models, whatever is loaded never hears of parameters that are set here."""
    if desk.models.home is None and desk.server() is None:
        return [NO_ROUTER] if any(each.status in LOADED for each in models) else []
    return [RELOAD.format(name=each.name) for each in models if each.outdated]


def fields(base: RuntimeSettings, change: Change) -> dict[str, Any]:
    """The fields of the settings that are to be others than in `base`; after a reset all of them. What is as it would
    be anyway is not kept, so that no model has other parameters than before."""
    found = base.model_dump()
    defaults, options = RuntimeSettings(), dict(base.options)
    for name, value in change.values.items():
        if name.startswith(OPTION):
            _set_option(options, name.removeprefix(OPTION), value)
        else:
            found[FIELDS[name]] = getattr(defaults, FIELDS[name]) if value is None else value
    found["options"] = options
    return {name: value for name, value in found.items() if change.reset or value != getattr(base, name)}


def _set_option(options: dict[str, Value], name: str, value: Value | None) -> None:
    if value is None:
        options.pop(name, None)
    elif value != options.get(name, BY_NAME[name].default):
        options[name] = value


def read_options(options: Mapping[str, Any], at: str) -> dict[str, Any]:
    """Parameters as `Change` holds them. Raises InvalidError; `at` stands before the names of its fields."""
    try:
        found, unset = parameters.check_changes(options)
    except InvalidError as error:
        if not error.fields:
            raise
        raise InvalidError(WRONG, {f"{at}{shortened(name)}": reason for name, reason in error.fields.items()}) from None
    return {
        **{f"{OPTION}{name}": None for name in unset},
        **{f"{OPTION}{name}": value for name, value in found.items()},
    }


def flat(data: ConfigData) -> Iterator[tuple[str, Any]]:
    """What can be set, by its documented name."""
    sections: Mapping[str, Any] = data
    for name in FIELDS:
        section, _, key = name.partition(".")
        yield name, sections[section][key]
    for name, value in data["llama_config"].items():
        yield f"{OPTION}{name}", value


def reason(error: ModelsError) -> str:
    """Why one value cannot be had."""
    return shortened(next(iter(error.fields.values()), str(error)), LONGEST_REASON)


def _folder(places: Places, path: str) -> str:
    found = str(places.resolve(path))
    if not os.path.isdir(found):
        raise InvalidError(f"{shortened(path)} is no folder")
    return found
