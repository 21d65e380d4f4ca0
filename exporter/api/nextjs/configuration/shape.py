"""The configuration in the contract's keys: a pure shape of what is in force."""

from __future__ import annotations

from typing import cast

from exporter.api.nextjs.configuration.documents import AppConfig, Config, ConfigData, ServerConfig
from exporter.api.nextjs.facts import Facts
from exporter.models.parameters.parameters import PARAMETERS
from exporter.models.runtime import LogLevel, RuntimeSettings
from exporter.utc import utc

BY_NAME = {each.name: each for each in PARAMETERS}


def config_data(facts: Facts, version: str, now: RuntimeSettings) -> ConfigData:
    """All of it."""
    first = facts.llama_servers[0]
    return {
        "app": {"name": facts.name, "version": version, "port": facts.port, "environment": facts.environment},
        "llama_server": {
            "host": first.host,
            "port": first.port,
            "timeout": now.load_wait_ms,
            "path": facts.managed_path,
        },
        "llama_config": {each.name: now.options.get(each.name, each.default) for each in PARAMETERS},
        "model_paths": {"modelsDir": models_dir(facts, now), "defaultModel": now.default_model},
        "update_intervals": {
            "metrics": now.metrics_interval_ms,
            "models": now.models_interval_ms,
            "logs": now.logs_interval_ms,
        },
        "serverConfig": server_config(facts, now),
        "appConfig": app_config(facts, now),
    }


def config(facts: Facts, version: str, now: RuntimeSettings, wall: float) -> Config:
    """The same as the contract's front ends read it."""
    data = config_data(facts, version, now)
    return {**data, **data["serverConfig"], "success": True, "data": data, "timestamp": utc(wall)}


def models_dir(facts: Facts, now: RuntimeSettings) -> str | None:
    """Where models are looked for when a search does not say."""
    return now.models_dir or (facts.roots[0] if facts.roots else None)


def server_config(facts: Facts, now: RuntimeSettings) -> ServerConfig:
    """What front ends show of a llama-server."""
    first, folder = facts.llama_servers[0], models_dir(facts, now) or ""
    return {
        "host": first.host,
        "port": first.port,
        "basePath": folder,
        "baseModelsPath": folder,
        "serverPath": facts.managed_path or "",
        "ctx_size": _whole(now, "n_ctx"),
        "batch_size": _whole(now, "batch_size"),
        "threads": _whole(now, "threads"),
        "gpu_layers": _whole(now, "n_gpu_layers"),
    }


def app_config(facts: Facts, now: RuntimeSettings) -> AppConfig:
    """What front ends show of themselves."""
    return {
        "maxConcurrentModels": facts.max_loaded if now.max_loaded is None else now.max_loaded,
        "logLevel": log_level(facts, now),
        "autoUpdate": now.auto_update,
        "notificationsEnabled": now.notifications,
    }


def log_level(facts: Facts, now: RuntimeSettings) -> LogLevel:
    """Of the sidecar."""
    return facts.log_level if now.log_level is None else now.log_level


def _whole(now: RuntimeSettings, name: str) -> int:
    return cast(int, now.options.get(name, BY_NAME[name].default))
