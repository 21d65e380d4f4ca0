"""Whether a document has the keys of the contract's examples, each with a value of the same type: a strict reader that
knows nothing of the package. What is not known may be null."""

from __future__ import annotations

from typing import Any


def differences(example: Any, document: Any, at: str = "") -> list[str]:
    """Where the document is not like the example. More keys are no difference."""
    if document is None:
        return []
    if isinstance(example, dict):
        if not isinstance(document, dict):
            return [f"{at or 'it'} is no object"]
        missing = [f"{at}.{key} is missing" for key in example if key not in document]
        inner = [differences(example[key], document[key], f"{at}.{key}") for key in example if key in document]
        return missing + [each for part in inner for each in part]
    if isinstance(example, list):
        if not isinstance(document, list):
            return [f"{at} is no array"]
        return [
            each
            for number, part in enumerate(document)
            for each in (differences(example[0], part, f"{at}[{number}]") if example else ())
        ]
    return [] if _kind(example) == _kind(document) or example is None else [f"{at} is {document!r}"]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "text"
    return "number" if isinstance(value, int | float) else type(value).__name__
