"""The parameters by name, and what people want to set them to: which one is meant, and whether it takes that value.

`registration`, `loading` and `api.nextjs` have options checked here before they are kept; `registry`, `runtime` and
`sections` have those left out that cannot be used any more.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from exporter.models.model import InvalidError, Options, Value
from exporter.models.parameters.catalogue import CATEGORIES, PARAMETERS
from exporter.models.parameters.parameter import Category, Parameter

__all__ = [
    "CATEGORIES",
    "PARAMETERS",
    "Category",
    "Parameter",
    "check",
    "check_changes",
    "effective",
    "faults",
    "find",
    "in_category",
    "known",
    "nearest",
]
MOST_OPTIONS = 200
"""In one request, other spellings and mistakes included."""
UNKNOWN = "is not a parameter"
LONGEST_NAME = 64
MOST_FAULTS = 10
"""That are told of in one line."""
MOST_SEARCHES = 20
"""For what was probably meant, in one go: each takes a fifth of a millisecond."""


def in_category(category: str) -> tuple[Parameter, ...]:
    """The parameters of a category (`model`, `system`, `performance`); empty for an unknown one."""
    return tuple(each for each in PARAMETERS if each.category == category)


def find(name: str) -> Parameter | None:
    """The parameter of that name: ours (`n_ctx`), another one of it (`context_size`), llama-server's (`ctx-size`,
    `--ctx-size`), or any of these in camel case (`nCtx`)."""
    return _by_spelling.get(_squeeze(name)) if len(name) <= LONGEST_NAME else None


def nearest(name: str) -> str | None:
    """Our name of the parameter that was probably meant; None where nothing is similar."""
    if len(name) > LONGEST_NAME:
        return None
    similar = difflib.get_close_matches(_squeeze(name), _by_spelling, n=1)
    return _by_spelling[similar[0]].name if similar else None


def check(options: Mapping[str, Any]) -> dict[str, Value]:
    """The options by our names, in the order of the table, their values of the parameters' types.

    Raises InvalidError; its `fields` say of each, by the name that the caller has used, what is wrong with it.
    """
    _check_number(options)
    found, wrong = _read(options)
    if wrong:
        raise InvalidError("; ".join(f"{_shorten(name)}: {reason}" for name, reason in wrong.items()), wrong)
    return _in_order(found)


def check_changes(options: Mapping[str, Any]) -> tuple[dict[str, Value], frozenset[str]]:
    """What is to be set, as `check` gives it, and the names of what is not to be set any more: it is None here, and no
    other spelling of it has a value. Raises as `check`."""
    _check_number(options)
    unset = {each.name for name, value in options.items() if value is None and (each := find(name)) is not None}
    found = check({name: value for name, value in options.items() if value is not None or find(name) is None})
    return found, frozenset(unset - found.keys())


def faults(options: Mapping[str, Any]) -> str:
    """What `known` leaves out, and why; empty where that is nothing."""
    wrong = _read(options)[1]
    return "; ".join(f"{_shorten(name)}: {reason}" for name, reason in list(wrong.items())[:MOST_FAULTS])


def known(options: Mapping[str, Any]) -> dict[str, Value]:
    """As `check`, but without what it would refuse: for what another version may have kept."""
    return _in_order(_read(options)[0])


def effective(for_all: Options, own: Options) -> dict[str, Value]:
    """What a model is loaded with: its own options, and those of all models where it has none; in the order of the
    table. Both are as `check` gives them."""
    return _in_order({**for_all, **own})


def _read(options: Mapping[str, Any]) -> tuple[dict[str, Value], dict[str, str]]:
    """Values by our names, and reasons by the caller's."""
    found, wrong = dict[str, Value](), dict[str, str]()
    spellings = dict[str, str]()
    for name, value in options.items():
        parameter = find(name)
        if parameter is None:
            wrong[name] = _unknown(name) if len(wrong) < MOST_SEARCHES else UNKNOWN
            continue
        try:
            typed = parameter.read(value)
        except ValueError as error:
            wrong[name] = str(error)
            continue
        if found.setdefault(parameter.name, typed) != typed:
            wrong[name] = f"is the same as {spellings[parameter.name]}, which has another value"
        spellings.setdefault(parameter.name, name)
    return found, wrong


def _unknown(name: str) -> str:
    near = nearest(name)
    return f"{UNKNOWN}; did you mean {near}?" if near else UNKNOWN


def _check_number(options: Mapping[str, Any]) -> None:
    if len(options) > MOST_OPTIONS:
        raise InvalidError(f"there are only {len(PARAMETERS)} parameters, and {len(options)} were given")


def _shorten(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."


def _in_order(options: Mapping[str, Value]) -> dict[str, Value]:
    return {each.name: options[each.name] for each in PARAMETERS if each.name in options}


def _squeeze(name: str) -> str:
    """What the spellings of a name have in common."""
    return name.replace("-", "").replace("_", "").lower()


_by_spelling = {_squeeze(spelling): each for each in PARAMETERS for spelling in (each.name, each.option, *each.aliases)}
