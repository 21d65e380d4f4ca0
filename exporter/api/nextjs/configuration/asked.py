"""The documented form of a change of the configuration, strictly."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from exporter.api.nextjs.asked import Asked
from exporter.models.model import Value
from exporter.models.runtime import IntervalMs


class Intervals(Asked):
    """Milliseconds between two updates over Socket.IO, from now on."""

    metrics: IntervalMs | None = None
    models: IntervalMs | None = None
    logs: IntervalMs | None = None


class ModelPaths(Asked):
    """Where models are."""

    models_dir: str | None = None
    """Within the configured folders (`models.dir`); null: the first of them."""
    default_model: str | None = None
    """A model that is loaded as soon as the managed llama-server is ready; null: none."""


class AskedLlamaServer(Asked):
    """The first llama-server. All but `timeout` is configured where the sidecar is started, and can only be sent as it
    is."""

    host: str | None = None
    port: int | None = None
    path: str | None = None
    timeout: Annotated[int, Field(ge=0, le=3_600_000)] | None = None
    """Milliseconds that the answer to a start waits for the model to be loaded."""


class AskedApp(Asked):
    """Configured where the sidecar is started; can only be sent as it is."""

    name: str | None = None
    version: str | None = None
    port: int | None = None
    environment: str | None = None


class ConfigChange(Asked):
    """What to change; what is not named stays. `serverConfig` and `appConfig` are how front ends say it: what of them
    cannot be set is left aside, and the answer says so."""

    model_config = ConfigDict(
        alias_generator=None,
        json_schema_extra={
            "examples": [
                {"llama_config": {"temperature": 0.8, "max_tokens": 1024}, "reset": False},
                {"update_intervals": {"metrics": 5000}},
            ]
        },
    )

    app: AskedApp | None = None
    llama_server: AskedLlamaServer | None = None
    llama_config: dict[str, Value | None] | None = None
    """Parameters of all models, by name; null: llama-server's default."""
    model_paths: ModelPaths | None = None
    update_intervals: Intervals | None = None
    reset: bool = False
    """First go back to how everything was before it was set."""
    server_config: Annotated[dict[str, Any] | None, Field(alias="serverConfig")] = None
    app_config: Annotated[dict[str, Any] | None, Field(alias="appConfig")] = None
