"""What stands in a prompt, in any dialect: its text, its beginning, its length, whether there are images in it.

`request` asks. Anybody can send any JSON: what does not have the shape that it should counts as absent. However large
and deep a body is, a bounded part of it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_MESSAGES = {"chat": "messages", "messages": "messages", "responses": "input"}
_SYSTEM = {"messages": "system", "responses": "instructions"}
_PROMPT_SOURCES = {
    "chat": ("messages", "tools", "functions"),
    "messages": ("system", "messages", "tools"),
    "responses": ("instructions", "input", "tools"),
    "infill": ("input_extra", "input_prefix", "prompt", "input_suffix"),
}
_TEXT = ("text", "input_text")
IMAGES = frozenset(("image_url", "image", "input_image"))
AUDIO = frozenset(("input_audio",))
_MEDIA = (*IMAGES, *AUDIO)

BYTES_PER_TOKEN = 4

_NO_KINDS: frozenset[str] = frozenset()
_SEARCHED_MESSAGES = 1024
_MEDIA_MESSAGES = 64
_PARTS = 512
_OPENING_MESSAGES = 8
_OPENING_CHARACTERS = 4096
_PROMPT_CHARACTERS = 1024
_PROMPTS = 64
_NUMBERS = 256
_COUNTED_VALUES = 5_000


def find_plain_text(operation: str, document: Mapping[str, Any] | None) -> str | None:
    """The last message of the user, where all that there is is text, as in most chats; None for others.

    One walk instead of those of `find_text`, `kinds_of_parts` and `has_tools`, which say the same for these.
    """
    if operation != "chat" or document is None or "tools" in document or "functions" in document:
        return None
    messages = document.get("messages")
    if type(messages) is not list or len(messages) > _MEDIA_MESSAGES:
        return None
    text = None
    for message in messages:
        if type(message) is not dict or type(content := message.get("content")) is not str:
            return None
        if message.get("role") == "user":
            text = content
    return text


def find_text(operation: str, document: Mapping[str, Any]) -> str:
    """The last message of the user; the longest prompt; empty when there is none."""
    if operation in _MESSAGES:
        return _last_of_user(_messages(operation, document))
    prompt = max(map(_string, _prompts(document)[:_PROMPTS]), key=len, default="")
    return prompt or (_string(document.get("input_prefix")) if operation == "infill" else "")


def hash_beginning(operation: str, document: Mapping[str, Any]) -> int | None:
    """Hash of what the turns of one conversation begin with; None when there is no text to go by."""
    if operation in _MESSAGES:
        opening = tuple(_opening(operation, document))
        return hash(opening) if any(opening[1::2]) else None
    key = "input_prefix" if operation == "infill" and document.get("input_prefix") else "prompt"
    beginning = _beginning(document.get(key))
    return hash(beginning) if beginning else None


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


def kinds_of_parts(operation: str, document: Mapping[str, Any]) -> set[str] | frozenset[str]:
    """Types of the last parts of the last messages, those within results of tools included."""
    if operation not in _MESSAGES:
        media = any(isinstance(each, dict) and each.get("multimodal_data") for each in _prompts(document)[:_PROMPTS])
        return IMAGES if media else frozenset()
    left = _messages(operation, document)[-_MEDIA_MESSAGES:]
    for message in left:
        if type(message) is not dict or type(message.get("content")) is not str:
            break
    else:
        return _NO_KINDS  # so it is for most: all is text
    kinds: set[str] = set()
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


def has_tools(operation: str, document: Mapping[str, Any]) -> bool:
    """Whether the model may call some."""
    if operation not in _MESSAGES:
        return False
    tools = document.get("tools") or document.get("functions")
    if not tools or not isinstance(tools, list):
        return False
    choice = document.get("tool_choice")
    return choice != "none" and not (isinstance(choice, dict) and choice.get("type") == "none")


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


def count_bytes(operation: str, document: Mapping[str, Any]) -> int | None:
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
            total += BYTES_PER_TOKEN
    return None
