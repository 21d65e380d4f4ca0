"""Finding model files, and what they are. `library` and `registration` call it in threads: disks may be slow, or gone.

A split model is one file, named and placed by its first part. Projectors (`mmproj`) are no models, and left out. A
search has limits; what it leaves out for that, and every file that cannot be a model, is among its errors.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from exporter.models.files.folders import ERROR_LIMIT, Patience, Trouble, Walk, reason_of, shown
from exporter.models.files.gguf import Header, read_header
from exporter.models.files.gguf_bytes import GgufError
from exporter.models.files.names import Part, part_of, propose, stem_of
from exporter.models.files.places import Places
from exporter.models.model import Discovered, File, InvalidError, ModelsError, Search
from exporter.models.preset.preset import check_path
from exporter.system.quantization import quantization

__all__ = ["ERROR_LIMIT", "describe", "discover"]

FILE_LIMIT = 20_000
FOLDER_LIMIT = 100
"""Of one search."""
LONGEST_DESCRIPTION = 200


def describe(path: Path) -> File:
    """What a model file is, of which `Places.resolve` has said where it lies. Raises InvalidError (field `path`)."""
    try:
        return _describe(path)
    except (GgufError, OSError) as error:
        raise InvalidError(f"{shown(path)}: {_reason(error)}", {"path": _reason(error)}) from None


def discover(
    places: Places,
    search: Search,
    default_dir: str | None,
    *,
    clock: Callable[[], float] = time.monotonic,
    cancelled: Callable[[], bool] = lambda: False,
) -> Discovered:
    """Look for model files in the folders of the search, else in the default one, else in all that are configured.

    `cancelled` is asked again and again whether nobody wants to know any more. Raises OutsideError, and InvalidError
    for a folder that is none: each with the field `paths.N`, N from 0, where the search has named the folder.
    """
    trouble = Trouble()
    patience = Patience(clock, cancelled, trouble)
    walk = Walk(places, search, patience, trouble)
    given = search.paths or ((default_dir,) if default_dir else tuple(map(str, places.roots))) or ("",)
    walk.go(_asked_for(places, given) if search.paths else _configured(places, given))
    paths, orphans = _models(walk.found, trouble)
    files = _describe_all(paths, patience, trouble)
    names = propose([places.within(Path(file.path)) for file in files])
    named = [file._replace(name=name) for file, name in zip(files, names, strict=True)]
    return Discovered(named, list(given), trouble.told(), len(paths) + orphans + walk.refused)


def _configured(places: Places, given: Iterable[str]) -> list[Path]:
    """One that is not there is told of by the walk."""
    return [Path(os.path.realpath(places.resolve(path))) for path in given]


def _asked_for(places: Places, given: Sequence[str]) -> list[Path]:
    if len(given) > FOLDER_LIMIT:
        reason = f"at most {FOLDER_LIMIT} folders can be searched at once"
        raise InvalidError(reason, {"paths": reason})
    return [_folder(places, path, f"paths.{number}") for number, path in enumerate(given)]


def _folder(places: Places, path: str, field: str) -> Path:
    try:
        folder = Path(os.path.realpath(places.resolve(path)))
        if not folder.is_dir():
            raise InvalidError(f"{shown(path)} is not a folder", {"path": "is not a folder"})
    except ModelsError as error:
        raise type(error)(str(error), {field: error.fields.get("path", str(error))}) from None
    return folder


def _models(found: Iterable[Path], trouble: Trouble) -> tuple[list[Path], int]:
    """Single files and first parts, in order; and how many models have no first part."""
    paths, firsts = set(found), []
    orphans = set()
    for path in sorted(paths):
        part = part_of(path.name)
        first = path.with_name(part.sibling(1)) if part else path
        if path == first:
            firsts.append(path)
        elif part and first not in paths and first not in orphans:
            orphans.add(first)
            trouble.add(path, f"it is part {part.number} of {part.parts}, and part 1 was not found with it")
    return firsts, len(orphans)


def _describe_all(paths: list[Path], patience: Patience, trouble: Trouble) -> list[File]:
    if len(paths) > FILE_LIMIT:
        trouble.limit("", f"{len(paths)} files match; those after the first {FILE_LIMIT} were not read")
    files = []
    for path in paths[:FILE_LIMIT]:
        if patience.is_over():
            break
        try:
            files.append(_describe(path))
        except (GgufError, OSError) as error:
            trouble.add(path, _reason(error))
        except InvalidError as error:
            trouble.add(path, str(error))
    return files


def _describe(path: Path) -> File:
    """Raises GgufError, OSError, and InvalidError where llama-server cannot be told of the path."""
    check_path(os.fspath(path))
    header = read_header(Path(os.path.realpath(path)))
    part = part_of(path.name)
    _check(header, part)
    stem = stem_of(path.name)
    return File(
        name=propose([Path(path.name)])[0],
        path=os.fspath(path),
        size_bytes=_size(path, part),
        description=_description(header, stem),
        format="gguf",
        family=header.architecture,
        version=header.version,
        quantization=quantization("", stem, header.quantization),
        training_context_size=header.context_size,
    )


def _check(header: Header, part: Part | None) -> None:
    """Raise GgufError for what llama-server would not load as a model."""
    if header.is_big_endian != (sys.byteorder == "big"):
        raise GgufError("its numbers are in the byte order of other machines")
    if header.type not in {None, "model"} or header.architecture == "clip":
        raise GgufError(f"it is not a model, but of the type {header.type or 'mmproj'}")
    if header.architecture is None:
        raise GgufError("it does not say its architecture")
    number, count = (header.part_number or 0) + 1, header.part_count or 1
    if count == 1 and header.tensor_count == 0:
        raise GgufError("it has a vocabulary only, and no tensors")
    if count > 1 and (part is None or (part.number, part.parts) != (number, count)):
        raise GgufError(f"it is part {number} of {count}, and must be named like this: -{number:05}-of-{count:05}.gguf")
    if count == 1 and part is not None and part.parts > 1:
        raise GgufError(
            f"its name says that it is part {part.number} of {part.parts}; its header says that it is whole"
        )
    if number > 1:
        raise GgufError(f"it is part {number} of {count}; part 1 stands for all of them")


def _size(path: Path, part: Part | None) -> int:
    """Bytes of all parts together. Raises GgufError where one is missing, or, links followed, not beside the first."""
    if part is None:
        return path.stat().st_size
    folder, total = os.path.dirname(os.path.realpath(path)), 0
    for each in map(part.sibling, range(1, part.parts + 1)):
        try:
            real = os.path.realpath(path.with_name(each))
            if os.path.dirname(real) != folder:
                raise GgufError(f"a part of it lies in another folder: {each}")
            status = os.lstat(real)
        except FileNotFoundError:
            raise GgufError(f"a part of it is missing: {each}") from None
        if not stat.S_ISREG(status.st_mode):
            raise GgufError(f"a part of it is not a regular file: {each}")
        total += status.st_size
    return total


def _description(header: Header, stem: str) -> str:
    """Its own, else what it is called, and its size (`Llama 3 Instruct 8B`)."""
    if header.description:
        return header.description[:LONGEST_DESCRIPTION]
    name = header.name or " ".join(filter(None, (header.basename, header.finetune))) or stem
    if header.size_label and header.size_label.lower() not in name.lower():
        name = f"{name} {header.size_label}"
    return name[:LONGEST_DESCRIPTION]


def _reason(error: GgufError | OSError) -> str:
    return reason_of(error) if isinstance(error, OSError) else str(error)
