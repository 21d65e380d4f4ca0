"""`client.parameters`: the settings of llama-server that all models share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.client.llama_proxy.address import segment
from exporter.client.llama_proxy.documents import Document, read
from exporter.client.llama_proxy.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Category(Document):
    """Parameters that belong together."""

    id: str
    """`model`, `system`, `performance`."""
    name: str | None
    description: str | None
    count: int | None


@dataclass(frozen=True, slots=True)
class Categories(Document):
    """All of them; iterable."""

    categories: tuple[Category, ...]

    def __iter__(self) -> Iterator[Category]:
        return iter(self.categories)

    def __len__(self) -> int:
        return len(self.categories)


@dataclass(frozen=True, slots=True)
class ParameterMetadata(Document):
    """What a value may be."""

    type: str | None
    min: float | None
    max: float | None
    step: float | None
    options: tuple[Any, ...]
    """All values that there are, where no range says it."""
    description: str | None
    group: str | None
    option: str | None
    """What llama-server calls it."""


@dataclass(frozen=True, slots=True)
class Parameter(ParameterMetadata):
    """A parameter, its value, and what it may be."""

    value: Any
    default: Any


@dataclass(frozen=True, slots=True)
class ParameterList(Document):
    """The parameters of a category, by name; iterable, and `["temperature"]` is one."""

    category: str
    name: str | None
    parameters: Mapping[str, Parameter]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def __getitem__(self, name: str) -> Parameter:
        return self.parameters[name]


@dataclass(frozen=True, slots=True)
class ParameterValue(Document):
    """One parameter."""

    parameter: str
    category: str | None
    value: Any
    default: Any
    metadata: ParameterMetadata


@dataclass(frozen=True, slots=True)
class ParameterChange(Document):
    """What was changed."""

    message: str | None
    category: str | None
    updated: tuple[str, ...]
    requires_restart: bool | None


class Parameters:
    """Everything raises LlamaProxyError; an unknown category or parameter is a NotFoundError."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def categories(self) -> Categories:
        """Which there are."""
        return read(Categories, self._exchange.get("/parameters"))

    def list(self, category: str) -> ParameterList:
        """The parameters of a category."""
        return read(ParameterList, self._exchange.get(f"/parameters/{segment(category)}"))

    def get(self, name: str) -> ParameterValue:
        """One parameter, whatever its category."""
        return read(ParameterValue, self._exchange.get(f"/parameters/category/{segment(name)}"))

    def update(self, category: str, values: Mapping[str, Any]) -> ParameterChange:
        """Set parameters: `{"temperature": 0.8}`. Models take them at their next load. Raises ValidationError, and then
        nothing is changed."""
        body = {"parameters": dict(values)}
        return read(ParameterChange, self._exchange.send("POST", f"/parameters/{segment(category)}", body))
