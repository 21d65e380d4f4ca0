"""The shape of `/monitoring/models`: the models that people manage, with what was sampled of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from exporter.api.monitoring.documents import Model, ModelList
from exporter.api.monitoring.figures import amount
from exporter.api.monitoring.upstreams import used_context
from exporter.models.model import LOADED, Status
from exporter.models.model import Model as Managed
from exporter.system.snapshot import LlamaServerSnapshot, ModelSnapshot, Snapshot
from exporter.utc import utc

MOST_MODELS = 500
CAN_LOAD = frozenset((Status.STOPPED, Status.ERROR))
CAN_UNLOAD = frozenset((Status.LOADING, Status.RUNNING, Status.IDLE))


@dataclass(frozen=True, slots=True)
class Orders:
    """What can be asked of the llama-server that loads go to: `models.loading` would refuse everything else."""

    home: str | None
    """None where none loads models on demand."""
    answers: bool
    """Whether it is there, as far as anybody has looked."""
    restored: bool
    """Whether it is known what an earlier run has kept: nothing is loaded before."""
    loading: str | None
    """A model that it is loading: it loads one at a time."""

    def can_load(self, model: Managed) -> bool:
        """Whether the model is one of its own, or has a file that it could be told of."""
        is_free = self.answers and self.restored and self.loading in (None, model.name)
        has_file = model.registered is not None and model.registered.path is not None
        return is_free and model.status in CAN_LOAD and (has_file or self._has(model))

    def can_unload(self, model: Managed) -> bool:
        """Whether it has it."""
        return self.answers and model.status in CAN_UNLOAD and self._has(model)

    def _has(self, model: Managed) -> bool:
        return self.home is not None and model.upstream == self.home


def orders(models: Iterable[Managed], snapshot: Snapshot, home: str | None, *, restored: bool) -> Orders:
    """As it is now."""
    loading = (each.name for each in models if each.status is Status.LOADING and each.upstream == home)
    server = snapshot.servers.get(home or "")
    answers = home is not None and (server is None or server.up)
    return Orders(home, answers, restored, next(loading, None))


def model_list(models: Sequence[Managed], snapshot: Snapshot, wall: float, orders: Orders) -> ModelList:
    """What is loaded, or about to be, or failed to be, first; then by name. `wall` is UTC."""
    shown = sorted(models, key=lambda each: (each.status is Status.STOPPED, each.name))[:MOST_MODELS]
    sampled = _Sampled(snapshot.servers)
    return {
        "timestamp": utc(wall),
        "models": [_model(each, sampled.find(each, orders.home), orders) for each in shown],
        "total": len(models),
        "loads_on": orders.home,
    }


class _Sampled:
    """What was sampled of models, by upstream and by every name that one has there."""

    def __init__(self, servers: Mapping[str, LlamaServerSnapshot]) -> None:
        self._names = {name: _by_name(server.models) for name, server in servers.items()}
        self._files = {name: _by_file(server.models) for name, server in servers.items()}

    def find(self, model: Managed, home: str | None) -> ModelSnapshot | None:
        """A registered model goes by the name of its file on a llama-server that knows no other name of it; the home
        knows all."""
        upstream = model.upstream or ""
        found = self._names.get(upstream, {}).get(model.name)
        if found is not None or upstream == home or model.file_name is None:
            return found
        return self._files.get(upstream, {}).get(model.file_name)


def _by_name(models: Sequence[ModelSnapshot]) -> dict[str, ModelSnapshot]:
    """What one is asked for by goes before what another is called beside."""
    names = {alias: model for model in reversed(models) for alias in model.aliases}
    names |= {model.id: model for model in reversed(models)}
    return names | {model.routed_name: model for model in reversed(models) if model.routed_name is not None}


def _by_file(models: Sequence[ModelSnapshot]) -> dict[str, ModelSnapshot]:
    return {model.file_name: model for model in reversed(models) if model.file_name is not None}


def _model(model: Managed, sampled: ModelSnapshot | None, orders: Orders) -> Model:
    is_loading = model.status is Status.LOADING
    held = sampled if model.status in LOADED else None
    return {
        "name": model.name,
        "status": model.status,
        "upstream": model.upstream,
        "tier": sampled.tier if sampled is not None else None,
        "quantization": model.quantization,
        "size_bytes": model.size_bytes,
        "context_size": model.context_size,
        "slots": held.slot_count if held is not None else None,
        "slots_busy": held.busy_slots if held is not None else None,
        "context_tokens": held.context_tokens if held is not None else None,
        "context_tokens_used": used_context(held) if held is not None else None,
        "progress": _share(model.progress) if is_loading else None,
        "stage": model.stage if is_loading else None,
        "remaining_seconds": amount(model.remaining_seconds) if is_loading else None,
        "last_used_at": utc(model.last_used_at) if model.last_used_at is not None else None,
        "error": model.error,
        "can_load": orders.can_load(model),
        "can_unload": orders.can_unload(model),
    }


def _share(value: float | None) -> float | None:
    known = amount(value)
    return None if known is None else min(known, 1.0)
