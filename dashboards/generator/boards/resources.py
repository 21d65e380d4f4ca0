"""The machine beside the models: GPUs, CPU, memory, disks, network; and what a token costs in energy. The nine panels
of S.Y.N.A.P.S.E.'s resource grid come first.
"""

from __future__ import annotations

from typing import Any

from dashboards.generator import figures
from dashboards.generator.charts import bars, stat, states, timeseries
from dashboards.generator.dashboard import Dashboard, Row
from dashboards.generator.figures import CARD, by_card
from dashboards.generator.panel import (
    GREEN,
    HALF,
    NO_DATA,
    RED,
    THIRD,
    YELLOW,
    Json,
    Panel,
    Query,
    override,
    thresholds,
)
from dashboards.generator.promql import EVERYWHERE, RANGE, increase, rate, select, value
from dashboards.generator.tables import table
from exporter.telemetry import catalog
from exporter.telemetry.catalog import Metric

NO_GPU = "No GPU seen"
NOT_CONFIGURED = "Not configured"
FILLING = thresholds((0.8, YELLOW), (0.95, RED))
MOUNT = ("instance", "system_filesystem_mountpoint")
CARDS = {
    "instance": "Instance",
    "gpu_index": "Number",
    "hw_name": "GPU",
    "hw_vendor": "Vendor",
    "hw_driver_version": "Driver",
    "hw_id": "Identity",
}
NO_LOOPBACK = "!~lo|veth.*|br-.*|docker.*"


def card_course(title: str, meaning: str, metric: Metric, unit: str, **more: Any) -> Panel:
    """A figure of each GPU over time."""
    query = Query(by_card(metric), CARD)
    return timeseries(title, meaning, query, unit=unit, width=THIRD, fill=0, empty=NO_GPU, **more)


def throughput(title: str, meaning: str, metric: Metric, label: str, unit: str = "Bps", **matchers: str) -> Panel:
    """Bytes or operations per second by direction."""
    query = Query(rate(metric, by=("instance", label), **matchers), f"{{{{instance}}}} {{{{{label}}}}}")
    return timeseries(title, meaning, query, unit=unit, width=THIRD, empty=NO_DATA)


def limit_line(name: str) -> Json:
    """A limit is a dashed line without filling; `name` may be a regular expression between slashes."""
    return override(name, custom_lineStyle={"dash": [8, 8], "fill": "dash"}, custom_fillOpacity=0)


JOULES = (
    f"max by (instance, hw_id) (increase({select(catalog.GPU_ENERGY)}[{RANGE}])"
    f" or sum_over_time({select(catalog.GPU_POWER)}[{RANGE}:1m]) * 60)"
)
"""Energy of each GPU over the time shown; from its power where it has no energy counter."""
ENERGY = f"sum(max by (hw_id) ({JOULES}))"
BUSY_TIME = increase(catalog.REQUEST_DURATION, "_sum", by=("instance", "tier"))
ALL_BUSY_TIME = increase(catalog.REQUEST_DURATION, "_sum", by=("instance",), **EVERYWHERE)
ENERGY_PER_TOKEN_BY_TIER = (
    f"sum by (tier) ({BUSY_TIME} / on (instance) group_left () {ALL_BUSY_TIME}"
    f" * on (instance) group_left () sum by (instance) ({JOULES}))"
    f" / ({increase(catalog.TOKEN_USAGE, '_sum', by=('tier',), gen_ai_token_type='output')})"
)
ALL_TOKENS = increase(catalog.TOKEN_USAGE, "_sum", by=(), window=RANGE, gen_ai_token_type="output", **EVERYWHERE)
SHARED = "Each sidecar shows all of its machine: several on one machine show the same."

GRID = Row(
    "Resources",
    (
        timeseries(
            "VRAM",
            "GPU memory in use, and all there is, of all GPUs together.",
            Query(figures.of_cards(catalog.GPU_MEMORY_USAGE), "used"),
            Query(figures.of_cards(catalog.GPU_MEMORY_LIMIT), "all"),
            unit="bytes",
            width=THIRD,
            overrides=(limit_line("all"),),
            empty=NO_GPU,
        ),
        timeseries(
            "CPU",
            f"Share of all CPU time that was spent busy. {SHARED}",
            Query(value(catalog.CPU_UTILIZATION, by=("instance",), operation="max"), "{{instance}}"),
            unit="percentunit",
            width=THIRD,
            max=1,
            empty=NO_DATA,
        ),
        timeseries(
            "Memory",
            "Memory in use, and all there is. What the kernel would give back at once is not counted as used.",
            Query(
                f"{value(catalog.MEMORY_LIMIT, by=('instance',))}"
                f" - {value(catalog.MEMORY_AVAILABLE, by=('instance',))}",
                "{{instance}} used",
            ),
            Query(value(catalog.MEMORY_LIMIT, by=("instance",)), "{{instance}} all"),
            unit="bytes",
            width=THIRD,
            overrides=(limit_line("/all$/"),),
            empty=NO_DATA,
        ),
        timeseries(
            "Vector indexes",
            "Size of the vector indexes (FAISS and the like) on disk; `sampling.index_paths` says where they are.",
            Query(value(catalog.INDEX_SIZE, by=("instance",)), "{{instance}}"),
            unit="bytes",
            width=THIRD,
            empty=NOT_CONFIGURED,
        ),
        timeseries(
            "Redis cache",
            "Memory that Redis has allocated; `sampling.redis_url` says where it is.",
            Query(value(catalog.REDIS_USED_MEMORY, by=("instance",)), "{{instance}}"),
            unit="bytes",
            width=THIRD,
            empty=NOT_CONFIGURED,
        ),
        timeseries(
            "Connections",
            "Clients that are connected: to the proxy, and to live streams of the admin listener.",
            Query(value(catalog.SIDECAR_OPEN_CONNECTIONS, by=("listener",)), "{{listener}}"),
            unit="short",
            width=THIRD,
            stack=True,
            empty=NO_DATA,
        ),
        timeseries(
            "Slots",
            "llama-server's slots that work on a request, and requests that wait for one: the thread pool of the"
            " metrics page.",
            Query(value(catalog.UPSTREAM_SLOTS, state="processing"), "active"),
            Query(value(figures.DEFERRED), "queued"),
            unit="short",
            width=THIRD,
            empty="Not told by the server",
        ),
        throughput("Disk I/O", "Bytes read from and written to block devices.", catalog.DISK_IO, "disk_io_direction"),
        throughput(
            "Network",
            "Bytes received and sent; the loopback and virtual interfaces are left out.",
            catalog.NETWORK_IO,
            "network_io_direction",
            network_interface_name=NO_LOOPBACK,
        ),
    ),
)

GPUS = Row(
    "GPUs",
    (
        card_course(
            "GPU utilization",
            "Share of the driver's latest sampling period, a second or less, in which a kernel was running.",
            catalog.GPU_UTILIZATION,
            "percentunit",
            max=1,
        ),
        timeseries(
            "GPU memory",
            "Share of each GPU's memory that is in use.",
            Query(
                f"{by_card(catalog.GPU_MEMORY_USAGE)} / {by_card(catalog.GPU_MEMORY_LIMIT)}",
                CARD,
            ),
            unit="percentunit",
            width=THIRD,
            fill=0,
            lines_at=FILLING,
            max=1,
            empty=NO_GPU,
        ),
        card_course(
            "Temperature",
            "Temperature of each GPU; most throttle between 83 and 95 degrees.",
            catalog.GPU_TEMPERATURE,
            "celsius",
            lines_at=thresholds((80, YELLOW), (90, RED)),
        ),
        timeseries(
            "Power",
            "What each GPU draws, and what it may draw.",
            Query(by_card(catalog.GPU_POWER), CARD),
            Query(by_card(catalog.GPU_POWER_LIMIT), f"{CARD} limit"),
            unit="watt",
            width=THIRD,
            fill=0,
            empty=NO_GPU,
        ),
        timeseries(
            "Throttling",
            "Reasons for which clocks are held down now, each counted once per GPU. Above 0 for long, the GPU is too"
            " hot, or short of power.",
            Query(figures.of_cards(catalog.GPU_THROTTLE_REASON, "reason"), "{{reason}}"),
            unit="short",
            width=THIRD,
            fill=0,
            empty=NO_GPU,
        ),
        timeseries(
            "Clocks",
            "Clock frequencies of each GPU.",
            Query(by_card(catalog.GPU_CLOCK, "clock"), f"{CARD} {{{{clock}}}}"),
            unit="hertz",
            width=THIRD,
            fill=0,
            empty=NO_GPU,
        ),
        card_course(
            "Memory controller",
            "Share of the driver's latest sampling period in which GPU memory was read or written: decoding is bound"
            " by it.",
            catalog.GPU_MEMORY_CONTROLLER,
            "percentunit",
            max=1,
        ),
        card_course(
            "Fans", "Fan speed as a share of its maximum; none where there is no fan.", catalog.GPU_FAN, "percentunit"
        ),
        states(
            "GPU states",
            "Whether each GPU answers; one that fell off the bus has failed.",
            Query(by_card(catalog.GPU_STATUS, hw_state="ok"), CARD),
            names={0: ("failed", RED), 1: ("ok", GREEN)},
            width=THIRD,
            empty=NO_GPU,
        ),
    ),
)

COST = Row(
    "Energy, and the GPU beside the traffic",
    (
        bars(
            "Energy per output token, by tier",
            "Joules of all GPUs of a machine over the time shown, divided among its tiers by the time that their"
            " requests took, per token generated.",
            Query(ENERGY_PER_TOKEN_BY_TIER, "{{tier}}", instant=True),
            unit="joule",
            decimals=2,
            width=HALF,
            empty=NO_GPU,
        ),
        timeseries(
            "Output tokens and GPU utilization",
            "Tokens per second (counted when a request ends) beside the mean utilization of the GPUs: a GPU at work"
            " without tokens prefills, decodes a long answer, or works for somebody else.",
            Query(figures.tokens("output"), "output tokens"),
            Query(figures.of_cards(catalog.GPU_UTILIZATION, operation="avg"), "GPU utilization"),
            unit=figures.TOKENS_PER_SECOND,
            fill=0,
            long_names=True,
            overrides=(override("GPU utilization", unit="percentunit", custom_axisPlacement="right", max=1),),
        ),
        stat(
            "Energy",
            "Energy that all GPUs used over the time shown.",
            ENERGY,
            unit="joule",
            width=THIRD,
            empty=NO_GPU,
        ),
        stat(
            "Energy per output token",
            "Joules of all GPUs per token generated, over the time shown, whatever tier is chosen.",
            f"{ENERGY} / {ALL_TOKENS}",
            unit="joule",
            decimals=2,
            width=THIRD,
            empty=NO_GPU,
        ),
        stat(
            "GPU power",
            "What all GPUs draw now.",
            figures.of_cards(catalog.GPU_POWER),
            unit="watt",
            course=True,
            width=THIRD,
            empty=NO_GPU,
        ),
    ),
)

HOST = Row(
    "Host",
    (
        timeseries(
            "CPU time by mode",
            f"CPUs that were busy with each mode. {SHARED}",
            Query(
                rate(catalog.CPU_TIME, by=("instance", "cpu_mode"), cpu_mode="!~idle|iowait"),
                "{{instance}} {{cpu_mode}}",
            ),
            unit="short",
            decimals=2,
            width=THIRD,
            stack=True,
            empty=NO_DATA,
        ),
        timeseries(
            "Load average",
            "Programs that run or wait, on average over 1, 5 and 15 minutes, beside the CPUs that there are.",
            Query(value(catalog.LOAD_1M, by=("instance",)), "{{instance}} 1 min"),
            Query(value(catalog.LOAD_5M, by=("instance",)), "{{instance}} 5 min"),
            Query(value(catalog.LOAD_15M, by=("instance",)), "{{instance}} 15 min"),
            Query(value(catalog.LOGICAL_CPUS, by=("instance",)), "{{instance}} CPUs"),
            unit="short",
            width=THIRD,
            fill=0,
            overrides=(limit_line("/CPUs$/"),),
            empty=NO_DATA,
        ),
        timeseries(
            "Memory by state",
            f"Memory of the host; `used` is what programs hold. {SHARED}",
            Query(
                value(catalog.MEMORY_USAGE, by=("instance", "system_memory_state")),
                "{{instance}} {{system_memory_state}}",
            ),
            unit="bytes",
            width=THIRD,
            stack=True,
            empty=NO_DATA,
        ),
        bars(
            "File systems",
            "Share of each file system that is in use.",
            Query(
                f"{value(catalog.FILESYSTEM_USAGE, by=MOUNT, system_filesystem_state='used')}"
                f" / {value(catalog.FILESYSTEM_LIMIT, by=MOUNT)}",
                "{{instance}} {{system_filesystem_mountpoint}}",
                instant=True,
            ),
            unit="percentunit",
            steps=FILLING,
            max=1,
            empty=NO_DATA,
        ),
        throughput(
            "Disk operations", "Reads and writes per second.", catalog.DISK_OPERATIONS, "disk_io_direction", "iops"
        ),
        timeseries(
            "Swap",
            "Swap space in use: models that swap are slow.",
            Query(value(catalog.PAGING_USAGE, by=("instance",), system_paging_state="used"), "{{instance}}"),
            unit="bytes",
            least_top=2**20,
            width=THIRD,
            empty="No swap space",
        ),
        timeseries(
            "Network packets and errors",
            "Packets per second, and errors among them; the loopback and virtual interfaces are left out.",
            Query(
                rate(catalog.NETWORK_PACKETS, by=("instance", "network_io_direction"), system_device=NO_LOOPBACK),
                "{{instance}} {{network_io_direction}}",
            ),
            Query(
                rate(catalog.NETWORK_ERRORS, by=("instance",), network_interface_name=NO_LOOPBACK),
                "{{instance}} errors",
            ),
            unit="pps",
            fill=0,
            long_names=True,
            empty=NO_DATA,
        ),
        table(
            "GPUs and drivers",
            "The GPUs that were seen, and their driver.",
            {"Seen": (value(catalog.GPU_INFO, by=tuple(CARDS), operation="max"), "short")},
            labels=CARDS,
            hidden=("Value",),
            width=HALF,
            empty=NO_GPU,
        ),
    ),
)

BOARD = Dashboard(
    "llama-exporter-resources",
    "llama-exporter / Resources",
    "The machine beside the models: GPUs, CPU, memory, disks, network, and what a token costs in energy.",
    (GRID, GPUS, COST, HOST),
)
