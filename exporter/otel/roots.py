"""Which of the traces that begin here are sampled: decided by the id alone, before anything is made for them.

Most requests carry no trace context, and where few are sampled this is all that tracing does for most of them.
`tracing` draws, the SDK's provider takes the id from here, and its sampler comes to the same decision.
"""

from __future__ import annotations

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased


class Roots(RandomIdGenerator):
    """The ids of traces that begin here."""

    def __init__(self, share: float = 1.0) -> None:
        """`share` of them is sampled, from 0 to 1."""
        self._bound = TraceIdRatioBased.get_bound_for_rate(share)
        self._drawn: int | None = None

    def draw(self) -> bool:
        """Draw the id of the next trace; whether it is sampled. If it is, that trace must be begun now."""
        trace_id = super().generate_trace_id()
        if trace_id & TraceIdRatioBased.TRACE_ID_LIMIT >= self._bound:
            return False
        self._drawn = trace_id
        return True

    def generate_trace_id(self) -> int:
        """The one that was drawn; of a trace whose sender's context was broken, any."""
        drawn, self._drawn = self._drawn, None
        return super().generate_trace_id() if drawn is None else drawn
