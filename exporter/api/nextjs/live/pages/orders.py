"""What the manager's own pages want done with models, as far as something true can be done. `pages` hands it over."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from exporter.api.nextjs.answers import CODES
from exporter.api.nextjs.live.pages.activity import Activity
from exporter.api.nextjs.live.pages.documents import milliseconds, model, status
from exporter.api.nextjs.live.pages.model_ids import ModelIds
from exporter.api.nextjs.live.pages.settings import entry, forgotten, only, registered_changes
from exporter.api.nextjs.live.sockets.clients import Client
from exporter.api.nextjs.live.sockets.jobs import Jobs
from exporter.api.nextjs.live.sockets.packets import DEFAULT, error_packet, packet
from exporter.api.nextjs.recent import Recent
from exporter.api.views import Views
from exporter.models.model import ConflictError, InvalidError, Model, ModelsError, Status
from exporter.models.models import Models
from exporter.models.parameters import parameters
from exporter.models.server.managed import ManagedServer

log = logging.getLogger(__name__)

AGAIN_SECONDS = 3.0
"""Some pages start or stop a model over REST, and toggle it on top."""
FOREIGN = "pages of this origin may read, and change nothing; admin.cors_origins names those that may"
BUSY = "too much is being done already"

Answer = tuple[str, dict[str, Any]]
"""An event and its document."""
Order = Callable[[Any], Awaitable[Answer]]


class Orders:
    """One task for each, of which a client can have few at a time. `correct` is told when a page has to hear how models
    really are."""

    def __init__(
        self,
        *,
        models: Models,
        ids: ModelIds,
        server: Callable[[], ManagedServer | None],
        recent: Recent,
        views: Views,
        jobs: Jobs,
        correct: Callable[[Client], None],
    ) -> None:
        self._models = models
        self._ids = ids
        self._server = server
        self._recent = recent
        self._views = views
        self._jobs = jobs
        self._correct = correct
        self._orders: dict[str, tuple[str, Order]] = {
            "startmodel": ("error", self._start),
            "stopmodel": ("error", self._stop),
            "unloadmodel": ("error", self._stop),
            "togglemodel": ("error", self._toggle),
            "savemodel": ("model_saved", self._save),
            "updatemodel": ("model_updated", self._update),
            "deletemodel": ("model_deleted", self._delete),
            "importmodelsfromllama": ("models_imported", self._import),
            "loadconfig": ("config_loaded", self._load_config),
            "saveconfig": ("config_saved", self._save_config),
            **dict.fromkeys(("startllamaserver", "restartserver", "stopllamaserver"), ("error", self._refuse)),
        }
        """The event of a failure, and who does it, by the order's name without underscores, in lower case."""

    def take(self, client: Client, word: str, argument: Any) -> bool:
        """Begin to do it. False: nobody knows what that is."""
        found = self._orders.get(word)
        if found is None:
            return False
        event, order = found
        if client.reads_only and word != "loadconfig":
            self._fail(client, event, 403, FOREIGN)
        elif not self._jobs.run(client, lambda: self._carry_out(client, event, order, argument)):
            self._fail(client, event, 503, BUSY)
        return True

    async def _carry_out(self, client: Client, event: str, order: Order, argument: Any) -> None:
        try:
            answer, document = await order(argument)
        except ModelsError as error:
            self._fail(client, event, error.status, _explain(error))
        except Exception:
            log.exception("what a page wants could not be done", extra={"order": order.__name__})
            self._fail(client, event, 500, "the sidecar failed; its log says why")
        else:
            client.send(packet(DEFAULT, answer, document))

    def _fail(self, client: Client, event: str, number: int, text: str) -> None:
        code = CODES[number]
        if event == "error":
            client.send(error_packet(DEFAULT, code, text))
        else:
            failure = {"success": False, "error": {"code": code, "message": text}}
            client.send(packet(DEFAULT, event, {**failure, "timestamp": milliseconds(self._views)}))
        self._correct(client)

    async def _start(self, argument: Any) -> Answer:
        name = self._meant(argument).name
        started = await self._models.load(name, {})
        return "modelStarted", {"modelId": _given(argument), "status": status(started.status)}

    async def _stop(self, argument: Any) -> Answer:
        name = self._meant(argument).name
        await self._models.unload(name)
        return "modelStopped", {"modelId": _given(argument), "message": f"{name} is being unloaded"}

    async def _toggle(self, argument: Any) -> Answer:
        found = self._meant(argument)
        if not self._recent.within(found.name, AGAIN_SECONDS) and found.status is not Status.LOADING:
            if found.status is Status.RUNNING:
                found = await self._models.unload(found.name)
            else:
                found = await self._models.load(found.name, {})
        return "modelToggled", {"modelId": _given(argument), "status": status(found.status)}

    async def _save(self, argument: Any) -> Answer:
        (saved,) = await self._models.register([entry(_fields(argument))])
        return "model_saved", self._success(self._shown(saved))

    async def _update(self, argument: Any) -> Answer:
        found = self._meant(argument)
        changes = registered_changes(_fields(_fields(argument).get("updates", {})), found)
        if changes:
            found = await self._models.update(found.name, changes)
        return "model_updated", self._success(self._shown(found))

    async def _delete(self, argument: Any) -> Answer:
        await self._models.remove(self._meant(argument).name)
        return "model_deleted", self._success({"id": _given(argument)})

    async def _import(self, _: Any) -> Answer:
        names = [each.name for each in self._models.all() if each.registered is None]
        if names:
            await self._models.register([{"name": name} for name in names])
        counts = {"imported": len(names), "updated": 0, "errors": 0}
        return "models_imported", {"type": "models_imported", **self._success(counts)}

    async def _load_config(self, argument: Any) -> Answer:
        found, kind = self._meant(argument), _fields(argument).get("type")
        own = found.registered.options if found.registered else {}
        return "config_loaded", self._success({"id": _given(argument), "type": kind, "config": only(kind, own)})

    async def _save_config(self, argument: Any) -> Answer:
        found, kind = self._meant(argument), _fields(argument).get("type")
        sent = _fields(_fields(argument).get("config", {}))
        own = dict(found.registered.options) if found.registered else {}
        kept = {name: value for name, value in own.items() if name not in forgotten(sent)}
        checked = parameters.check(only(kind, sent))
        updated = await self._models.update(found.name, {"options": {**kept, **checked}})
        now = updated.registered.options if updated.registered else {}
        return "config_saved", self._success({"id": _given(argument), "type": kind, "config": only(kind, now)})

    async def _refuse(self, _: Any) -> Answer:
        server = self._server()
        if server is None:
            raise ConflictError("the sidecar runs no llama-server itself, and cannot start or stop those of others")
        raise ConflictError(f"llama-server is {server.status.value}; it is started and stopped with the sidecar alone")

    def _meant(self, argument: Any) -> Model:
        """By its number, which is its id over this path, or its name. Raises UnknownModelError, InvalidError."""
        return self._ids.find(str(_given(argument)))

    def _shown(self, found: Model) -> dict[str, Any]:
        return model(found, Activity(self._views))

    def _success(self, data: Any) -> dict[str, Any]:
        return {"success": True, "data": data, "timestamp": milliseconds(self._views)}


def _given(argument: Any) -> str | int:
    """What was sent to say which model is meant; it is sent back as it came, since pages compare it with what they
    have. Raises InvalidError."""
    if isinstance(argument, dict):
        keys = ("modelId", "id", "name", "model")
        argument = next((argument[key] for key in keys if argument.get(key) is not None), None)
    if isinstance(argument, bool) or not isinstance(argument, str | int):
        raise InvalidError("which model is meant must be said by `modelId` or `id`")
    return argument


def _fields(argument: Any) -> dict[str, Any]:
    if not isinstance(argument, dict):
        raise InvalidError("an object is expected")
    return argument


def _explain(error: ModelsError) -> str:
    reasons = "; ".join(f"{name}: {reason}" for name, reason in error.fields.items())
    return f"{error} ({reasons})" if reasons and reasons not in str(error) else str(error)
