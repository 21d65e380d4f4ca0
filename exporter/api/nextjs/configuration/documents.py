"""What the contract says of the configuration, as /openapi.json shows it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from exporter.api.documents import Count, Time, document
from exporter.models.model import Value
from exporter.models.runtime import LogLevel

Port = Annotated[int, Field(ge=0, le=65535)]


@document
class App(TypedDict):
    """The sidecar; it is configured where it is started."""

    name: str
    version: str
    port: Port
    """Of the admin listener."""
    environment: str


@document
class LlamaServer(TypedDict):
    """The first llama-server; only `timeout` can be set."""

    host: str
    port: Port
    timeout: Count
    """Milliseconds that the answer to a start waits for the model to be loaded."""
    path: str | None
    """Of the executable that the sidecar runs itself; null where it runs none."""


@document
class ModelPaths(TypedDict):
    """Where models are."""

    modelsDir: str | None
    """Where they are looked for when a search does not say; null where no folder is configured (`models.dir`)."""
    defaultModel: str | None
    """Loaded as soon as the managed llama-server is ready."""


@document
class Intervals(TypedDict):
    """Milliseconds between two updates over Socket.IO."""

    metrics: Count
    models: Count
    logs: Count


@document
class ServerConfig(TypedDict):
    """What front ends show of a llama-server."""

    host: str
    port: Port
    basePath: str
    """The folder with models; empty where none is configured."""
    baseModelsPath: str
    """The same."""
    serverPath: str
    """The executable; empty where the sidecar runs none."""
    ctx_size: int
    batch_size: int
    threads: int
    gpu_layers: int


@document
class AppConfig(TypedDict):
    """What front ends show of themselves."""

    maxConcurrentModels: Count
    """Models that the managed llama-server keeps loaded; 0: any number."""
    logLevel: LogLevel
    autoUpdate: bool
    notificationsEnabled: bool


@document
class ConfigData(TypedDict):
    """The configuration."""

    app: App
    llama_server: LlamaServer
    llama_config: dict[str, Value]
    """Parameters of all models, by name (`/api/parameters`): as set, else llama-server's defaults."""
    model_paths: ModelPaths
    update_intervals: Intervals
    serverConfig: ServerConfig
    appConfig: AppConfig


class Config(ConfigData, ServerConfig):
    """The configuration, with the keys that one front end reads on the top level."""

    success: Literal[True]
    data: ConfigData
    timestamp: Time


@document
class ConfigChanged(TypedDict):
    """What was changed."""

    message: str
    changes: dict[str, Any]
    """What was set, by its documented name, with the value that is in force now."""
    requiresRestart: bool
    """Whether something that runs goes on as before."""
    restart: list[str]
    """What that is, and what to do."""
    ignored: dict[str, str]
    """What real front ends send and cannot be set here, and why."""
    saved: bool
    """Whether it is back after a restart of the sidecar; false without a store."""
    success: Literal[True]
    data: ConfigData
    timestamp: Time


@document
class LoggerData(TypedDict):
    """The log of the sidecar."""

    consoleLevel: LogLevel
    level: LogLevel
    """The same."""


@document
class Logger(TypedDict):
    """The log of the sidecar, as front ends read it."""

    success: Literal[True]
    message: str
    data: LoggerData
    ignored: dict[str, str]
    timestamp: Time


@document
class Templates(TypedDict):
    """None: chat templates come with the models."""

    model_templates: dict[str, str]
    default_model: str | None


@document
class ModelTemplates(TypedDict):
    """What front ends read of chat templates."""

    success: Literal[True]
    data: Templates
    timestamp: Time
