"""Environment variables of OpenTelemetry, one by one: words, numbers, truth, files, addresses, headers, each as the
specification has it. `otel_variables` asks for those that matter.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import difflib
import math
import re
import ssl
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from exporter.errors import ConfigError

PREFIX = "OTEL_EXPORTER_OTLP"
HASTY_MILLISECONDS = 100.0
"""Whoever gives less than this for a timeout or an interval may have meant seconds."""
HEADER = re.compile(r"[ \t]*([!#$%&'*+\-.0-9A-Z^_`a-z|~]+)[ \t]*=([ !#-+\--:<-\[\]-~]*)")
"""What Python's exporters take, values that are not encoded included; what does not match, they leave out."""


class Said(NamedTuple):
    """A variable and what it says."""

    name: str
    value: str


class Variables:
    """What the environment says; a variable that is empty says nothing. Every method raises ConfigError with one line
    that names the variable, and never quotes what may be secret. `warnings` gathers what is odd, but no error."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._values = {name: value.strip() for name, value in environment.items() if value.strip()}
        self.warnings: list[str] = []

    def warn(self, warning: str) -> None:
        """Say it once, though it may concern several signals."""
        if warning not in self.warnings:
            self.warnings.append(warning)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def first(self, *names: str) -> Said | None:
        """The first of these that is set."""
        return next((Said(name, self._values[name]) for name in names if name in self._values), None)

    def otlp(self, signal: str, what: str) -> Said | None:
        """What is said of the exporter of a signal, or else of all exporters."""
        return self.first(f"{PREFIX}_{signal.upper()}_{what}", f"{PREFIX}_{what}")

    def words(self, name: str, known: Collection[str]) -> frozenset[str]:
        """A list with commas between its words; empty where it is not set."""
        said = self.first(name)
        parts = said.value.lower().split(",") if said else []
        return frozenset(known_word(name, part.strip(), known) for part in parts if part.strip())

    def word(self, said: Said | None, known: Collection[str], default: str) -> str:
        """One word of those that are known."""
        return default if said is None else known_word(said.name, said.value.lower(), known)

    def truth(self, *names: str) -> bool:
        """Only `true` is true, says the specification, and whatever else is not true deserves a warning."""
        said = self.first(*names)
        if said is None or said.value.lower() == "false":
            return False
        if said.value.lower() != "true":
            self.warn(f"{said.name} is neither true nor false, and counts as false")
        return said.value.lower() == "true"

    def seconds(self, said: Said | None, default: float) -> float:
        """A duration, which is given in milliseconds."""
        if said is None:
            return default
        milliseconds = _number(said.value)
        if milliseconds is None or milliseconds <= 0:
            raise wrong(said.name, "must be a number of milliseconds above 0")
        if milliseconds < HASTY_MILLISECONDS:
            self.warn(f"{said.name} is {milliseconds:g} milliseconds; were seconds meant?")
        return milliseconds / 1000

    def whole(self, name: str, default: int, *, least: int = 1, most: int = 1_000_000) -> int:
        """A whole number."""
        said = self.first(name)
        if said is None:
            return default
        if not re.fullmatch(r"\+?[0-9]{1,18}", said.value) or not least <= int(said.value) <= most:
            raise wrong(name, f"must be a whole number from {least} to {most}")
        return int(said.value)

    def share(self, name: str) -> float:
        """A number from 0 to 1; 1 where it is not set."""
        said = self.first(name)
        value = _number(said.value) if said else 1.0
        if value is None or not 0 <= value <= 1:
            raise wrong(name, "must be a number from 0 to 1")
        return value

    def check_limit(self, name: str) -> None:
        """A limit of the SDK: a number, or `unset`; or nothing."""
        said = self.first(name)
        if said and said.value.lower() != "unset" and not re.fullmatch(r"\+?[0-9]{1,18}", said.value):
            raise wrong(name, "must be a whole number from 0")

    def check_patterns(self, name: str) -> None:
        """Regular expressions, separated by commas, which the libraries make one of; or nothing."""
        said = self.first(name)
        try:
            re.compile("|".join(part.strip() for part in said.value.split(",")) if said else "")
        except re.error:
            raise wrong(name, "must be regular expressions, separated by commas") from None

    def file(self, said: Said | None) -> str:
        """The path of a file that can be read; "" where none is named."""
        if said is None:
            return ""
        try:
            with open(said.value, "rb") as file:
                file.read(1)
        except OSError as exc:
            raise wrong(said.name, f"{said.value} cannot be read ({(exc.strerror or str(exc)).lower()})") from None
        except ValueError:
            raise wrong(said.name, "is not the path of a file") from None
        return said.value

    def check_headers(self, said: Said | None) -> None:
        """`name=value,name=value`, values with what is special in them as `%XX`. Python's exporters would leave out
        what they do not understand, and write it to the log, keys of access included."""
        if said is None:
            return
        for number, part in enumerate(re.split(r"[ \t]*,[ \t]*", said.value), start=1):
            if part and not _is_header(part):
                raise wrong(
                    said.name,
                    f"part {number} is not name=value, or has a character that must be written as %XX; it is not "
                    "shown here, for it may be secret",
                )


def _is_header(part: str) -> bool:
    match = HEADER.fullmatch(part)
    if match is None:
        return False
    name, value = unquote(match[1]), unquote(match[2]).strip()
    return re.fullmatch(r"[!#$%&'*+\-.0-9A-Z^_`a-z|~]+", name) is not None and value.isascii() and value.isprintable()


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def is_authority(path: str) -> bool:
    """Whether the file holds certificates. The libraries would complain at the first export, or say nothing at all."""
    try:
        ssl.create_default_context().load_verify_locations(path)
    except (OSError, ValueError):
        return False
    return True


def is_pair(certificate: str, key: str) -> bool:
    """Whether the file holds a certificate, and the other (if it is not the same) its key, without a password."""
    try:
        ssl.create_default_context().load_cert_chain(certificate, key or None, password=_no_password)
    except (OSError, ValueError):
        return False
    return True


def _no_password() -> str:
    """Instead of a question at the terminal."""
    raise ValueError("the key has a password")


def wrong(name: str, what: str) -> ConfigError:
    """The error that one line says it all of."""
    return ConfigError(f"environment: {name}: {what}")


def known_word(name: str, word: str, known: Collection[str]) -> str:
    """`word`, when it is known."""
    if word not in known:
        near = nearest(word, sorted(known))
        hint = f"; did you mean {near}?" if near else ""
        raise wrong(name, f"{word!r} is none of {', '.join(sorted(known))}{hint}")
    return word


def nearest(word: str, known: Sequence[str], cutoff: float = 0.6) -> str | None:
    """What was probably meant; None when nothing is that similar, from 0 to 1."""
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=cutoff)), None)


def read_url(said: Said) -> SplitResult:
    """The parts of an address. It may hold a password or a key, and is not quoted."""
    try:
        parts = urlsplit(said.value)
        port = parts.port
    except ValueError:
        raise wrong(said.name, "is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or re.search(r"\s|\\", said.value):
        raise wrong(said.name, "must be a URL with http or https and a host, such as http://localhost:4318")
    return parts
