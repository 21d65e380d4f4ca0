"""What a request asks for, as far as that decides where it goes: told by its parsed body and its headers.

`fleet` reads every request here that it has to route. Anybody can send any JSON: what does not have the shape that it
should counts as absent, for the server to refuse. However large and deep a body is, a bounded part of it is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter.errors import RoutingError
from exporter.model_name import public_name
from exporter.record import Complexity

GENERATING = frozenset(("chat", "text_completion", "responses", "messages", "infill"))
"""Operations that generate text; another model can answer them as well."""

_MESSAGES = {"chat": "messages", "messages": "messages", "responses": "input"}
_SYSTEM = {"messages": "system", "responses": "instructions"}
_PROMPT_SOURCES = {
    "chat": ("messages", "tools", "functions"),
    "messages": ("system", "messages", "tools"),
    "responses": ("instructions", "input", "tools"),
    "infill": ("input_extra", "input_prefix", "prompt", "input_suffix"),
}
_TEXT = ("text", "input_text")
_IMAGE = frozenset(("image_url", "image", "input_image"))
_AUDIO = frozenset(("input_audio",))
_MEDIA = (*_IMAGE, *_AUDIO)

_BYTES_PER_TOKEN = 4
_BYTES_PER_NUMBER = 2
"""The least that a token given as a number takes in JSON: a digit and a comma."""

_SEARCHED_MESSAGES = 1024
_MEDIA_MESSAGES = 64
_PARTS = 512
_OPENING_MESSAGES = 8
_OPENING_CHARACTERS = 4096
_PROMPT_CHARACTERS = 1024
_PROMPTS = 64
_NUMBERS = 256
_COUNTED_VALUES = 5_000

_TIER, _COMPLEXITY, _SCORE = b"x-routing-tier", b"x-routing-complexity", b"x-routing-score"
_HEADERS = frozenset((_TIER, _COMPLEXITY, _SCORE))
_QUOTED_CHARACTERS = 40


class RoutingHeaderError(RoutingError):
    """The client sent a routing header that means nothing."""

    def __init__(self, header: str, value: str, right: str) -> None:
        """`value` is quoted: its first 40 characters, in printable ASCII."""
        quoted = ascii(value[:_QUOTED_CHARACTERS]) + "..." * (len(value) > _QUOTED_CHARACTERS)
        super().__init__(f"{header} is {quoted}; it must be {right}")


@dataclass(frozen=True, slots=True)
class Request:
    """What a request asks for. The properties look into its body when they are asked."""

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
        if self.operation in _MESSAGES:
            return _last_of_user(_messages(self.operation, self.document))
        prompt = max(map(_string, _prompts(self.document)[:_PROMPTS]), key=len, default="")
        return prompt or (_string(self.document.get("input_prefix")) if self.operation == "infill" else "")

    @property
    def conversation(self) -> int | None:
        """Hash of the beginning that the turns of one conversation share: up to the first message of the user.

        Holds within this process. None when there is no text to go by.
        """
        if self.operation in _MESSAGES:
            opening = tuple(_opening(self.operation, self.document))
            return hash(opening) if any(opening[1::2]) else None
        key = "input_prefix" if self.operation == "infill" and self.document.get("input_prefix") else "prompt"
        beginning = _beginning(self.document.get(key)) if self.generating else None
        return hash(beginning) if beginning else None

    @property
    def at_most_tokens(self) -> int:
        """What `prompt_tokens` cannot exceed, told without a look at the text."""
        numbers = isinstance(self.document.get("prompt"), list)
        return -(-self.request_bytes // (_BYTES_PER_NUMBER if numbers else _BYTES_PER_TOKEN))

    @property
    def prompt_tokens(self) -> int:
        """An estimate: a token for every four bytes of text, keys and tool definitions included, images not.

        Of several prompts, the longest. Of a body of more than 5,000 values, `at_most_tokens`. Counted once.
        """
        if self._prompt_tokens is None:
            counted = _count_bytes(self.operation, self.document)
            most = self.at_most_tokens
            tokens = most if counted is None else min(-(-counted // _BYTES_PER_TOKEN), most)
            object.__setattr__(self, "_prompt_tokens", tokens)
            return tokens
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
    said = _routing_headers(headers)
    generating = operation in GENERATING
    body = document if document is not None else {}
    kinds = _kinds_of_parts(operation, body) if generating else frozenset()
    return Request(
        operation=operation,
        inference=inference,
        model=(public_name(model) or None) if model else None,
        tier=said.get(_TIER) or None,
        complexity=_read_complexity(said) if generating else None,
        score=_read_score(said) if generating else None,
        images=not _IMAGE.isdisjoint(kinds),
        audio=not _AUDIO.isdisjoint(kinds),
        tools=operation in _MESSAGES and _has_tools(body),
        request_bytes=request_bytes,
        document=body,
    )


# Headers


def _routing_headers(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, str]:
    """Of a repeated one, the first."""
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


# Chats: the operations of _MESSAGES


def _messages(operation: str, document: Mapping[str, Any]) -> list[Any]:
    """In the order of the conversation. A bare string (`input` of the responses dialect) is one of the user's."""
    value = document.get(_MESSAGES[operation])
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    return value if isinstance(value, list) else []


def _last_of_user(messages: list[Any]) -> str:
    """Anthropic's dialect returns what tools found as messages of the user, which are passed over."""
    parts = 0
    for message in messages[: -_SEARCHED_MESSAGES - 1 : -1]:
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            words = _words(content)
            if words is not None:
                return words
            parts += len(content) if isinstance(content, list) else 0
            if parts > _PARTS:
                break
    return ""


def _words(content: object) -> str | None:
    """Of a string, or of the last parts of a list; None when these are results of tools without a word of text."""
    if isinstance(content, str):
        return content
    texts: list[str] = []
    results = False
    for part in content[-_PARTS:] if isinstance(content, list) else ():
        if isinstance(part, dict):
            kind = part.get("type")
            if kind in _TEXT and isinstance(text := part.get("text"), str):
                texts.append(text)
            results = results or kind == "tool_result"
    return None if results and not texts else "\n".join(texts)


def _opening(operation: str, document: Mapping[str, Any]) -> Iterator[str]:
    """Role and text, by turns, up to the first message of the user; the same for one content in any dialect or form."""
    system = document.get(_SYSTEM[operation]) if operation in _SYSTEM else None
    if system:
        yield from ("system", (_words(system) or "")[:_OPENING_CHARACTERS])
    for message in _messages(operation, document)[:_OPENING_MESSAGES]:
        if isinstance(message, dict):
            role = message.get("role")
            yield role if isinstance(role, str) else ""
            yield (_words(message.get("content")) or "")[:_OPENING_CHARACTERS]
            if role == "user":
                return


def _kinds_of_parts(operation: str, document: Mapping[str, Any]) -> set[str] | frozenset[str]:
    """Types of the last parts of the last messages, those within results of tools included."""
    if operation not in _MESSAGES:
        media = any(isinstance(each, dict) and each.get("multimodal_data") for each in _prompts(document)[:_PROMPTS])
        return _IMAGE if media else frozenset()
    kinds: set[str] = set()
    left = _messages(operation, document)[-_MEDIA_MESSAGES:]
    for _ in range(_PARTS):
        if not left:
            break
        part = left.pop()
        if isinstance(part, dict):
            kind = part.get("type")
            if isinstance(kind, str):
                kinds.add(kind)
            inner = part.get("content") or part.get("output")
            if isinstance(inner, list):
                left += inner[-_PARTS:]
    return kinds


def _has_tools(document: Mapping[str, Any]) -> bool:
    choice = document.get("tool_choice")
    if choice == "none" or (isinstance(choice, dict) and choice.get("type") == "none"):
        return False
    tools = document.get("tools") or document.get("functions")
    return isinstance(tools, list) and bool(tools)


# Completions


def _prompts(document: Mapping[str, Any]) -> list[Any]:
    """`prompt` can be one or a list of them; a list with token numbers in it is one."""
    value = document.get("prompt")
    return value if isinstance(value, list) else [value]


def _string(prompt: object) -> str:
    """A text, alone or beside images (`multimodal_data`)."""
    if isinstance(prompt, dict):
        prompt = prompt.get("prompt_string")
    return prompt if isinstance(prompt, str) else ""


def _beginning(prompt: object) -> str | tuple[int, ...]:
    if isinstance(prompt, list):
        numbers = tuple(each for each in prompt[:_NUMBERS] if type(each) is int)
        if numbers:
            return numbers
        prompt = prompt[0] if prompt else None
    return _string(prompt)[:_PROMPT_CHARACTERS]


# Length


def _count_bytes(operation: str, document: Mapping[str, Any]) -> int | None:
    """Bytes of text of the prompt, of several the longest one's; None when there is too much to count."""
    budget = iter(range(_COUNTED_VALUES))
    if operation == "text_completion":
        prompts = _prompts(document)
        if any(type(each) is int for each in prompts[:_NUMBERS]):
            return _add_up([prompts], budget)
        longest = 0
        for each in prompts:
            counted = _add_up([_string(each) if isinstance(each, dict) else each], budget)
            if counted is None:
                return None
            longest = max(longest, counted)
        return longest
    sources = _PROMPT_SOURCES.get(operation)
    return None if sources is None else _add_up([document.get(key) for key in sources], budget)


def _add_up(left: list[Any], budget: Iterator[int]) -> int | None:
    """Bytes of all texts, keys included, in place of the words that a chat template puts around them."""
    total = 0
    for _ in budget:
        if not left:
            return total
        value = left.pop()
        if isinstance(value, str):
            total += len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
        elif isinstance(value, list):
            left += value
        elif isinstance(value, dict) and value.get("type") not in _MEDIA:
            left += value
            left += value.values()
        elif type(value) is int:
            total += _BYTES_PER_TOKEN
    return None
