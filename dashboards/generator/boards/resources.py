"""The machine beside the models: GPUs, CPU, memory, disks, network; and what a token costs in energy. The nine panels
of S.Y.N.A.P.S.E.'s resource grid come first.
"""

from __future__ import annotations

from typing import Any

from dashboards.generator import figures
from dashboards.generator.dashboard import Dashboard, Row
from dashboards.generator.panels import (
    GREEN,
    HALF,
    RED,
    THIRD,
    YELLOW,
    Json,
    Panel,
    Query,
    bars,
    override,
    stat,
    states,
    table,
    thresholds,
    timeseries,
)
from dashboards.generator.promql import RANGE, RATE_INTERVAL, increase, rate, select, value
from exporter.telemetry import catalog
from exporter.telemetry.catalog import Metric

GPU = ("instance", "hw_name", "gpu_index")
GPU_NAME = "{{instance}} {{gpu_index}} {{hw_name}}"
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


def of_gpus(metric: Metric, operation: str = "sum", **matchers: str) -> str:
    """A figure of each GPU."""
    return value(metric, by=GPU, operation=operation, **matchers)


def gpu_course(title: str, meaning: str, metric: Metric, unit: str, **more: Any) -> Panel:
    """A figure of each GPU over time."""
    query = Query(of_gpus(metric, "max"), GPU_NAME)
    return timeseries(title, meaning, query, unit=unit, width=THIRD, fill=0, empty=NO_GPU, **more)


def throughput(title: str, meaning: str, metric: Metric, label: str, **matchers: str) -> Panel:
    """Bytes per second by direction."""
    query = Query(rate(metric, by=(label,), **matchers), f"{{{{{label}}}}}")
    return timeseries(title, meaning, query, unit="Bps", width=THIRD, empty="Not sampled")


def limit_line(name: str) -> Json:
    """A limit is a dashed line without filling."""
    return override(name, custom_lineStyle={"dash": [8, 8], "fill": "dash"}, custom_fillOpacity=0)


GPU_POWER = (
    f"sum by (instance) (rate({select(catalog.GPU_ENERGY)}[{RATE_INTERVAL}])"
    f" or avg_over_time({select(catalog.GPU_POWER)}[{RATE_INTERVAL}]))"
)
"""Watts of all GPUs of a machine; from the energy counter where a GPU has one."""
GPU_ENERGY = (
    f"sum(increase({select(catalog.GPU_ENERGY)}[{RANGE}])"
    f" or avg_over_time({select(catalog.GPU_POWER)}[{RANGE}]) * $__range_s)"
)
"""Joules of all GPUs over the time shown."""
BUSY_TIME = rate(catalog.REQUEST_DURATION, "_sum", by=("instance", "tier"))
ALL_BUSY_TIME = rate(
    catalog.REQUEST_DURATION, "_sum", by=("instance",), tier="=~.*", upstream="=~.*", gen_ai_request_model="=~.*"
)
"""Of every tier, whichever is chosen: energy is divided among all of them."""
ENERGY_PER_TOKEN_BY_TIER = (
    f"sum by (tier) ({BUSY_TIME} / on (instance) group_left () {ALL_BUSY_TIME}"
    f" * on (instance) group_left () {GPU_POWER}) / ({figures.tokens('output', 'tier')})"
)

GRID = Row(
    "Resources",
    (
        timeseries(
            "VRAM",
            "GPU memory in use, and all there is, of all GPUs together.",
            Query(value(catalog.GPU_MEMORY_USAGE), "used"),
            Query(value(catalog.GPU_MEMORY_LIMIT), "all"),
            unit="bytes",
            width=THIRD,
            overrides=(limit_line("all"),),
            empty=NO_GPU,
        ),
        timeseries(
            "CPU",
            "Share of all CPU time that was spent busy.",
            Query(value(catalog.CPU_UTILIZATION, by=("instance",), operation="max"), "{{instance}}"),
            unit="percentunit",
            width=THIRD,
            max=1,
            empty="Not sampled",
        ),
        timeseries(
            "Memory",
            "Memory in use, and all there is. What the kernel would give back at once is not counted as used.",
            Query(f"{value(catalog.MEMORY_LIMIT)} - {value(catalog.MEMORY_AVAILABLE)}", "used"),
            Query(value(catalog.MEMORY_LIMIT), "all"),
            unit="bytes",
            width=THIRD,
            overrides=(limit_line("all"),),
            empty="Not sampled",
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
        ),
        timeseries(
            "Slots",
            "llama-server's slots that work on a request, and requests that wait for one: the thread pool of the"
            " metrics"
            " page.",
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
        gpu_course(
            "GPU utilization",
            "Share of the driver's latest sampling period, a second or less, in which a kernel was running.",
            catalog.GPU_UTILIZATION,
            "percentunit",
            max=1,
        ),
        timeseries(
            "GPU memory",
            "Share of each GPU's memory that is in use.",
            Query(f"{of_gpus(catalog.GPU_MEMORY_USAGE)} / {of_gpus(catalog.GPU_MEMORY_LIMIT)}", GPU_NAME),
            unit="percentunit",
            width=THIRD,
            fill=0,
            lines_at=FILLING,
            max=1,
            empty=NO_GPU,
        ),
        gpu_course(
            "Temperature",
            "Temperature of each GPU; most throttle between 83 and 95 degrees.",
            catalog.GPU_TEMPERATURE,
            "celsius",
            lines_at=thresholds((80, YELLOW), (90, RED)),
        ),
        timeseries(
            "Power",
            "What each GPU draws, and what it may draw.",
            Query(of_gpus(catalog.GPU_POWER), GPU_NAME),
            Query(of_gpus(catalog.GPU_POWER_LIMIT), f"{GPU_NAME} limit"),
            unit="watt",
            width=THIRD,
            fill=0,
            empty=NO_GPU,
        ),
        timeseries(
            "Throttling",
            "Reasons for which clocks are held down now, each counted once per GPU. Above 0 for long, the GPU is"
            " too hot,"
            " or short of power.",
            Query(value(catalog.GPU_THROTTLE_REASON, by=("reason",)), "{{reason}}"),
            unit="short",
            width=THIRD,
            fill=0,
            empty=NO_GPU,
        ),
        timeseries(
            "Clocks",
            "Clock frequencies of each GPU.",
            Query(
                value(catalog.GPU_CLOCK, by=("instance", "gpu_index", "clock"), operation="max"),
                "{{instance}} {{gpu_index}} {{clock}}",
            ),
            unit="hertz",
            width=THIRD,
            fill=0,
            empty=NO_GPU,
        ),
        gpu_course(
            "Memory controller",
            "Share of the driver's latest sampling period in which GPU memory was read or written: decoding is bound by"
            " it.",
            catalog.GPU_MEMORY_CONTROLLER,
            "percentunit",
            max=1,
        ),
        gpu_course(
            "Fans", "Fan speed as a share of its maximum; none where there is no fan.", catalog.GPU_FAN, "percentunit"
        ),
        states(
            "GPU states",
            "Whether each GPU answers; one that fell off the bus has failed.",
            Query(of_gpus(catalog.GPU_STATUS, "max", hw_state="ok"), GPU_NAME),
            names={0: ("failed", RED), 1: ("ok", GREEN)},
            width=THIRD,
            empty=NO_GPU,
        ),
    ),
)

ENERGY = Row(
    "Energy, and the GPU beside the traffic",
    (
        timeseries(
            "Energy per output token, by tier",
            "Joules of all GPUs of a machine, divided among its tiers by the time that their requests took, per token"
            " generated.",
            Query(ENERGY_PER_TOKEN_BY_TIER, "{{tier}}"),
            unit="joule",
            fill=0,
            empty=NO_GPU,
        ),
        timeseries(
            "Output tokens and GPU utilization",
            "Tokens per second beside the mean utilization of the GPUs: a GPU at work without tokens prefills, or works"
            " for somebody else.",
            Query(figures.tokens("output"), "output tokens/s"),
            Query(value(catalog.GPU_UTILIZATION, operation="avg"), "GPU utilization"),
            long_names=True,
            unit="short",
            fill=0,
            overrides=(override("GPU utilization", unit="percentunit", custom_axisPlacement="right", max=1),),
        ),
        stat(
            "Energy",
            "Energy that all GPUs used over the time shown.",
            GPU_ENERGY,
            unit="joule",
            width=8,
            empty=NO_GPU,
        ),
        stat(
            "Energy per output token",
            "Joules of all GPUs per token generated, over the time shown.",
            f"{GPU_ENERGY} / {increase(catalog.TOKEN_USAGE, '_sum', gen_ai_token_type='output')}",
            unit="joule",
            decimals=2,
            width=8,
            empty=NO_GPU,
        ),
        stat("GPU power", "What all GPUs draw now.", value(catalog.GPU_POWER), unit="watt", width=8, empty=NO_GPU),
    ),
)

HOST = Row(
    "Host",
    (
        timeseries(
            "CPU time by mode",
            "CPUs that were busy with each mode.",
            Query(rate(catalog.CPU_TIME, by=("cpu_mode",), cpu_mode="!~idle|iowait"), "{{cpu_mode}}"),
            unit="short",
            decimals=2,
            width=THIRD,
            stack=True,
            empty="Not sampled",
        ),
        timeseries(
            "Load average",
            "Programs that run or wait, on average over 1, 5 and 15 minutes, beside the CPUs that there are.",
            Query(value(catalog.LOAD_1M), "1 min"),
            Query(value(catalog.LOAD_5M), "5 min"),
            Query(value(catalog.LOAD_15M), "15 min"),
            Query(value(catalog.LOGICAL_CPUS), "CPUs"),
            unit="short",
            width=THIRD,
            fill=0,
            overrides=(limit_line("CPUs"),),
            empty="Not sampled",
        ),
        timeseries(
            "Memory by state",
            "Memory of the host; `used` is what programs hold.",
            Query(value(catalog.MEMORY_USAGE, by=("system_memory_state",)), "{{system_memory_state}}"),
            unit="bytes",
            width=THIRD,
            stack=True,
            empty="Not sampled",
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
            empty="Not sampled",
        ),
        timeseries(
            "Disk operations",
            "Reads and writes per second.",
            Query(
                rate(catalog.DISK_OPERATIONS, by=("disk_io_direction",)),
                "{{disk_io_direction}}",
            ),
            unit="iops",
            width=THIRD,
            empty="Not sampled",
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
            "Network errors and packets",
            "Packets per second, and errors among them.",
            Query(rate(catalog.NETWORK_PACKETS, by=("network_io_direction",)), "{{network_io_direction}}"),
            Query(rate(catalog.NETWORK_ERRORS), "errors"),
            unit="pps",
            fill=0,
            empty="Not sampled",
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
    (GRID, GPUS, ENERGY, HOST),
)
