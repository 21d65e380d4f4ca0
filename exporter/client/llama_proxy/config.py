"""`client.config`: how the sidecar is set up, and what of it can be changed while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exporter.client.llama_proxy.documents import Document, read
from exporter.client.llama_proxy.exchange import Exchange


@dataclass(frozen=True, slots=True)
class App(Document):
    """The sidecar itself."""

    name: str | None
    version: str | None
    port: int | None
    environment: str | None


@dataclass(frozen=True, slots=True)
class LlamaServer(Document):
    """Where models are served."""

    host: str | None
    port: int | None
    timeout: float | None
    """Milliseconds."""
    path: str | None
    """Of the program that the sidecar runs; None where it runs none."""


@dataclass(frozen=True, slots=True)
class ModelPaths(Document):
    """Where models lie."""

    models_dir: str | None
    default_model: str | None


@dataclass(frozen=True, slots=True)
class UpdateIntervals(Document):
    """How often live events are sent, in milliseconds."""

    metrics: float | None
    models: float | None
    logs: float | None


@dataclass(frozen=True, slots=True)
class Config(Document):
    """The configuration in force."""

    app: App
    llama_server: LlamaServer
    llama_config: Mapping[str, Any]
    """Parameters of all models: `n_ctx`, `temperature`, ..."""
    model_paths: ModelPaths
    update_intervals: UpdateIntervals


@dataclass(frozen=True, slots=True)
class ConfigChange(Document):
    """What was changed."""

    message: str | None
    changes: Mapping[str, Any]
    """New values, by `section.key`."""
    requires_restart: bool | None


class Configuration:
    """Everything raises LlamaProxyError."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def get(self) -> Config:
        """The configuration in force."""
        return read(Config, self._exchange.get("/config"))

    def update(self, changes: Mapping[str, Any]) -> ConfigChange:
        """Change part of it: `{"llama_config": {"temperature": 0.8}}`. Raises ValidationError, and then nothing is
        changed; its `fields` names every wrong one."""
        return read(ConfigChange, self._exchange.send("POST", "/config", dict(changes)))

    def reset(self) -> ConfigChange:
        """Back to what the sidecar was started with."""
        return read(ConfigChange, self._exchange.send("POST", "/config", {"reset": True}))
