"""Writes the generated pages: `python docs/generate.py`. A test compares them with what is committed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from starlette.routing import Route, WebSocketRoute

from exporter.api.openapi.document import PATH_PART
from exporter.api.room import Room
from exporter.app import make_rooms
from exporter.config import ENV_FOREIGN, variable
from exporter.settings import Settings, UpstreamSettings
from exporter.store.reference import render_tables
from exporter.telemetry.reference import render_reference

HERE = Path(__file__).parent

CONFIGURATION_HEAD = """\
# Configuration

Generated from `exporter/settings/` by `make docs`; do not edit.

Sources, later ones win: defaults, the TOML file (`--config FILE`), the environment, the command line. An unknown
setting is an error that names the nearest known one. `llama-exporter check-config` says whether the settings are
valid, and `llama-exporter print-config` prints those in force, secrets hidden.

- In the environment a setting is `LLAMA_EXPORTER_SECTION__KEY`; lists are written `a, b` or as JSON.
- Names of other systems that are understood: {foreign}. Our own names win over them.

```toml
[[upstreams]]
name = "q4"
url = "http://127.0.0.1:8080"
tier = "Q4"

[proxy]
listen = "0.0.0.0:8001"

[auth]
proxy_api_keys = ["a-long-random-string"]
```
"""


ROUTES = "routes"
TABLES = "tables"


def pages() -> dict[Path, str]:
    """Every generated page by its path."""
    return {
        HERE / "api.md": api_page((HERE / "api.md").read_text(encoding="utf-8")),
        HERE / "configuration.md": configuration_page(),
        HERE / "metrics.md": render_reference(),
        HERE / "store.md": fill((HERE / "store.md").read_text(encoding="utf-8"), TABLES, render_tables()),
    }


def api_page(written: str) -> str:
    """The page with the table of all routes as it is now."""
    return fill(written, ROUTES, routes_table(make_rooms(Settings())))


def fill(written: str, name: str, content: str) -> str:
    """A page with what belongs between its two comments."""
    begin = f"<!-- {name} -->\n"
    head, _, rest = written.partition(begin)
    _, end, tail = rest.partition(f"<!-- end of {name} -->")
    return f"{head}{begin}{content}{end}{tail}"


def routes_table(rooms: Sequence[Room]) -> str:
    """Every route of the admin listener, as Markdown."""
    lines = ["| contract | route | what |", "|---|---|---|"]
    for room in rooms:
        for each in (operation for operation in room.operations if operation.described):
            note = " (open)" if each.open else ""
            path = PATH_PART.sub(r"{\1}", each.path)
            lines.append(f"| {room.name} | `{each.method} {path}` | {each.about}{note} |")
        lines += [f"| {room.name} | `{path}` | {kind} |" for path, kind in sockets(room).items()]
    return "\n".join(lines) + "\n"


def sockets(room: Room) -> dict[str, str]:
    """What is no request with one answer, by path; with a slash behind it, it is the same."""
    found = {each.path.removesuffix("/"): each for each in room.sockets if isinstance(each, (Route, WebSocketRoute))}
    over_http = {each.path.removesuffix("/") for each in room.sockets if isinstance(each, Route)}
    return {path: "Socket.IO" if path in over_http else "WebSocket" for path in found}


def configuration_page() -> str:
    """The reference of all settings, as Markdown."""
    foreign = ", ".join(f"`{name}` (`{'.'.join(path)}`)" for name, path in ENV_FOREIGN.items())
    parts = [CONFIGURATION_HEAD.format(foreign=foreign)]
    for name, info in Settings.model_fields.items():
        if name == "upstreams":
            parts.append(f"## `[[upstreams]]`\n\n{info.description} Environment: `{variable(('upstreams',))}`.\n")
            parts.append(table(UpstreamSettings, None))
        else:
            parts += section(_model(info), (name,))
    return "\n".join(parts)


def section(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[str]:
    """A section's heading and table, and those of the sections inside."""
    yield f"## `[{'.'.join(path)}]`\n\n{(model.__doc__ or '').strip()}\n"
    yield table(model, path)
    for name, info in model.model_fields.items():
        if _is_section(info):
            yield from section(_model(info), (*path, name))


def table(model: type[BaseModel], path: tuple[str, ...] | None) -> str:
    """The settings of one section; without a `path` they have no variables of their own."""
    environment = path is not None
    lines = [
        "| key | default | meaning |" + (" environment |" if environment else ""),
        "|---|---|---|" + ("---|" if environment else ""),
    ]
    for name, info in model.model_fields.items():
        if not _is_section(info):
            variable_cell = f" `{variable((*path, name))}` |" if path is not None else ""
            lines.append(f"| `{name}` | {_default(info)} | {_meaning(info)} |{variable_cell}")
    return "\n".join(lines) + "\n"


def _is_section(info: FieldInfo) -> bool:
    return isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)


def _model(info: FieldInfo) -> type[BaseModel]:
    return cast(type[BaseModel], info.annotation)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    return "unset" if info.default in (None, (), "") else f"`{_plain(info.default)}`"


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _meaning(info: FieldInfo) -> str:
    text = info.description or ""
    bounds = [
        f"{word} {getattr(item, key)}"
        for item in info.metadata
        for key, word in (("ge", "at least"), ("gt", "above"), ("le", "at most"))
        if getattr(item, key, None) is not None
    ]
    choices = (
        get_args(info.annotation)
        if get_origin(info.annotation) and all(isinstance(choice, str) for choice in get_args(info.annotation))
        else ()
    )
    notes = ([", ".join(map(str, choices))] if choices else []) + ([", ".join(bounds)] if bounds else [])
    return " ".join([text, *(f"({note})" for note in notes)]).strip()


if __name__ == "__main__":
    for page_path, content in pages().items():
        page_path.write_text(content, encoding="utf-8")
