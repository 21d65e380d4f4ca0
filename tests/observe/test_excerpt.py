"""Long texts in bounded memory, and what is found in their ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.observe.excerpt import Excerpt, digest


@given(st.lists(st.binary(max_size=30), max_size=20), st.integers(1, 40))
def test_an_excerpt_is_the_text_or_its_ends(parts: list[bytes], limit: int) -> None:
    excerpt = Excerpt(limit)
    for part in parts:
        excerpt.add(part)
    text = b"".join(parts)
    if len(text) <= limit:
        assert (excerpt.whole, excerpt.head, excerpt.tail) == (True, text, b"")
    else:
        half = max(limit // 2, 1)
        assert not excerpt.whole
        assert excerpt.head == text[:half]
        assert text.endswith(excerpt.tail)
        assert len(excerpt.tail) <= half
        assert len(excerpt) <= half * 3
    excerpt.clear()
    assert (excerpt.whole, excerpt.head, len(excerpt)) == (True, b"", 0)


def ends(document: Any, **dump: Any) -> dict[str, Any]:
    excerpt = Excerpt(2000)
    excerpt.add(json.dumps(document, **dump).encode())
    assert not excerpt.whole
    return digest(excerpt.head, excerpt.tail)


COMPACT: dict[str, Any] = {"separators": (",", ":")}
USAGE = {"prompt_tokens": 9, "completion_tokens": 3}


def test_figures_before_the_long_part() -> None:
    embeddings = {"model": "m", "object": "list", "usage": USAGE, "data": [{"embedding": [0.5] * 1000}]}
    assert ends(embeddings, **COMPACT) == {"model": "m", "object": "list", "usage": USAGE}


@pytest.mark.parametrize("dump", [COMPACT, {}])
def test_figures_behind_the_long_part(dump: dict[str, Any]) -> None:
    chat = {
        "choices": [{"finish_reason": "stop", "message": {"content": 'a "usage": {} b' * 500}}],
        "model": "m",
        "usage": USAGE,
    }
    found = ends(chat, **dump)
    assert found["usage"] == USAGE
    assert found["choices"] == [{"index": 0, "finish_reason": "stop"}]


def test_keys_in_strings_are_not_taken() -> None:
    assert "usage" not in ends({"text": '"usage":{"prompt_tokens":1},' * 500, "model": "m"}, **COMPACT)


def test_values_that_are_cut_off_null_or_broken_are_not_taken() -> None:
    assert digest(b'{"model":null,"type":,"usage":{"a":', b'"timings":{"a"') == {}
    assert digest(b'{"model":' + b"[" * 3000, b"") == {}


def test_of_an_array_only_the_first_element_counts() -> None:
    results = [{"index": n, "tokens_predicted": n + 1, "pad": "x" * 1500, "stop_type": "limit"} for n in range(3)]
    assert ends(results, **COMPACT) == {"index": 0, "tokens_predicted": 1}


def test_finish_reasons_are_bounded() -> None:
    found = digest(b'"finish_reason":"stop",' * 500 + b'"finish_reason":null', b"")
    assert len(found["choices"]) == 64


def test_events_of_the_responses_dialect_are_wrapped_again() -> None:
    found = digest(b'{"type":"response.completed","response":{"model":"m"', b'"status":"completed"}}')
    assert found["response"] == {"model": "m", "status": "completed"}
