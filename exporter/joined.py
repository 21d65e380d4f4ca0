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
        self._only_models: dict[str, str] = {}

    def in_flight(self) -> Counter[tuple[str, str]]:
        """Requests that are being answered, by upstream and model."""
        asked = self._active.by_model(self.only_models())
        return Counter({(upstream, model): count for (upstream, model), count in asked.items() if upstream is not None})

    def last_used(self, upstream: str, model: str) -> float | None:
        """When a model last finished a request, in UTC seconds since the epoch; None when it never did."""
        names = (model, "") if self.only_models().get(upstream) == model else (model,)
        courses = [self._history.models.get((upstream, name)) for name in names]
        return max((course.last_wall for course in courses if course is not None), default=None)

    def only_models(self) -> dict[str, str]:
        """Those of the snapshot. They are asked for with every model, so they are kept until there is another."""
        latest = self._latest()
        if latest is not self._seen:
            self._only_models, self._seen = latest.only_models(), latest
        return self._only_models


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
