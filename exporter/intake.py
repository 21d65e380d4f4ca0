"""Where goes what applications tell that route by themselves: to the sinks that take proxied traffic, too.

`app` lends an `Intake` to the room that receives it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exporter.live.availability import RecordedAvailability
from exporter.record import Decision, Sink
from exporter.system.availability import Availability

DecisionSink = Callable[[str, Decision], None]
"""Takes a decision, and the tier that the request went to."""


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes it all."""

    record: Sink
    """A finished query."""
    decision_sinks: tuple[DecisionSink, ...]
    availability: RecordedAvailability

    def decide(self, tier: str, decision: Decision) -> None:
        """A decision for a request that went to `tier`."""
        for sink in self.decision_sinks:
            sink(tier, decision)

    def set_availability(self, tier: str, availability: Availability) -> None:
        """What models a tier has from now on."""
        self.availability.record(tier, availability)
