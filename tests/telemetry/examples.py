"""Records, samples and sources for the tests of the telemetry, and the whole exposition that they make.

`python -m tests.telemetry.examples` writes the golden expositions anew; read the difference before you keep it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from exporter.record import (
    Attempt,
    AttemptResult,
    Complexity,
    Decision,
    GapHistogram,
    Outcome,
    RequestRecord,
    RoutingReason,
    TokenSource,
)
from exporter.store.figures import StoreStatus
from exporter.system.snapshot import (
    CollectorStatus,
    DiskIO,
    FileSystem,
    GpuSnapshot,
    HostSnapshot,
    IndexSnapshot,
    LlamaServerSnapshot,
    MirroredSample,
    ModelSnapshot,
    ModelState,
    NetworkIO,
    ProcessSnapshot,
    RedisSnapshot,
    ServerState,
    SlotSnapshot,
    Snapshot,
)
from exporter.telemetry.buckets import Buckets
from exporter.telemetry.exposition import Exposition
from exporter.telemetry.guard import Guard
from exporter.telemetry.lag import EventLoopLag
from exporter.telemetry.prometheus import RequestMetrics
from exporter.telemetry.pushed import PushStatus
from exporter.telemetry.snapshot import SnapshotFamilies
from exporter.telemetry.sources import Sources

GOLDEN = Path(__file__).parents[1] / "golden" / "exposition"
ACCEPT = {"text.txt": "text/plain;version=0.0.4", "openmetrics.txt": "application/openmetrics-text;version=1.0.0"}
NOW = 1_700_000_000.25
BUCKETS = Buckets()
R_LABELS = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "tier", "upstream")

DECISION = Decision(
    reason=RoutingReason.COMPLEXITY,
    complexity=Complexity.COMPLEX,
    score=7.25,
    wanted_tier="Q4",
    fallback=False,
    seconds=0.000015,
)
"""It belongs where it went."""

CHAT = RequestRecord(
    request_id="00000000000000a1",
    started_at=NOW,
    duration_seconds=1.5,
    outcome=Outcome.COMPLETED,
    method="POST",
    path="/v1/chat/completions",
    operation="chat",
    inference=True,
    requested_model="tiny",
    stream=True,
    message_count=2,
    tool_uses=0,
    tool_results=0,
    origin="https://chat.example",
    request_bytes=120,
    upstream="gpu-0",
    provider="llama_cpp",
    tier="Q4",
    served_model="tiny",
    attempts=(Attempt("gpu-0", AttemptResult.ANSWERED, 0.01, 200),),
    decision=DECISION,
    status_code=200,
    response_model="tiny",
    response_bytes=4000,
    error_type=None,
    finish_reasons=("stop",),
    tool_calls=0,
    input_tokens=50,
    cached_tokens=20,
    output_tokens=11,
    token_source=TokenSource.SERVER,
    draft_tokens=8,
    draft_accepted_tokens=5,
    overhead_seconds=0.0003,
    first_byte_seconds=0.02,
    ttft_seconds=0.25,
    last_token_seconds=1.4,
    time_per_output_token_seconds=0.125,
    gaps=GapHistogram(BUCKETS.inter_token, (0, 1, *(0,) * 8, 8, *(0,) * 9), 1.15),
    queue_seconds=0.0,
    prompt_seconds=0.2,
    generation_seconds=1.15,
    prompt_tokens_per_second=150.0,
    output_tokens_per_second=8.5,
)
"""A streamed chat of which everything is known."""


def record(**changes: Any) -> RequestRecord:
    """`CHAT` with some fields changed."""
    return replace(CHAT, **changes)


NOTHING_KNOWN: dict[str, Any] = {
    "decision": None,
    "response_model": None,
    "finish_reasons": (),
    "input_tokens": None,
    "cached_tokens": None,
    "output_tokens": None,
    "token_source": None,
    "draft_tokens": None,
    "draft_accepted_tokens": None,
    "overhead_seconds": None,
    "first_byte_seconds": None,
    "ttft_seconds": None,
    "last_token_seconds": None,
    "time_per_output_token_seconds": None,
    "gaps": None,
    "queue_seconds": None,
    "prompt_seconds": None,
    "generation_seconds": None,
    "prompt_tokens_per_second": None,
    "output_tokens_per_second": None,
}

RECORDS = (
    CHAT,
    record(
        duration_seconds=0.7,
        ttft_seconds=0.1,
        finish_reasons=("length", "stop"),
        attempts=(
            Attempt("cpu", AttemptResult.UNAVAILABLE, 0.02, 503),
            Attempt("gpu-0", AttemptResult.ANSWERED, 0.01, 200),
        ),
        decision=DECISION._replace(complexity=Complexity.SIMPLE, score=0.75, wanted_tier="Q8", fallback=True),
    ),
    record(
        **NOTHING_KNOWN,
        operation="embeddings",
        stream=False,
        requested_model=None,
        outcome=Outcome.UPSTREAM_ERROR,
        error_type="connect_error",
        status_code=502,
        attempts=(
            Attempt("gpu-0", AttemptResult.CONNECT_ERROR, 0.001),
            Attempt("cpu", AttemptResult.DISCONNECTED, 0.2, reused=True),
        ),
        upstream="cpu",
        tier="Q8",
    ),
    record(**NOTHING_KNOWN, outcome=Outcome.CLIENT_GONE, error_type="client_gone", status_code=None),
    record(
        **NOTHING_KNOWN,
        operation="other",
        inference=False,
        stream=False,
        requested_model=None,
        origin=None,
        upstream=None,
        tier="unknown",
        served_model=None,
        attempts=(),
        outcome=Outcome.REJECTED,
        error_type="rejected",
        status_code=401,
    ),
)

HOST = HostSnapshot(
    cpu_count=4,
    cpu_seconds={"user": 1234.5, "system": 300.25, "idle": 2_000_000.0, "iowait": 0.0},
    cpu_utilization=0.125,
    memory_total_bytes=16_000_000_000,
    memory_available_bytes=12_000_000_000,
    memory_used_bytes=4_000_000_000,
    memory_by_state_bytes={
        "used": 3_000_000_000,
        "free": 9_000_000_000,
        "cached": 3_500_000_000,
        "buffers": 500_000_000,
    },
    swap_total_bytes=1_000_000_000,
    swap_used_bytes=250_000_000,
    load_1m=0.5,
    load_5m=0.25,
    load_15m=None,
    boot_time=NOW - 5000,
    file_systems=(FileSystem("/dev/sda1", "/", "ext4", 1000, 700, 250),),
    disks=(DiskIO("sda", 10, 20, 1, 2, None, None),),
    networks=(NetworkIO("eth0", 100, 200, 3, 4, 0, 1, None, None),),
    process=ProcessSnapshot(12.5, 50_000_000, 400_000_000, 23, 4, NOW - 60),
)

GPUS = (
    GpuSnapshot(
        id="GPU-1",
        index=0,
        name="NVIDIA H200",
        vendor="nvidia",
        driver_version="550.54",
        utilization=0.75,
        memory_utilization=0.5,
        memory_total_bytes=150_000_000_000,
        memory_used_bytes=90_000_000_000,
        temperature_celsius=55.0,
        power_watts=350.5,
        power_limit_watts=700.0,
        energy_joules=123_456_789.0,
        fan_ratio=None,
        graphics_clock_hertz=1.98e9,
        memory_clock_hertz=3.2e9,
        throttle_reasons=("sw_power_cap",),
    ),
    GpuSnapshot(id="0000:03:00.0", index=1, name="Radeon", vendor="amd", error="gpu_is_lost"),
)

MIRRORED = (
    MirroredSample("llamacpp:prompt_tokens_total", "counter", "Number of prompt tokens processed", (), 88.0),
    MirroredSample("llamacpp:n_tokens_max", "counter", "Largest observed sequence length", (), 41.0),
    MirroredSample("llamacpp:requests_deferred", "gauge", "Number of requests deferred", (), 0.0),
)

SINGLE = LlamaServerSnapshot(
    upstream="gpu-0",
    tiers=("Q4",),
    state=ServerState.READY,
    health_seconds=0.002,
    build="b9000",
    models=(
        ModelSnapshot(
            id="tiny",
            state=ModelState.LOADED,
            file_name="tiny-Q4_K_M.gguf",
            quantization="Q4_K_M",
            parameters=125_376,
            context_size=2048,
            slots=(SlotSnapshot(0, True, 2048, 512), SlotSnapshot(1, False, 2048, None)),
            total_slots=2,
            mirrored=MIRRORED,
            tier="Q4",
        ),
    ),
)
ROUTER = LlamaServerSnapshot(
    upstream="cpu",
    tiers=("Q8", "Q2"),
    state=ServerState.READY,
    health_seconds=0.004,
    router=True,
    models=(
        ModelSnapshot(
            id="a",
            state=ModelState.LOADED,
            total_slots=4,
            requests_processing=1,
            mirrored=(replace(MIRRORED[0], value=7.0),),
            tier="Q8",
            routed_name="a",
        ),
        ModelSnapshot(id="b", state=ModelState.UNLOADED, tier="Q2", routed_name="b"),
        ModelSnapshot(id="c", state=ModelState.SLEEPING, tier="Q8", routed_name="c"),
    ),
)
DOWN = LlamaServerSnapshot(upstream="spare", tiers=("Q8",), state=ServerState.UNREACHABLE, error="connection refused")

SNAPSHOT = Snapshot(
    host=HOST,
    gpus=GPUS,
    servers={server.upstream: server for server in (SINGLE, ROUTER, DOWN)},
    collectors={
        "host": CollectorStatus("host", True, 0.01, 995.0),
        "nvidia": CollectorStatus("nvidia", False, 0.5, None, "no driver"),
    },
    index=IndexSnapshot(bytes=6_291_501),
    redis=RedisSnapshot(used_memory_bytes=1_048_576),
)

STORE = StoreStatus(
    up=True,
    queue_length=12,
    queue_limit=20_000,
    written=345,
    dropped={"queue_full": 0, "refused": 1, "shutdown": 0},
    write_seconds=0.75,
    size_bytes=1_265_664,
)

PUSHED = PushStatus(
    exports={"traces": 40, "metrics": 7},
    failures={"traces": 2},
    spans_exported=640,
    spans_dropped={"export_failed": 32},
    queue_length=3,
    queue_limit=2048,
)


def sources(snapshot: Snapshot = SNAPSHOT, **changes: Any) -> Sources:
    """Sources over fixed values and fixed clocks."""
    values: dict[str, Any] = {
        "snapshot": lambda: snapshot,
        "in_flight": lambda: [("Q4", "gpu-0", 2), ("unknown", None, 1)],
        "open_connections": lambda: {"proxy": 3, "admin": 1},
        "configured_models": lambda: {"Q4": 1, "Q8": 3},
        "out_of_rotation": frozenset,
        "recorded_availability": dict,
        "sink_errors": {"prometheus": 0, "store": 2},
        "parse_errors": {"openai": 1},
        "task_restarts": {"sampler": 0},
        "version": "0.1.0",
        "store": lambda: STORE,
        "pushed": lambda: PUSHED,
        "python_version": "3.11.0",
        "clock": lambda: 1000.0,
        "wall_clock": lambda: NOW,
    }
    return Sources(**(values | changes))


def request_metrics(
    guard: Guard | None = None, buckets: Buckets | None = None, tiers: Sequence[str] = ()
) -> RequestMetrics:
    """Metrics whose series all began at `NOW`."""
    return RequestMetrics(guard or Guard(wall_clock=lambda: NOW), buckets, tiers=tiers, wall_clock=lambda: NOW)


def example_sources() -> tuple[RequestMetrics, EventLoopLag, SnapshotFamilies]:
    """Everything that an exposition shows, fed with all of the above."""
    metrics = request_metrics(tiers=("Q4", "Q8"))
    for each in RECORDS:
        metrics.record(each)
    for server in SNAPSHOT.servers.values():
        metrics.observe_health(server)
    lag = EventLoopLag(BUCKETS.event_loop_lag, wall_clock=lambda: NOW)
    lag.families()[0].series().observe(0.003)
    return metrics, lag, SnapshotFamilies(sources())


def example_text(accept: str) -> str:
    """The exposition of the examples."""
    return asyncio.run(Exposition(*example_sources()).render(accept, None)).body.decode()


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, accept in ACCEPT.items():
        (GOLDEN / name).write_text(example_text(accept))
