"""The settings of how complex a request is taken to be: phrases, weights, cuts."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from exporter.settings.fields import LISTED, Section

PHRASE_CHARACTERS = 64
PHRASES = 500


def check_phrases(phrases: tuple[str, ...]) -> tuple[str, ...]:
    """The phrases with single spaces, if each of them can be found in a text. Raises ValueError, which quotes the one
    that cannot."""
    if len(phrases) > PHRASES:
        raise ValueError(f"{len(phrases)} phrases are too many, {PHRASES} are allowed")
    return tuple(map(_check_phrase, phrases))


def _check_phrase(phrase: str) -> str:
    phrase = " ".join(phrase.split())
    if not phrase:
        raise ValueError("a phrase must not be empty")
    if len(phrase) > PHRASE_CHARACTERS:
        raise ValueError(f"{phrase!r} is longer than {PHRASE_CHARACTERS} characters")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in phrase):
        raise ValueError(f"{phrase!r} is not Unicode text")
    strange = [each for each in phrase if each.isascii() and not each.isalnum() and each not in " -'_./"]
    if strange:
        raise ValueError(f"{phrase!r}: {strange[0]!r} is not looked for; letters, digits, spaces, - ' _ . / are")
    if not any(map(str.isalnum, phrase)):
        raise ValueError(f"{phrase!r} has neither a letter nor a digit")
    return phrase


Phrases = Annotated[tuple[str, ...], *LISTED, AfterValidator(check_phrases)]
Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]

SIMPLE = (
    *("what is", "what's", "what are", "what was", "what were", "what does", "what time"),
    *("who is", "who's", "who was", "who wrote", "who invented"),
    *("when is", "when was", "when did", "where is", "where's", "where was"),
    *("how many", "how much", "how old", "how far", "how tall", "how long"),
    *("define", "definition of", "meaning of", "capital of", "spell", "synonym", "antonym"),
    *("translate", "translation of", "convert", "yes or no", "true or false"),
    *("hello", "hi", "hey", "thanks", "thank you"),
)
MODERATE = (
    *("explain", "explanation", "describe", "discuss", "outline", "interpret", "elaborate"),
    *("compare", "comparing", "comparison", "contrast", "difference between", "differences between"),
    *("advantages", "disadvantages", "pros and cons", "how do", "how does", "how can", "how would", "how to"),
    *("summarize", "summarise", "summary", "paraphrase", "rewrite", "write", "draft", "proofread", "review"),
    *("classify", "categorize", "extract", "calculate", "solve", "recommend", "suggest"),
)
COMPLEX = (
    *("analyze", "analyse", "analyzing", "analysis", "evaluate", "critique", "investigate", "root cause"),
    *("design", "designing", "architect", "architecture", "implement", "implementing"),
    *("refactor", "refactoring", "optimize", "optimise", "optimizing", "debug", "debugging", "time complexity"),
    *("prove", "proof that", "derive", "derivation", "formalize", "synthesize", "simulate"),
    *("trade-off", "trade-offs", "tradeoff", "tradeoffs", "in depth", "comprehensive", "threat model"),
)
MULTI_PART = (
    *("and then", "and also", "after that", "afterwards", "followed by"),
    *("additionally", "in addition", "furthermore", "moreover", "secondly", "thirdly", "lastly", "finally"),
    *("the following questions", "the following tasks", "the following steps", "each of the following"),
)
OPENING = ("please", "then", "also", "now", "next", "first", "finally", "and", "can you", "could you")
CONDITIONAL = (
    *("if", "unless", "whether", "otherwise", "depending on", "depends on", "in case"),
    *("assume", "assuming", "suppose", "supposing", "provided that", "given that", "as long as"),
    *("only when", "except when"),
)
REASONING = (
    *("why", "because", "reason", "reasons", "reasoning", "rationale", "justify", "deduce", "infer"),
    *("step by step", "show your work", "walk me through", "think through", "think carefully", "chain of thought"),
    *("how come", "what causes", "what would happen", "what happens when", "cause and effect"),
    *("implications", "consequences", "therefore"),
)
ENUMERATION = (
    *("list", "enumerate", "itemize", "rank", "checklist", "bullet point", "bullet points", "one by one"),
    *("top 3", "top 5", "top 10", "top three", "top five", "top ten", "name three", "name five", "name ten"),
    *("three examples", "five examples", "ten examples", "three ways", "five ways", "ten ways"),
)


class ComplexitySettings(Section):
    """The score of a request is the sum of what applies to its last user message; see docs/routing.md."""

    word_weight: Weight = Field(default=0.05, description="For each word.")
    simple_weight: Weight = Field(
        default=0.5, description="When the message holds one of `simple_phrases`, and none of the two below."
    )
    moderate_weight: Weight = Field(
        default=2.0, description="When it holds one of `moderate_phrases`, and none of `complex_phrases`."
    )
    complex_weight: Weight = Field(default=5.0, description="When it holds one of `complex_phrases`.")
    no_phrase_weight: Weight = Field(default=1.0, description="When it holds none of these three.")
    multi_part_weight: Weight = Field(default=2.0, description="When it asks for several things.")
    questions_weight: Weight = Field(default=1.5, description="When it holds two question marks or more.")
    conditional_weight: Weight = Field(default=1.0, description="When it holds one of `conditional_phrases`.")
    reasoning_weight: Weight = Field(default=1.5, description="When it holds one of `reasoning_phrases`.")
    enumeration_weight: Weight = Field(default=1.0, description="When it asks for a list, or holds one.")
    moderate_from: Weight = Field(default=3.0, description="Scores from here on are MODERATE, lower ones SIMPLE.")
    complex_from: Weight = Field(default=7.0, description="Scores from here on are COMPLEX.")
    simple_tier: str | None = Field(default=None, description="Where SIMPLE requests go; unset: the cheapest tier.")
    moderate_tier: str | None = Field(default=None, description="Where MODERATE ones go; unset: the one in the middle.")
    complex_tier: str | None = Field(default=None, description="Where COMPLEX ones go; unset: the most capable tier.")
    simple_phrases: Phrases = Field(
        default=SIMPLE,
        description=f"Words or phrases, in any case; this list and those below: up to {PHRASES} of up to "
        f"{PHRASE_CHARACTERS} characters each.",
    )
    moderate_phrases: Phrases = Field(default=MODERATE, description="The same.")
    complex_phrases: Phrases = Field(default=COMPLEX, description="The same.")
    multi_part_phrases: Phrases = Field(default=MULTI_PART, description="The same.")
    opening_phrases: Phrases = Field(
        default=OPENING,
        description="What may stand at the beginning of a sentence before the phrase that makes it a request; two "
        "requests make a message multi-part.",
    )
    conditional_phrases: Phrases = Field(default=CONDITIONAL, description="Words or phrases, in any case.")
    reasoning_phrases: Phrases = Field(default=REASONING, description="The same.")
    enumeration_phrases: Phrases = Field(default=ENUMERATION, description="The same.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.moderate_from > self.complex_from:
            raise ValueError("moderate_from must not be above complex_from")
        return self
