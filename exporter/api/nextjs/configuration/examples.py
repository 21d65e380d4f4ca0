"""What the documents of the configuration look like: the description shows it."""

from __future__ import annotations

from exporter.api.nextjs.configuration.documents import Config, ConfigChanged, ConfigData, Logger, ModelTemplates

NOW = "2026-11-20T08:32:30.000Z"
DATA: ConfigData = {
    "app": {"name": "llama-exporter", "version": "1.2.3", "port": 9464, "environment": "production"},
    "llama_server": {
        "host": "127.0.0.1",
        "port": 8080,
        "timeout": 30000,
        "path": "/usr/local/bin/llama-server",
    },
    "llama_config": {"temperature": 0.8, "max_tokens": 1024, "top_p": 0.95, "n_ctx": 4096, "n_gpu_layers": -1},
    "model_paths": {"modelsDir": "/srv/models", "defaultModel": None},
    "update_intervals": {"metrics": 10000, "models": 30000, "logs": 15000},
    "serverConfig": {
        "host": "127.0.0.1",
        "port": 8080,
        "basePath": "/srv/models",
        "baseModelsPath": "/srv/models",
        "serverPath": "/usr/local/bin/llama-server",
        "ctx_size": 4096,
        "batch_size": 2048,
        "threads": -1,
        "gpu_layers": -1,
    },
    "appConfig": {
        "maxConcurrentModels": 4,
        "logLevel": "info",
        "autoUpdate": False,
        "notificationsEnabled": True,
    },
}
CONFIG: Config = {**DATA, **DATA["serverConfig"], "success": True, "data": DATA, "timestamp": NOW}
CONFIG_CHANGED: ConfigChanged = {
    "message": "Configuration updated successfully",
    "changes": {"llama_config.temperature": 0.8, "llama_config.max_tokens": 1024},
    "requiresRestart": True,
    "restart": ["model tiny: it runs with other parameters; load it again"],
    "ignored": {},
    "saved": True,
    "success": True,
    "data": DATA,
    "timestamp": NOW,
}
LOGGER: Logger = {
    "success": True,
    "message": "Logger configuration updated",
    "data": {"consoleLevel": "debug", "level": "debug"},
    "ignored": {"maxFileSize": "has no meaning here"},
    "timestamp": NOW,
}
TEMPLATES: ModelTemplates = {
    "success": True,
    "data": {"model_templates": {}, "default_model": None},
    "timestamp": NOW,
}
