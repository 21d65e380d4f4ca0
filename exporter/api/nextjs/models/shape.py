"""Models in the contract's keys: pure shapes of what `exporter.models` knows."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.api.nextjs.models.documents import (
    DiscoveredFile,
    Discovery,
    Loading,
    ModelItem,
    ModelList,
    OneModel,
    Registration,
    Started,
    Unloading,
)
from exporter.models.model import LOADED, Discovered, File, Model, Registered, Status
from exporter.utc import utc

READY = frozenset((Status.RUNNING, Status.IDLE))
NOBODY = Registered("")
"""What is registered of a model that is not."""


def item(model: Model) -> ModelItem:
    """One model."""
    known = model.registered or NOBODY
    shown: ModelItem = {
        "id": model.name,
        "name": model.name,
        "description": known.description,
        "status": model.status,
        "version": known.version,
        "path": known.path,
        "size": known.size_bytes if model.size_bytes is None else model.size_bytes,
        "family": known.family,
        "contextSize": known.training_context_size if model.context_size is None else model.context_size,
        "loadedAt": moment(model.loaded_at),
        "lastUsed": moment(model.last_used_at),
        "format": known.format,
        "quantization": model.quantization or known.quantization,
        "registered": model.registered is not None,
        "upstream": model.upstream,
        "error": model.error,
        "outdated": model.outdated,
        "parameters": dict(known.options),
        "createdAt": moment(known.created_at or None),
        "updatedAt": moment(known.updated_at or None),
        "type": known.family or "other",
        "available": True,
    }
    if model.status is Status.LOADING and model.progress is not None:
        shown["progress"] = round(min(max(model.progress, 0.0), 1.0) * 100, 1)
    return shown


def moment(wall: float | None) -> str | None:
    """A time, where there is one."""
    return None if wall is None else utc(wall)


def model_list(count: int, wall: float) -> ModelList:
    """So many of them, without them: there can be so many that they are written bit by bit."""
    return {"count": count, "models": [], "success": True, "data": [], "timestamp": utc(wall)}


def one_model(model: Model, wall: float) -> OneModel:
    """One of them."""
    shown = item(model)
    return {**shown, "success": True, "data": shown, "timestamp": utc(wall)}


def registration(models: Sequence[Model], wall: float) -> Registration:
    """What was registered, without `data`."""
    return {
        "message": "Model registered successfully" if len(models) == 1 else "Models registered successfully",
        "registered": len(models),
        "models": [{"id": model.name, "name": model.name, "status": "registered"} for model in models],
        "success": True,
        "data": [],
        "timestamp": utc(wall),
    }


def discovery(found: Discovered, wall: float) -> Discovery:
    """What a search has found."""
    files = [_file(each) for each in found.files]
    return {
        "discovered": files,
        "scannedPaths": found.scanned,
        "totalFound": found.total,
        "errors": [{"path": path, "error": reason} for path, reason in found.errors],
        "success": True,
        "data": {"discovered": files},
        "timestamp": utc(wall),
    }


def _file(file: File) -> DiscoveredFile:
    return {
        "name": file.name,
        "description": file.description,
        "version": file.version,
        "path": file.path,
        "family": file.family,
        "size": file.size_bytes,
        "format": file.format,
        "quantization": file.quantization,
        "contextSize": file.training_context_size,
    }


def loading(before: Model, model: Model, wall: float) -> Loading:
    """The answer to a load. It says what has begun, also where that took no time."""
    is_done = was_loaded(before, model)
    return {
        "message": "Model is loaded already" if is_done else "Model loading initiated",
        "modelId": model.name,
        "status": model.status if is_done else Status.LOADING,
        "estimatedTime": 0.0 if is_done else estimate(model),
        "success": True,
        "timestamp": utc(wall),
    }


def was_loaded(before: Model, model: Model) -> bool:
    """Whether there was nothing to load."""
    return before.status in READY and model.status in READY and before.loaded_at == model.loaded_at


def estimate(model: Model) -> float | None:
    """Seconds that its load will take, going by the last one."""
    seconds = model.load_seconds if model.remaining_seconds is None else model.remaining_seconds
    return None if seconds is None else round(seconds, 1)


def unloading(model: Model, wall: float) -> Unloading:
    """The answer to an unload."""
    return {
        "message": "Model unloading initiated",
        "modelId": model.name,
        "status": Status.UNLOADING,
        "success": True,
        "timestamp": utc(wall),
    }


def started(model: Model, wall: float) -> Started:
    """The answer to a start that went well so far."""
    is_loaded = model.status in READY
    return {
        "model": model.name,
        "status": "loaded" if is_loaded else "loading",
        "message": f"Model {model.name} is loaded" if is_loaded else f"Model {model.name} is still loading",
        "success": True,
        "data": item(model),
        "timestamp": utc(wall),
    }


def stopped(model: Model, wall: float) -> Started:
    """The answer to a stop that went well so far."""
    is_loaded = model.status in LOADED
    return {
        "model": model.name,
        "status": "unloading" if is_loaded else "stopped",
        "message": f"Model {model.name} is being unloaded" if is_loaded else f"Model {model.name} is not loaded",
        "success": True,
        "data": item(model),
        "timestamp": utc(wall),
    }
