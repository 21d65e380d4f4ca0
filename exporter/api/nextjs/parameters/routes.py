"""The routes of the parameters of all models: by category, one by one, and changing them."""

from __future__ import annotations

from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.nextjs.asked import WRONG, ParametersRequest, read
from exporter.api.nextjs.configuration.changes import Change, Changing, read_options
from exporter.api.nextjs.desk import HEADERS, WITH_BODY, Desk, found, refusals
from exporter.api.nextjs.mistakes import shortened
from exporter.api.nextjs.parameters import examples
from exporter.api.nextjs.parameters.documents import (
    Categories,
    CategoryParameters,
    OneParameter,
    ParameterItem,
    ParametersChanged,
    Rule,
)
from exporter.api.operation import Answer, Operation
from exporter.models.model import InvalidError, UnknownModelError, Value
from exporter.models.parameters import parameters
from exporter.models.parameters.parameter import Category, Parameter
from exporter.models.runtime import RuntimeSettings

PATH = "/api/parameters"
AT = "parameters."
CATEGORY = {"category": "`model`, `system` or `performance`"}
NAME = {"name": "Name of the parameter; llama-server's own name of it, and other spellings, are understood"}


class NotFoundError(UnknownModelError):
    """There is no such category, or parameter."""


def categories() -> Categories:
    """All of them."""
    return {
        "categories": [
            {
                "id": each.id,
                "name": each.name,
                "description": each.description,
                "count": len(parameters.in_category(each.id)),
            }
            for each in parameters.CATEGORIES
        ]
    }


def category_parameters(category: Category, now: RuntimeSettings) -> CategoryParameters:
    """Those of one category."""
    shown = {each.name: parameter_item(each, now) for each in parameters.in_category(category.id)}
    return {"category": category.id, "name": category.name, "parameters": shown}


def parameter_item(parameter: Parameter, now: RuntimeSettings) -> ParameterItem:
    """One of them."""
    return {**rule(parameter), "value": _value(parameter, now), "default": parameter.default}


def one_parameter(parameter: Parameter, now: RuntimeSettings) -> OneParameter:
    """One of them, by itself."""
    return {
        "parameter": parameter.name,
        "category": parameter.category,
        "value": _value(parameter, now),
        "default": parameter.default,
        "metadata": rule(parameter),
    }


def rule(parameter: Parameter) -> Rule:
    """What it takes. Keys that say nothing of it are absent."""
    bounds = {"min": parameter.minimum, "max": parameter.maximum, "step": parameter.step}
    told: dict[str, Any] = {key: value for key, value in bounds.items() if value is not None}
    if parameter.choices:
        told["options"] = list(parameter.choices)
    texts = {"description": parameter.description, "group": parameter.group, "option": parameter.option}
    return cast(Rule, {"type": parameter.type, **told, **texts})


def _value(parameter: Parameter, now: RuntimeSettings) -> Value:
    return now.options.get(parameter.name, parameter.default)


class Tuning:
    """The handlers."""

    def __init__(self, desk: Desk, changing: Changing) -> None:
        self._desk = desk
        self._changing = changing

    async def list(self, _: Request) -> Response:
        """The categories."""
        return found(categories())

    async def show(self, request: Request) -> Response:
        """The parameters of a category."""
        return found(category_parameters(_category(request), self._desk.runtime.current))

    async def show_one(self, request: Request) -> Response:
        """One parameter."""
        name = request.path_params["name"]
        parameter = parameters.find(name)
        if parameter is None:
            meant = parameters.nearest(name)
            hint = f"; did you mean {meant!r}?" if meant else ""
            raise NotFoundError(f"there is no parameter {shortened(name)!r}{hint}")
        return found(one_parameter(parameter, self._desk.runtime.current))

    async def change(self, request: Request) -> Response:
        """Change parameters of a category."""
        category = _category(request)
        asked = read(ParametersRequest, await self._desk.bodies.json(request))
        changed = await self._changing.apply(Change(read_parameters(category, asked.parameters)))
        named = [parameters.find(name) for name in asked.parameters]
        answer: ParametersChanged = {
            "message": "Parameters updated successfully",
            "category": category.id,
            "updated": list(dict.fromkeys(each.name for each in named if each is not None)),
            "requiresRestart": bool(changed.restart),
            "restart": changed.restart,
            "saved": self._desk.runtime.is_kept,
        }
        return found(answer)


def read_parameters(category: Category, asked: dict[str, Value | None]) -> dict[str, Any]:
    """As `Change` holds them. Raises InvalidError that names all that is wrong: other categories', unknown ones, and
    values."""
    wrong: dict[str, str] = {}
    found: dict[str, Any] = {}
    try:
        found = read_options(asked, AT)
    except InvalidError as error:
        wrong = error.fields or {"parameters": str(error)}
    for name in asked:
        parameter = parameters.find(name)
        if parameter is not None and parameter.category != category.id:
            wrong[f"{AT}{name}"] = f"is a parameter of the category {parameter.category!r}"
    if wrong:
        raise InvalidError(WRONG, wrong)
    return found


def _category(request: Request) -> Category:
    asked = request.path_params["category"]
    for each in parameters.CATEGORIES:
        if each.id == asked:
            return each
    known = ", ".join(each.id for each in parameters.CATEGORIES)
    raise NotFoundError(f"there is no category {shortened(asked)!r}, only {known}")


def operations(desk: Desk, changing: Changing) -> tuple[Operation, ...]:
    """With what the description says of them."""
    routes, guard = Tuning(desk, changing), desk.guard
    return (
        Operation(
            *("GET", PATH, guard(routes.list), "get_parameters", "Categories of parameters"),
            {200: Answer("The categories", Categories, headers=HEADERS, example=examples.CATEGORIES), **refusals()},
            "Each parameter is an option of llama-server.",
        ),
        Operation(
            *("GET", f"{PATH}/category/{{name}}", guard(routes.show_one), "get_parameter", "One parameter"),
            {200: Answer("It", OneParameter, headers=HEADERS, example=examples.ONE_PARAMETER), **refusals(404)},
            "Its value for all models, and what it takes.",
            parts=NAME,
        ),
        Operation(
            *("GET", f"{PATH}/{{category}}", guard(routes.show), "get_category", "Parameters of a category"),
            {
                200: Answer("They", CategoryParameters, headers=HEADERS, example=examples.CATEGORY),
                **refusals(404),
            },
            "Their values for all models, and what they take.",
            parts=CATEGORY,
        ),
        Operation(
            *("POST", f"{PATH}/{{category}}", guard(routes.change), "set_parameters", "Change parameters"),
            {
                200: Answer("They are set", ParametersChanged, headers=HEADERS, example=examples.PARAMETERS_CHANGED),
                **refusals(*WITH_BODY, 404, 500),
            },
            "Of all models that have no value of their own; all that are named, or none. They hold from the next load "
            "of a model on: one that is loaded goes on with what it was loaded with, and `restart` names it.",
            parts=CATEGORY,
            body=ParametersRequest,
        ),
    )
