"""The tables as the newest migration leaves them (a test compares the two).

Times are UTC microseconds since the epoch, durations microseconds: whole numbers, so that sums are exact in whatever
order they are made. Unknown is NULL; only in keys, which must be comparable, it is '' or 0.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Index, Integer, MetaData, SmallInteger, Table, Text

METADATA = MetaData()
ROW_ID = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only where the type is INTEGER."""

REQUESTS = Table(
    "requests",
    METADATA,
    Column("id", ROW_ID, primary_key=True, comment="In the order of writing"),
    Column("run", BigInteger, nullable=False, comment="The run of the sidecar that wrote it: a random number"),
    Column("instance", Text, nullable=False, comment="The sidecar: store.instance"),
    Column("request_id", Text, nullable=False),
    Column("finished_us", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("provider", Text, nullable=False),
    Column("upstream", Text),
    Column("tier", Text, nullable=False),
    Column(
        "model", Text, comment="As metrics label it; what was chosen where the client left the choice to the sidecar"
    ),
    Column("requested_model", Text),
    Column("served_model", Text),
    Column("response_model", Text),
    Column("origin", Text),
    Column("status_code", Integer),
    Column("error_type", Text),
    Column("finish_reason", Text, comment="Of the first choice"),
    Column("message_count", Integer),
    Column("tool_uses", Integer, nullable=False),
    Column("tool_results", Integer, nullable=False),
    Column("tool_calls", Integer, nullable=False),
    Column("request_bytes", BigInteger, nullable=False),
    Column("response_bytes", BigInteger, nullable=False),
    Column("input_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("token_source", Text),
    Column("draft_tokens", BigInteger),
    Column("draft_accepted_tokens", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("overhead_us", BigInteger),
    Column("first_byte_us", BigInteger),
    Column("ttft_us", BigInteger),
    Column("last_token_us", BigInteger),
    Column("queue_us", BigInteger),
    Column("prompt_us", BigInteger),
    Column("generation_us", BigInteger),
    Column("prompt_tokens_per_second", Float),
    Column("output_tokens_per_second", Float),
    Column("speed", BigInteger, comment="Output tokens per million seconds, up to the last token"),
    Column("complexity", Text),
    Column("score", Float),
    Column("wanted_tier", Text),
    Column("fallback", Boolean),
    Column("trace_id", Text, comment="Of the sampled trace that it is part of, 32 hexadecimal digits"),
    Index("requests_finished", "finished_us", "id"),
    Index("requests_instance", "instance", "id"),
    sqlite_autoincrement=True,  # no number comes twice, also when the newest rows are deleted: `batch` counts on it
)
"""Finished requests that asked a model for something."""

ROLLUPS = Table(
    "rollups",
    METADATA,
    Column("step", Integer, primary_key=True, autoincrement=False, comment="Seconds: 60, 3600 or 86400"),
    Column("start_us", BigInteger, primary_key=True, autoincrement=False, comment="A multiple of the step"),
    Column("instance", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("tier", Text, primary_key=True),
    Column("origin", Text, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("stream", Boolean, primary_key=True),
    Column("status_code", Integer, primary_key=True, autoincrement=False),
    Column("error_type", Text, primary_key=True),
    Column("finish_reason", Text, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("token_requests", BigInteger, nullable=False, comment="Those of which tokens are known"),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("timed_requests", BigInteger, nullable=False, comment="Those with a first and a last token"),
    Column("first_token_us", BigInteger, nullable=False),
    Column("last_token_us", BigInteger, nullable=False),
    Column("speed_requests", BigInteger, nullable=False, comment="Those of which the speed is known"),
    Column("speed_sum", BigInteger, nullable=False, comment="Of output tokens per million seconds"),
    sqlite_with_rowid=False,
)
"""Sums over the requests of each minute, hour and day, by what they have in common."""

TOTALS = Table(
    "totals",
    METADATA,
    Column("instance", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("stream", Boolean, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("tool_calls", BigInteger, nullable=False),
    Column("tool_uses", BigInteger, nullable=False),
    Column("tool_results", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("last_started_us", BigInteger, nullable=False),
)
"""Sums over everything that was ever stored, also over requests that are no longer kept."""

SAMPLES = Table(
    "samples",
    METADATA,
    Column("id", ROW_ID, primary_key=True),
    Column("instance", Text, nullable=False),
    Column("taken_us", BigInteger, nullable=False),
    Column("step", SmallInteger, nullable=False, comment="Seconds that it is the mean of; 0: as it was sampled"),
    Column("cpu_utilization", Float, comment="0 to 1"),
    Column("load_1m", Float),
    Column("memory_used_bytes", Float),
    Column("memory_total_bytes", Float),
    Column("disk_used_bytes", Float, comment="Of the file system of /"),
    Column("disk_total_bytes", Float),
    Column("disk_read_bytes_per_second", Float),
    Column("disk_write_bytes_per_second", Float),
    Column("network_receive_bytes_per_second", Float),
    Column("network_transmit_bytes_per_second", Float),
    Column("gpu_count", Float),
    Column("gpu_utilization", Float, comment="0 to 1, the mean of all"),
    Column("gpu_memory_used_bytes", Float, comment="Of all together"),
    Column("gpu_memory_total_bytes", Float),
    Column("gpu_temperature_celsius", Float, comment="Of the hottest"),
    Column("gpu_power_watts", Float, comment="Of all together"),
    Column("models_loaded", Float),
    Column("slots_busy", Float),
    Column("slots_total", Float),
    Column("requests_deferred", Float),
    Column("requests_in_flight", Float),
    Index("samples_taken", "taken_us"),
)
"""What the machine and the servers were doing."""

RETENTION = Table(
    "retention",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("kept_since_us", BigInteger, nullable=False, comment="Requests before it are gone, or about to be deleted"),
    Column("thinned_until_us", BigInteger, nullable=False, comment="Samples before it are means of a minute"),
)
"""One row: how far retention has come."""

MODELS = Table(
    "models",
    METADATA,
    Column("instance", Text, primary_key=True, comment="The sidecar: store.instance"),
    Column("name", Text, primary_key=True),
    Column("document", JSON, nullable=False, comment="All that is known of it"),
    Column("created_us", BigInteger, nullable=False, comment="When it was first written"),
    Column("updated_us", BigInteger, nullable=False, comment="When it was written last"),
)
"""Models that were registered with a sidecar."""

SETTINGS = Table(
    "settings",
    METADATA,
    Column("instance", Text, primary_key=True, comment="The sidecar: store.instance"),
    Column("name", Text, primary_key=True),
    Column("document", JSON, nullable=False, comment="Those that are not as by default"),
    Column("created_us", BigInteger, nullable=False, comment="When it was first written"),
    Column("updated_us", BigInteger, nullable=False, comment="When it was written last"),
)
"""What was set at a sidecar while it ran."""
