"""A store full of the past: records as real ones are, as many as wanted, written as the sidecar writes them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from itertools import islice

from sqlalchemy import func, select

from exporter.record import Attempt, AttemptResult, Outcome, RequestRecord, TokenSource
from exporter.store import batch, migration
from exporter.store.batch import Writing
from exporter.store.database import Database
from exporter.store.rows import Finished
from exporter.store.schema import REQUESTS

DAY_SECONDS = 86_400
AT_A_TIME = 2000
TIERS = ("Q2", "Q3", "Q4")
ORIGINS = (None, "https://chat.example", "https://ide.example", "batch")
FAILURES = (
    (Outcome.UPSTREAM_ERROR, 400, "http_400"),
    (Outcome.UPSTREAM_ERROR, 503, "http_503"),
    (Outcome.CLIENT_GONE, 200, None),
    (Outcome.TIMEOUT, 504, "timeout"),
)


def records(count: int, began: float, ended: float, seed: int = 4) -> Iterator[RequestRecord]:
    """Spread evenly over the time from `began` to `ended` (Unix seconds), in the order in which they finish, more or
    less."""
    rng = random.Random(seed)
    for number in range(count):
        yield _record(rng, began + (ended - began) * number / count)


def _record(rng: random.Random, finished: float) -> RequestRecord:
    good, stream, tier = rng.random() < 0.96, rng.random() < 0.7, rng.choice(TIERS)
    outcome, status, error = (Outcome.COMPLETED, 200, None) if good else rng.choice(FAILURES)
    seconds = rng.uniform(0.05, 8.0)
    return RequestRecord(
        request_id=f"{rng.getrandbits(64):016x}",
        started_at=finished - seconds,
        duration_seconds=seconds,
        outcome=outcome,
        method="POST",
        path="/v1/chat/completions",
        operation="chat",
        inference=True,
        requested_model=f"tiny-{tier.lower()}",
        stream=stream,
        message_count=rng.randrange(1, 12),
        tool_uses=0,
        tool_results=0,
        origin=rng.choice(ORIGINS),
        request_bytes=rng.randrange(200, 20_000),
        upstream=tier,
        provider="llama_cpp",
        tier=tier,
        served_model=f"tiny-{tier.lower()}",
        attempts=(Attempt(tier, AttemptResult.ANSWERED, 0.01, status),),
        decision=None,
        status_code=status,
        response_model=f"tiny-{tier.lower()}",
        response_bytes=rng.randrange(200, 40_000),
        error_type=error,
        finish_reasons=(rng.choice(("stop", "stop", "length")),) if good else (),
        tool_calls=0,
        input_tokens=rng.randrange(1, 2000) if good else None,
        cached_tokens=rng.randrange(100) if good else None,
        output_tokens=rng.randrange(1, 500) if good else None,
        token_source=TokenSource.SERVER if good else None,
        draft_tokens=None,
        draft_accepted_tokens=None,
        overhead_seconds=0.0003,
        first_byte_seconds=0.02,
        ttft_seconds=rng.uniform(0.01, 0.05) if stream and good else None,
        last_token_seconds=seconds if stream and good else None,
        time_per_output_token_seconds=None,
        gaps=None,
        queue_seconds=0.01,
        prompt_seconds=0.02,
        generation_seconds=seconds - 0.05 if good else None,
        prompt_tokens_per_second=2000.0 if good else None,
        output_tokens_per_second=55.5 if good else None,
    )


def fill(
    url: str, count: int, days: float, instance: str = "box", tell: Callable[[int], object] = lambda _: None
) -> int:
    """Write so many requests of the last days, unless they are there already. Microseconds at which the newest of them
    finished."""
    database = Database(url)
    migration.migrate(database)
    with database.read() as connection:
        there, newest = connection.execute(select(func.count(), func.max(REQUESTS.c.finished_us))).one()
    if not there:
        newest = _write(database, count, days, instance, tell)
    elif there < count:
        raise SystemExit(f"{database} holds {there:,} requests; name an empty one, or none")
    database.close()
    assert newest is not None
    return int(newest)


def _write(database: Database, count: int, days: float, instance: str, tell: Callable[[int], object]) -> int:
    now = time.time()
    made = records(count, now - days * DAY_SECONDS, now)
    writing, after, done = Writing(random.getrandbits(62), instance), 0, 0
    while some := [Finished(record, record.requested_model) for record in islice(made, AT_A_TIME)]:
        after = batch.write(database, writing, after, some, []).after
        done += len(some)
        tell(done)
    return round(now * 1_000_000)
