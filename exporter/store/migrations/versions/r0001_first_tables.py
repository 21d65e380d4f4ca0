"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "models",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "requests",
        sa.Column("id", ROW_ID, nullable=False, comment="In the order of writing"),
        sa.Column(
            "run", sa.BigInteger(), nullable=False, comment="The run of the sidecar that wrote it: a random number"
        ),
        sa.Column("instance", sa.Text(), nullable=False, comment="The sidecar: store.instance"),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("finished_us", sa.BigInteger(), nullable=False),
        sa.Column("duration_us", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("stream", sa.Boolean(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("upstream", sa.Text(), nullable=True),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column(
            "model",
            sa.Text(),
            nullable=True,
            comment="As metrics label it; what was chosen where the client left the choice to the sidecar",
        ),
        sa.Column("requested_model", sa.Text(), nullable=True),
        sa.Column("served_model", sa.Text(), nullable=True),
        sa.Column("response_model", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=True),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("error_type", sa.Text(), nullable=True),
        sa.Column("finish_reason", sa.Text(), nullable=True, comment="Of the first choice"),
        sa.Column("message_count", sa.Integer(), nullable=True),
        sa.Column("tool_uses", sa.Integer(), nullable=False),
        sa.Column("tool_results", sa.Integer(), nullable=False),
        sa.Column("tool_calls", sa.Integer(), nullable=False),
        sa.Column("request_bytes", sa.BigInteger(), nullable=False),
        sa.Column("response_bytes", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=True),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("token_source", sa.Text(), nullable=True),
        sa.Column("draft_tokens", sa.BigInteger(), nullable=True),
        sa.Column("draft_accepted_tokens", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("overhead_us", sa.BigInteger(), nullable=True),
        sa.Column("first_byte_us", sa.BigInteger(), nullable=True),
        sa.Column("ttft_us", sa.BigInteger(), nullable=True),
        sa.Column("last_token_us", sa.BigInteger(), nullable=True),
        sa.Column("queue_us", sa.BigInteger(), nullable=True),
        sa.Column("prompt_us", sa.BigInteger(), nullable=True),
        sa.Column("generation_us", sa.BigInteger(), nullable=True),
        sa.Column("prompt_tokens_per_second", sa.Float(), nullable=True),
        sa.Column("output_tokens_per_second", sa.Float(), nullable=True),
        sa.Column(
            "speed", sa.BigInteger(), nullable=True, comment="Output tokens per million seconds, up to the last token"
        ),
        sa.Column("complexity", sa.Text(), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("wanted_tier", sa.Text(), nullable=True),
        sa.Column("fallback", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("requests_finished", "requests", ["finished_us", "id"], unique=False)
    op.create_table(
        "retention",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "kept_since_us",
            sa.BigInteger(),
            nullable=False,
            comment="Requests before it are gone, or about to be deleted",
        ),
        sa.Column(
            "thinned_until_us", sa.BigInteger(), nullable=False, comment="Samples before it are means of a minute"
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "rollups",
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False, comment="Seconds: 60, 3600 or 86400"),
        sa.Column("start_us", sa.BigInteger(), autoincrement=False, nullable=False, comment="A multiple of the step"),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("stream", sa.Boolean(), nullable=False),
        sa.Column("status_code", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("error_type", sa.Text(), nullable=False),
        sa.Column("finish_reason", sa.Text(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("duration_us", sa.BigInteger(), nullable=False),
        sa.Column("token_requests", sa.BigInteger(), nullable=False, comment="Those of which tokens are known"),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("timed_requests", sa.BigInteger(), nullable=False, comment="Those with a first and a last token"),
        sa.Column("first_token_us", sa.BigInteger(), nullable=False),
        sa.Column("last_token_us", sa.BigInteger(), nullable=False),
        sa.Column(
            "speed_requests",
            sa.BigInteger(),
            nullable=False,
            comment="Those of which the speed is known",
        ),
        sa.Column(
            "speed_sum",
            sa.BigInteger(),
            nullable=False,
            comment="Of output tokens per million seconds",
        ),
        sa.PrimaryKeyConstraint(
            "step",
            "start_us",
            "instance",
            "model",
            "tier",
            "origin",
            "outcome",
            "stream",
            "status_code",
            "error_type",
            "finish_reason",
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "samples",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("taken_us", sa.BigInteger(), nullable=False),
        sa.Column(
            "step", sa.SmallInteger(), nullable=False, comment="Seconds that it is the mean of; 0: as it was sampled"
        ),
        sa.Column("cpu_utilization", sa.Float(), nullable=True, comment="0 to 1"),
        sa.Column("load_1m", sa.Float(), nullable=True),
        sa.Column("memory_used_bytes", sa.Float(), nullable=True),
        sa.Column("memory_total_bytes", sa.Float(), nullable=True),
        sa.Column("disk_used_bytes", sa.Float(), nullable=True, comment="Of the file system of /"),
        sa.Column("disk_total_bytes", sa.Float(), nullable=True),
        sa.Column("disk_read_bytes_per_second", sa.Float(), nullable=True),
        sa.Column("disk_write_bytes_per_second", sa.Float(), nullable=True),
        sa.Column("network_receive_bytes_per_second", sa.Float(), nullable=True),
        sa.Column("network_transmit_bytes_per_second", sa.Float(), nullable=True),
        sa.Column("gpu_count", sa.Float(), nullable=True),
        sa.Column("gpu_utilization", sa.Float(), nullable=True, comment="0 to 1, the mean of all"),
        sa.Column("gpu_memory_used_bytes", sa.Float(), nullable=True, comment="Of all together"),
        sa.Column("gpu_memory_total_bytes", sa.Float(), nullable=True),
        sa.Column("gpu_temperature_celsius", sa.Float(), nullable=True, comment="Of the hottest"),
        sa.Column("gpu_power_watts", sa.Float(), nullable=True, comment="Of all together"),
        sa.Column("models_loaded", sa.Float(), nullable=True),
        sa.Column("slots_busy", sa.Float(), nullable=True),
        sa.Column("slots_total", sa.Float(), nullable=True),
        sa.Column("requests_deferred", sa.Float(), nullable=True),
        sa.Column("requests_in_flight", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("samples_taken", "samples", ["taken_us"], unique=False)
    op.create_table(
        "settings",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "totals",
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("stream", sa.Boolean(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.Column("tool_calls", sa.BigInteger(), nullable=False),
        sa.Column("tool_uses", sa.BigInteger(), nullable=False),
        sa.Column("tool_results", sa.BigInteger(), nullable=False),
        sa.Column("duration_us", sa.BigInteger(), nullable=False),
        sa.Column("last_started_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("instance", "provider", "model", "stream"),
    )
    op.execute("INSERT INTO retention (id, kept_since_us, thinned_until_us) VALUES (1, 0, 0)")
