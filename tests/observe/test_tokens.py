"""Adding up the figures of several choices."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.observe.tokens import TOTAL, Tokens, Totals, Usage


def timings(prompt: int, cached: int, output: int, **more: Any) -> dict[str, Any]:
    counts = {"prompt_n": prompt, "cache_n": cached, "predicted_n": output}
    return counts | {"prompt_ms": 10.0 * prompt, "predicted_ms": 5.0 * output} | more


def test_nothing() -> None:
    tokens = Tokens()
    tokens.note(0, None, {}, {})
    assert tokens.totals(1) == Totals(Usage(None, None, None))


def test_choices_of_one_prompt_share_its_input() -> None:
    tokens = Tokens()
    for choice in (2, 0, 1):
        tokens.note(choice, None, timings(20, 12, 3 + choice, draft_n=4, draft_n_accepted=choice), {})
    totals = tokens.totals(None)
    assert totals.usage == Usage(32, 12, 12)
    assert (totals.draft, totals.draft_accepted) == (12, 3)
    assert totals.prompt_seconds == pytest.approx(0.2)
    assert totals.generation_seconds == pytest.approx(0.025)
    assert totals.prompt_per_second == pytest.approx(100)
    assert totals.output_per_second == pytest.approx(9 / 0.025)
    assert tokens.totals(3).usage == totals.usage


def test_prompts_are_added() -> None:
    tokens = Tokens()
    for choice in range(4):
        tokens.note(choice, None, timings(10 + choice // 2, 1, 2), {})
    assert tokens.totals(2).usage == Usage(23, 2, 8)
    assert tokens.totals(1).usage == Usage(46, 4, 8)


def test_a_choice_that_is_missing_does_not_lessen_its_prompt() -> None:
    tokens = Tokens()
    tokens.note(0, None, timings(10, 0, 2), {})
    tokens.note(3, None, timings(7, 0, 2), {})
    assert tokens.totals(2).usage == Usage(17, 0, 4)


def test_choices_without_times() -> None:
    tokens = Tokens()
    tokens.note(0, Usage(5, None, 1), {}, {})
    tokens.note(1, Usage(6, None, None), {}, {})
    totals = tokens.totals(1)
    assert totals == Totals(Usage(11, None, 1))


def test_figures_only_grow() -> None:
    """`message_delta` may repeat `input_tokens` without the cached ones, or say nothing of them."""
    tokens = Tokens()
    tokens.note(0, Usage(21, 20, 0), {}, {})
    tokens.note(0, Usage(1, None, 4), {}, {})
    tokens.note(0, Usage(None, None, None), {}, {})
    assert tokens.totals(1).usage == Usage(21, 20, 4)


def test_the_whole_answers_figures_come_first() -> None:
    tokens = Tokens()
    tokens.note(0, None, timings(10, 2, 3), {})
    tokens.note(TOTAL, Usage(13, None, 4), {}, {})
    totals = tokens.totals(1)
    assert totals.usage == Usage(13, 2, 4)
    assert totals.prompt_seconds == pytest.approx(0.1)


def test_only_the_whole_answers_figures() -> None:
    tokens = Tokens()
    tokens.note(TOTAL, Usage(13, 1, 4), {}, {})
    assert tokens.totals(None) == Totals(Usage(13, 1, 4))


def test_no_token_yet() -> None:
    tokens = Tokens()
    tokens.note(0, None, timings(4, 16, 0), {"total": 39, "cache": 16})
    totals = tokens.totals(1)
    assert totals.usage == Usage(39, 16, 0)
    assert (totals.generation_seconds, totals.output_per_second) == (None, None)
