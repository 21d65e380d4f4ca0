"""The sorts of requests that the demo's clients send, which of them a test can count on, and how often each comes.

`plan` makes requests of these kinds.
"""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What sort of request."""

    CHAT = "chat"
    CHAT_STREAM = "chat_stream"
    CONVERSATION = "conversation"
    """A streamed chat that repeats what was said before: a prompt-cache hit."""
    LONG_STREAM = "long_stream"
    COMPLETION = "completion"
    COMPLETION_STREAM = "completion_stream"
    NATIVE = "native"
    NATIVE_STREAM = "native_stream"
    MESSAGES = "messages"
    MESSAGES_STREAM = "messages_stream"
    RESPONSES = "responses"
    RESPONSES_STREAM = "responses_stream"
    TOKENIZE = "tokenize"
    MODELS = "models"
    LEAVE_EARLY = "leave_early"
    """The client goes before the first byte of the answer."""
    LEAVE_MIDWAY = "leave_midway"
    """The client goes in the middle of a stream."""
    BAD_JSON = "bad_json"
    UNKNOWN_PATH = "unknown_path"
    CONTEXT_EXCEEDED = "context_exceeded"
    ROUTED_SIMPLE = "routed_simple"
    ROUTED_MODERATE = "routed_moderate"
    ROUTED_COMPLEX = "routed_complex"


ROUTED_KINDS = frozenset({Kind.ROUTED_SIMPLE, Kind.ROUTED_MODERATE, Kind.ROUTED_COMPLEX})
"""Chats that name no model but `auto`, each kind of a complexity of its own."""

LEAVING_KINDS = frozenset({Kind.LEAVE_EARLY, Kind.LEAVE_MIDWAY})
STEADY_KINDS = frozenset(Kind) - LEAVING_KINDS - ROUTED_KINDS
"""Kinds whose clients stay to the end. Only of these can a proxy see everything that the server counts, for it works
on, and counts, for some clients that have left."""

COUNTABLE_KINDS = STEADY_KINDS - {Kind.MESSAGES_STREAM}
"""Of these llama-server also tells every token that it counts; a `/v1/messages` stream may lack its input tokens."""

DIRECT_KINDS = STEADY_KINDS | LEAVING_KINDS
"""All that need no router to make sense."""

DECK: dict[Kind, int] = {
    **dict.fromkeys(Kind, 2),
    **dict.fromkeys((Kind.CHAT_STREAM, Kind.CONVERSATION), 6),
    Kind.CHAT: 4,
    **dict.fromkeys((Kind.MODELS, Kind.LEAVE_EARLY, Kind.LEAVE_MIDWAY), 1),
    **dict.fromkeys((Kind.BAD_JSON, Kind.UNKNOWN_PATH, Kind.CONTEXT_EXCEEDED), 1),
    Kind.ROUTED_SIMPLE: 36,
    Kind.ROUTED_MODERATE: 18,
    Kind.ROUTED_COMPLEX: 6,
}
"""How many of each kind a deck holds; the routed ones have the proportions that a router is made for."""
