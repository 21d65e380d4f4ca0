from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.system.exposition import counters, parse_exposition, value_of
from tests.system import captures


def test_a_capture_is_kept_as_it_is() -> None:
    text = captures.body("metrics")
    samples = parse_exposition(text)
    expected_names = [line.split()[0] for line in text.decode().splitlines() if not line.startswith("#")]
    assert [sample.name for sample in samples] == expected_names
    assert len(samples) == 15
    by_name = {sample.name: sample for sample in samples}
    first = by_name["llamacpp:prompt_tokens_total"]
    assert (first.type, first.value, first.labels) == ("counter", 88.0, ())
    assert first.help == "Number of prompt tokens processed, excluding cached tokens"
    # A counter whose name does not end in _total must not get that from the parser.
    assert (by_name["llamacpp:n_tokens_max"].type, by_name["llamacpp:n_tokens_max"].value) == ("counter", 41.0)
    assert by_name["llamacpp:n_busy_slots_per_decode"].value == 1.05357
    assert by_name["llamacpp:prompt_tokens_seconds"].type == "gauge"


def test_a_model_behind_a_router() -> None:
    samples = parse_exposition(captures.body("router-metrics"))
    assert len(samples) == 15
    assert value_of(samples, "prompt_tokens_total") == 27
    assert value_of(samples, "requests_processing") == 0
    assert value_of(samples, "no_such_metric") is None


def test_counters_are_those_that_move_with_work() -> None:
    names = {sample.name for sample in counters(parse_exposition(captures.body("metrics")))}
    assert "llamacpp:n_decode_total" in names
    assert "llamacpp:requests_processing" not in names
    assert len(names) == 10


def test_names_of_others_are_left_out() -> None:
    text = (
        b"# HELP vllm:num_requests_running Running.\n# TYPE vllm:num_requests_running gauge\n"
        b"vllm:num_requests_running 3\nprocess_cpu_seconds_total 1\nllamacpp:untyped 7\n"
    )
    [sample] = parse_exposition(text)
    assert (sample.name, sample.type, sample.help, sample.value) == ("llamacpp:untyped", "unknown", "", 7.0)


def test_labels_and_special_values() -> None:
    samples = parse_exposition(
        b'# TYPE llamacpp:x gauge\nllamacpp:x{slot="1",model="a \\"b\\""} NaN\nllamacpp:x{slot="2"} +Inf\n'
    )
    assert samples[0].labels == (("model", 'a "b"'), ("slot", "1"))
    assert math.isnan(samples[0].value)
    assert math.isinf(samples[1].value)
    assert value_of(samples, "x") is None


@pytest.mark.parametrize(
    "text",
    [
        b"<html><body>llamacpp: is here</body></html>",
        b"",
        b"llamacpp:x",
        b"llamacpp:x one\n",
        b'# TYPE llamacpp:x gauge\nllamacpp:x{a="1} 2\n',
        b"# TYPE llamacpp:x\nllamacpp:x 1\n",
        b"llamacpp:\xff\xfe 1\n",
    ],
)
def test_broken_text_gives_nothing(text: bytes) -> None:
    assert parse_exposition(text) == ()


@given(st.binary(max_size=200), st.integers(0, 2590))
def test_no_text_raises(noise: bytes, cut: int) -> None:
    whole = captures.body("metrics")
    for text in (noise, whole[:cut] + noise, b"llamacpp:" + noise):
        for sample in parse_exposition(text):
            assert sample.name.startswith("llamacpp:")
