"""The conclusions that `Observation.finish` draws from the facts: outcome, reason, token counts, derived times."""

from __future__ import annotations

from exporter.observe.documents import PROXY_ERROR
from exporter.observe.facts import Facts
from exporter.observe.tokens import Totals, Usage
from exporter.record import Outcome, TokenSource


def decide(status: int | None, facts: Facts, *, ended: bool) -> Outcome:
    """The outcome of an answer whose body ended by itself. `ended`: it said that it is complete, so that a server lost
    after that has taken nothing from the client. That it did not say so is no error: some servers never do."""
    if status is None or status >= 400:
        return Outcome.UPSTREAM_ERROR
    failed = facts.error_type is not None or (facts.lost and not ended)
    return Outcome.STREAM_ERROR if failed else Outcome.COMPLETED


def reason(outcome: Outcome, given: str | None, status: int | None, facts: Facts) -> str | None:
    """`RequestRecord.error_type`: what the forwarder said, else what the server said, else what can be told."""
    if outcome is Outcome.COMPLETED:
        return None
    if given is not None:
        return given
    if outcome is Outcome.STREAM_ERROR:
        return facts.error_type or (PROXY_ERROR if facts.lost else "error")
    if outcome is Outcome.UPSTREAM_ERROR:
        failed = f"http_{status}" if status is not None and status >= 400 else "disconnected"
        return facts.error_type or failed
    return outcome.value


def count_output(server: Usage, chunks: int, ended: bool, facts: Facts) -> tuple[int | None, TokenSource | None]:
    """Output tokens, and where the counts come from. In a stream that broke off, the server's last word may be old."""
    output = server.output
    if chunks and (output is None or (output < chunks and not ended)):
        return chunks, TokenSource.COUNTED
    if server.input is None and output is None:
        return None, None
    return output, TokenSource.COUNTED if facts.tokens.first_choice_only else TokenSource.SERVER


def time_per_token(duration: float, ttft: float | None, output: int | None) -> float | None:
    """(duration - TTFT) / (output tokens - 1), as the GenAI conventions define it."""
    if ttft is None or output is None or output < 2:
        return None
    return (duration - ttft) / (output - 1)


def queue_time(duration: float, ttft: float | None, totals: Totals) -> float | None:
    """Waiting inside the server. It samples the first token at the end of prompt evaluation: `prompt_ms` has it."""
    if totals.prompt_seconds is None:
        return None
    waited = ttft if ttft is not None else duration - (totals.generation_seconds or 0.0)
    return max(waited - totals.prompt_seconds, 0.0)
