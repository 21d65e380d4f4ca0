"""What is to be set and what is not to be set any more; and how long is looked for what was meant."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.models.model import InvalidError
from exporter.models.parameters import parameters


@pytest.mark.parametrize(
    ("asked", "found", "unset"),
    [
        ({}, {}, set()),
        ({"n_ctx": 512, "temperature": None}, {"n_ctx": 512}, {"temperature"}),
        ({"ctx-size": None, "nCtx": None}, {}, {"n_ctx"}),
        ({"ctx_size": None, "n_ctx": 512}, {"n_ctx": 512}, set()),
    ],
)
def test_none_is_no_value(asked: dict[str, Any], found: dict[str, Any], unset: set[str]) -> None:
    assert parameters.check_changes(asked) == (found, frozenset(unset))


def test_everything_that_is_wrong_is_said_also_of_what_is_to_be_removed() -> None:
    with pytest.raises(InvalidError) as raised:
        parameters.check_changes({"n_ctx": "many", "temprature": None, "top_k": None})
    assert list(raised.value.fields) == ["n_ctx", "temprature"]


def test_of_many_unknown_names_the_first_are_looked_for() -> None:
    with pytest.raises(InvalidError) as raised:
        parameters.check({f"temperatur{number}": 1 for number in range(parameters.MOST_SEARCHES + 1)})
    *meant, last = raised.value.fields.values()
    assert set(meant) == {"is not a parameter; did you mean temperature?"}
    assert last == "is not a parameter"
