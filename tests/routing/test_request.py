"""What is read from a request: in every dialect, from any JSON, in bounded time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import RoutingError
from exporter.record import Complexity
from exporter.routing import prompt
from exporter.routing.request import Request, RoutingHeaderError, read_request
from tests.fakes.captures import golden

DIALECTS = ("chat", "messages", "responses", "text_completion", "infill")
QUESTION = [{"role": "user", "content": "What is a tier?"}]


def read(
    operation: str,
    document: dict[str, Any] | None,
    *headers: tuple[bytes, bytes],
    inference: bool = True,
    model: str | None = None,
) -> Request:
    size = len(json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return read_request(
        operation=operation, inference=inference, model=model, document=document, request_bytes=size, headers=headers
    )


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def said(text: str, kind: str = "text") -> dict[str, Any]:
    return {"type": kind, "text": text}


def result(content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t", "content": content}


# Text


@pytest.mark.parametrize(
    ("operation", "document", "text"),
    [
        ("chat", {"messages": QUESTION}, "What is a tier?"),
        ("chat", {"messages": [{"role": "system", "content": "Be brief."}, *QUESTION]}, "What is a tier?"),
        (
            "chat",
            {"messages": [*QUESTION, {"role": "assistant", "content": "A shelf."}, {"role": "user", "content": "No."}]},
            "No.",
        ),
        ("chat", {"messages": [*QUESTION, {"role": "tool", "content": "42"}]}, "What is a tier?"),
        ("chat", {"messages": [user(said("one"), {"type": "image_url"}, said("two", "input_text"))]}, "one\ntwo"),
        ("chat", {"messages": [user(said("secret", "thinking"))]}, ""),
        ("chat", {"messages": [*QUESTION, user({"type": "image_url"})]}, ""),
        ("chat", {"messages": [{"role": "assistant", "content": "Hello"}]}, ""),
        ("chat", {"messages": [], "prompt": "not of this dialect"}, ""),
        ("messages", {"system": "Be brief.", "messages": QUESTION}, "What is a tier?"),
        ("messages", {"messages": [*QUESTION, user(result("42"))]}, "What is a tier?"),
        ("messages", {"messages": [*QUESTION, user(result([said("42")]), result("43"))]}, "What is a tier?"),
        ("messages", {"messages": [*QUESTION, user(result("42"), said("And now?"))]}, "And now?"),
        ("messages", {"messages": [user(result("42"))]}, ""),
        ("responses", {"input": "What is a tier?"}, "What is a tier?"),
        (
            "responses",
            {"instructions": "Be brief.", "input": [user(said("So?", "input_text")), {"type": "function_call_output"}]},
            "So?",
        ),
        ("text_completion", {"prompt": "Once upon"}, "Once upon"),
        ("text_completion", {"prompt": ["a", "the longest", "of them"]}, "the longest"),
        ("text_completion", {"prompt": [1, 2, 3]}, ""),
        ("text_completion", {"prompt": [1, "mixed", 3]}, "mixed"),
        ("text_completion", {"prompt": {"prompt_string": "Describe", "multimodal_data": ["aGk="]}}, "Describe"),
        ("infill", {"input_prefix": "def a(", "input_suffix": ")"}, "def a("),
        ("infill", {"input_prefix": "def a(", "prompt": "name the arguments"}, "name the arguments"),
        ("embeddings", {"input": "no question"}, ""),
        ("chat", None, ""),
    ],
)
def test_the_text_is_what_the_user_said_last(operation: str, document: dict[str, Any] | None, text: str) -> None:
    assert read(operation, document).text == text


@pytest.mark.parametrize(
    ("name", "operation", "text"),
    [
        ("chat", "chat", "hi there"),
        ("messages", "messages", "hi"),
        ("responses", "responses", "hi there"),
        ("completion-oai", "text_completion", "hi there"),
        ("completion-native", "text_completion", "hi there"),
        ("infill", "infill", "def a("),
        ("router-chat", "chat", "hi there"),
    ],
)
def test_requests_that_a_real_server_answered(name: str, operation: str, text: str) -> None:
    document = json.loads(golden(name).request.partition(" -d ")[2])
    request = read(operation, document, model=document.get("model"))
    assert request.text == text
    assert request.model == document.get("model")
    assert request.generating
    assert request.conversation is not None
    assert 0 < request.prompt_tokens <= request.at_most_tokens
    assert (request.images, request.audio, request.tools) == (False, False, False)


def test_a_search_for_the_user_ends_somewhere() -> None:
    tools = [{"role": "tool", "content": "42"}]
    assert read("chat", {"messages": QUESTION + tools * 1000}).text == "What is a tier?"
    assert read("chat", {"messages": QUESTION + tools * 2000}).text == ""
    results = [user(result("42"), result("43"))]
    assert read("messages", {"messages": QUESTION + results * 200}).text == "What is a tier?"
    assert read("messages", {"messages": QUESTION + results * 600}).text == ""


# Media and tools


@pytest.mark.parametrize(
    ("operation", "document"),
    [
        ("chat", {"messages": [user(said("What is this?"), {"type": "image_url", "image_url": {"url": "data:"}})]}),
        ("chat", {"messages": [user({"type": "image_url"}), {"role": "assistant", "content": "A cat."}, *QUESTION]}),
        ("messages", {"messages": [user({"type": "image", "source": {"type": "base64", "data": "aGk="}})]}),
        ("messages", {"messages": [user(result([{"type": "image"}]))]}),
        ("responses", {"input": [user({"type": "input_image", "image_url": "data:"})]}),
        ("responses", {"input": [{"type": "function_call_output", "output": [{"type": "input_image"}]}]}),
        ("text_completion", {"prompt": {"prompt_string": "Describe", "multimodal_data": ["aGk="]}}),
        ("text_completion", {"prompt": ["a", {"prompt_string": "Describe", "multimodal_data": ["aGk="]}]}),
    ],
)
def test_images_are_seen(operation: str, document: dict[str, Any]) -> None:
    request = read(operation, document)
    assert request.images
    assert not request.audio


def test_audio_is_heard() -> None:
    request = read("chat", {"messages": [user({"type": "input_audio", "input_audio": {"data": "aGk="}})]})
    assert request.audio
    assert not request.images


def test_words_are_no_images() -> None:
    words = {"type": "text", "text": "image_url", "image": "input_audio"}
    request = read("chat", {"messages": [user(words), {"role": "image", "content": "image"}], "image_url": "image"})
    assert not request.images
    assert not request.audio
    assert not read("embeddings", {"input": [user({"type": "image_url"})]}).images


def test_images_are_looked_for_in_the_last_messages_and_parts() -> None:
    seen = user({"type": "image_url"})
    assert read("chat", {"messages": [seen, *QUESTION * 63]}).images
    assert not read("chat", {"messages": [seen, *QUESTION * 64]}).images
    parts = [said("x")] * 500
    assert read("chat", {"messages": [user({"type": "image_url"}, *parts)]}).images
    assert not read("chat", {"messages": [user({"type": "image_url"}, *parts, *parts)]}).images


@pytest.mark.parametrize(
    ("document", "tools"),
    [
        ({"tools": [{"type": "function"}]}, True),
        ({"functions": [{"name": "f"}]}, True),
        ({"tools": [{"type": "function"}], "tool_choice": "auto"}, True),
        ({"tools": [{"type": "function"}], "tool_choice": "none"}, False),
        ({"tools": [{"name": "f"}], "tool_choice": {"type": "none"}}, False),
        ({"tools": [{"name": "f"}], "tool_choice": {"type": "any"}}, True),
        ({"tools": []}, False),
        ({"tools": None}, False),
        ({"tools": {"type": "function"}}, False),
        ({}, False),
    ],
)
def test_tools_that_the_model_may_call(document: dict[str, Any], tools: bool) -> None:
    for operation in ("chat", "messages", "responses"):
        assert read(operation, document).tools is tools
    assert not read("text_completion", document).tools


# Conversation


def turns(*texts: str) -> list[dict[str, Any]]:
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]


def test_all_turns_of_a_conversation_have_one_hash() -> None:
    system = {"role": "system", "content": "Be brief."}
    first = read("chat", {"messages": [system, *turns("Hi")]}).conversation
    assert first is not None
    assert read("chat", {"messages": [system, *turns("Hi", "Hello", "How are you?")]}).conversation == first
    assert read("chat", {"messages": [system, *turns("Ho")]}).conversation != first
    assert read("chat", {"messages": [{"role": "system", "content": "Go on."}, *turns("Hi")]}).conversation != first
    assert read("chat", {"messages": turns("Hi")}).conversation != first


def test_the_hash_does_not_depend_on_the_form_of_the_text() -> None:
    system = {"role": "system", "content": "Be brief."}
    same = {
        read("chat", {"messages": [system, *turns("Hi")]}).conversation,
        read("chat", {"messages": [system, user(said("Hi"))]}).conversation,
        read("messages", {"system": "Be brief.", "messages": turns("Hi")}).conversation,
        read("messages", {"system": [said("Be brief.")], "messages": [user(said("Hi"))]}).conversation,
        read("responses", {"instructions": "Be brief.", "input": "Hi"}).conversation,
        read("responses", {"instructions": "Be brief.", "input": turns("Hi", "Hello", "So?")}).conversation,
    }
    assert len(same) == 1


def test_only_the_beginning_is_hashed() -> None:
    long = "x" * 4096
    assert (
        read("chat", {"messages": turns(long + "a")}).conversation
        == read("chat", {"messages": turns(long + "b")}).conversation
    )
    assert (
        read("chat", {"messages": turns("a" + long)}).conversation
        != read("chat", {"messages": turns("b" + long)}).conversation
    )
    nobody = [{"role": "assistant", "content": "Hello"}] * 8
    assert (
        read("chat", {"messages": [*nobody, *turns("a")]}).conversation
        == read("chat", {"messages": [*nobody, *turns("b")]}).conversation
    )


def test_conversations_of_completions() -> None:
    start = "Once upon a time " * 100
    for operation in ("text_completion", "infill"):
        first = read(operation, {"prompt": start}).conversation
        assert first is not None
        assert read(operation, {"prompt": start + "there was"}).conversation == first
        assert read(operation, {"prompt": "x" + start}).conversation != first
    tokens = list(range(300))
    first = read("text_completion", {"prompt": tokens}).conversation
    assert first is not None
    assert read("text_completion", {"prompt": [*tokens, 1]}).conversation == first
    assert read("text_completion", {"prompt": [1, *tokens]}).conversation != first
    code = read("infill", {"input_prefix": "import json", "prompt": "a"}).conversation
    assert code == read("infill", {"input_prefix": "import json", "prompt": "b"}).conversation


@pytest.mark.parametrize(
    ("operation", "document"),
    [
        ("chat", None),
        ("chat", {}),
        ("chat", {"messages": []}),
        ("chat", {"messages": [user({"type": "image_url"})]}),
        ("text_completion", {"prompt": ""}),
        ("text_completion", {"prompt": []}),
        ("infill", {}),
        ("embeddings", {"input": "Hi", "prompt": "Hi"}),
    ],
)
def test_nothing_to_go_by(operation: str, document: dict[str, Any] | None) -> None:
    assert read(operation, document).conversation is None


# Length


@pytest.mark.parametrize("operation", DIALECTS)
def test_a_long_text_is_a_quarter_as_many_tokens(operation: str) -> None:
    text = "word " * 8000
    document = {
        "messages": [{"role": "user", "content": text}],
        "input": text,
        "prompt": text,
    }
    keys = {"chat": "messages", "messages": "messages", "responses": "input"}
    key = keys.get(operation, "prompt")
    request = read(operation, {key: document[key]})
    assert request.prompt_tokens == pytest.approx(10_000, rel=0.01)
    assert request.prompt_tokens <= request.at_most_tokens <= 10_100


def test_images_are_not_counted_but_tools_are() -> None:
    picture = {"type": "image_url", "image_url": {"url": "x" * 100_000}}
    request = read("chat", {"messages": [user(said("What is this?"), picture)]})
    assert request.prompt_tokens < 20
    assert request.at_most_tokens > 25_000
    tool = {"type": "function", "function": {"name": "f", "description": "x" * 8000}}
    assert 2000 < read("chat", {"messages": QUESTION, "tools": [tool]}).prompt_tokens < 2050
    assert 2000 < read("messages", {"messages": QUESTION, "system": "x" * 8000}).prompt_tokens < 2050


def test_letters_of_other_scripts_count_by_their_bytes() -> None:
    assert read("text_completion", {"prompt": "漢" * 4000}).prompt_tokens == 3000
    assert read("text_completion", {"prompt": "\ud800" * 4000}).prompt_tokens == 3000


def test_token_numbers_are_tokens() -> None:
    request = read("text_completion", {"prompt": [1] * 3000})
    assert request.prompt_tokens == 3000
    assert request.at_most_tokens >= 3000
    assert read("text_completion", {"prompt": ["", *[7] * 3000]}).prompt_tokens == 3000


def test_of_several_prompts_the_longest_counts() -> None:
    assert read("text_completion", {"prompt": ["x" * 400, "x" * 4000, [5] * 20]}).prompt_tokens == 1000
    pictures = {"prompt_string": "x" * 400, "multimodal_data": ["x" * 10_000]}
    assert read("text_completion", {"prompt": [pictures, "x"]}).prompt_tokens == 100


def test_what_is_too_much_to_count_is_taken_at_its_most() -> None:
    documents: list[dict[str, Any]] = [{"messages": QUESTION * 20_000}, {"messages": [[[]] * 20_000] * 2}]
    for document in documents:
        request = read("chat", document)
        assert request.prompt_tokens == request.at_most_tokens
    request = read("text_completion", {"prompt": ["a"] * 20_000})
    assert request.prompt_tokens == request.at_most_tokens


def test_a_body_that_could_not_be_read_is_judged_by_its_size() -> None:
    request = read_request(operation="chat", inference=True, model=None, document=None, request_bytes=4001, headers=())
    assert request.at_most_tokens == 1001
    assert (request.images, request.audio, request.tools) == (False, False, False)
    assert read("embeddings", {"input": "x" * 4000}).prompt_tokens >= 1000


# Headers


def test_routing_headers() -> None:
    request = read(
        "chat",
        {},
        (b"host", b"localhost"),
        (b"x-routing-tier", b" Q4\t"),
        (b"x-routing-complexity", b"moderate "),
        (b"x-routing-score", b" 3.5"),
    )
    assert (request.tier, request.complexity, request.score) == ("Q4", Complexity.MODERATE, 3.5)


def test_of_a_repeated_header_the_first_counts() -> None:
    request = read(
        "chat",
        {},
        (b"x-routing-tier", b"Q2"),
        (b"x-routing-tier", b"Q4"),
        (b"x-routing-score", b"1"),
        (b"x-routing-score", b"nonsense"),
        (b"x-routing-complexity", b"SIMPLE"),
        (b"x-routing-complexity", b"COMPLEX"),
    )
    assert (request.tier, request.complexity, request.score) == ("Q2", Complexity.SIMPLE, 1.0)


def test_without_headers_the_client_has_no_opinion() -> None:
    request = read("chat", {}, (b"x-routing", b"Q4"), (b"x-routing-tiers", b"Q4"))
    assert (request.tier, request.complexity, request.score) == (None, None, None)
    assert read("chat", {}, (b"x-routing-tier", b" ")).tier is None
    assert read("chat", {}, (b"x-routing-tier", b"\xe9")).tier == "é"


@pytest.mark.parametrize("value", ["", "EASY", "SIMPLE, COMPLEX", "2", "\xff", "simple\x00"])
def test_a_complexity_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(RoutingHeaderError, match=r"^X-Routing-Complexity is '.*'; .* SIMPLE, MODERATE or COMPLEX$"):
        read("chat", {}, (b"x-routing-complexity", value.encode("latin-1")))


@pytest.mark.parametrize("value", ["", "high", "-1", "-0.001", "nan", "inf", "1e999", "1_0", "1,5", "0x10", "\xb2"])
def test_a_score_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(RoutingHeaderError, match=r"^X-Routing-Score is '.*'; .* a finite number, 0 or more$"):
        read("chat", {}, (b"x-routing-score", value.encode("latin-1")))


@pytest.mark.parametrize(("value", "score"), [(b"0", 0.0), (b"-0", 0.0), (b"7", 7.0), (b"1e1", 10.0), (b".5", 0.5)])
def test_scores(value: bytes, score: float) -> None:
    read_score = read("chat", {}, (b"x-routing-score", value)).score
    assert str(read_score) == str(score)


def test_a_refusal_quotes_what_it_can_show() -> None:
    with pytest.raises(RoutingError) as refusal:
        read("chat", {}, (b"x-routing-score", b"\x1b[31m\xff\"'<" + b"9" * 8000))
    message = str(refusal.value)
    assert message.isascii()
    assert message.isprintable()
    assert "9999'..." in message
    assert len(message) < 150
    assert refusal.value.status == 400


def test_of_what_generates_nothing_only_the_tier_is_asked() -> None:
    request = read(
        "embeddings", {}, (b"x-routing-tier", b"Q4"), (b"x-routing-score", b"x"), (b"x-routing-complexity", b"x")
    )
    assert (request.tier, request.complexity, request.score) == ("Q4", None, None)
    assert not request.generating


@given(value=st.binary(max_size=60))
def test_any_header_is_read_or_refused(value: bytes) -> None:
    assert (read("chat", {}, (b"x-routing-tier", value)).tier or "").encode("latin-1") == value.strip()
    for name in (b"x-routing-score", b"x-routing-complexity"):
        refusals: list[str] = []
        try:
            request = read("chat", {}, (name, value))
        except RoutingHeaderError as refusal:
            refusals.append(str(refusal))
        else:
            assert request.score is None or request.score >= 0
        assert all(refusal.isascii() and refusal.isprintable() for refusal in refusals)


# Anything


@pytest.mark.parametrize(
    ("model", "name"),
    [("/models/tiny-Q4_K_M.gguf", "tiny-Q4_K_M.gguf"), ("org/model:Q4_0", "org/model:Q4_0"), ("", None), (None, None)],
)
def test_a_model_goes_by_its_public_name(model: str | None, name: str | None) -> None:
    assert read("chat", {}, model=model).model == name


KEYS = [
    *("messages", "input", "prompt", "system", "instructions", "input_prefix", "tools", "functions", "tool_choice"),
    *("role", "content", "type", "text", "output", "prompt_string", "multimodal_data", "source", ""),
]
WORDS = ["user", "system", "tool", "text", "input_text", "image_url", "image", "tool_result", "none", "\ud800", ""]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=5)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(KEYS), inner), max_leaves=15
)
OBJECTS = st.dictionaries(st.sampled_from(KEYS), ANYTHING)


@given(operation=st.sampled_from((*DIALECTS, "embeddings", "other")), document=OBJECTS)
def test_any_json_is_read(operation: str, document: dict[str, Any]) -> None:
    before = repr(document)
    request = read(operation, document)
    assert isinstance(request.text, str)
    assert request.conversation == read(operation, document).conversation
    assert 0 <= request.prompt_tokens <= request.at_most_tokens
    assert all(type(flag) is bool for flag in (request.images, request.audio, request.tools))
    assert repr(document) == before


@pytest.mark.parametrize("operation", DIALECTS)
@pytest.mark.parametrize("key", ["messages", "input", "prompt", "system", "tools", "input_prefix"])
def test_depth_does_no_harm(operation: str, key: str) -> None:
    deep: Any = "bottom"
    for at in range(50_000):
        deep = [deep] if at % 2 else {"role": "user", "type": "tool_result", "content": deep, "prompt_string": deep}
    document = {key: [deep]}
    request = read_request(
        operation=operation, inference=True, model=None, document=document, request_bytes=10**6, headers=()
    )
    assert isinstance(request.text, str)
    assert request.conversation is None or isinstance(request.conversation, int)
    assert request.prompt_tokens <= request.at_most_tokens
    while isinstance(deep, list | dict):  # or else its end would take the interpreter's stack
        deep = deep.pop() if isinstance(deep, list) else deep.popitem()[1]


def test_what_was_said_is_not_shown_by_accident() -> None:
    assert "tier?" not in repr(read("chat", {"messages": QUESTION}))


ROLES = st.sampled_from(["user", "assistant", "system", "tool", None, 7])
CONTENTS = st.sampled_from(
    ["", "hello", "what is it", None, 7, [{"type": "text", "text": "hi"}], [{"type": "image_url"}]]
)
MESSAGES = st.lists(st.fixed_dictionaries({"role": ROLES, "content": CONTENTS}) | st.none(), max_size=6)


@given(MESSAGES, st.sampled_from([{}, {"tools": []}, {"tools": [{}]}, {"functions": [{}]}, {"tool_choice": "none"}]))
def test_the_short_way_leads_where_the_long_one_does(messages: list[Any], more: dict[str, Any]) -> None:
    document = {"messages": messages, **more}
    text = prompt.find_plain_text("chat", document)
    if text is not None:
        assert text == prompt.find_text("chat", document)
        assert not prompt.kinds_of_parts("chat", document)
        assert not prompt.has_tools("chat", document)


def test_a_plain_chat_goes_the_short_way() -> None:
    document = {"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]}
    assert prompt.find_plain_text("chat", document) == "hello"
