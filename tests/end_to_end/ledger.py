"""The books of an outage run: what clients, records, metrics and engines say, held against each other.

`balance` makes the checks, the rest prints. What an engine answered is told by the name that it gives itself in its
answers, and by its own log; neither comes from the sidecar.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.table import align
from tests.end_to_end.outage import COMPLEXITY, TIERS, VICTIM, Engines, Seen
from tests.end_to_end.records import Entry
from tests.end_to_end.sidecar import Metrics

REACHED = ("answered", "disconnected", "resent")
"""Results of attempts in which the engine may have worked on the request. A connection that had served before and was
closed by the kill looks like one that the engine had retired."""


@dataclass(frozen=True, slots=True)
class Check:
    """Two accounts of the same thing."""

    what: str
    expected: object
    found: object
    relation: str = "="
    """Of expected to found: `=`, or `<=` for numbers."""

    @property
    def holds(self) -> bool:
        """Whether they agree."""
        if self.relation == "=":
            return self.expected == self.found
        assert isinstance(self.expected, int)
        assert isinstance(self.found, int)
        return self.expected <= self.found


def balance(seen: Sequence[Seen], records: Mapping[str, Entry], metrics: Metrics, engines: Engines) -> list[Check]:
    """All checks of one run."""
    return [
        *check_clients(seen),
        *check_decisions(seen, records, metrics),
        *check_fallbacks(seen, records, metrics),
        *check_attempts(seen, records, metrics, engines),
        *check_victim(seen, records, engines),
    ]


def check_clients(seen: Sequence[Seen]) -> list[Check]:
    """No client may be left without an answer."""
    return [Check("clients: failures before anything of an answer", 0, sum(each.failed for each in seen))]


def check_decisions(seen: Sequence[Seen], records: Mapping[str, Entry], metrics: Metrics) -> list[Check]:
    """One decision for each request, and the right one."""
    decided = [entry for entry in records.values() if "complexity" in entry]
    return [
        Check("requests sent = records", len(seen), len(records)),
        Check("requests sent = records with a decision", len(seen), len(decided)),
        Check("requests sent = llm_routing_decisions_total", len(seen), metric(metrics)),
        Check("requests sent = sum over complexity x tier", len(seen), matrix_of(metrics).total()),
        Check("clients = metrics: complexity x tier", dict(matrix_seen(seen)), dict(matrix_of(metrics))),
        Check(
            "as planned = as scored: complexity",
            Counter(str(each.complexity) for each in seen),
            Counter(entry["complexity"] for entry in decided),
        ),
        Check(
            "requests whose complexity was taken for another",
            0,
            sum(records[each.asked.origin or ""].get("complexity") != each.complexity for each in seen),
        ),
    ]


def check_fallbacks(seen: Sequence[Seen], records: Mapping[str, Entry], metrics: Metrics) -> list[Check]:
    """A fallback is a request that belonged to the victim, and that the victim neither answered nor began to."""
    wanted = [each for each in seen if each.wanted == VICTIM]
    elsewhere = len(wanted) - sum(each.answered_by == VICTIM for each in wanted)
    return [
        Check(
            f"wanted {VICTIM} and not answered by it = fallbacks in metrics",
            elsewhere,
            metric(metrics, fallback="true"),
        ),
        Check(
            f"wanted {VICTIM} and not answered by it = fallbacks in records",
            elsewhere,
            sum(entry.get("fallback") is True for entry in records.values()),
        ),
        Check(
            "wanted another tier and not answered by it",
            0,
            sum(each.answered_by != each.wanted for each in seen if each.wanted != VICTIM),
        ),
    ]


def check_attempts(
    seen: Sequence[Seen], records: Mapping[str, Entry], metrics: Metrics, engines: Engines
) -> list[Check]:
    """Attempts in records and metrics; answers, and what the engines say that they worked on."""
    attempts = attempts_recorded(records.values())
    answered = Counter(each.answered_by for each in seen)
    checks = [Check("attempts in records = in metrics", dict(attempts), dict(attempts_counted(metrics)))]
    for tier in TIERS:
        checks.append(
            Check(f"answers of {tier} seen by clients = attempts answered", answered[tier], attempts[tier, "answered"])
        )
        if tier != VICTIM:
            checks.append(Check(f"answers of {tier} = requests in its log", answered[tier], engines.taken_up(tier)))
    return checks


def check_victim(seen: Sequence[Seen], records: Mapping[str, Entry], engines: Engines) -> list[Check]:
    """The log of an engine that was killed gives bounds: what it was about to write is lost, for each slot a line."""
    attempts = attempts_recorded(records.values())
    answers = [each for each in seen if each.answered_by == VICTIM]
    complete = sum(not each.broken for each in answers)
    lost = (len(engines.lives[VICTIM]) - 1) * engines.lives[VICTIM][0].options.parallel
    taken_up, through = engines.taken_up(VICTIM), engines.through(VICTIM)
    reached = sum(attempts[VICTIM, result] for result in REACHED)
    return [
        Check(f"answers of {VICTIM} <= requests in its log, and {lost}", len(answers), taken_up + lost, "<="),
        Check(f"requests in the log of {VICTIM} <= attempts that reached it", taken_up, reached, "<="),
        Check(f"complete answers of {VICTIM} <= ended in its log, and {lost}", complete, through + lost, "<="),
    ]


DERIVATION = f"""\
How many fallbacks there must be is told without the sidecar: of the requests whose questions belong to {VICTIM}, those
that another engine answered. An engine's name is in each answer (`model`; the sidecar does not touch it). The engines'
own logs, which outlive the kill, say how many requests a slot took up, and how many it was through with. A request
that {VICTIM} had taken up when it was killed is in its log and was answered elsewhere, or is an answer broken off; for
each of its slots a last line may be missing, as the log is written by a thread of its own."""


def metric(metrics: Metrics, **labels: str) -> int:
    """Decisions counted."""
    return int(metrics.sum("llm_routing_decisions_total", **labels))


def matrix_of(metrics: Metrics) -> Counter[tuple[str, str]]:
    """Decisions by complexity and tier, as counted."""
    counts: Counter[tuple[str, str]] = Counter()
    for sample in metrics.samples:
        if sample.name == "llm_routing_decisions_total":
            counts[sample.labels["complexity"], sample.labels["tier"]] += int(sample.value)
    return +counts


def matrix_seen(seen: Iterable[Seen]) -> Counter[tuple[str, str]]:
    """Answers by complexity and tier, as clients saw them."""
    return Counter((str(each.complexity), each.answered_by or "nobody") for each in seen)


def attempts_recorded(records: Iterable[Entry]) -> Counter[tuple[str, str]]:
    """Attempts by upstream and result, by the access log."""
    found = (attempt.partition(":") for entry in records for attempt in entry.get("attempts", ()))
    return Counter((upstream, result) for upstream, _, result in found)


def attempts_counted(metrics: Metrics) -> Counter[tuple[str, str]]:
    """The same, by the metrics."""
    counts: Counter[tuple[str, str]] = Counter()
    for sample in metrics.samples:
        if sample.name == "llm_upstream_attempts_total":
            counts[sample.labels["upstream"], sample.labels["result"]] += int(sample.value)
    return +counts


def render_counts(seen: Sequence[Seen], records: Mapping[str, Entry], engines: Engines) -> str:
    """Who answered what, and the attempts."""
    matrix, attempts = matrix_seen(seen), attempts_recorded(records.values())
    levels = [str(level) for level in COMPLEXITY.values()]
    tiers = [*TIERS, *(["nobody"] if any(each.failed for each in seen) else [])]
    lines = [["answered by", *tiers, "all"]]
    for level in levels:
        row = [matrix[level, tier] for tier in tiers]
        lines.append([level, *map(str, row), str(sum(row))])
    for result in sorted({result for _, result in attempts}):
        row = [attempts[tier, result] for tier in TIERS]
        lines.append([f"attempts: {result}", *map(str, row), *([""] * (len(tiers) - len(row))), str(sum(row))])
    for what, of in (("engine's log: begun", engines.taken_up), ("engine's log: through", engines.through)):
        row = [of(tier) for tier in TIERS]
        lines.append([what, *map(str, row), *([""] * (len(tiers) - len(row))), str(sum(row))])
    return "\n".join(align(lines, left=1))


def render_clients(seen: Sequence[Seen]) -> str:
    """What clients got."""
    lines = [["as clients saw them", "streamed", "not streamed", "all"]]
    kinds = {
        "200, complete": [each for each in seen if each.complete and not each.failed],
        "begun, then broken off": [each for each in seen if each.broken],
        "failed before anything of an answer": [each for each in seen if each.failed],
    }
    for what, of_kind in kinds.items():
        found = Counter(each.asked.stream for each in of_kind)
        lines.append([what, str(found[True]), str(found[False]), str(found.total())])
    return "\n".join(align(lines, left=1))


def render_checks(checks: Sequence[Check]) -> str:
    """The checks, a line each; long values are left out while they agree."""
    lines = [["check", "expected", "", "found", ""]]
    for check in checks:
        expected, found = str(check.expected), str(check.found)
        if check.holds and len(expected) > 40:
            expected = found = "(as above)"
        lines.append([check.what, expected, check.relation, found, "" if check.holds else "CONTRADICTION"])
    return "\n".join(align(lines, left=1))
