"""Every metric once: name, type, unit, labels, buckets, meaning, and what feeds it.

The instruments, the snapshot families, the generated reference and the tests read it; no metric name stands anywhere
else. Where the OpenTelemetry conventions name a metric, the name here is the one that Prometheus gives it when it
arrives by OTLP.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Metric types, in OpenMetrics' words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


class Feed(StrEnum):
    """Where values come from."""

    RECORD = "every finished request"
    INFERENCE = "every finished request that ran the model"
    LIVE = "the moment of the scrape"
    SERVER = "the latest sample of each llama-server"
    HOST = "the latest sample of the host"
    GPU = "the latest sample of each GPU"
    INDEX = "the latest sample of the index files"
    REDIS = "the latest sample of Redis"
    HEALTH = "every health check"
    SELF = "the sidecar's own bookkeeping"
    TIMER = "a timer, every half second"


SUFFIXES = {Kind.COUNTER: "_total", Kind.INFO: "_info"}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family."""

    name: str
    """Base name, without the `_total` of a counter and the `_info` of an info metric."""
    kind: Kind
    help: str
    feed: Feed
    unit: str = ""
    """What the value counts: seconds, bytes, ratio, tokens, ...; empty for states and plain numbers."""
    labels: tuple[str, ...] = ()
    buckets: str = ""
    """For a histogram: which field of `Buckets`."""
    convention: str = ""
    """The OpenTelemetry metric that this is; empty when the conventions name none."""

    @property
    def sample_name(self) -> str:
        """The name of its samples in a query; of a histogram's, without `_bucket`, `_count` and `_sum`."""
        return self.name + SUFFIXES.get(self.kind, "")

    @property
    def suffix_unit(self) -> str:
        """The unit where the name ends in it, as OpenMetrics demands of a UNIT line; else empty."""
        return self.unit if self.unit and self.name.endswith("_" + self.unit) else ""


# Requests

R = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "tier", "upstream")
"""Labels of a request."""

REQUEST_DURATION = Metric(
    "gen_ai_server_request_duration_seconds",
    Kind.HISTOGRAM,
    "Time from the head of a request to the end of its answer as the client saw it, aborted requests included.",
    Feed.INFERENCE,
    unit="seconds",
    labels=(*R, "error_type"),
    buckets="duration",
    convention="gen_ai.server.request.duration",
)
TIME_TO_FIRST_TOKEN = Metric(
    "gen_ai_server_time_to_first_token_seconds",
    Kind.HISTOGRAM,
    "Time from the head of a request to the first streamed chunk with content.",
    Feed.INFERENCE,
    unit="seconds",
    labels=R,
    buckets="ttft",
    convention="gen_ai.server.time_to_first_token",
)
TIME_PER_OUTPUT_TOKEN = Metric(
    "gen_ai_server_time_per_output_token_seconds",
    Kind.HISTOGRAM,
    "Time per output token after the first, averaged over each completed stream.",
    Feed.INFERENCE,
    unit="seconds",
    labels=R,
    buckets="per_token",
    convention="gen_ai.server.time_per_output_token",
)
INTER_TOKEN_LATENCY = Metric(
    "llm_inter_token_latency_seconds",
    Kind.HISTOGRAM,
    "Gap between two consecutive chunks with content of a stream.",
    Feed.INFERENCE,
    unit="seconds",
    labels=R,
    buckets="inter_token",
)
OUTPUT_SPEED = Metric(
    "llm_output_tokens_per_second",
    Kind.HISTOGRAM,
    "Decode speed of a request: as the server timed it, else measured between the first and the last chunk.",
    Feed.INFERENCE,
    unit="tokens_per_second",
    labels=R,
    buckets="output_speed",
)
PROMPT_SPEED = Metric(
    "llm_prompt_tokens_per_second",
    Kind.HISTOGRAM,
    "Prefill speed of a request on prompt tokens that were not cached, as the server timed it.",
    Feed.INFERENCE,
    unit="tokens_per_second",
    labels=R,
    buckets="prompt_speed",
)
QUEUE_TIME = Metric(
    "llm_queue_time_seconds",
    Kind.HISTOGRAM,
    "Waiting inside the server before the prompt was evaluated, where the server gave timings.",
    Feed.INFERENCE,
    unit="seconds",
    labels=R,
    buckets="queue",
)
PROXY_OVERHEAD = Metric(
    "llm_proxy_overhead_seconds",
    Kind.HISTOGRAM,
    "Time that the sidecar itself added before the upstream had the request.",
    Feed.INFERENCE,
    unit="seconds",
    labels=R,
    buckets="overhead",
)
TOKEN_USAGE = Metric(
    "gen_ai_client_token_usage",
    Kind.HISTOGRAM,
    "Tokens of a request by type (input, output); the sums are the token counters.",
    Feed.INFERENCE,
    unit="tokens",
    labels=(*R, "gen_ai_token_type"),
    buckets="tokens",
    convention="gen_ai.client.token.usage",
)
CACHED_TOKENS = Metric(
    "llm_prompt_cached_tokens",
    Kind.COUNTER,
    "Prompt tokens that were served from the prompt cache.",
    Feed.INFERENCE,
    unit="tokens",
    labels=R,
)
DRAFT_TOKENS = Metric(
    "llm_draft_tokens",
    Kind.COUNTER,
    "Tokens drafted by speculative decoding, where the server gave timings.",
    Feed.INFERENCE,
    unit="tokens",
    labels=R,
)
DRAFT_TOKENS_ACCEPTED = Metric(
    "llm_draft_tokens_accepted",
    Kind.COUNTER,
    "Drafted tokens that the model accepted, where the server gave timings.",
    Feed.INFERENCE,
    unit="tokens",
    labels=R,
)
REQUESTS = Metric(
    "llm_requests",
    Kind.COUNTER,
    "Finished requests of every kind, by outcome and by the status that the client was sent.",
    Feed.RECORD,
    unit="requests",
    labels=(*R, "stream", "outcome", "http_response_status_code"),
)
ORIGIN_REQUESTS = Metric(
    "llm_origin_requests",
    Kind.COUNTER,
    "Finished requests of every kind, by the application that they came from.",
    Feed.RECORD,
    unit="requests",
    labels=("origin",),
)
FINISH_REASONS = Metric(
    "llm_request_finish_reasons",
    Kind.COUNTER,
    "Why generation ended, one per choice of an answer, as the server names it.",
    Feed.INFERENCE,
    unit="reasons",
    labels=(*R, "finish_reason"),
)
REQUESTS_IN_FLIGHT = Metric(
    "llm_requests_in_flight",
    Kind.GAUGE,
    "Requests being served now.",
    Feed.LIVE,
    unit="requests",
    labels=("tier", "upstream"),
)

# Routing

ROUTING_DECISIONS = Metric(
    "llm_routing_decisions",
    Kind.COUNTER,
    "Requests that were routed, by how complex they were taken to be, by the tier that they went to, and by whether "
    "that was a fallback.",
    Feed.RECORD,
    unit="decisions",
    labels=("complexity", "tier", "fallback"),
)
ROUTING_SCORE = Metric(
    "llm_routing_score",
    Kind.HISTOGRAM,
    "Complexity scores of the requests that were routed; those whose client gave the complexity alone have none.",
    Feed.RECORD,
    labels=("complexity", "tier"),
    buckets="score",
)
ROUTING_DECISION_DURATION = Metric(
    "llm_routing_decision_duration_seconds",
    Kind.HISTOGRAM,
    "Time that it took to decide where a request goes.",
    Feed.RECORD,
    unit="seconds",
    buckets="decision",
)

# Upstreams

TIER_MODELS_CONFIGURED = Metric(
    "llm_tier_models_configured",
    Kind.GAUGE,
    "Models that the configuration gives a tier.",
    Feed.LIVE,
    unit="models",
    labels=("tier",),
)
TIER_MODELS_AVAILABLE = Metric(
    "llm_tier_models_available",
    Kind.GAUGE,
    "Models of a tier that can answer now: loaded or sleeping, on an upstream that is ready.",
    Feed.SERVER,
    unit="models",
    labels=("tier",),
)
UPSTREAM_UP = Metric(
    "llm_upstream_up",
    Kind.GAUGE,
    "Whether the last health check found the upstream ready.",
    Feed.SERVER,
    labels=("upstream", "tier"),
)
UPSTREAM_HEALTH_CHECK = Metric(
    "llm_upstream_health_check_duration_seconds",
    Kind.HISTOGRAM,
    "Round trip of the health checks that were answered.",
    Feed.HEALTH,
    unit="seconds",
    labels=("upstream",),
    buckets="health_check",
)
UPSTREAM_ATTEMPTS = Metric(
    "llm_upstream_attempts",
    Kind.COUNTER,
    "Tries to have an upstream answer a request, by how they ended; retries and fallbacks show here.",
    Feed.RECORD,
    unit="attempts",
    labels=("upstream", "result"),
)
UPSTREAM_SLOTS = Metric(
    "llm_upstream_slots",
    Kind.GAUGE,
    "Slots of a model by state (idle, processing).",
    Feed.SERVER,
    unit="slots",
    labels=("upstream", "model", "state"),
)
UPSTREAM_CONTEXT_USED = Metric(
    "llm_upstream_context_used_ratio",
    Kind.GAUGE,
    "Share of a slot's context that its last or present prompt and answer fill.",
    Feed.SERVER,
    unit="ratio",
    labels=("upstream", "model", "slot"),
)
UPSTREAM_MODEL_STATE = Metric(
    "llm_upstream_model_state",
    Kind.GAUGE,
    "1 for the state that a model is in, 0 for the others.",
    Feed.SERVER,
    labels=("upstream", "model", "state"),
)
UPSTREAM_INFO = Metric(
    "llm_upstream",
    Kind.INFO,
    "What an upstream serves; a label is empty where the server does not tell.",
    Feed.SERVER,
    labels=("upstream", "tier", "model", "quantization", "context_size", "parameters", "build"),
)

# Host

CPU_TIME = Metric(
    "system_cpu_time_seconds",
    Kind.COUNTER,
    "CPU time since boot by mode, summed over all CPUs.",
    Feed.HOST,
    unit="seconds",
    labels=("cpu_mode",),
    convention="system.cpu.time",
)
CPU_UTILIZATION = Metric(
    "system_cpu_utilization_ratio",
    Kind.GAUGE,
    "Share of all CPU time that was spent busy between the last two samples.",
    Feed.HOST,
    unit="ratio",
    convention="system.cpu.utilization",
)
LOGICAL_CPUS = Metric(
    "system_logical_cpus",
    Kind.GAUGE,
    "Logical CPUs. Not the conventions' system.cpu.logical.count: Prometheus reserves names in _count for histograms.",
    Feed.HOST,
    unit="cpus",
)
LOAD_1M = Metric(
    "system_cpu_load_average_1m",
    Kind.GAUGE,
    "Load average over 1 minute, under the name that the OpenTelemetry Collector gives it.",
    Feed.HOST,
)
LOAD_5M = Metric("system_cpu_load_average_5m", Kind.GAUGE, "Load average over 5 minutes.", Feed.HOST)
LOAD_15M = Metric("system_cpu_load_average_15m", Kind.GAUGE, "Load average over 15 minutes.", Feed.HOST)
MEMORY_USAGE = Metric(
    "system_memory_usage_bytes",
    Kind.GAUGE,
    "Memory by state.",
    Feed.HOST,
    unit="bytes",
    labels=("system_memory_state",),
    convention="system.memory.usage",
)
MEMORY_LIMIT = Metric(
    "system_memory_limit_bytes",
    Kind.GAUGE,
    "All memory of the host.",
    Feed.HOST,
    unit="bytes",
    convention="system.memory.limit",
)
MEMORY_AVAILABLE = Metric(
    "system_memory_linux_available_bytes",
    Kind.GAUGE,
    "Memory that programs can have without swapping, as the kernel estimates it.",
    Feed.HOST,
    unit="bytes",
    convention="system.memory.linux.available",
)
PAGING_USAGE = Metric(
    "system_paging_usage_bytes",
    Kind.GAUGE,
    "Swap space by state (used, free).",
    Feed.HOST,
    unit="bytes",
    labels=("system_paging_state",),
    convention="system.paging.usage",
)
FILESYSTEM_USAGE = Metric(
    "system_filesystem_usage_bytes",
    Kind.GAUGE,
    "Space of a file system by state (used, free, reserved).",
    Feed.HOST,
    unit="bytes",
    labels=(
        "system_device",
        "system_filesystem_mountpoint",
        "system_filesystem_type",
        "system_filesystem_state",
    ),
    convention="system.filesystem.usage",
)
FILESYSTEM_LIMIT = Metric(
    "system_filesystem_limit_bytes",
    Kind.GAUGE,
    "All space of a file system.",
    Feed.HOST,
    unit="bytes",
    labels=("system_device", "system_filesystem_mountpoint", "system_filesystem_type"),
    convention="system.filesystem.limit",
)
DISK_IO = Metric(
    "system_disk_io_bytes",
    Kind.COUNTER,
    "Bytes read from and written to a block device since boot.",
    Feed.HOST,
    unit="bytes",
    labels=("system_device", "disk_io_direction"),
    convention="system.disk.io",
)
DISK_OPERATIONS = Metric(
    "system_disk_operations",
    Kind.COUNTER,
    "Reads and writes of a block device since boot.",
    Feed.HOST,
    unit="operations",
    labels=("system_device", "disk_io_direction"),
    convention="system.disk.operations",
)
NETWORK_IO = Metric(
    "system_network_io_bytes",
    Kind.COUNTER,
    "Bytes received and sent by a network interface since boot.",
    Feed.HOST,
    unit="bytes",
    labels=("network_interface_name", "network_io_direction"),
    convention="system.network.io",
)
NETWORK_PACKETS = Metric(
    "system_network_packet_count",
    Kind.COUNTER,
    "Packets received and sent by a network interface since boot; the conventions call the interface a device here.",
    Feed.HOST,
    unit="packets",
    labels=("system_device", "network_io_direction"),
    convention="system.network.packet.count",
)
NETWORK_ERRORS = Metric(
    "system_network_errors",
    Kind.COUNTER,
    "Errors while receiving and sending on a network interface since boot.",
    Feed.HOST,
    unit="errors",
    labels=("network_interface_name", "network_io_direction"),
    convention="system.network.errors",
)
SYSTEM_UPTIME = Metric(
    "system_uptime_seconds",
    Kind.GAUGE,
    "Time since the host booted.",
    Feed.HOST,
    unit="seconds",
    convention="system.uptime",
)

# What applications keep beside the models

INDEX_SIZE = Metric(
    "llm_index_size_bytes",
    Kind.GAUGE,
    "Size of the vector indexes (`sampling.index_paths`) on disk; absent where none is configured.",
    Feed.INDEX,
    unit="bytes",
)
REDIS_USED_MEMORY = Metric(
    "llm_redis_used_memory_bytes",
    Kind.GAUGE,
    "Memory that Redis (`sampling.redis_url`) has allocated; absent where none is configured.",
    Feed.REDIS,
    unit="bytes",
)

# The sidecar's process

PROCESS_CPU_TIME = Metric(
    "process_cpu_time_seconds",
    Kind.COUNTER,
    "CPU time that the sidecar has used, in user and system mode together.",
    Feed.HOST,
    unit="seconds",
    convention="process.cpu.time",
)
PROCESS_MEMORY = Metric(
    "process_memory_usage_bytes",
    Kind.GAUGE,
    "Physical memory of the sidecar.",
    Feed.HOST,
    unit="bytes",
    convention="process.memory.usage",
)
PROCESS_VIRTUAL_MEMORY = Metric(
    "process_memory_virtual_bytes",
    Kind.GAUGE,
    "Virtual memory of the sidecar.",
    Feed.HOST,
    unit="bytes",
    convention="process.memory.virtual",
)
PROCESS_OPEN_FDS = Metric(
    "process_open_fds",
    Kind.GAUGE,
    "Open file descriptors of the sidecar, under the name that Prometheus' own clients give it.",
    Feed.HOST,
    unit="fds",
)
PROCESS_THREADS = Metric("process_threads", Kind.GAUGE, "Threads of the sidecar.", Feed.HOST, unit="threads")
PROCESS_UPTIME = Metric(
    "process_uptime_seconds",
    Kind.GAUGE,
    "Time since the sidecar was started.",
    Feed.HOST,
    unit="seconds",
    convention="process.uptime",
)

# GPUs

G = ("hw_id", "hw_name", "hw_vendor", "gpu_index")
"""Labels of a GPU."""

GPU_INFO = Metric("hw_gpu", Kind.INFO, "The GPUs and their driver.", Feed.GPU, labels=(*G, "hw_driver_version"))
GPU_STATUS = Metric(
    "hw_gpu_status",
    Kind.GAUGE,
    "1 for the state that a GPU is in (ok, failed), 0 for the other; a lost GPU has failed.",
    Feed.GPU,
    labels=(*G, "hw_state"),
    convention="hw.status",
)
GPU_UTILIZATION = Metric(
    "hw_gpu_utilization_ratio",
    Kind.GAUGE,
    "Share of the driver's latest sampling period (0.2 to 1 s) in which a kernel was running.",
    Feed.GPU,
    unit="ratio",
    labels=(*G, "hw_gpu_task"),
    convention="hw.gpu.utilization",
)
GPU_MEMORY_CONTROLLER = Metric(
    "hw_gpu_memory_controller_utilization_ratio",
    Kind.GAUGE,
    "Share of the driver's latest sampling period (0.2 to 1 s) in which GPU memory was read or written.",
    Feed.GPU,
    unit="ratio",
    labels=G,
)
GPU_MEMORY_USAGE = Metric(
    "hw_gpu_memory_usage_bytes",
    Kind.GAUGE,
    "GPU memory in use, without what the driver keeps for itself.",
    Feed.GPU,
    unit="bytes",
    labels=G,
    convention="hw.gpu.memory.usage",
)
GPU_MEMORY_LIMIT = Metric(
    "hw_gpu_memory_limit_bytes",
    Kind.GAUGE,
    "All memory of the GPU.",
    Feed.GPU,
    unit="bytes",
    labels=G,
    convention="hw.gpu.memory.limit",
)
GPU_TEMPERATURE = Metric(
    "hw_gpu_temperature_celsius",
    Kind.GAUGE,
    "Temperature of the GPU.",
    Feed.GPU,
    unit="celsius",
    labels=G,
    convention="hw.temperature",
)
GPU_POWER = Metric(
    "hw_gpu_power_watts",
    Kind.GAUGE,
    "Power that the GPU draws; the mean of a second on newer GPUs.",
    Feed.GPU,
    unit="watts",
    labels=G,
    convention="hw.power",
)
GPU_POWER_LIMIT = Metric(
    "hw_gpu_power_limit_watts",
    Kind.GAUGE,
    "Power that the GPU may draw.",
    Feed.GPU,
    unit="watts",
    labels=G,
)
GPU_ENERGY = Metric(
    "hw_gpu_energy_joules",
    Kind.COUNTER,
    "Energy that the GPU has used since its driver was loaded.",
    Feed.GPU,
    unit="joules",
    labels=G,
    convention="hw.energy",
)
GPU_FAN = Metric(
    "hw_gpu_fan_speed_ratio",
    Kind.GAUGE,
    "Fan speed as a share of its maximum.",
    Feed.GPU,
    unit="ratio",
    labels=G,
    convention="hw.fan.speed_ratio",
)
GPU_CLOCK = Metric(
    "hw_gpu_clock_hertz",
    Kind.GAUGE,
    "Clock frequency by clock (graphics, memory).",
    Feed.GPU,
    unit="hertz",
    labels=(*G, "clock"),
)
GPU_THROTTLE_REASON = Metric(
    "hw_gpu_throttle_reason",
    Kind.GAUGE,
    "1 for each reason for which the GPU's clocks are held down now, 0 for the other reasons.",
    Feed.GPU,
    labels=(*G, "reason"),
)

# The sidecar itself

SIDECAR_BUILD = Metric(
    "llm_sidecar_build",
    Kind.INFO,
    "Version of the sidecar and of the Python that runs it.",
    Feed.SELF,
    labels=("version", "python_version"),
)
SIDECAR_OPEN_CONNECTIONS = Metric(
    "llm_sidecar_open_connections",
    Kind.GAUGE,
    "Clients that are connected: to the proxy, busy or not; to the admin listener, by its live streams.",
    Feed.LIVE,
    unit="connections",
    labels=("listener",),
)
SIDECAR_SINK_ERRORS = Metric(
    "llm_sidecar_sink_errors",
    Kind.COUNTER,
    "Finished requests that a consumer of records failed on.",
    Feed.SELF,
    unit="errors",
    labels=("sink",),
)
SIDECAR_PARSE_ERRORS = Metric(
    "llm_sidecar_parse_errors",
    Kind.COUNTER,
    "Answers that could not be understood; they were forwarded all the same.",
    Feed.SELF,
    unit="errors",
    labels=("dialect",),
)
SIDECAR_LABEL_OVERFLOW = Metric(
    "llm_sidecar_label_overflow",
    Kind.COUNTER,
    "Label values that became `other` because too many different ones had been seen.",
    Feed.SELF,
    unit="values",
    labels=("label",),
)
SIDECAR_TASK_RESTARTS = Metric(
    "llm_sidecar_task_restarts",
    Kind.COUNTER,
    "Restarts of background work; `llama_server` is the llama-server that the sidecar runs.",
    Feed.SELF,
    unit="restarts",
    labels=("task",),
)
SIDECAR_COLLECTOR_DURATION = Metric(
    "llm_sidecar_collector_duration_seconds",
    Kind.GAUGE,
    "Time that a collector's last run took.",
    Feed.SELF,
    unit="seconds",
    labels=("collector",),
)
SIDECAR_COLLECTOR_SUCCESS = Metric(
    "llm_sidecar_collector_success",
    Kind.GAUGE,
    "Whether a collector's last run succeeded.",
    Feed.SELF,
    labels=("collector",),
)
SIDECAR_SAMPLE_AGE = Metric(
    "llm_sidecar_sample_age_seconds",
    Kind.GAUGE,
    "Time since a collector last succeeded; absent when it never has.",
    Feed.SELF,
    unit="seconds",
    labels=("collector",),
)
SIDECAR_STORE_UP = Metric(
    "llm_sidecar_store_up",
    Kind.GAUGE,
    "Whether the store is open and took the last batch; nothing is shown of it where none is configured.",
    Feed.SELF,
)
SIDECAR_STORE_QUEUE_LENGTH = Metric(
    "llm_sidecar_store_queue_length",
    Kind.GAUGE,
    "Finished requests and samples that wait to be written to the store.",
    Feed.SELF,
    unit="records",
)
SIDECAR_STORE_QUEUE_LIMIT = Metric(
    "llm_sidecar_store_queue_limit",
    Kind.GAUGE,
    "How many may wait (`store.queue_records`); what comes beyond that is dropped.",
    Feed.SELF,
    unit="records",
)
SIDECAR_STORE_WRITTEN = Metric(
    "llm_sidecar_store_written_records",
    Kind.COUNTER,
    "Finished requests and samples that were written to the store.",
    Feed.SELF,
    unit="records",
)
SIDECAR_STORE_DROPPED = Metric(
    "llm_sidecar_store_dropped_records",
    Kind.COUNTER,
    "Finished requests and samples that the store will never have, by why.",
    Feed.SELF,
    unit="records",
    labels=("reason",),
)
SIDECAR_STORE_WRITE_TIME = Metric(
    "llm_sidecar_store_write_seconds",
    Kind.COUNTER,
    "Time spent with writing to the store; traffic never waits for it.",
    Feed.SELF,
    unit="seconds",
)
SIDECAR_STORE_SIZE = Metric(
    "llm_sidecar_store_size_bytes",
    Kind.GAUGE,
    "Disk space of everything in the store, of all sidecars that share it; absent while unknown.",
    Feed.SELF,
    unit="bytes",
)
SIDECAR_OTLP_EXPORTS = Metric(
    "llm_sidecar_otlp_exports",
    Kind.COUNTER,
    "Exports by OpenTelemetry that the receiver has taken, by signal; nothing is shown of a signal that is not pushed.",
    Feed.SELF,
    unit="exports",
    labels=("signal",),
)
SIDECAR_OTLP_EXPORT_FAILURES = Metric(
    "llm_sidecar_otlp_export_failures",
    Kind.COUNTER,
    "Exports that were given up after all repetitions, by signal.",
    Feed.SELF,
    unit="failures",
    labels=("signal",),
)
SIDECAR_OTLP_EXPORTED_SPANS = Metric(
    "llm_sidecar_otlp_exported_spans",
    Kind.COUNTER,
    "Spans that the receiver has taken.",
    Feed.SELF,
    unit="spans",
)
SIDECAR_OTLP_DROPPED_SPANS = Metric(
    "llm_sidecar_otlp_dropped_spans",
    Kind.COUNTER,
    "Spans that nobody will ever have, by why.",
    Feed.SELF,
    unit="spans",
    labels=("reason",),
)
SIDECAR_OTLP_QUEUE_LENGTH = Metric(
    "llm_sidecar_otlp_queue_length",
    Kind.GAUGE,
    "Spans that wait to be exported; traffic never waits for them.",
    Feed.SELF,
    unit="spans",
)
SIDECAR_OTLP_QUEUE_LIMIT = Metric(
    "llm_sidecar_otlp_queue_limit",
    Kind.GAUGE,
    "How many may wait (`OTEL_BSP_MAX_QUEUE_SIZE`); what comes beyond that is dropped.",
    Feed.SELF,
    unit="spans",
)
SIDECAR_EVENT_LOOP_LAG = Metric(
    "llm_sidecar_event_loop_lag_seconds",
    Kind.HISTOGRAM,
    "Lateness of a timer of the event loop: how long the sidecar was busy with something else.",
    Feed.TIMER,
    unit="seconds",
    buckets="event_loop_lag",
)

CATALOGUE: tuple[Metric, ...] = tuple(value for value in tuple(globals().values()) if isinstance(value, Metric))
"""All of the above, in that order."""
