"""Views that join several rooms, which do not know each other. `app` lends them to the telemetry and to the API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from exporter.live.active import ActiveRequests
from exporter.live.availability import RecordedAvailability
from exporter.routing.fleet import Fleet
from exporter.system.availability import Availability, count_models
from exporter.system.snapshot import Snapshot


def only_model(latest: Callable[[], Snapshot], upstream: str | None) -> str | None:
    """The model of an upstream that has one and no more: what a request means that names none."""
    server = latest().servers.get(upstream or "")
    return server.models[0].id if server is not None and len(server.models) == 1 else None


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
