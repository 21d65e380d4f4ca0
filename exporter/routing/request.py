"""What a request asks for, as far as that decides where it goes: told by its parsed body and its headers.

`fleet` reads every request here that it has to route. Anybody can send any JSON: what does not have the shape that it
should counts as absent, for the server to refuse. However large and deep a body is, a bounded part of it is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter.errors import RoutingError
from exporter.model_name import public_name
from exporter.record import Complexity
from exporter.routing.prompt import (
    AUDIO,
    BYTES_PER_TOKEN,
    IMAGES,
    count_bytes,
    find_text,
    has_tools,
    hash_beginning,
    kinds_of_parts,
)

GENERATING = frozenset(("chat", "text_completion", "responses", "messages", "infill"))
"""Operations that generate text; another model can answer them as well."""

_TIER, _COMPLEXITY, _SCORE = b"x-routing-tier", b"x-routing-complexity", b"x-routing-score"
_HEADERS = frozenset((_TIER, _COMPLEXITY, _SCORE))
_QUOTED_CHARACTERS = 40

_BYTES_PER_NUMBER = 2
"""The least that a token given as a number takes in JSON: a digit and a comma."""


class RoutingHeaderError(RoutingError):
    """The client sent a routing header that means nothing."""

    def __init__(self, header: str, value: str, right: str) -> None:
        """`value` is quoted: its first 40 characters, in printable ASCII."""
        quoted = ascii(value[:_QUOTED_CHARACTERS]) + "..." * (len(value) > _QUOTED_CHARACTERS)
        super().__init__(f"{header} is {quoted}; it must be {right}")


@dataclass(slots=True)
class Request:
    """What a request asks for; never changed, and not frozen, because that triples the time that it takes to make one.

    The properties look into its body when they are asked.
    """

    operation: str
    """As in `RequestRecord.operation`."""
    inference: bool = True
    """Whether the operation runs a model."""
    model: str | None = None
    """Public name of the model that was asked for."""
    tier: str | None = None
    """`X-Routing-Tier`, as sent."""
    complexity: Complexity | None = None
    """`X-Routing-Complexity`."""
    score: float | None = None
    """`X-Routing-Score`, 0 or more."""
    images: bool = False
    """There are some in the last 64 messages (or in their last 512 parts)."""
    audio: bool = False
    """Likewise."""
    tools: bool = False
    """The model may call some."""
    request_bytes: int = 0
    """Size of the body."""
    document: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The body; empty when it could not be read."""
    _prompt_tokens: int | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def generating(self) -> bool:
        """Whether it generates text."""
        return self.operation in GENERATING

    @property
    def text(self) -> str:
        """The last message of the user; the longest prompt; empty when there is none.

        Of a message in parts, its texts, a line each. Results of tools are not the user's words, whatever their role.
        """
        return find_text(self.operation, self.document)

    @property
    def conversation(self) -> int | None:
        """Hash of the beginning that the turns of one conversation share: up to the first message of the user.

        Holds within this process. None when there is no text to go by.
        """
        return hash_beginning(self.operation, self.document) if self.generating else None

    @property
    def at_most_tokens(self) -> int:
        """What `prompt_tokens` cannot exceed, told without a look at the text."""
        numbers = isinstance(self.document.get("prompt"), list)
        return -(-self.request_bytes // (_BYTES_PER_NUMBER if numbers else BYTES_PER_TOKEN))

    @property
    def prompt_tokens(self) -> int:
        """An estimate: a token for every four bytes of text, keys and tool definitions included, images not.

        Of several prompts, the longest. Of a body of more than 5,000 values, `at_most_tokens`. Counted once.
        """
        if self._prompt_tokens is None:
            counted = count_bytes(self.operation, self.document)
            most = self.at_most_tokens
            tokens = most if counted is None else min(-(-counted // BYTES_PER_TOKEN), most)
            self._prompt_tokens = tokens
        return self._prompt_tokens


def read_request(
    *,
    operation: str,
    inference: bool,
    model: str | None,
    document: Mapping[str, Any] | None,
    request_bytes: int,
    headers: Sequence[tuple[bytes, bytes]],
) -> Request:
    """Read a parsed body and the headers beside it, whose names are in lower case.

    Complexity, score, images, audio and tools are read where text is to be generated, the tier always. Raises
    RoutingHeaderError.
    """
    said = read_routing_headers(headers)
    body = document if document is not None else {}
    generating = operation in GENERATING
    kinds = kinds_of_parts(operation, body) if generating else frozenset()
    return Request(
        operation=operation,
        inference=inference,
        model=(public_name(model) or None) if model else None,
        tier=said.get(_TIER) or None,
        complexity=_read_complexity(said) if generating else None,
        score=_read_score(said) if generating else None,
        images=not IMAGES.isdisjoint(kinds),
        audio=not AUDIO.isdisjoint(kinds),
        tools=has_tools(operation, body),
        request_bytes=request_bytes,
        document=body,
    )


# Headers


def read_routing_headers(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, str]:
    """What the client says of where its request belongs, by header; of a repeated one, the first."""
    found: dict[bytes, str] = {}
    for name, value in headers:
        if name in _HEADERS and name not in found:
            found[name] = str(value.strip(), "latin-1")
    return found


def _read_complexity(said: Mapping[bytes, str]) -> Complexity | None:
    value = said.get(_COMPLEXITY)
    if value is None:
        return None
    level = Complexity.__members__.get(value.upper())
    if level is None:
        raise RoutingHeaderError("X-Routing-Complexity", value, "SIMPLE, MODERATE or COMPLEX")
    return level


def _read_score(said: Mapping[bytes, str]) -> float | None:
    value = said.get(_SCORE)
    if value is None:
        return None
    try:
        score = math.nan if "_" in value else float(value)
    except ValueError:
        score = math.nan
    if not 0 <= score < math.inf:
        raise RoutingHeaderError("X-Routing-Score", value, "a finite number, 0 or more")
    return abs(score)  # no -0
