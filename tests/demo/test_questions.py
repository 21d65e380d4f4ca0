from __future__ import annotations

import pytest

from exporter.demo import questions
from exporter.record import Complexity
from exporter.routing.complexity import Scorer
from exporter.settings.complexity import ComplexitySettings

QUESTIONS = {
    Complexity.SIMPLE: questions.SIMPLE,
    Complexity.MODERATE: questions.MODERATE,
    Complexity.COMPLEX: questions.COMPLEX,
}


@pytest.mark.parametrize(
    ("level", "question"), [(level, question) for level, asked in QUESTIONS.items() for question in asked]
)
def test_the_router_takes_each_question_for_what_it_is(level: Complexity, question: str) -> None:
    scorer = Scorer(ComplexitySettings())
    assert scorer.level(scorer.score(question)) is level


def test_no_question_is_asked_twice() -> None:
    every = [question for asked in QUESTIONS.values() for question in asked]
    assert len(set(every)) == len(every)
