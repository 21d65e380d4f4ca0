"""The command line: parses, loads the settings, and calls `app` or `demo`.

Exit codes: 0 after a clean end, 2 after a mistake that the operator can put right (one line on standard error).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exporter import __version__, config, logs
from exporter.errors import StartupError
from exporter.settings import Settings, split_address

USAGE_ERROR = 2

EPILOG = """\
Every setting can be given in a TOML file (--config), as an environment variable LLAMA_EXPORTER_SECTION__KEY, and the
most common ones on the command line; the later of these wins. docs/configuration.md lists them all.
"""

DEMO = """\
Runs three real llama.cpp engines with tiny models behind a sidecar, with traffic, until Ctrl-C. While it runs, open
http://127.0.0.1:9464/ for a page of links, or http://127.0.0.1:9464/api/docs for every route of the admin listener.

The demo takes no settings but the options below: it ignores PROXY_API_KEY, the LLAMA_EXPORTER_... variables, and the
other environment variables of docs/configuration.md.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except StartupError as exc:
        print(f"llama-exporter: {exc}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llama-exporter",
        description="A transparent sidecar for llama-server: forwards every byte, and measures the traffic.",
        epilog=EPILOG,
        formatter_class=_formatter,
    )
    parser.add_argument("--version", action="version", version=f"llama-exporter {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the sidecar", epilog=EPILOG, formatter_class=_formatter)
    _add_settings(serve)
    serve.set_defaults(command=_serve)

    demo = commands.add_parser(
        "demo",
        help="run three real llama.cpp engines with tiny models behind the sidecar, with traffic",
        description=DEMO,
        formatter_class=_formatter,
    )
    demo.add_argument("--duration", type=_positive, metavar="S", help="end after so many seconds (default: at Ctrl-C)")
    demo.add_argument(
        "--proxy-listen", metavar="H:P", default="127.0.0.1:8001", help="for clients (default: %(default)s)"
    )
    demo.add_argument(
        "--admin-listen",
        metavar="H:P",
        default="127.0.0.1:9464",
        help="for Prometheus, dashboards and /api/docs (default: %(default)s)",
    )
    demo.add_argument(
        "--outage",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="kill one engine now and then, and start it again (default: %(default)s)",
    )
    demo.set_defaults(command=_demo)

    check = commands.add_parser(
        "check-config", help="say whether the settings are valid, and end", formatter_class=_formatter
    )
    _add_settings(check)
    check.set_defaults(command=_check_config)

    show = commands.add_parser(
        "print-config", help="print the settings in force as TOML, secrets hidden", formatter_class=_formatter
    )
    _add_settings(show)
    show.set_defaults(command=_print_config)
    return parser


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=32, width=100)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    parser.add_argument(
        "--upstream",
        action="append",
        metavar="[TIER=]URL",
        help="a llama-server, such as http://127.0.0.1:8080 or Q4=http://127.0.0.1:8080; can be repeated",
    )
    parser.add_argument(
        "--tiers", metavar="NAMES", help="the tiers of several upstreams, from cheap to capable (default: Q2,Q3,Q4)"
    )
    parser.add_argument("--proxy-listen", metavar="H:P", help="where clients connect instead (default: 127.0.0.1:8001)")
    parser.add_argument(
        "--admin-listen",
        action="append",
        metavar="H:P",
        help="for Prometheus, dashboards and /api/docs (default: 127.0.0.1:9464); can be repeated",
    )
    parser.add_argument(
        "--completions-listen",
        metavar="H:P",
        help="for the history contract alone, where /metrics is JSON (default: off)",
    )
    parser.add_argument(
        "--store",
        metavar="URL",
        help="where history is kept: sqlite:///PATH, postgresql://..., or none (default: a SQLite file in the user's "
        "state directory)",
    )
    parser.add_argument("--log-level", metavar="L", help="debug, info, warning, error (default: info)")
    parser.add_argument("--log-format", metavar="F", help="text, json (default: text on a terminal, JSON otherwise)")


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _load(arguments: argparse.Namespace) -> Settings:
    given: dict[str, Any] = {
        "upstreams": arguments.upstream,
        "routing": {"tiers": arguments.tiers},
        "proxy": {"listen": arguments.proxy_listen},
        "admin": {"listen": arguments.admin_listen},
        "store": {"url": arguments.store},
        "completions": {"listen": arguments.completions_listen},
        "log": {"level": arguments.log_level, "format": arguments.log_format},
    }
    return config.load(file=arguments.config, overrides=_without_unset(given))


def _without_unset(values: dict[str, Any]) -> dict[str, Any]:
    kept = {key: _without_unset(value) if isinstance(value, dict) else value for key, value in values.items()}
    return {key: value for key, value in kept.items() if value not in (None, {})}


def _serve(arguments: argparse.Namespace) -> int:
    from exporter import app  # noqa: PLC0415 - what only `serve` needs is not loaded for `--help`

    settings = _load(arguments)
    logs.configure(settings.log.level, settings.log.format)
    app.run(settings)
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
    settings = _load(arguments)
    names = ", ".join(upstream.name for upstream in settings.upstreams)
    print(f"the settings are valid; upstreams: {names}")
    return 0


def _print_config(arguments: argparse.Namespace) -> int:
    print(config.to_toml(_load(arguments)), end="")
    return 0
