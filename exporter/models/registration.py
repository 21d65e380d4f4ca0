"""What a request to register or change a model says: checked, and filled in with what its file says. `models` asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from exporter.models.files.discovery import describe
from exporter.models.files.places import Places
from exporter.models.model import File, InvalidError, ModelsError, Registered
from exporter.models.parameters import parameters
from exporter.models.preset import preset

LONGEST_DESCRIPTION = 2000
LONGEST_WORD = 200
MOST_MISTAKES = 100
"""That are named; what comes behind them is not looked at."""
FIELDS = frozenset({"path", "description", "family", "version", "options"})


@dataclass(frozen=True, slots=True)
class Entry:
    """What is said of one model; a field that is not said is not there."""

    name: str
    said: Mapping[str, Any]

    def filled(self, old: Registered | None, file: File | None, now: float) -> Registered:
        """The model as it is to be registered, with what its file says where nothing else is said."""
        model = old or Registered(self.name, created_at=now)
        if file is not None:
            model = replace(
                model,
                path=file.path,
                description=model.description or file.description,
                family=file.family,
                version=file.version,
                size_bytes=file.size_bytes,
                quantization=file.quantization,
                format=file.format,
                training_context_size=file.training_context_size,
            )
        said = {field: value for field, value in self.said.items() if field != "path"}
        return replace(model, **said, updated_at=now)


def read_entries(entries: Iterable[Mapping[str, Any]]) -> Iterator[Entry]:
    """Models to register, one after the other: there can be so many that streams would have to wait. Raises
    InvalidError behind the last one, with the fields that are wrong (`models.0.name`)."""
    wrong, names = dict[str, str](), set[str]()
    for number, entry in enumerate(entries):
        at, before = f"models.{number}.", len(wrong)
        name, said = _read(entry, wrong, at)
        if name in names:
            wrong[f"{at}name"] = "is there twice"
        if len(wrong) >= MOST_MISTAKES:
            break
        names.add(name)
        if len(wrong) == before:
            yield Entry(name, said)
    _raise_for(wrong)


def read_changes(name: str, changes: Mapping[str, Any]) -> Entry:
    """What to change of a model. Raises InvalidError with every field that is wrong."""
    wrong: dict[str, str] = {}
    said = _read_fields(changes, wrong, "")
    if changes.get("name", name) != name:
        wrong["name"] = "cannot be changed"
    _raise_for(wrong)
    return Entry(name, said)


def look_into(places: Places, entries: Sequence[Entry], at: str = "models.{}.") -> list[File | None]:
    """What the files of these models say; None for one without. Blocks. Raises InvalidError, OutsideError, with the
    fields behind `at`."""
    return [
        _look_into(places, entry.said["path"], at.format(number)) if entry.said.get("path") else None
        for number, entry in enumerate(entries)
    ]


def _look_into(places: Places, path: str, at: str) -> File:
    try:
        real = places.resolve(path)
        preset.check_path(str(real))
        return describe(real)._replace(path=str(real))
    except ModelsError as error:
        fields = error.fields or {"path": str(error)}
        raise type(error)(str(error), {at + name: reason for name, reason in fields.items()}) from None


def _read(entry: Mapping[str, Any], wrong: dict[str, str], at: str) -> tuple[str, dict[str, Any]]:
    name = entry.get("name")
    if not isinstance(name, str):
        wrong[f"{at}name"] = "must be a text"
        name = ""
    else:
        _collect(lambda: preset.check_name(name), wrong, at)
    return name, _read_fields(entry, wrong, at)


def _read_fields(entry: Mapping[str, Any], wrong: dict[str, str], at: str) -> dict[str, Any]:
    said = {field: entry[field] for field in FIELDS if entry.get(field) is not None}
    for field, longest in {"description": LONGEST_DESCRIPTION, "family": LONGEST_WORD, "version": LONGEST_WORD}.items():
        if field in said and not _is_text(said[field], longest):
            wrong[at + field] = f"must be a text of at most {longest} characters"
    if "path" in said and not isinstance(said["path"], str):
        wrong[f"{at}path"] = "must be a text"
    if "options" in said:
        said["options"] = _read_options(said["options"], wrong, at)
    return said


def _read_options(options: object, wrong: dict[str, str], at: str) -> object:
    if not isinstance(options, Mapping):
        wrong[f"{at}options"] = "must be an object"
        return {}
    return _collect(lambda: parameters.check(options), wrong, f"{at}options.")


def _is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest and (value.isprintable() or "\0" not in value)


def _collect(check: Callable[[], object], wrong: dict[str, str], at: str) -> object:
    try:
        return check()
    except InvalidError as error:
        wrong.update({at + name: reason for name, reason in error.fields.items()} or {at.rstrip("."): str(error)})
        return None


def _raise_for(wrong: Mapping[str, str]) -> None:
    if wrong:
        named = list(wrong.items())[:MOST_MISTAKES]
        raise InvalidError("; ".join(f"{field}: {reason}" for field, reason in named[:10]), dict(named))
