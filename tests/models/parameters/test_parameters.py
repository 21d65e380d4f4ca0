"""The table of parameters, their names, and the values that they take."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.models.model import InvalidError, Value
from exporter.models.parameters import parameters
from exporter.models.parameters.parameters import CATEGORIES, PARAMETERS, Parameter

ORDINARY: dict[str, Value] = {
    "temperature": 0.7,
    "max_tokens": 512,
    "top_p": 0.9,
    "threads": 4,
    "n_ctx": 4096,
    "n_gpu_layers": 35,
    "flash_attn": "on",
    "cont_batching": False,
}


def parameter(name: str) -> Parameter:
    found = parameters.find(name)
    assert found is not None
    return found


def refused(options: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidError) as caught:
        parameters.check(options)
    return caught.value.fields


def test_there_are_as_many_as_the_contract_says() -> None:
    counts = {category.id: len(parameters.in_category(category.id)) for category in CATEGORIES}
    assert counts == {"model": 15, "system": 8, "performance": 12}
    assert sum(counts.values()) == len(PARAMETERS)
    assert parameters.in_category("nonsense") == ()


def test_those_that_the_contract_names_are_where_it_says() -> None:
    named = {each.name for each in parameters.in_category("model")}
    assert {"temperature", "max_tokens", "top_p"} <= named
    assert {"n_ctx", "n_gpu_layers"} <= {each.name for each in PARAMETERS}


@pytest.mark.parametrize("each", PARAMETERS, ids=lambda each: each.name)
def test_each_is_whole(each: Parameter) -> None:
    assert each.read(each.default) == each.default
    assert type(each.read(each.default)) is type(each.default)
    assert (each.minimum is None) == (each.maximum is None) == (each.step is None)
    assert (each.minimum is not None) == (each.type in {"number", "integer"})
    assert bool(each.choices) or each.type != "string"
    assert re.fullmatch(r"[a-z][a-z0-9_]*", each.name)
    assert re.fullmatch(r"[A-Z].*\.", each.description)


@pytest.mark.parametrize("each", [each for each in PARAMETERS if each.minimum is not None], ids=lambda each: each.name)
def test_the_ends_of_a_range_can_be_had_and_nothing_beyond(each: Parameter) -> None:
    assert each.minimum is not None
    assert each.maximum is not None
    assert (each.read(each.minimum), each.read(each.maximum)) == (each.minimum, each.maximum)
    for beyond in (each.minimum - 1, each.maximum + 1, math.nan, math.inf, -math.inf, 10**400):
        with pytest.raises(ValueError, match="must be"):
            each.read(beyond)


def test_no_spelling_means_two_parameters() -> None:
    for each in PARAMETERS:
        for spelling in (each.name, each.option, *each.aliases):
            assert parameters.find(spelling) is each, spelling


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("max_tokens", "max_tokens"),
        ("maxTokens", "max_tokens"),
        ("n_predict", "max_tokens"),
        ("n-predict", "max_tokens"),
        ("--n-predict", "max_tokens"),
        ("temp", "temperature"),
        ("ctx_size", "n_ctx"),
        ("ctx-size", "n_ctx"),
        ("nCtx", "n_ctx"),
        ("contextSize", "n_ctx"),
        ("gpu_layers", "n_gpu_layers"),
        ("nGPULayers", "n_gpu_layers"),
        ("topNSigma", "top_n_sigma"),
        ("cacheTypeK", "cache_type_k"),
        ("mirostat_ent", "mirostat_tau"),
        ("mirostatEta", "mirostat_eta"),
    ],
)
def test_a_parameter_is_found_by_all_its_names(spelling: str, name: str) -> None:
    assert parameter(spelling).name == name


@pytest.mark.parametrize("unknown", ["", "-", "model", "port", "host", "api_key", "temperatures", "x" * 100_000])
def test_what_is_no_parameter_is_not_found(unknown: str) -> None:
    assert parameters.find(unknown) is None


def test_what_was_probably_meant_is_said() -> None:
    assert parameters.nearest("temprature") == "temperature"
    assert parameters.nearest("ctxsiz") == "n_ctx"
    assert parameters.nearest("zzz") is None
    assert parameters.nearest("temperature" * 10_000) is None
    assert refused({"temprature": 1}) == {"temprature": "is not a parameter; did you mean temperature?"}
    assert refused({"zzz": 1}) == {"zzz": "is not a parameter"}


def test_options_come_out_by_our_names_in_the_order_of_the_table() -> None:
    given = {"flashAttn": "on", "ngl": 35, "ctx-size": 4096, "top_p": 1, "temp": 0.7, "top_k": 20.0}
    checked = parameters.check(given)
    assert list(checked.items()) == [
        ("temperature", 0.7),
        ("top_p", 1.0),
        ("top_k", 20),
        ("n_ctx", 4096),
        ("n_gpu_layers", 35),
        ("flash_attn", "on"),
    ]
    assert isinstance(checked["top_p"], float)
    assert isinstance(checked["top_k"], int)
    assert parameters.check({}) == {}
    assert parameters.check(ORDINARY) == ORDINARY


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("temperature", "0.7", "must be a number from 0 to 2"),
        ("temperature", 2.01, "must be a number from 0 to 2"),
        ("temperature", True, "must be a number from 0 to 2"),
        ("temperature", None, "must be a number from 0 to 2"),
        ("temperature", [0.7], "must be a number from 0 to 2"),
        ("topK", 40.5, "must be a whole number from 0 to 1000"),
        ("topK", "40", "must be a whole number from 0 to 1000"),
        ("topK", False, "must be a whole number from 0 to 1000"),
        ("seed", 2**32, "must be a whole number from -1 to 4294967295"),
        ("n_gpu_layers", "all", "must be a whole number from -1 to 999"),
        ("cont_batching", 1, "must be true or false"),
        ("cont_batching", "false", "must be true or false"),
        ("flash_attn", True, "must be auto, on or off"),
        ("flash_attn", "On", "must be auto, on or off"),
        ("cache_type_k", "f16\nmodel = /etc/passwd", "must be f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0 or q5_1"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_that_was_used(name: str, value: Any, reason: str) -> None:
    assert refused({name: value, "min_p": 0.1}) == {name: reason}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mirostat", 3),
        ("mirostat", -1),
        ("n_ctx", 1),
        ("n_ctx", 255),
        ("n_ctx", -1),
        ("batch_size", 0),
        ("batch_size", 1),
        ("threads", 100_000),
        ("threads_batch", 100_000),
        ("parallel", 0),
        ("parallel", 257),
        ("prio", 4),
        ("prio", -2),
        ("repeat_penalty", 0),
        ("repeat_last_n", -1),
        ("load_mode", "x"),
    ],
)
def test_what_llama_server_does_not_survive_is_refused(name: str, value: Any) -> None:
    assert list(refused({name: value})) == [name]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    wrong = {"temperature": 3, "maxTokens": "many", "nonsense": 1, "n_ctx": 100}
    assert refused(wrong | {"top_p": 0.5}).keys() == wrong.keys()
    with pytest.raises(InvalidError, match=r"n_ctx: must be a whole number from 0 to 10485760, but not 1 to 255"):
        parameters.check(wrong)


def test_two_spellings_of_one_parameter_must_agree() -> None:
    assert parameters.check({"temp": 1, "temperature": 1.0}) == {"temperature": 1.0}
    assert refused({"temp": 1, "temperature": 0.5}) == {"temperature": "is the same as temp, which has another value"}


def test_a_flood_of_names_is_refused_unread() -> None:
    assert refused({f"temperatur{number}": 1 for number in range(10_000)}) == {}
    with pytest.raises(InvalidError) as caught:
        parameters.check({"x" * 100_000: 1})
    assert len(str(caught.value)) < 200


def test_too_small_a_number_is_none() -> None:
    """llama-server's child ends when it is told of 1e-40."""
    assert parameters.check({"temperature": 1e-40, "presence_penalty": -1e-9}) == {
        "temperature": 0.0,
        "presence_penalty": 0.0,
    }
    assert math.copysign(1, float(parameters.check({"presence_penalty": -1e-9})["presence_penalty"])) == 1


def test_what_another_version_has_kept_is_read_as_far_as_it_is_known() -> None:
    kept = ORDINARY | {"mlock": True, "temperature": 7, "nonsense": "x"}
    assert parameters.known(kept) == {name: value for name, value in ORDINARY.items() if name != "temperature"}
    assert parameters.known(ORDINARY) == ORDINARY


def test_a_models_own_options_prevail() -> None:
    assert parameters.effective({"n_ctx": 4096, "temperature": 0.5}, {"temperature": 0.1}) == {
        "temperature": 0.1,
        "n_ctx": 4096,
    }
    assert parameters.effective({}, {}) == {}


JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)
NAMES = st.sampled_from([each.name for each in PARAMETERS] + [each.option for each in PARAMETERS]) | st.text()


def attempt(options: dict[str, Any]) -> dict[str, Value] | None:
    """What becomes of options; None where they are refused for a reason that is among them."""
    wrong = dict[str, str]()
    try:
        return parameters.check(options)
    except InvalidError as error:
        wrong = error.fields
    assert wrong
    assert wrong.keys() <= options.keys()
    return None


@given(st.dictionaries(NAMES, JSON, max_size=6))
def test_whatever_is_asked_for_is_either_checked_or_refused(options: dict[str, Any]) -> None:
    checked = attempt(options)
    if checked is not None:
        assert parameters.check(checked) == checked == parameters.known(options)
        assert all(math.isfinite(value) for value in checked.values() if not isinstance(value, str))
