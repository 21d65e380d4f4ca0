"""Are our tokens the engine's own, and is every request one record? `measure` runs it."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx

from exporter.demo.engine import Engine
from exporter.demo.traffic import STEADY_KINDS, Kind, Result, plan, play_all
from tests.end_to_end.records import tagged, wait_for_records
from tests.end_to_end.sidecar import Metrics, Sidecar


def engine_tokens(engine: Engine) -> Counter[str]:
    metrics = Metrics(httpx.get(f"{engine.url}/metrics").text)
    names = ("prompt_tokens_total", "prompt_tokens_cached_total", "tokens_predicted_total")
    return Counter({name: int(metrics.sum(f"llamacpp:{name}")) for name in names})


def measure_accuracy(engine: Engine, requests: int, users: int) -> None:
    steady = tagged(plan(11, requests, STEADY_KINDS))
    mixed = tagged(plan(12, requests, frozenset(Kind)))
    with Sidecar("--upstream", engine.url, "--log-level", "debug") as sidecar:
        before = engine_tokens(engine)
        views = asyncio.run(play_all(sidecar.proxy, steady, users=users))
        grown = engine_tokens(engine) - before
        records = wait_for_records(sidecar, len(steady))
        print_tokens(sidecar.metrics(), grown, records)
        assert all(view.result is not Result.BROKEN for view in views)
    with Sidecar("--upstream", engine.url, "--log-level", "debug") as sidecar:
        views = asyncio.run(play_all(sidecar.proxy, mixed, users=users))
        records = wait_for_records(sidecar, len(mixed))
        print(f"\nmixed traffic, clients that leave included: {len(mixed)} requests, {len(records)} records")
        print("  as clients saw them:", dict(Counter(str(view.result) for view in views)))
        print("  as recorded:        ", dict(Counter(str(record["outcome"]) for record in records.values())))


def print_tokens(metrics: Metrics, grown: Counter[str], records: dict[str, dict[str, object]]) -> None:
    ours = {
        kind: int(metrics.sum("gen_ai_client_token_usage_sum", gen_ai_token_type=kind)) for kind in ("input", "output")
    }
    unknown = sum(
        entry["path"] == "/v1/messages" and entry["status"] == 200 and entry["input_tokens"] is None
        for entry in records.values()
    )
    prompt = grown["prompt_tokens_total"] + grown["prompt_tokens_cached_total"]
    print(f"steady traffic: {len(records)} requests, {len(records)} records")
    print(f"  input tokens:  ours {ours['input']}, engine {prompt} ({grown['prompt_tokens_cached_total']} cached)")
    print(f"  output tokens: ours {ours['output']}, engine {grown['tokens_predicted_total']}")
    print(f"  messages streams without message_start, whose input cannot be known: {unknown}")
