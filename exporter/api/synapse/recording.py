"""Takes what applications tell that route by themselves, and passes it on to where proxied traffic goes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from exporter.api.documents import read_body
from exporter.api.operation import Handler
from exporter.api.synapse.answers import JSONAnswer, refuse
from exporter.api.synapse.documents import Recorded
from exporter.api.synapse.told import RecordedDecision, RecordedModels, RecordedQuery, Told
from exporter.api.views import Views
from exporter.live.availability import TIER_LIMIT
from exporter.record import Decision, Outcome, RequestRecord, RoutingReason, TokenSource
from exporter.system.availability import Availability

QUERY_PATH = "/api/metrics/record/query"
ROUTING_PATH = "/api/metrics/record/routing"
AVAILABILITY_PATH = "/api/metrics/record/availability"

RECORDED = "recorded"
"""Provider, and type of errors, of what was told: it cannot be mistaken for what was measured."""
QUERY = "query"
"""Operation of what was told; what kind of question it was nobody knows."""
BODY_LIMIT_BYTES = 16 * 1024
SHORTEST_GENERATION_MS = 0.001
"""A speed over less is none."""
TOO_MANY_TIERS = f"must be one of the {TIER_LIMIT} tiers that there are already"


class Intake(Protocol):
    """Where it goes: the sinks that take proxied traffic, too."""

    def record(self, record: RequestRecord) -> None:
        """A query."""

    def decide(self, tier: str, decision: Decision) -> None:
        """A decision for a request that went to `tier`."""

    def set_availability(self, tier: str, availability: Availability) -> None:
        """What models a tier has from now on."""


Body = TypeVar("Body", bound=Told)


class Recorder:
    """Takes what applications tell, and passes it on."""

    def __init__(self, views: Views, intake: Intake) -> None:
        self._intake = intake
        self._wall = views.wall
        self._recording = views.recording
        self._tiers = Admission((*views.tiers, *(each.tier for each in views.upstreams if each.tier)))

    def query(self, told: RecordedQuery) -> None:
        """A query is finished."""
        self._intake.record(make_record(told, self._wall()))

    def decision(self, told: RecordedDecision) -> None:
        """A decision has been made."""
        decision = Decision(
            reason=RoutingReason.COMPLEXITY,
            complexity=told.complexity,
            score=told.score,
            wanted_tier=told.tier,
            fallback=told.is_fallback,
            seconds=told.decision_time_ms / 1000,
        )
        self._intake.decide(told.tier, decision)

    def models(self, told: RecordedModels) -> None:
        """A tier has other models than before."""
        self._intake.set_availability(told.tier, Availability(told.available, told.total))

    def handler(self, kind: type[Body], take: Callable[[Body], None]) -> Handler:
        """Serves the route where `kind` is told: 202, or why not."""

        async def handle(request: Request) -> Response:
            try:
                told = kind.model_validate_json(await read_body(request, BODY_LIMIT_BYTES))
            except ValidationError as error:
                return refuse(400, "the body is not as it should be; `details` says why", reasons(error))
            if not self._tiers.admit(told.tier):
                return refuse(400, "the body names a tier too many", {"tier": TOO_MANY_TIERS})
            if self._recording:
                take(told)
            answer: Recorded = {"recorded": self._recording}
            return JSONAnswer(answer, 202)

        return handle


class Admission:
    """Which tiers applications may speak of: those that are known, and others while there is room. Each is a label in
    metrics for ever."""

    def __init__(self, known: Iterable[str]) -> None:
        self._tiers = set(known)

    def admit(self, tier: str) -> bool:
        """Whether they may; of one that they once might they always may."""
        if tier not in self._tiers:
            if len(self._tiers) >= TIER_LIMIT:
                return False
            self._tiers.add(tier)
        return True


def reasons(error: ValidationError) -> dict[str, str]:
    """By field, what is wrong with it; `body` stands for the whole."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return {".".join(map(str, each["loc"])) or "body": each["msg"].removeprefix("Value error, ") for each in found}


def make_record(told: RecordedQuery, wall: float) -> RequestRecord:
    """The account of a query that ended now, at `wall`. What was not told is not known."""
    seconds = told.latency_ms / 1000
    timed = told.generation_time_ms >= SHORTEST_GENERATION_MS
    generation = told.generation_time_ms / 1000 if timed else None
    tokens = told.tokens_generated or None
    return RequestRecord(
        request_id=secrets.token_hex(8),
        started_at=wall - seconds,
        duration_seconds=seconds,
        outcome=Outcome.UPSTREAM_ERROR if told.is_error else Outcome.COMPLETED,
        method="POST",
        path=QUERY_PATH,
        operation=QUERY,
        inference=True,
        requested_model=None,
        stream=False,
        message_count=None,
        tool_uses=0,
        tool_results=0,
        origin=None,
        request_bytes=0,
        upstream=None,
        provider=RECORDED,
        tier=told.tier,
        served_model=None,
        attempts=(),
        decision=None,
        status_code=None,
        response_model=None,
        response_bytes=0,
        error_type=RECORDED if told.is_error else None,
        finish_reasons=(),
        tool_calls=0,
        input_tokens=None,
        cached_tokens=None,
        output_tokens=tokens,
        token_source=TokenSource.SERVER if tokens else None,
        draft_tokens=None,
        draft_accepted_tokens=None,
        overhead_seconds=None,
        first_byte_seconds=None,
        ttft_seconds=None,
        last_token_seconds=None,
        time_per_output_token_seconds=None,
        gaps=None,
        queue_seconds=None,
        prompt_seconds=None,
        generation_seconds=generation,
        prompt_tokens_per_second=None,
        output_tokens_per_second=tokens / generation if tokens and generation else None,
    )
