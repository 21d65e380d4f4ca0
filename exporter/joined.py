"""Views that join several rooms, which do not know each other. `app` lends them to the telemetry and to the API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from exporter.live.active import ActiveRequests
from exporter.live.availability import RecordedAvailability
from exporter.live.history import History
from exporter.routing.fleet import Fleet
from exporter.system.availability import Availability, count_models
from exporter.system.snapshot import Snapshot


def only_model(latest: Callable[[], Snapshot], upstream: str | None) -> str | None:
    """The model of an upstream that has one and no more: what a request means that names none."""
    server = latest().servers.get(upstream or "")
    return server.models[0].id if server is not None and len(server.models) == 1 else None


class ModelUse:
    """What each model of each upstream is asked, and was asked last."""

    def __init__(self, latest: Callable[[], Snapshot], active: ActiveRequests, history: History) -> None:
        self._latest = latest
        self._active = active
        self._history = history
        self._seen: Snapshot | None = None
        self._alone: dict[str, str] = {}

    def in_flight(self) -> Counter[tuple[str, str]]:
        """Requests that are being answered, by upstream and model. One that routing has not heard of yet is known by
        the name that the client has said."""
        alone = self.alone()
        return Counter(
            (each.upstream, alone.get(each.upstream) or each.served_model or each.requested_model or "")
            for each in self._active.asking()
            if each.upstream is not None
        )

    def last_used(self, upstream: str, model: str) -> float | None:
        """When a model last finished a request, in UTC seconds since the epoch; None when it never did."""
        names = (model, "") if self.alone().get(upstream) == model else (model,)
        courses = [self._history.models.get((upstream, name)) for name in names]
        return max((course.last_wall for course in courses if course is not None), default=None)

    def alone(self) -> dict[str, str]:
        """The model of each upstream that answers everything with it, whatever it is asked for. It is asked for every
        model, so it is kept until there is another snapshot."""
        latest = self._latest()
        if latest is not self._seen:
            only = ((name, server.only_model) for name, server in latest.servers.items())
            self._alone, self._seen = {name: model.id for name, model in only if model is not None}, latest
        return self._alone


class Joined:
    """What was sampled last, what routing knows, and who is in flight, together."""

    def __init__(
        self,
        latest: Callable[[], Snapshot],
        fleet: Fleet,
        active: ActiveRequests,
        recorded: RecordedAvailability,
    ) -> None:
        self._latest = latest
        self._fleet = fleet
        self._active = active
        self._recorded = recorded

    def in_flight(self) -> list[tuple[str, str | None, int]]:
        """Requests being served by tier and upstream."""
        counts = Counter((each.tier, each.upstream) for each in self._active)
        return [(*key, count) for key, count in counts.items()]

    def configured_models(self) -> dict[str, int]:
        """Models by tier: those that an upstream lists, and one for an upstream that has not been heard of yet."""
        return Counter(backend.tier for backend in self._fleet.layout.backends)

    def availability(self) -> dict[str, Availability]:
        """Models by tier, and how many of them can answer."""
        return count_models(
            tuple(self._latest().servers.values()),
            self.configured_models(),
            self._fleet.out_of_rotation(),
            self._recorded.tiers(),
        )

    def boot_time(self) -> float | None:
        """When the host was started, in UTC seconds since the epoch; None while it is not known."""
        host = self._latest().host
        return None if host is None else host.boot_time
