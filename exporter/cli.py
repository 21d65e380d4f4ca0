"""The command line: parses, loads the settings, and calls `app`, `demo` or `store.commands`.

Exit codes: 0 after a clean end, 2 after a mistake that the operator can put right (one line on standard error), 1 when
`store check` has found something.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from exporter import __version__, config, logs, options
from exporter.errors import StartupError
from exporter.settings import split_address

FOUND_SOMETHING = 1
USAGE_ERROR = 2
INTERRUPTED = 128 + signal.SIGINT
NOBODY_READS = 128 + signal.SIGPIPE

EPILOG = """\
Every setting can be given in a TOML file (--config), as an environment variable LLAMA_EXPORTER_SECTION__KEY, and the
most common ones on the command line; the later of these wins. docs/configuration.md lists them all.
"""

DEMO = """\
Runs three real llama.cpp engines with tiny models behind a sidecar, with traffic, until Ctrl-C. While it runs, open
http://127.0.0.1:9464/ for a page of links, or http://127.0.0.1:9464/api/docs for every route of the admin listener.

The demo takes no settings but the options below: it ignores PROXY_API_KEY, the LLAMA_EXPORTER_... variables, and the
other environment variables of docs/configuration.md. Those of OpenTelemetry (OTEL_EXPORTER_OTLP_ENDPOINT) it heeds.
"""

STORE = """\
Looks after the history that a sidecar keeps: docs/store.md. Which one that is, the settings say as
they do for `serve` (--store, LLAMA_EXPORTER_STORE__URL, --config). A sidecar may run meanwhile.
"""

MIGRATE = """\
Makes the tables of the store, or updates them to this version of llama-exporter: all of it, or
nothing. `serve` does the same when it starts, unless store.auto_migrate is false.
"""

CHECK = """\
Says whether the database is sound, whether every sum in it is that of the requests that it stands
for, and how much there is. Exit code 0 when all is well, 1 when it is not. Nothing is changed.
"""

EXPORT = """\
Writes the requests that are kept, oldest first, with all that is known of them: one JSON document
per line, or CSV (RFC 4180) below a line of names. finished_at is UTC, ..._us are microseconds.

In CSV, what is unknown is empty. A text that a spreadsheet would take for a formula, because it
begins with =, +, -, @, a tab or an end of line, has a ' before it there; JSON has it as it is.
"""

DATES = "2026-11-20, 2026-11-20T08:32:30 or 2026-11-20T08:32:30+01:00; UTC where no zone is given"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except StartupError as exc:
        print(f"llama-exporter: {exc}", file=sys.stderr)
        return USAGE_ERROR
    except BrokenPipeError:  # `| head` has seen enough
        return NOBODY_READS
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llama-exporter",
        description="A transparent sidecar for llama-server: forwards every byte, and measures the traffic.",
        epilog=EPILOG,
        formatter_class=options.formatter,
    )
    parser.add_argument("--version", action="version", version=f"llama-exporter {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the sidecar", epilog=EPILOG, formatter_class=options.formatter)
    options.add_settings(serve)
    serve.set_defaults(command=_serve)

    demo = commands.add_parser(
        "demo",
        help="run three real llama.cpp engines with tiny models behind the sidecar, with traffic",
        description=DEMO,
        formatter_class=options.formatter,
    )
    demo.add_argument(
        "--duration", type=options.positive, metavar="S", help="end after so many seconds (default: at Ctrl-C)"
    )
    demo.add_argument(
        "--proxy-listen", metavar="H:P", default="127.0.0.1:8001", help="for clients (default: %(default)s)"
    )
    demo.add_argument(
        "--admin-listen",
        metavar="H:P",
        default="127.0.0.1:9464",
        help="for Prometheus, dashboards and the page /monitoring (default: %(default)s)",
    )
    demo.add_argument(
        "--outage",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="kill one engine now and then, and start it again (default: %(default)s)",
    )
    demo.set_defaults(command=_demo)

    check = commands.add_parser(
        "check-config", help="say whether the settings are valid, and end", formatter_class=options.formatter
    )
    options.add_settings(check)
    check.set_defaults(command=_check_config)

    show = commands.add_parser(
        "print-config", help="print the settings in force as TOML, secrets hidden", formatter_class=options.formatter
    )
    options.add_settings(show)
    show.set_defaults(command=_print_config)

    _add_store(commands)
    return parser


def _add_store(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "look after the history: make its tables, check it, export it"
    store = commands.add_parser("store", help=about, description=STORE, formatter_class=options.formatter)
    actions = store.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, about: str, description: str, command: Callable[[argparse.Namespace], int]) -> Any:
        parser = actions.add_parser(name, help=about, description=description, formatter_class=options.formatter)
        options.add_place(parser)
        parser.set_defaults(command=command)
        return parser

    add("migrate", "make the tables, or update them to this version", MIGRATE, _store_migrate)
    add("check", "say whether it is sound and agrees with itself, and how much there is", CHECK, _store_check)
    export = add("export", "write its requests or samples as JSON lines or CSV", EXPORT, _store_export)
    export.add_argument("--format", choices=("jsonl", "csv"), default="jsonl", help="default: %(default)s")
    export.add_argument(
        "--since", type=options.date(whole_day=False), metavar="T", help=f"what finished then or later: {DATES}"
    )
    export.add_argument(
        "--until",
        type=options.date(whole_day=True),
        metavar="T",
        help="what finished then or earlier; a day counts as a whole",
    )
    export.add_argument("--instance", metavar="NAME", help="of one sidecar (default: of all)")
    export.add_argument("--samples", action="store_true", help="samples of the machine, in the place of requests")
    export.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        default=Path("-"),
        help="a file, which appears when it is complete (default: standard output)",
    )


def _serve(arguments: argparse.Namespace) -> int:
    from exporter import app  # noqa: PLC0415 - what only `serve` needs is not loaded for `--help`

    settings = options.load(arguments)
    logs.configure(settings.log.level, settings.log.format)
    app.run(settings, config.load_otel())
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from exporter.demo.run import demo  # noqa: PLC0415

    for option in ("proxy_listen", "admin_listen"):
        try:
            split_address(getattr(arguments, option))
        except ValueError as exc:
            raise StartupError(f"--{option.replace('_', '-')}: {exc}") from None
    return demo(
        arguments.duration,
        arguments.proxy_listen,
        arguments.admin_listen,
        config.cache_directory(),
        outage=arguments.outage,
    )


def _check_config(arguments: argparse.Namespace) -> int:
    settings = options.load(arguments)
    config.load_otel()
    names = ", ".join(upstream.name for upstream in settings.upstreams)
    print(f"the settings are valid; upstreams: {names}")
    return 0


def _print_config(arguments: argparse.Namespace) -> int:
    print(config.to_toml(options.load(arguments)), end="")
    return 0


def _store_migrate(arguments: argparse.Namespace) -> int:
    from exporter.store.commands import migrate_tables, say  # noqa: PLC0415

    say(migrate_tables(options.load(arguments).store))
    return 0


def _store_check(arguments: argparse.Namespace) -> int:
    from exporter.store.commands import check_store, say  # noqa: PLC0415

    report = check_store(options.load(arguments).store)
    say(*report.lines())
    return 0 if report.well else FOUND_SOMETHING


def _store_export(arguments: argparse.Namespace) -> int:
    from exporter.store.commands import Export, export_rows  # noqa: PLC0415

    period = arguments.since, arguments.until
    wanted = Export(arguments.format, arguments.output, *period, arguments.instance, samples=arguments.samples)
    export_rows(options.load(arguments).store, wanted)
    return 0
