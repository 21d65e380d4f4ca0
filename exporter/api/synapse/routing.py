"""What routing has decided, and among whom it can choose: the shapes of `routing` and of the orchestrator's status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from exporter.api.synapse import slots
from exporter.api.synapse.documents import DecisionCell, Routing, TierAvailability
from exporter.api.synapse.figures import figure, milliseconds
from exporter.api.synapse.status_documents import (
    ComplexityDistribution,
    OrchestratorStatus,
    RecentDecision,
    TierUtilization,
)
from exporter.live.decisions import Decided, Decisions, Field
from exporter.live.history import History
from exporter.record import Complexity
from exporter.system.availability import Availability
from exporter.system.snapshot import LlamaServerSnapshot
from exporter.utc import utc

NOTHING = Availability(None, 0)


def shape_routing(decisions: Decisions, availability: Mapping[str, Availability], tiers: Sequence[str]) -> Routing:
    """Every complexity with each of `tiers`, in their order, whether anything happened there or not."""
    return {
        "decisionMatrix": [
            _cell(complexity, tier, decisions.matrix.get((complexity, tier)))
            for complexity in Complexity
            for tier in tiers
        ],
        "accuracyMetrics": {
            "totalDecisions": decisions.total,
            "avgDecisionTimeMs": milliseconds(decisions.mean_seconds),
            "fallbackRate": figure(decisions.fallback_share, 3),
        },
        "modelAvailability": [_available(tier, availability.get(tier, NOTHING)) for tier in tiers],
    }


def _cell(complexity: Complexity, tier: str, field: Field | None) -> DecisionCell:
    return {
        "complexity": complexity,
        "tier": tier,
        "count": field.count if field else 0,
        "avgScore": figure(field.mean_score if field else None),
    }


def _available(tier: str, availability: Availability) -> TierAvailability:
    total = max(availability.total, 0)
    return {"tier": tier, "available": min(max(availability.available or 0, 0), total), "total": total}


def shape_orchestrator(
    decisions: Decisions,
    history: History,
    servers: Iterable[LlamaServerSnapshot],
    *,
    active: Counter[str],
    tiers: Sequence[str],
    wall: float,
) -> OrchestratorStatus:
    """`active` counts the requests in flight by tier."""
    models = slots.loaded(servers)
    busy, all_slots = Counter[str](), Counter[str]()
    for model in models:
        busy[model.tier] += model.busy_slots or 0
        all_slots[model.tier] += model.slot_count or 0
    return {
        "tierUtilization": [_utilization(tier, busy[tier], all_slots[tier], active[tier], history) for tier in tiers],
        "recentDecisions": _recent(decisions),
        "complexityDistribution": _distribution(decisions),
        "totalDecisions": decisions.total,
        "avgDecisionTimeMs": milliseconds(decisions.mean_seconds),
        "timestamp": utc(wall),
    }


def _utilization(tier: str, busy: int, all_slots: int, active: int, history: History) -> TierUtilization:
    course = history.tiers.get(tier)
    return {
        "tier": tier,
        "utilizationPercent": min(round(100 * busy / all_slots), 100) if all_slots else 0,
        "activeRequests": active,
        "totalProcessed": course.queries if course else 0,
    }


def _recent(decisions: Decisions) -> list[RecentDecision]:
    """Newest first: they are counted when their requests end. A decision keeps its `id`, its number in that order."""
    numbered = [(decisions.total - age, decided) for age, decided in enumerate(reversed(decisions.newest))]
    numbered.sort(key=lambda each: each[1].wall, reverse=True)
    return [_recent_decision(number, decided) for number, decided in numbered]


def _recent_decision(number: int, decided: Decided) -> RecentDecision:
    return {
        "id": f"dec-{number:08x}",
        "query": "",
        "tier": decided.tier,
        "complexity": decided.decision.complexity,
        "timestamp": utc(decided.wall),
        "score": figure(decided.decision.score),
    }


def _distribution(decisions: Decisions) -> ComplexityDistribution:
    """Whole percentages; what rounding down leaves goes to those that lost most by it."""
    counts = dict.fromkeys(Complexity, 0)
    for (complexity, _), field in decisions.matrix.items():
        counts[complexity] += field.count
    whole = sum(counts.values())
    percentages = {complexity: 100 * count // whole if whole else 0 for complexity, count in counts.items()}
    by_loss = sorted(counts, key=lambda complexity: 100 * counts[complexity] % max(whole, 1), reverse=True)
    for complexity in by_loss[: 100 - sum(percentages.values()) if whole else 0]:
        percentages[complexity] += 1
    return {
        "simple": percentages[Complexity.SIMPLE],
        "moderate": percentages[Complexity.MODERATE],
        "complex": percentages[Complexity.COMPLEX],
    }
