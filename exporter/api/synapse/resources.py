"""What the machine and the llama-servers are doing: the shapes of `resources` and `context-utilization`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from exporter.api.documents import percent
from exporter.api.synapse import slots
from exporter.api.synapse.documents import Cpu, DiskIO, Memory, NetworkThroughput, Resources
from exporter.api.synapse.figures import GIB, MIB, figure
from exporter.api.synapse.status_documents import ContextUtilization
from exporter.system.snapshot import DiskIO as Disk
from exporter.system.snapshot import HostSnapshot, LlamaServerSnapshot, NetworkIO, Snapshot, gpu_memory_bytes


def shape_resources(snapshot: Snapshot, *, connections: int) -> Resources:
    """All nine figures, from what was sampled last."""
    host = snapshot.host
    models = list(slots.models_up(snapshot.servers.values()))
    return {
        "vram": _memory(*gpu_memory_bytes(snapshot.gpus)),
        "cpu": _cpu(host),
        "memory": _memory(host.memory_used_bytes, host.memory_total_bytes) if host else _memory(0, 0),
        "faissIndexSize": max(snapshot.index.bytes, 0) if snapshot.index else 0,
        "redisCacheSize": max(snapshot.redis.used_memory_bytes, 0) if snapshot.redis else 0,
        "activeConnections": max(connections, 0),
        "threadPoolStatus": {
            "active": sum(model.busy_slots or 0 for model in models),
            "queued": sum(model.requests_deferred or 0 for model in models),
        },
        "diskIO": _disks(host.disks if host else ()),
        "networkThroughput": _networks(host.networks if host else ()),
    }


def shape_context_utilization(servers: Iterable[LlamaServerSnapshot], active_queries: int) -> ContextUtilization:
    """How much of the room in all slots is taken by what they work on."""
    models = slots.loaded(servers)
    total = sum(model.context_tokens or 0 for model in models)
    used = min(sum(model.context_tokens_used or 0 for model in models), total)
    return {
        "percentage": percent(used / total if total else 0.0),
        "tokensUsed": used,
        "tokensTotal": total,
        "activeQueries": active_queries,
    }


def _memory(used: int, total: int) -> Memory:
    return {
        "used": figure(used / GIB),
        "total": figure(total / GIB),
        "percent": percent(used / total if total > 0 else 0.0),
    }


def _cpu(host: HostSnapshot | None) -> Cpu:
    return {"percent": percent(host.cpu_utilization if host else None), "cores": host.cpu_count if host else 0}


def _disks(disks: Sequence[Disk]) -> DiskIO:
    return {
        "readMBps": figure(sum(disk.read_bytes_per_second or 0 for disk in disks) / MIB),
        "writeMBps": figure(sum(disk.write_bytes_per_second or 0 for disk in disks) / MIB),
    }


def _networks(networks: Sequence[NetworkIO]) -> NetworkThroughput:
    return {
        "rxMBps": figure(sum(network.receive_bytes_per_second or 0 for network in networks) / MIB),
        "txMBps": figure(sum(network.transmit_bytes_per_second or 0 for network in networks) / MIB),
    }
