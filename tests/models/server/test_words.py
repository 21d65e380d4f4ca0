"""What llama-server says: whose it is, and what of it says why something failed."""

from __future__ import annotations

import pytest

from exporter.models.server.words import MODELS_LIMIT, REASON_LIMIT, ServerWords
from tests.models.managing import Book, Noted


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def words(book: Book, clock: Clock) -> ServerWords:
    return ServerWords(book, clock)


def hear(words: ServerWords, *lines: str) -> None:
    for line in lines:
        words.hear(line)


def spawned(name: str, port: int) -> str:
    return f"0.00.315.585 I srv          load: spawning server instance with name={name} on port {port}"


def failed(port: int, *reasons: str) -> list[str]:
    return [f"[{port:5d}] 0.00.006.299 E {reason}" for reason in reasons]


SHORT = "llama_model_load: error loading model: tensor 'x' is short"
FITTING = "common_fit_params: encountered an error while trying to fit params to free device memory: failed"
EXITING = "srv  llama_server: exiting due to model loading error"
LOADED = "0.00.018.981 I srv  llama_server: model loaded"


def test_lines_have_the_name_of_the_model_that_they_are_about(words: ServerWords, book: Book) -> None:
    hear(
        words,
        "[  801] early",
        spawned("a b on port 7", 801),
        "[  801] 0.00.002.167 W srv  x: careful",
        "[  802] of nobody",
        "",
        "[  801] ",
        "0.00.440.113 I srv           run: instance name=a b on port 7 exited with status 0",
        "0.00.440.113 W srv           run: force-killing model instance name=a b on port 7 after timeout",
        "0.00.440.113 I srv           run: instance name=unknown exited with status 0",
    )
    name = "a b on port 7"
    assert [(line.level, line.model) for line in book.lines] == [
        ("info", None), ("info", name), ("warn", name), ("info", None), ("info", name), ("warn", name), ("info", None),
    ]  # fmt: skip
    assert book.lines[2] == Noted("warn", "srv  x: careful", name)


def test_why_a_load_failed_is_its_first_error_that_follows_from_no_other(words: ServerWords) -> None:
    assert words.last_words("a") is None
    hear(words, spawned("a", 801), *failed(801, FITTING, SHORT, FITTING, EXITING, "srv  x: another"))
    assert words.last_words("a") == "error loading model: tensor 'x' is short"
    assert words.last_words("b") is None


def test_an_error_that_follows_is_better_than_none(words: ServerWords) -> None:
    hear(words, spawned("a", 801), *failed(801, EXITING, FITTING))
    assert words.last_words("a") == "exiting due to model loading error"


def test_a_new_load_has_not_failed_yet(words: ServerWords) -> None:
    hear(words, spawned("a", 801), *failed(801, SHORT), spawned("a", 802))
    assert words.last_words("a") is None
    hear(words, *failed(801, SHORT))
    assert words.last_words("a") is None


def test_on_a_port_that_is_used_again_old_words_do_not_count_but_early_ones_do(
    words: ServerWords, clock: Clock
) -> None:
    hear(words, *failed(801, SHORT), spawned("a", 801))
    assert words.last_words("a") is not None
    clock.now += 5
    hear(words, spawned("b", 801))
    assert words.last_words("b") is None


def test_what_went_wrong_before_a_model_was_loaded_is_not_why_it_died(words: ServerWords) -> None:
    hear(words, spawned("a", 801), *failed(801, SHORT), f"[  801] {LOADED}")
    assert words.last_words("a") is None
    hear(words, *failed(801, "srv  x: first", "srv  x: second", EXITING))
    assert words.last_words("a") == "second"


def test_why_the_server_ended_is_the_last_error_that_follows_from_no_other(words: ServerWords) -> None:
    hear(words, "0.00.004.694 E gguf_init_from_reader: invalid magic characters")
    hear(words, "0.00.004.057 E srv         start: couldn't bind HTTP server socket", *failed(801, SHORT))
    hear(words, "0.00.004.144 E srv  llama_server: exiting due to HTTP server error")
    assert words.own_words() == "couldn't bind HTTP server socket"


def test_what_the_server_said_long_ago_or_before_it_was_ready_is_not_why_it_ended(
    words: ServerWords, clock: Clock
) -> None:
    assert words.own_words() is None
    hear(words, "0.00.004.057 E srv  x: bad")
    words.settle()
    assert words.own_words() is None
    hear(words, "0.00.004.057 E srv  x: worse")
    assert words.own_words() == "worse"
    clock.now += 60
    assert words.own_words() is None


def test_another_server_begins_with_nothing(words: ServerWords, book: Book) -> None:
    hear(words, spawned("a", 801), *failed(801, SHORT), "error: bad")
    words.begin()
    hear(words, "[  801] whose?")
    assert (words.last_words("a"), words.own_words(), book.lines[-1].model) == (None, None, None)


def test_what_is_kept_has_bounds(words: ServerWords) -> None:
    hear(words, "error: ours")
    for number in range(MODELS_LIMIT * 2):
        hear(words, spawned(f"m{number}", 1000 + number), *failed(1000 + number, f"srv  x: {'y' * 5000}"))
    assert {len(words._names), len(words._ports), len(words._reasons)} == {MODELS_LIMIT}
    assert words.last_words("m0") is None
    assert words.last_words(f"m{MODELS_LIMIT * 2 - 1}") == "y" * REASON_LIMIT
    assert words.own_words() == "ours"
