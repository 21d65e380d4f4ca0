"""What the manager's own pages send of a model's settings, in the words of the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporter.models.model import InvalidError, Model
from exporter.models.parameters import parameters

OPTIONS = ("ctx_size", "batch_size", "threads", "gpu_layers")
"""That pages keep beside a model; what is not above 0 stands for what llama-server does by itself."""
GROUPS = {
    "sampling": frozenset(("sampling", "generation", "penalties", "mirostat")),
    "memory": frozenset(("memory", "cache", "context")),
    "gpu": frozenset(("gpu",)),
    "advanced": frozenset(("batching", "cpu", "http")),
    "lora": frozenset[str](),
    "multimodal": frozenset[str](),
}
"""Groups of parameters, by the part of the settings that a page asks for."""


def entry(sent: Mapping[str, Any]) -> dict[str, Any]:
    """A model to be registered. Raises InvalidError."""
    path = sent.get("model_path") or sent.get("path")
    if path is None and sent.get("model_url"):
        raise InvalidError("models are not downloaded; `model_path` says where its file is")
    found = {"name": sent.get("name"), "path": path, "options": options(sent)}
    return {key: value for key, value in found.items() if value}


def registered_changes(sent: Mapping[str, Any], found: Model) -> dict[str, Any]:
    """What is to be changed of a model; its state, which pages also send, is ours to know. Raises InvalidError."""
    if sent.get("name", found.name) != found.name:
        raise InvalidError("a model keeps its name; register it anew")
    own = found.registered.options if found.registered else {}
    changed = options(sent)
    changes = {
        "path": sent.get("model_path"),
        "description": sent.get("description"),
        "options": {**own, **parameters.check(changed)} if changed else None,
    }
    return {key: value for key, value in changes.items() if value is not None}


def options(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Those that say something."""
    return {name: sent[name] for name in OPTIONS if _says_something(sent.get(name))}


def only(kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Of these options, those that belong to a part of the settings, whatever they are called, and have a value. Raises
    InvalidError."""
    groups = GROUPS.get(kind) if isinstance(kind, str) else None
    if groups is None:
        raise InvalidError(f"`type` must be one of {', '.join(GROUPS)}")
    return {name: value for name, value in given.items() if value is not None and _group(name) in groups}


def forgotten(sent: Mapping[str, Any]) -> frozenset[str]:
    """The parameters that shall be what they are by default."""
    found = (parameters.find(name) for name, value in sent.items() if value is None)
    return frozenset(each.name for each in found if each is not None)


def _group(name: str) -> str | None:
    parameter = parameters.find(name)
    return None if parameter is None else parameter.group


def _says_something(value: Any) -> bool:
    return value is not None and not (isinstance(value, int | float) and value <= 0)
