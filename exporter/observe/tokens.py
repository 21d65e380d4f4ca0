"""Token counts and server timings of one answer, per choice, and their sum.

Checked against the counters of llama-server (builds 11434 and 11549): input tokens are `prompt_tokens_total +
prompt_tokens_cached_total`, output tokens `tokens_predicted_total`. Several choices of one prompt (`n`) share its
input: the server evaluates it once and repeats the figures in each choice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from exporter.observe.documents import Document, real, whole

TOTAL = -1
"""The choice under which figures of the whole answer are noted."""
_CHOICES = 256


class Usage(NamedTuple):
    """Token counts; None where the server gave none. `input` includes `cached`."""

    input: int | None
    cached: int | None
    output: int | None


class Totals(NamedTuple):
    """All figures of an answer, choices added up. Durations are those of the slowest choice: they run side by side."""

    usage: Usage
    draft: int | None = None
    draft_accepted: int | None = None
    prompt_seconds: float | None = None
    generation_seconds: float | None = None
    prompt_per_second: float | None = None
    output_per_second: float | None = None


_NO_USAGE = Usage(None, None, None)


class _Sample:
    """The newest figures of one choice."""

    __slots__ = ("progress", "timings", "usage")

    def __init__(self) -> None:
        self.usage = _NO_USAGE
        self.timings: Document = {}
        self.progress: Document = {}

    def count(self, key: str) -> int | None:
        return whole(self.timings.get(key))

    def seconds(self, key: str) -> float | None:
        milliseconds = real(self.timings.get(key))
        return None if milliseconds is None else milliseconds / 1000

    def counts(self) -> Usage:
        """`usage` where there is one, else `timings`: `prompt_n` leaves out what `cache_n` counts. While the prompt is
        being evaluated both count only what has been done, and `prompt_progress` knows the whole."""
        usage = self.usage
        if not self.timings or None not in usage:
            return usage
        generated, cached, evaluated = self.count("predicted_n"), self.count("cache_n"), self.count("prompt_n")
        if generated == 0 and self.progress:
            return Usage(whole(self.progress.get("total")), whole(self.progress.get("cache")), 0)
        prompt = None if evaluated is None else evaluated + (cached or 0)
        return Usage(_first(usage.input, prompt), _first(usage.cached, cached), _first(usage.output, generated))


class Tokens:
    """Collects the figures of one answer."""

    __slots__ = ("_samples", "first_choice_only")

    def __init__(self) -> None:
        self._samples: dict[int, _Sample] = {}
        self.first_choice_only = False
        """The server gave figures for the first of several choices only, so the sums are lower bounds."""

    def note(self, choice: int, usage: Usage | None, timings: Document, progress: Document) -> None:
        """Take the newest figures of a choice, any of which may be missing. Figures only grow."""
        if not (usage or timings or progress):
            return
        sample = self._samples.get(choice)
        if sample is None:
            if len(self._samples) >= _CHOICES:
                return
            sample = self._samples[choice] = _Sample()
        if usage is not None:
            known = sample.usage
            sample.usage = usage if known is _NO_USAGE else _merge(known, usage)
        sample.timings = timings or sample.timings
        sample.progress = progress or sample.progress

    def totals(self, choices_per_prompt: int | None) -> Totals:
        """Add up. Of N choices per prompt, choices 0 to N-1 share the first prompt, and so on; None: all share one."""
        samples = dict(self._samples)
        answer = samples.pop(TOTAL, None)
        if len(samples) == 1:
            totals = _of_one(next(iter(samples.values())))
        elif samples:
            totals = _of_several(samples, choices_per_prompt)
        else:
            totals = Totals(_NO_USAGE)
        if answer is None:
            return totals
        return totals._replace(usage=Usage(*map(_first, answer.usage, totals.usage)))


def _of_one(sample: _Sample) -> Totals:
    """llama-server gives a decode speed of 0 for a single token: there is no interval to measure."""
    timings = sample.timings
    if not timings:
        return Totals(sample.counts())
    prompt_seconds, generation_seconds = sample.seconds("prompt_ms"), sample.seconds("predicted_ms")
    evaluated, generated = sample.count("prompt_n") or 0, sample.count("predicted_n") or 0
    prompt_speed = real(timings.get("prompt_per_second")) or _per_second(evaluated, prompt_seconds)
    output_speed = real(timings.get("predicted_per_second")) or _per_second(generated - 1, generation_seconds)
    return Totals(
        sample.counts(),
        sample.count("draft_n"),
        sample.count("draft_n_accepted"),
        prompt_seconds,
        generation_seconds if generated else None,
        prompt_speed if evaluated else None,
        output_speed if generated > 1 else None,
    )


def _of_several(samples: dict[int, _Sample], choices_per_prompt: int | None) -> Totals:
    def by_prompt(values: dict[int, int | None]) -> int | None:
        """Sum over prompts of a figure that all choices of one prompt repeat."""
        prompts: dict[int, int] = {}
        for choice, value in values.items():
            if value is not None:
                prompt = choice // choices_per_prompt if choices_per_prompt else 0
                prompts[prompt] = max(prompts.get(prompt, 0), value)
        return _sum(prompts.values())

    counts = {choice: sample.counts() for choice, sample in samples.items()}
    each = list(samples.values())
    prompt_seconds = _slowest(each, "prompt_ms")
    generation_seconds = _slowest(each, "predicted_ms")
    evaluated = by_prompt({choice: sample.count("prompt_n") for choice, sample in samples.items()})
    intervals = _sum(max(count - 1, 0) for count in _known(each, "predicted_n"))
    return Totals(
        usage=Usage(
            by_prompt({choice: count.input for choice, count in counts.items()}),
            by_prompt({choice: count.cached for choice, count in counts.items()}),
            _sum(count.output for count in counts.values() if count.output is not None),
        ),
        draft=_sum(_known(each, "draft_n")),
        draft_accepted=_sum(_known(each, "draft_n_accepted")),
        prompt_seconds=prompt_seconds,
        generation_seconds=generation_seconds,
        prompt_per_second=_per_second(evaluated or 0, prompt_seconds),
        output_per_second=_per_second(intervals or 0, generation_seconds),
    )


def _merge(known: Usage, newer: Usage) -> Usage:
    return Usage(
        _larger(known.input, newer.input), _larger(known.cached, newer.cached), _first(newer.output, known.output)
    )


def _known(samples: Iterable[_Sample], key: str) -> list[int]:
    return [value for value in (sample.count(key) for sample in samples) if value is not None]


def _slowest(samples: Iterable[_Sample], key: str) -> float | None:
    return max((value for value in (sample.seconds(key) for sample in samples) if value is not None), default=None)


def _sum(values: Iterable[int]) -> int | None:
    known = list(values)
    return sum(known) if known else None


def _per_second(count: int, seconds: float | None) -> float | None:
    return count / seconds if count > 0 and seconds else None


def _first(preferred: int | None, other: int | None) -> int | None:
    return other if preferred is None else preferred


def _larger(one: int | None, other: int | None) -> int | None:
    return _first(one, other) if one is None or other is None else max(one, other)
