"""The namespaces `/`, `/metrics` and `/models` of `/socket.io/`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exporter.api.nextjs.live import documents
from exporter.api.nextjs.live.sockets.audience import Audience
from exporter.api.nextjs.live.sockets.clients import Client
from exporter.api.nextjs.live.sockets.delivery import Delivery
from exporter.api.nextjs.live.sockets.packets import DEFAULT, encode_object, encode_slices, error_packet, packet
from exporter.api.nextjs.live.sockets.server import UNKNOWN_EVENT
from exporter.api.nextjs.live.sockets.stream import Making, Stream, gap_seconds
from exporter.api.views import Views
from exporter.models.model import Event, Kind
from exporter.models.models import Models

METRICS = "/metrics"
MODELS = "/models"


class General:
    """The default namespace: coming, going, and errors. Nothing is asked of it."""

    name = DEFAULT

    def __init__(self) -> None:
        self.audience = Audience()

    def joined(self, client: Client) -> None:
        """There is nothing to be told."""

    def left(self, client: Client) -> None:
        """There is nothing kept."""

    def heard(self, client: Client, event: str, arguments: list[Any]) -> Any:
        """There are no events that clients could send."""
        client.send(error_packet(self.name, "NOT_FOUND", UNKNOWN_EVENT))


class Updates(General):
    """A namespace that tells everybody the same: at once, every so often, and when it changes."""

    def __init__(
        self,
        name: str,
        make: Callable[[], Making],
        interval: Callable[[], float],
        *,
        delivery: Delivery,
        clock: Callable[[], float],
    ) -> None:
        """`interval` gives seconds."""
        super().__init__()
        self.name = name
        self.stream = Stream(self.audience, make, interval, delivery=delivery, clock=clock)

    def joined(self, client: Client) -> None:
        """How things are."""
        self.stream.tell(client)


def metrics_updates(views: Views, interval: Callable[[], float], delivery: Delivery) -> Updates:
    """The namespace `/metrics`."""

    def make() -> Making:
        yield from ()
        return (packet(METRICS, "metrics:update", documents.metrics_update(views)),)

    return Updates(METRICS, make, interval, delivery=delivery, clock=views.clock)


class ModelUpdates(Updates):
    """The namespace `/models`, with what happens to each of them."""

    def __init__(
        self, models: Models, interval: Callable[[], float], delivery: Delivery, clock: Callable[[], float]
    ) -> None:
        super().__init__(MODELS, self._make, interval, delivery=delivery, clock=clock)
        self._models = models
        self._delivery = delivery
        self._clock = clock
        self._told: dict[str, float] = {}
        """When it was last told how far each model is that is being loaded."""

    def tell(self, event: Event) -> None:
        """What has happened to a model, and to the list."""
        if event.kind is not Kind.LOADING:
            self._told.pop(event.name, None)
        if not len(self.audience) or (event.kind is Kind.LOADING and not self._is_due(event.name)):
            return
        found = _event(event)
        if found is not None:
            self._delivery.post(packet(self.name, *found), self.audience)
        self.stream.change()

    def _make(self) -> Making:
        listed = yield from encode_slices(self._models.all(), documents.model_update)
        return (packet(MODELS, "models:update", encode_object({"models": listed})),)

    def _is_due(self, name: str) -> bool:
        """Whether it is time to tell how far a model is."""
        now = self._clock()
        if now - self._told.get(name, float("-inf")) < gap_seconds(len(self.audience)):
            return False
        self._told[name] = now
        return True


def _event(event: Event) -> tuple[str, Any] | None:
    match event.kind:
        case Kind.LOADING:
            return "model:loading", documents.model_loading(event.name, event.model)
        case Kind.LOADED:
            return "model:loaded", documents.model_loaded(event.name, event.model)
        case Kind.FAILED:
            error = (event.model.error if event.model else None) or "the model could not be loaded"
            return "model:error", {"modelId": event.name, "error": error}
        case Kind.UNLOADED:
            return "model:unloaded", {"modelId": event.name}
        case _:
            return None
