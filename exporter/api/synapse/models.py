"""Each model of each llama-server, and how it has done: the shape of `models/status`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from exporter.api.synapse.figures import GIB, MIB, figure, milliseconds, share
from exporter.api.synapse.status_documents import ModelMetrics, ModelsStatus, ModelStatus, State
from exporter.api.views import UpstreamView
from exporter.live.history import SAMPLES, Course, History
from exporter.live.totals import Sums
from exporter.system.snapshot import (
    LlamaServerSnapshot,
    ModelSnapshot,
    ModelState,
    ServerState,
    Snapshot,
    gpu_memory_bytes,
)
from exporter.utc import utc

UNKNOWN_TIER = "unknown"
SERVER_STATES: Mapping[ServerState, State] = {
    ServerState.LOADING: "processing",
    ServerState.UNREACHABLE: "offline",
    ServerState.ERROR: "error",
}
"""What holds for all models of a server, whatever they did before."""
MODEL_STATES: Mapping[ModelState, State] = {
    ModelState.UNLOADED: "offline",
    ModelState.LOADING: "processing",
    ModelState.DOWNLOADING: "processing",
    ModelState.SLEEPING: "idle",
    ModelState.FAILED: "error",
}
DOWN: frozenset[State] = frozenset(("offline", "error"))


class Started(NamedTuple):
    """The time now, in UTC seconds since the epoch, and how long the sidecar has been running by then."""

    now: float
    uptime_seconds: int


class InFlight:
    """Requests to models that are in flight, by the upstream and the model that they were sent to."""

    def __init__(self, sent_to: Iterable[tuple[str | None, str | None]]) -> None:
        self._models = Counter(sent_to)
        self._upstreams: Counter[str | None] = Counter()
        for (upstream, _), count in self._models.items():
            self._upstreams[upstream] += count

    def __len__(self) -> int:
        return self._models.total()

    def at(self, subject: _Subject) -> int:
        """Those of one model; all of its upstream where it has no other."""
        if subject.model is not None and subject.several:
            return self._models[subject.upstream.name, subject.model.id]
        return self._upstreams[subject.upstream.name]


@dataclass(frozen=True, slots=True)
class _Subject:
    """One entry: a model, or an upstream that tells of none."""

    upstream: UpstreamView
    server: LlamaServerSnapshot | None
    """None while nobody has looked."""
    model: ModelSnapshot | None
    several: bool
    """Whether the upstream has more models than this one."""

    @property
    def id(self) -> str:
        return f"{self.upstream.name}/{self.model.id}" if self.model and self.several else self.upstream.name

    @property
    def name(self) -> str:
        return self.model.id if self.model else self.upstream.name

    @property
    def tier(self) -> str:
        if self.model is not None:
            return self.model.tier
        return self.server.tiers[0] if self.server else self.upstream.tier or UNKNOWN_TIER

    @property
    def memory_bytes(self) -> int | None:
        """Size of the model while it is loaded; None where that is not known."""
        up = self.server is not None and self.server.up
        if self.model is None or not up or self.model.state is not ModelState.LOADED:
            return None
        return self.model.size_bytes


class _Account:
    """What is known of an entry's requests: those of its model, and those of which the model was not known."""

    def __init__(self, subject: _Subject, courses: Mapping[tuple[str, str], Course]) -> None:
        upstream, model = subject.upstream.name, subject.model
        if model is None:
            found = [course for key, course in courses.items() if key[0] == upstream]
        else:
            names = (model.id,) if subject.several else ("", model.id)
            found = [courses[upstream, name] for name in names if (upstream, name) in courses]
        found.sort(key=lambda course: course.last_wall)  # what is newest stands last in the samples
        self.queries = sum(course.queries for course in found)
        self.failed = sum(course.failed for course in found)
        self.mean_seconds = sum(course.total_seconds for course in found) / max(self.queries, 1)
        self.last_wall = max((course.last_wall for course in found), default=0.0)
        self.speeds = [figure(speed) for course in found for speed in course.speeds][-SAMPLES:]
        self.latencies = [milliseconds(each) for course in found for each in course.latencies_seconds][-SAMPLES:]


def shape_models_status(
    upstreams: Sequence[UpstreamView],
    snapshot: Snapshot,
    history: History,
    sums: Sums,
    *,
    in_flight: InFlight,
    started: Started,
    sampled: bool,
) -> ModelsStatus:
    """All models, in configured order. `sampled`: whether llama-servers are looked at at all."""
    subjects = {subject.id: subject for subject in _subjects(upstreams, snapshot.servers)}.values()
    accounts = [_Account(subject, history.models) for subject in subjects]
    memory_mib = _memory_mib(snapshot)
    models, metrics = [], []
    for subject, account in zip(subjects, accounts, strict=True):
        state = _state(subject, account, in_flight.at(subject), sampled=sampled)
        models.append(_status(subject, account, state, memory_mib, started))
        metrics.append(_metrics(subject, account))
    vram_used, vram_total = gpu_memory_bytes(snapshot.gpus)
    return {
        "models": models,
        "totalVramGb": figure(vram_total / GIB),
        "totalVramUsedGb": figure(vram_used / GIB),
        "cacheHitRate": share(sums.cached_tokens, sums.input_tokens, 4),
        "activeQueries": len(in_flight),
        "totalRequests": sums.requests,
        "timestamp": utc(started.now),
        "metrics": metrics,
        "metricsTimestamp": utc(started.now),
    }


def _subjects(upstreams: Iterable[UpstreamView], servers: Mapping[str, LlamaServerSnapshot]) -> Iterator[_Subject]:
    for upstream in upstreams:
        server = servers.get(upstream.name)
        if server is None or not server.models:
            yield _Subject(upstream, server, None, several=False)
            continue
        several = server.router or len(server.models) > 1
        for model in server.models:
            yield _Subject(upstream, server, model, several)


def _state(subject: _Subject, account: _Account, in_flight: int, *, sampled: bool) -> State:
    """Pages show figures only where a model is active, idle or processing."""
    server, model = subject.server, subject.model
    if server is None and sampled:
        return "offline"
    if server is not None and server.state in SERVER_STATES:
        return SERVER_STATES[server.state]
    if in_flight or (model is not None and model.busy_slots):
        return "processing"
    if model is not None and model.state in MODEL_STATES:
        return MODEL_STATES[model.state]
    return "active" if account.queries else "idle"


def _memory_mib(snapshot: Snapshot) -> int:
    """Of all GPUs, else of the machine."""
    vram = gpu_memory_bytes(snapshot.gpus)[1]
    host = snapshot.host.memory_total_bytes if snapshot.host else 0
    return (vram or host) // MIB


def _status(subject: _Subject, account: _Account, state: State, memory_mib: int, started: Started) -> ModelStatus:
    used = (subject.memory_bytes or 0) // MIB
    return {
        "id": subject.id,
        "name": subject.name,
        "tier": subject.tier,
        "port": subject.upstream.port,
        "state": state,
        "memoryUsed": used,
        "memoryTotal": max(memory_mib, used, 1),  # clients divide by it
        "requestCount": account.queries,
        "avgResponseTime": milliseconds(account.mean_seconds),
        "lastActive": utc(account.last_wall or started.now - started.uptime_seconds),
        "errorCount": account.failed,
        "uptimeSeconds": 0 if state in DOWN else started.uptime_seconds,
    }


def _metrics(subject: _Subject, account: _Account) -> ModelMetrics:
    memory = [] if subject.memory_bytes is None else [figure(subject.memory_bytes / GIB)]
    return {
        "modelId": subject.id,
        "tokensPerSecond": account.speeds,
        "currentTokensPerSecond": _newest(account.speeds),
        "memoryGb": memory,
        "currentMemoryGb": _newest(memory),
        "latencyMs": account.latencies,
        "currentLatencyMs": _newest(account.latencies),
    }


def _newest(samples: Sequence[float]) -> float:
    return samples[-1] if samples else 0.0
