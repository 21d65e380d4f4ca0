import asyncio
import gzip
import re
import subprocess
from collections.abc import Iterator
from itertools import count

import pytest

from exporter.telemetry.exposition import BLOCK_CHARACTERS, Exposition
from exporter.telemetry.instruments import Counter
from exporter.telemetry.sampled import Sampled
from tests.programs import program
from tests.telemetry.examples import ACCEPT, BUCKETS, GOLDEN, example_sources, example_text
from tests.telemetry.families import STATE, THINGS, Source, histogram, neighbour, requests_into

LINES_PER_SERIES = len(BUCKETS.ttft) + 3


def ticking(step: float) -> Iterator[float]:
    return (number * step for number in count())


async def render_beside_a_neighbour(exposition: Exposition, encoding: str | None = None) -> tuple[bytes, int]:
    """The rendered body, and how many turns another coroutine got meanwhile."""
    async with neighbour() as turns:
        rendered = await exposition.render(None, encoding)
    return rendered.body, len(turns)


@pytest.mark.parametrize("name", sorted(ACCEPT))
def test_the_exposition_is_the_golden_one(name: str) -> None:
    assert example_text(ACCEPT[name]) == (GOLDEN / name).read_text(), (
        "python -m tests.telemetry.examples writes it anew"
    )


def promtool(text: str) -> tuple[int, list[str]]:
    """Exit status and everything that `promtool check metrics` says, on either stream."""
    command = [program("promtool"), "check", "metrics"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_promtool_finds_nothing_but_the_mirrored_names() -> None:
    text = example_text(ACCEPT["text.txt"])
    _, said = promtool(text)
    assert len(said) == 3
    assert all(re.fullmatch(r"llamacpp:\w+ metric names should not contain ':'", line) for line in said)
    assert promtool(re.sub(r"^.*llamacpp:.*\n", "", text, flags=re.M)) == (0, [])


@pytest.mark.parametrize("lines", [5_000, 50_000])
@pytest.mark.parametrize("encoding", [None, "gzip"])
async def test_no_slice_is_longer_than_a_block_when_time_is_short(lines: int, encoding: str | None) -> None:
    family = histogram(lines // LINES_PER_SERIES)
    ticks = ticking(1.0)
    exposition = Exposition(Source(family), clock=lambda: next(ticks), slice_seconds=0.5)
    body, turns = await render_beside_a_neighbour(exposition, encoding)
    text = gzip.decompress(body) if encoding else body
    one_series = len(text) / len(family.all())
    assert text.count(b"\n") >= 0.99 * lines
    assert len(text) / turns <= BLOCK_CHARACTERS + one_series
    assert turns >= len(text) // (BLOCK_CHARACTERS + one_series) - 1


async def test_a_family_of_many_samples_is_cut_too() -> None:
    ticks = ticking(1.0)
    rows = (((str(number),), number) for number in range(20_000))
    exposition = Exposition(Source(Sampled(STATE, rows)), clock=lambda: next(ticks), slice_seconds=0.5)
    body, turns = await render_beside_a_neighbour(exposition)
    assert body.count(b"\n") == 20_002
    assert len(body) / turns <= BLOCK_CHARACTERS + 100


async def test_time_is_not_given_away_while_there_is_enough() -> None:
    exposition = Exposition(Source(histogram(50)), clock=lambda: 0.0)
    body, turns = await render_beside_a_neighbour(exposition)
    assert body.count(b"\n") == 50 * LINES_PER_SERIES + 2
    assert turns == 0


async def test_slices_are_as_long_as_the_time_allows() -> None:
    ticks = ticking(0.0001)
    exposition = Exposition(Source(histogram(200)), clock=lambda: next(ticks), slice_seconds=0.00045)
    body, turns = await render_beside_a_neighbour(exposition)
    blocks = len(body) / BLOCK_CHARACTERS
    assert 0.1 * blocks <= turns <= 0.25 * blocks


async def test_each_series_is_whole_while_requests_go_on() -> None:
    family = histogram(300)
    counter = Counter(THINGS)
    ticks = ticking(1.0)
    exposition = Exposition(Source(family, counter), clock=lambda: next(ticks), slice_seconds=0.5)
    async with requests_into(family, counter):
        text = (await exposition.render(None, None)).body.decode()
    infinite = re.findall(r'model="([^"]+)".*le="\+Inf".* (\S+)\n', text)
    counts = re.findall(r'seconds_count{.*model="([^"]+)".* (\S+)\n', text)
    assert infinite == counts
    assert len({value for _, value in counts}) > 3, "nothing happened between the slices"
    assert "new-" not in text


async def test_gzip_holds_the_same_bytes() -> None:
    plain = await Exposition(*example_sources()).render("text/plain", None)
    compressed = await Exposition(*example_sources()).render("text/plain", "gzip")
    assert plain.content_encoding is None
    assert compressed.content_encoding == "gzip"
    assert gzip.decompress(compressed.body) == plain.body
    assert len(compressed.body) < len(plain.body) / 5


async def test_the_content_type_says_what_the_body_is() -> None:
    exposition = Exposition(*example_sources())
    rendered = await exposition.render("application/openmetrics-text;version=1.0.0;escaping=dots", None)
    assert rendered.content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=dots"
    assert rendered.body.endswith(b"\n# EOF\n")
    assert b"llm__requests__total{gen__ai__operation__name=" in rendered.body


async def test_text_has_no_end_mark() -> None:
    assert b"# EOF" not in (await Exposition(*example_sources()).render(None, None)).body


async def test_a_name_that_cannot_be_encoded_does_not_cost_the_scrape() -> None:
    family = Counter(THINGS)
    family.series(("a\udcffb",)).inc()
    assert b'test_things_total{kind="a?b"} 1.0\n' in (await Exposition(Source(family)).render(None, None)).body


async def test_nothing_to_show_is_an_empty_exposition() -> None:
    assert (await Exposition().render(None, None)).body == b""
    assert (await Exposition().render("application/openmetrics-text", None)).body == b"# EOF\n"


async def test_scrapes_at_the_same_time_do_not_mix() -> None:
    ticks = ticking(1.0)
    exposition = Exposition(Source(histogram(100)), clock=lambda: next(ticks), slice_seconds=0.5)
    alone = await exposition.render(None, None)
    together = await asyncio.gather(exposition.render(None, None), exposition.render(None, "gzip"))
    assert together[0].body == alone.body
    assert gzip.decompress(together[1].body) == alone.body
