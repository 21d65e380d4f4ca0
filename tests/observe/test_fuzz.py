"""Nothing that a client or a server sends makes an observation raise, or hold more than it may."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.observe.observation import Look, Observation
from exporter.record import Outcome
from tests.observe.replays import EXCHANGES, STREAMS, Exchange, begin, replay

LOOK = Look(request_bytes=500, answer_bytes=600, frame_bytes=300)
METHODS = st.sampled_from(["GET", "POST", "HEAD", "DELETE", "OPTIONS", "\u017f", ""])
PATHS = st.sampled_from([exchange.path for exchange in EXCHANGES.values()]) | st.text(max_size=300)
KINDS = st.sampled_from([b"text/event-stream", b"application/json", b"application/problem+json", b"text/html"])
ENCODINGS = st.sampled_from([b"", b"identity", b"gzip", b"deflate", b"br", b"\xff"])
WORDS = st.sampled_from(
    [
        b"data: ", b"data:", b"event: ", b"error: ", b"proxy error: ", b"\n\n", b"\n", b"\r", b": ", b"[DONE]",
        b"{", b"}", b"[", b"]",
        b'"', b"\\", b",", b"null", b"1e999", b"-1", b"\xe2\x80\xa8", b"\xff", b'"usage":', b'"timings":', b'"index":',
        b'"choices":', b'"delta":{"content":"', b'"finish_reason":null', b'"stop":false', b'"content":"', b'"text":"',
        b'"type":"response.x.delta"', b'"delta":"', b'"error":{', b'"type":"content_block_delta"',
    ]
)  # fmt: skip
BYTES = st.binary(max_size=200) | st.lists(WORDS, max_size=40).map(b"".join)
OUTCOMES = st.none() | st.sampled_from(list(Outcome))


@given(
    st.tuples(METHODS, PATHS, st.binary(max_size=50)),
    st.lists(BYTES, max_size=5),
    st.tuples(st.integers(100, 599), KINDS, ENCODINGS),
    st.lists(BYTES, max_size=8),
    OUTCOMES,
)
@settings(max_examples=400, deadline=None)
def test_anything(
    head: tuple[str, str, bytes],
    request: list[bytes],
    answer: tuple[int, bytes, bytes],
    body: list[bytes],
    outcome: Outcome | None,
) -> None:
    method, path, query = head
    status, kind, encoding = answer
    observation = Observation(
        now=0.0, wall=0.0, request_id="", method=method, path=path, query=b"model=" + query, look=LOOK,
        headers=[(b"content-type", kind), (b"content-encoding", encoding), (b"origin", query)],
    )  # fmt: skip
    for chunk in request:
        observation.feed_request(chunk)
    observation.end_request()
    observation.answer(1.0, status, [(b"content-type", kind), (b"content-encoding", encoding)])
    for chunk in body:
        observation.feed(2.0, chunk)
        assert observation.retained_bytes < 4000
    record = observation.finish(3.0, outcome)
    assert record.response_bytes == sum(map(len, body))
    assert (record.error_type is None) == (record.outcome is Outcome.COMPLETED)
    assert record.output_tokens is None or record.output_tokens >= 0


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Exchange, list[bytes]]:
    """A captured exchange whose answer has bytes changed, removed and doubled, cut into pieces."""
    exchange = EXCHANGES[draw(st.sampled_from(sorted(EXCHANGES)))]
    body = bytearray(exchange.body)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(len(body) - 1, 0)))
        length = draw(st.integers(0, 30))
        body[at : at + length] = draw(st.sampled_from([b"", bytes(body[at : at + length]) * 2]) | BYTES)
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=6)))
    return exchange, [bytes(body[begin:end]) for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]


@given(mutated(), OUTCOMES)
@settings(max_examples=400, deadline=None)
def test_mutated_captures(mutation: tuple[Exchange, list[bytes]], outcome: Outcome | None) -> None:
    exchange, pieces = mutation
    observation = begin(exchange, LOOK)
    for piece in pieces:
        observation.feed(2.0, piece)
    record = observation.finish(3.0, outcome)
    assert record.response_bytes == sum(map(len, pieces))
    assert replay(exchange, pieces, LOOK) == replay(exchange, [b"".join(pieces)], LOOK)


@given(st.sampled_from(sorted(STREAMS)), st.data())
@settings(max_examples=200, deadline=None)
def test_random_splits_change_nothing(name: str, data: st.DataObject) -> None:
    exchange = STREAMS[name]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(exchange.body)), max_size=12)))
    pieces = [exchange.body[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(exchange.body)], strict=True)]
    assert replay(exchange, pieces) == replay(exchange)
