"""What the contract says of parameters, as /openapi.json shows it."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from exporter.api.documents import Count, document
from exporter.models.model import Value
from exporter.models.parameters.parameter import Type


@document
class CategoryItem(TypedDict):
    """One category."""

    id: str
    name: str
    description: str
    count: Count
    """Parameters in it."""


@document
class Categories(TypedDict):
    """All categories."""

    categories: list[CategoryItem]


@document
class Rule(TypedDict):
    """What a parameter takes."""

    type: Type
    min: NotRequired[float]
    """Of numbers."""
    max: NotRequired[float]
    step: NotRequired[float]
    """Proposed for forms."""
    options: NotRequired[list[Value]]
    """All values that there are, where no range says it."""
    description: str
    group: str
    option: str
    """What llama-server calls it, without dashes in front."""


@document
class ParameterItem(Rule):
    """One parameter of all models; a model can have its own value."""

    value: Value
    """As it is set, else llama-server's default."""
    default: Value


@document
class CategoryParameters(TypedDict):
    """The parameters of a category."""

    category: str
    name: str
    parameters: dict[str, ParameterItem]


@document
class OneParameter(TypedDict):
    """One parameter."""

    parameter: str
    """Its name, also where it was asked for by another one."""
    category: str
    value: Value
    default: Value
    metadata: Rule


@document
class ParametersChanged(TypedDict):
    """What was changed."""

    message: str
    category: str
    updated: list[str]
    requiresRestart: bool
    """Whether a model that is loaded goes on as before."""
    restart: list[str]
    """Which, and what to do."""
    saved: bool
    """Whether it is back after a restart of the sidecar; false without a store."""
