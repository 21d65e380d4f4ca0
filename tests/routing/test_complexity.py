from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from exporter.config import load
from exporter.errors import ConfigError
from exporter.record import Complexity
from exporter.routing import wording
from exporter.routing.complexity import Scorer
from exporter.routing.wording import HEAD_CHARACTERS, TAIL_CHARACTERS, WHOLE_CHARACTERS
from exporter.settings.complexity import ComplexitySettings

SIMPLE, MODERATE, COMPLEX = Complexity

DEFAULT = ComplexitySettings()
SCORER = Scorer(DEFAULT)
WEIGHTS = [name for name in ComplexitySettings.model_fields if name.endswith("_weight")]
LISTS = [name for name in ComplexitySettings.model_fields if name.endswith("_phrases")]

EXAMPLES = [
    ("Hello!", 0.55, SIMPLE),
    ("Translate 'good morning' into Spanish.", 0.75, SIMPLE),
    ("What is the capital of France?", 0.8, SIMPLE),
    ("Tell me a joke about cats.", 1.3, SIMPLE),
    ("Explain how photosynthesis works.", 2.2, SIMPLE),
    ("What is TCP? What is UDP?", 2.3, SIMPLE),
    ("Should I take an umbrella if it rains?", 2.4, SIMPLE),
    ("Give me a list of ten names for a bakery.", 2.5, SIMPLE),
    ("How do I undo the last commit in git without losing the changes in my working directory?", 2.85, SIMPLE),
    ("Summarize this article in three sentences, then list its main points.", 3.55, MODERATE),
    ("Explain why the sky is blue.", 3.8, MODERATE),
    ("Compare TCP and UDP. Which one would you choose for video calls, and why?", 4.2, MODERATE),
    ("Please explain closures. Then compare them with classes.", 4.4, MODERATE),
    ("Analyze the performance of this query.", 5.3, MODERATE),
    ("Prove that the square root of 2 is irrational.", 5.45, MODERATE),
    ("1. Explain what a mutex is.\n2. Compare it with a semaphore.", 5.6, MODERATE),
    ("Design a rate limiter for a public API and explain step by step how it scales.", 7.3, COMPLEX),
    ("Refactor this class, and then write tests for it. If something is unclear, ask.", 8.7, COMPLEX),
    ("If the cache is cold, should I optimize the loader or the store? Why?", 9.7, COMPLEX),
]
"""Those of docs/routing.md."""

ALONE = {
    "word_weight": "word",
    "simple_weight": "What is it",
    "moderate_weight": "Explain it",
    "complex_weight": "Analyze it",
    "no_phrase_weight": "It is so",
    "multi_part_weight": "It is so, and then it is not",
    "questions_weight": "So? Really?",
    "conditional_weight": "It is so if it is",
    "reasoning_weight": "It is so because it is",
    "enumeration_weight": "A list",
}
"""For each weight a message that has it."""


def assess(scorer: Scorer, text: str) -> tuple[Complexity, float]:
    score = scorer.score(text)
    return scorer.level(score), score


def configure(**values: Any) -> ComplexitySettings:
    return ComplexitySettings.model_validate(values)


def only(weight: str, value: float = 1.0, /, **others: Any) -> Scorer:
    """Counts one thing and nothing else."""
    return Scorer(configure(**{**dict.fromkeys(WEIGHTS, 0.0), weight: value, **others}))


def looking_for(*phrases: str) -> Scorer:
    """Scores 1 for a message that holds one of the phrases, else 0."""
    return only("conditional_weight", conditional_phrases=phrases)


@pytest.mark.parametrize(("text", "score", "level"), EXAMPLES)
def test_examples(text: str, score: float, level: Complexity) -> None:
    assert assess(SCORER, text) == (level, score)


def test_every_weight_has_its_message() -> None:
    assert set(ALONE) == set(WEIGHTS)


@pytest.mark.parametrize("weight", WEIGHTS)
def test_each_weight_can_be_switched_on_and_off(weight: str) -> None:
    text = ALONE[weight]
    words = len(text.split()) if weight == "word_weight" else 1
    assert only(weight, 3.25).score(text) == 3.25 * words
    without = Scorer(configure(**{weight: 0}))
    assert SCORER.score(text) == pytest.approx(without.score(text) + getattr(DEFAULT, weight) * words)


@pytest.mark.parametrize("weight", [weight for weight in WEIGHTS if weight not in ("word_weight", "no_phrase_weight")])
def test_a_weight_counts_for_its_own_message_alone(weight: str) -> None:
    scorer = only(weight)
    assert [other for other, text in ALONE.items() if scorer.score(text)] == [weight]


@pytest.mark.parametrize("phrases", LISTS)
def test_an_empty_list_finds_nothing(phrases: str) -> None:
    weight = phrases.replace("phrases", "weight")
    text = ALONE.get(weight)
    if text is None:
        weight, text = "multi_part_weight", "Please explain it. Now compare it."
    assert only(weight).score(text) == 1
    assert only(weight, 1.0, **{phrases: ()}).score(text) == 0


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("it", "no_phrase_weight"),
        ("what is it", "simple_weight"),
        ("what is it, explain", "moderate_weight"),
        ("explain what is", "moderate_weight"),
        ("analyze what is", "complex_weight"),
        ("what is, explain, analyze", "complex_weight"),
        ("compare the root cause", "complex_weight"),
        ("analyze how to do it", "complex_weight"),
    ],
)
def test_the_highest_pattern_wins(text: str, weight: str) -> None:
    patterns = ("no_phrase_weight", "simple_weight", "moderate_weight", "complex_weight")
    assert [name for name in patterns if only(name).score(text)] == [weight]


@pytest.mark.parametrize(
    ("score", "level"),
    [
        (0, SIMPLE),
        (2.999999, SIMPLE),
        (3, MODERATE),
        (6.999999, MODERATE),
        (7, COMPLEX),
        (1e9, COMPLEX),
    ],
)
def test_levels_begin_at_their_cuts(score: float, level: Complexity) -> None:
    assert SCORER.level(score) is level


@pytest.mark.parametrize(("words", "level"), [(1, SIMPLE), (2, MODERATE), (3, MODERATE), (4, COMPLEX), (400, COMPLEX)])
def test_cuts_can_be_set(words: int, level: Complexity) -> None:
    assert assess(only("word_weight", moderate_from=2, complex_from=4), "word " * words)[0] is level


def test_without_room_between_the_cuts_nothing_is_moderate() -> None:
    scorer = only("word_weight", moderate_from=2, complex_from=2)
    assert [assess(scorer, "word " * words)[0] for words in (1, 2, 3)] == [SIMPLE, COMPLEX, COMPLEX]


def test_a_sum_reaches_the_cut_that_it_should() -> None:
    assert 0.57 * 100 < 57
    assert assess(only("word_weight", 0.57, complex_from=57), "word " * 100) == (COMPLEX, 57)


def test_an_empty_message_holds_no_phrase() -> None:
    assert assess(SCORER, "") == (SIMPLE, 1)


FOUND = [
    ("list", "list"),
    ("list", "LIST"),
    ("list", "A List."),
    ("list", "the (list)"),
    ("list", "**list**"),
    ("list", '"list"'),
    ("list", "'list'"),
    ("list", "say 'list'."),
    ("list", "\u2018list\u2019"),
    ("list", "“list”"),
    ("list", "to-do-list"),
    ("list", "one\nlist\ntwo"),
    ("list", "this/list"),
    ("list", "this:\tlist"),
    ("list", "wow!list"),
    ("Step By Step", "step by step"),
    ("step by step", "Step-by-step"),
    ("step by step", "step\nby\r\n  step"),
    ("step by step", "'step by step'"),
    ("step-by-step", "step by step"),
    ("step by step", "step, by step"),
    ("what's", "What's up"),
    ("what's", "What\u2019s up"),
    ("what\u2019s", "what's up"),
    ("node.js", "in Node.js."),
    ("e.g.", "this, e.g. that"),
    ("and/or", "this and/or that"),
    ("was bedeutet", "Was  bedeutet das?"),
    ("erkläre", "ERKLÄRE mir das"),
    ("почему", "Почему?"),
    ("por qué", "¿Por qué?"),
    ("warum", "»Warum«"),
    ("分析", "请分析这段代码"),
    ("なぜ", "なぜですか"),
    ("用 Python", "请用 Python写"),
    ("อธิบาย", "ช่วยอธิบายหน่อย"),
]
MISSED = [
    ("list", "listless"),
    ("list", "playlist"),
    ("list", "list_files"),
    ("list", "os.list"),
    ("list", "list2"),
    ("list", "list's"),
    ("list", "listé"),
    ("shell", "she'll"),
    ("can", "can't"),
    ("step by step", "step by steps"),
    ("step by step", "footstep by step"),
    ("step by step", "step. By step"),
    ("step by step", "step\n\nby step"),
    ("step by step", "step step by"),
    ("node.js", "node js"),
    ("klar", "erklären"),
    ("分析", "分 析"),
    ("分析", "an analysis"),
]


@pytest.mark.parametrize(("phrase", "text"), FOUND)
def test_phrases_are_found_between_words(phrase: str, text: str) -> None:
    assert looking_for("something else", phrase).score(text) == 1


@pytest.mark.parametrize(("phrase", "text"), MISSED)
def test_phrases_are_not_found_within_words_or_across_sentences(phrase: str, text: str) -> None:
    assert looking_for(phrase).score(text) == 0


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Explain it. Compare it.", True),
        ("Explain it. Explain it again.", True),
        ("Explain it? Compare it!", True),
        ("Explain it; compare it", True),
        ("To do: explain it. To do: compare it.", True),
        ("Explain it\n\nCompare it", True),
        ("- Explain it\n- Compare it", True),
        ("Please explain it. Then, please, compare it.", True),
        ("Can you explain it? Could you compare it?", True),
        ("Analyze it. Now list them.", True),
        ("How does it work? How do I do it?", True),
        ("Explain it... Compare it...", True),
        ("1. this\n2. that", True),
        ("Both: 1) this, 2) that", True),
        ("Explain it, additionally", True),
        ("Explain it", False),
        ("Explain it and compare it.", False),
        ("Explain it.\nThe list is long. The design is bad.", False),
        ("Explain it\ncompare it", False),
        ("What is it? What is that?", False),
        ("- this\n- that", False),
        ("Explain it. Listless is how I feel. Describes it all.", False),
        ("Please. Then. And.", False),
    ],
)
def test_multi_part(text: str, parts: bool) -> None:
    assert only("multi_part_weight").score(text) == parts


@pytest.mark.parametrize(
    ("text", "enumeration"),
    [
        ("- eggs\n- milk", True),
        ("1. eggs\n2. milk", True),
        ("The top 10 of them", True),
        ("- eggs and milk", False),
        ("eggs\nmilk", False),
    ],
)
def test_enumeration(text: str, enumeration: bool) -> None:
    assert only("enumeration_weight").score(text) == enumeration


def test_phrases_of_other_languages_take_the_place_of_ours() -> None:
    scorer = Scorer(configure(complex_phrases=["分析", "設計"], reasoning_phrases=["为什么"], word_weight=0.1))
    assert assess(scorer, "请分析这段代码？为什么？") == (COMPLEX, 5 + 1.5 + 1.5 + 0.5)
    assert assess(scorer, "Analyze why") == (SIMPLE, 1.2)


def test_a_phrase_may_be_in_several_lists() -> None:
    scorer = Scorer(configure(complex_phrases=["why"], word_weight=0))
    assert scorer.score("why") == 5 + 1.5


def test_both_ends_of_a_long_message_are_looked_into() -> None:
    filler = "word " * 2000
    scorer = looking_for("analyze")
    assert scorer.score("Analyze this: " + filler) == 1
    assert scorer.score(filler + "Analyze this") == 1
    assert scorer.score(filler + "analyze this " + filler) == 0


def test_phrases_do_not_come_about_where_a_long_message_is_cut() -> None:
    head = "x " * (HEAD_CHARACTERS // 2 - 2) + "step"
    assert len(head) == HEAD_CHARACTERS
    tail = " by step" + " y" * (TAIL_CHARACTERS // 2 - 4)
    assert len(tail) == TAIL_CHARACTERS
    scorer = looking_for("step by step")
    assert scorer.score(head + tail) == 1
    assert scorer.score(head + " not taken " * WHOLE_CHARACTERS + tail) == 0


def test_a_long_message_is_complex_by_its_length() -> None:
    level, score = assess(SCORER, "word " * 2000)
    assert level is COMPLEX
    assert score == pytest.approx(101, rel=0.02)


VOCABULARY = sorted({word for name in LISTS for phrase in getattr(DEFAULT, name) for word in phrase.split()})


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([word for word in VOCABULARY if "-" not in word] + ["it", "x"]), max_size=40),
    st.sampled_from(["conditional", "reasoning", "complex", "simple"]),
)
def test_looking_up_words_first_finds_what_searching_would(words: list[str], name: str) -> None:
    phrases = getattr(DEFAULT, f"{name}_phrases")
    text = " ".join(words)
    higher = DEFAULT.moderate_phrases + DEFAULT.complex_phrases if name == "simple" else ()

    def holds(phrases: tuple[str, ...]) -> bool:
        return any(f" {phrase.replace('-', ' ')} " in f" {text} " for phrase in phrases)

    assert only(f"{name}_weight").score(text) == (holds(phrases) and not holds(higher))


TEXTS = st.text(st.characters(codec=None), max_size=300) | st.lists(
    st.sampled_from([*VOCABULARY, ".", "?", "!", "\n", "- ", "1. ", "2. ", "'", "分析", "\ud800", "\x00", "’"])
).map(" ".join)


@settings(deadline=None)
@given(TEXTS)
def test_any_text_has_a_score(text: str) -> None:
    level, score = assess(SCORER, text)
    assert 0 <= score < 1000
    assert level is (SIMPLE if score < 3 else MODERATE if score < 7 else COMPLEX)
    assert assess(SCORER, text) == (level, score)


@settings(deadline=None)
@given(TEXTS, st.text(min_size=1, max_size=20))
def test_another_word_never_lowers_what_words_score(text: str, word: str) -> None:
    if len(text) + 1 + len(word) <= WHOLE_CHARACTERS:
        assert COUNTER.score(f"{text} {word}") >= COUNTER.score(text)


COUNTER = only("word_weight")


@settings(deadline=None)
@given(TEXTS, st.randoms())
def test_the_order_of_the_phrases_makes_no_difference(text: str, chance: random.Random) -> None:
    shuffled = {name: chance.sample(phrases, len(phrases)) for name in LISTS for phrases in [getattr(DEFAULT, name)]}
    assert assess(Scorer(configure(**shuffled)), text) == assess(SCORER, text)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=64))
def test_a_phrase_that_is_allowed_finds_itself(phrase: str) -> None:
    try:
        scorer = looking_for(phrase)
    except ValidationError:
        return
    assert scorer.score(phrase) == 1


@pytest.mark.parametrize("name", LISTS)
def test_default_phrases_are_told_apart(name: str) -> None:
    phrases = getattr(DEFAULT, name)
    assert len(set(phrases)) == len(phrases) >= 10
    assert all(phrase == phrase.lower() for phrase in phrases)


@pytest.mark.parametrize(
    ("phrases", "error"),
    [
        ([""], "a phrase must not be empty"),
        ([" \t"], "a phrase must not be empty"),
        (["a" * 65], f"'{'a' * 65}' is longer than 64 characters"),
        (["-"], "'-' has neither a letter nor a digit"),
        (["c++"], "'c++': '+' is not looked for; letters, digits, spaces, - ' _ . / are"),
        (["why", "what?"], "'what?': '?' is not looked for"),
        (["\ud800 x"], "is not Unicode text"),
        ([f"w{number}" for number in range(501)], "501 phrases are too many, 500 are allowed"),
    ],
)
@pytest.mark.parametrize("name", LISTS)
def test_phrases_that_could_not_be_found_are_refused(name: str, phrases: list[str], error: str) -> None:
    with pytest.raises(ValidationError) as caught:
        configure(**{name: phrases})
    assert error in str(caught.value)


def test_spaces_of_phrases_do_not_matter() -> None:
    assert configure(simple_phrases=["  what \t is\n"]).simple_phrases == ("what is",)
    assert configure(simple_phrases=["a" * 64]).simple_phrases == ("a" * 64,)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"word_weight": -0.1}, "greater than or equal to 0"),
        ({"word_weight": float("nan")}, "finite number"),
        ({"complex_weight": float("inf")}, "finite number"),
        ({"complex_from": 1001}, "less than or equal to 1000"),
        ({"moderate_from": 5, "complex_from": 4.9}, "moderate_from must not be above complex_from"),
    ],
)
def test_weights_and_cuts_are_checked(values: Mapping[str, float], error: str) -> None:
    with pytest.raises(ValidationError, match=error):
        configure(**values)


def test_lists_come_from_the_file_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        '[routing.complexity]\nsimple_phrases = ["was ist", "wer ist"]\nmoderate_from = 2.5\n', encoding="utf-8"
    )
    monkeypatch.setenv("LLAMA_EXPORTER_ROUTING__COMPLEXITY__COMPLEX_PHRASES", "entwirf, was  folgt daraus")
    complexity = load(file=file).routing.complexity
    assert complexity.simple_phrases == ("was ist", "wer ist")
    assert complexity.complex_phrases == ("entwirf", "was folgt daraus")
    assert complexity.moderate_phrases == DEFAULT.moderate_phrases
    assert assess(Scorer(complexity), "Was ist das?") == (SIMPLE, 0.65)


def test_what_is_wrong_with_a_phrase_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_EXPORTER_ROUTING__COMPLEXITY__COMPLEX_PHRASES", "prove, c++")
    with pytest.raises(ConfigError) as caught:
        load()
    assert str(caught.value) == (
        "environment: LLAMA_EXPORTER_ROUTING__COMPLEXITY__COMPLEX_PHRASES: routing.complexity.complex_phrases: "
        "'c++': '+' is not looked for; letters, digits, spaces, - ' _ . / are"
    )


def test_the_documentation_shows_these_examples() -> None:
    page = (Path(__file__).parents[2] / "docs" / "routing.md").read_text(encoding="utf-8")
    shown = [row.split(" | ") for row in page.splitlines() if row.endswith((" SIMPLE |", " MODERATE |", " COMPLEX |"))]
    assert [(text.removeprefix("| ").replace(" ⏎ ", "\n"), float(score)) for text, _, score, _ in shown] == [
        (text, score) for text, score, _ in EXAMPLES
    ]


PIECES = st.sampled_from(
    (
        *("what is", "explain", "analyze", "list", "why", "if", "please", "and then", "step by step", "don't", "tuple"),
        *(
            "'quoted'",
            "1) ",
            "2) ",
            "- ",
            ". ",
            "? ",
            "?",
            "...",
            "\n",
            "\n\n",
            ", ",
            ": ",
            "; ",
            " ",
            "3.5",
            "é",
            "。",
        ),
    )
)


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=12).map(" ".join) | st.lists(PIECES, max_size=12).map("".join))
def test_the_short_way_leads_where_the_long_one_does(text: str) -> None:
    short = wording.split_sentence(text)
    if short is not None:
        words, flags = SCORER._read(text)
        assert (len(short), SCORER._phrases.find(short)) == (words, flags)


@pytest.mark.parametrize("text", [text for text, _, _ in EXAMPLES if text.count("?") < 2 and "." not in text[:-1]])
def test_most_go_the_short_way(text: str) -> None:
    assert (wording.split_sentence(text) is None) == ("\n" in text or "'" in text)
