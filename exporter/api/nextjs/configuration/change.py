"""What a request wants of the configuration: the documented form, the forms of front ends, or a mixture, since what was
read can be sent back."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from exporter.api.nextjs.asked import WRONG, read
from exporter.api.nextjs.configuration.asked import ConfigChange
from exporter.api.nextjs.configuration.changes import OPTION, Change, Changing, read_options, reason
from exporter.api.nextjs.configuration.front_ends import FIXED, FLAT_KEYS, NOT_HERE, wishes
from exporter.api.nextjs.desk import Desk
from exporter.api.nextjs.mistakes import MISTAKES, shortened
from exporter.models.model import InvalidError, ModelsError, OutsideError

ENVELOPE = frozenset(("success", "data", "timestamp"))
DOCUMENTED = frozenset(("app", "llama_server", "llama_config", "model_paths", "update_intervals", "reset"))
FORMS = frozenset(("serverConfig", "appConfig"))
DIR = "model_paths.modelsDir"
DEFAULT_MODEL = "model_paths.defaultModel"


async def read_change(body: Any, desk: Desk, changing: Changing) -> tuple[Change, dict[str, str]]:
    """What is to be changed, and what of it cannot be, with the reasons. Raises InvalidError that names everything
    that is wrong with the documented form, OutsideError, UnavailableError."""
    if not isinstance(body, dict):
        raise InvalidError(WRONG, {"body": "must be an object"})
    said = {key: value for key, value in body.items() if key not in ENVELOPE}
    ignored: dict[str, str] = {}
    if not DOCUMENTED & said.keys() and (FLAT_KEYS | FORMS) & said.keys():
        strange = [key for key in said if key not in FLAT_KEYS | FORMS]
        ignored = {shortened(key): NOT_HERE for key in strange[:MISTAKES]}
        said = {key: value for key, value in said.items() if key not in strange}
    asked = read(ConfigChange, {key: value for key, value in said.items() if key not in FLAT_KEYS})
    change = Change(reset=asked.reset)
    await _take_forms(said, desk, changing, change, ignored)
    await _Strictly(desk, changing).take(asked, change)
    return change, ignored


async def _take_forms(
    said: dict[str, Any], desk: Desk, changing: Changing, change: Change, ignored: dict[str, str]
) -> None:
    for wish in wishes(said, desk.facts, desk.runtime.current, managed=desk.server() is not None):
        if wish.ignored and len(ignored) >= MISTAKES:
            continue
        if wish.ignored:
            ignored[shortened(wish.key)] = wish.ignored
        elif wish.name == DIR:
            try:
                change.values[DIR] = await changing.folder(wish.value)
            except ModelsError as error:
                ignored[wish.key] = reason(error)
        elif wish.name:
            change.values[wish.name] = wish.value


class _Strictly:
    """Reads the documented form."""

    def __init__(self, desk: Desk, changing: Changing) -> None:
        self._desk = desk
        self._changing = changing
        self._wrong: dict[str, str] = {}
        self._outside: OutsideError | None = None

    async def take(self, asked: ConfigChange, change: Change) -> None:
        """Add it to the change."""
        data: Any = self._changing.data()
        self._check_fixed("app", asked.app, data["app"])
        server = {key: value for key, value in data["llama_server"].items() if key != "timeout"}
        self._check_fixed("llama_server", asked.llama_server, server)
        if asked.llama_server is not None and asked.llama_server.timeout is not None:
            change.values["llama_server.timeout"] = asked.llama_server.timeout
        if asked.update_intervals is not None:
            for name, value in asked.update_intervals.model_dump(exclude_none=True).items():
                change.values[f"update_intervals.{name}"] = value
        self._take_options(asked, change)
        await self._take_paths(asked, change)
        if self._wrong:
            raise self._outside or InvalidError(WRONG, self._wrong)

    def _check_fixed(self, name: str, asked: BaseModel | None, now: dict[str, Any]) -> None:
        """It can be sent as it is, so that what was read can be sent back."""
        for key, value in asked.model_dump(exclude_unset=True).items() if asked is not None else ():
            if key in now and value != now[key]:
                self._wrong[f"{name}.{key}"] = f"{FIXED}; it is {now[key]!r}"

    def _take_options(self, asked: ConfigChange, change: Change) -> None:
        try:
            change.values.update(read_options(asked.llama_config or {}, OPTION))
        except InvalidError as error:
            self._wrong |= error.fields

    async def _take_paths(self, asked: ConfigChange, change: Change) -> None:
        said = asked.model_paths.model_dump(exclude_unset=True) if asked.model_paths is not None else {}
        if "models_dir" in said:
            await self._take_dir(said["models_dir"], change)
        if "default_model" in said:
            self._take_default(said["default_model"], change)

    def _take_default(self, name: str | None, change: Change) -> None:
        """What is in force can be sent back, also while its llama-server is away."""
        try:
            known = name is None or name == self._desk.runtime.current.default_model
            change.values[DEFAULT_MODEL] = name if known else self._changing.model(name or "")
        except ModelsError as error:
            self._wrong[DEFAULT_MODEL] = reason(error)

    async def _take_dir(self, path: str | None, change: Change) -> None:
        try:
            if path == self._changing.data()["model_paths"]["modelsDir"] and not change.reset:
                return
            change.values[DIR] = await self._changing.folder(path) if path is not None else None
        except OutsideError as error:
            self._outside = OutsideError(str(error), {DIR: reason(error)})
            self._wrong[DIR] = reason(error)
        except InvalidError as error:
            self._wrong[DIR] = reason(error)
