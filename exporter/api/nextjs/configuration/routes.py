"""The routes of the configuration, and two that front ends ask beside it: the level of the log, and chat templates."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.nextjs.asked import WRONG, LoggerRequest
from exporter.api.nextjs.configuration import examples
from exporter.api.nextjs.configuration.asked import ConfigChange
from exporter.api.nextjs.configuration.change import read_change
from exporter.api.nextjs.configuration.changes import Change, Changing
from exporter.api.nextjs.configuration.documents import Config, ConfigChanged, Logger, ModelTemplates
from exporter.api.nextjs.configuration.front_ends import ALWAYS_SENT, LEVELS, NOT_HERE, UNTOUCHED_LOGGER
from exporter.api.nextjs.configuration.shape import config, log_level
from exporter.api.nextjs.desk import HEADERS, WITH_BODY, Desk, found, refusals
from exporter.api.nextjs.mistakes import MISTAKES, shortened
from exporter.api.operation import Answer, Operation
from exporter.models.model import InvalidError
from exporter.utc import utc

PATH = "/api/config"
LOGGER = "/api/logger/config"
TEMPLATES = "/api/model-templates"
LEVEL_KEYS = ("consoleLevel", "level")


class Configuring:
    """The handlers."""

    def __init__(self, desk: Desk, changing: Changing) -> None:
        self._desk = desk
        self._changing = changing

    async def show(self, _: Request) -> Response:
        """The configuration."""
        desk = self._desk
        return found(config(desk.facts, desk.views.version, desk.runtime.current, desk.wall))

    async def change(self, request: Request) -> Response:
        """Change some of it."""
        body = await self._desk.bodies.json(request)
        change, ignored = await read_change(body, self._desk, self._changing)
        changed = await self._changing.apply(change)
        answer: ConfigChanged = {
            "message": "Configuration updated successfully",
            "changes": changed.values,
            "requiresRestart": bool(changed.restart),
            "restart": changed.restart,
            "ignored": ignored,
            "saved": self._desk.runtime.is_kept,
            "success": True,
            "data": changed.data,
            "timestamp": utc(self._desk.wall),
        }
        return found(answer)

    async def show_logger(self, _: Request) -> Response:
        """The level of the log."""
        return found(self._logger("The level of the sidecar's log", {}))

    async def change_logger(self, request: Request) -> Response:
        """Change the level of the log; files are not written here."""
        body = await self._desk.bodies.json(request)
        if not isinstance(body, dict):
            raise InvalidError(WRONG, {"body": "must be an object"})
        levels = {key: body[key] for key in LEVEL_KEYS if body.get(key) is not None}
        wrong = {key: f"must be one of {', '.join(LEVELS)}" for key, level in levels.items() if level not in LEVELS}
        if wrong:
            raise InvalidError(WRONG, wrong)
        said = None if body == UNTOUCHED_LOGGER else next(iter(levels), None)
        if said is not None:
            await self._changing.apply(Change({"appConfig.logLevel": body[said]}))
        ignored = {shortened(key): NOT_HERE for key in [*body][:MISTAKES] if key != said}
        if levels and said is None:
            ignored[LEVEL_KEYS[0]] = ALWAYS_SENT
        return found(self._logger("Logger configuration updated", ignored))

    async def templates(self, _: Request) -> Response:
        """None."""
        answer: ModelTemplates = {
            "success": True,
            "data": {"model_templates": {}, "default_model": self._desk.runtime.current.default_model},
            "timestamp": utc(self._desk.wall),
        }
        return found(answer)

    def _logger(self, message: str, ignored: dict[str, str]) -> Logger:
        level = log_level(self._desk.facts, self._desk.runtime.current)
        return {
            "success": True,
            "message": message,
            "data": {"consoleLevel": level, "level": level},
            "ignored": ignored,
            "timestamp": utc(self._desk.wall),
        }


def operations(desk: Desk, changing: Changing) -> tuple[Operation, ...]:
    """With what the description says of them."""
    routes, guard = Configuring(desk, changing), desk.guard
    change = guard(routes.change)
    return (
        Operation(
            *("GET", PATH, guard(routes.show), "get_config", "The configuration"),
            {200: Answer("It", Config, headers=HEADERS, example=examples.CONFIG), **refusals()},
            "`llama_config` are the parameters of all models. `serverConfig`, `appConfig` and the keys on the top "
            "level are what front ends read.",
        ),
        _change("POST", change, "set_config"),
        _change("PUT", change, "put_config"),
        Operation(
            *("GET", LOGGER, guard(routes.show_logger), "get_logger_config", "The level of the log"),
            {200: Answer("It", Logger, headers=HEADERS, example=examples.LOGGER), **refusals()},
            "That of the sidecar.",
        ),
        _change_logger("POST", guard(routes.change_logger), "set_logger_config"),
        _change_logger("PUT", guard(routes.change_logger), "put_logger_config"),
        Operation(
            *("GET", TEMPLATES, guard(routes.templates), "get_model_templates", "Chat templates: none"),
            {200: Answer("None", ModelTemplates, headers=HEADERS, example=examples.TEMPLATES), **refusals()},
            "Each model brings its own, and llama-server uses that. One front end asks for them.",
        ),
    )


def _change(method: str, handler: Any, name: str) -> Operation:
    answers = {
        200: Answer("What was changed", ConfigChanged, headers=HEADERS, example=examples.CONFIG_CHANGED),
        **refusals(*WITH_BODY, 403, 500),
    }
    details = (
        "All of it, or nothing; what is not named stays. It holds at once, and is kept where there is a store. Models "
        "that are loaded go on with the parameters that they were loaded with, and `restart` names them. "
        '`{"reset": true}` goes back to how everything was. What front ends send in `serverConfig` and `appConfig` and '
        "cannot be set is in `ignored`."
    )
    about = "Change the configuration"
    return Operation(method, PATH, handler, name, about, answers, details, body=ConfigChange, body_required=False)


def _change_logger(method: str, handler: Any, name: str) -> Operation:
    answers = {
        200: Answer("What holds now", Logger, headers=HEADERS, example=examples.LOGGER),
        **refusals(*WITH_BODY, 500),
    }
    details = "Only `consoleLevel`, or else `level`; the rest is in `ignored`."
    about = "Set the level of the log"
    return Operation(method, LOGGER, handler, name, about, answers, details, body=LoggerRequest, body_required=False)
