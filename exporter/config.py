"""Where the settings come from: defaults, TOML file, environment, command line, later ones win; and what is wrong with
them.

`cli` calls `load` and `load_otel`. The only file that reads the environment.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from exporter.errors import ConfigError
from exporter.settings import ENV_PREFIX, Settings, UpstreamSettings, otel_variables
from exporter.settings.otel import GRPC, OtelSettings
from exporter.settings.variables import nearest

log = logging.getLogger(__name__)

ENV_FOREIGN = {
    "LOG_REQUEST_METRICS": ("metrics", "enabled"),
    "PROXY_API_KEY": ("auth", "api_keys"),
    "VDM_ACTIVE_REQUESTS_SSE_ENABLED": ("live", "active_requests_stream"),
    "VDM_ACTIVE_REQUESTS_SSE_HEARTBEAT": ("live", "active_requests_heartbeat_seconds"),
    "VDM_ACTIVE_REQUESTS_SSE_INTERVAL": ("live", "active_requests_interval_seconds"),
}
"""Names from the systems whose clients we serve, and the settings that they mean. Our own names win over them."""

PLAIN = {
    "missing": "is required",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list, or a text with commas between its parts",
    "string_type": "must be a text",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
}
"""What is wrong with a value, where the library speaks of Python."""

FOREIGN_FAMILY = "VDM_ACTIVE_REQUESTS_SSE_"
"""A name that begins so and is not known is misspelt."""

ENV_KUBERNETES = re.compile(r"LLAMA_EXPORTER_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_.*)?)")
"""Kubernetes gives every pod such variables when a Service is called llama-exporter. They are not meant for us."""


class StatePlace(PydanticBaseSettingsSource):
    """Where history is kept when nobody says: in the user's state directory."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: the value is nested, `__call__` gives it."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The one value, nested like the file; nothing for a user without a home."""
        try:
            place = state_directory() / "history.db"
        except RuntimeError:
            return {}
        return {"store": {"url": f"sqlite:///{quote(str(place))}"}}


class ForeignNames(PydanticBaseSettingsSource):
    """The environment names of the systems whose clients we serve."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: values are nested, `__call__` gives them all."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The values that are set, nested like the file."""
        values: dict[str, Any] = {}
        for name, (section, key) in ENV_FOREIGN.items():
            if value := os.environ.get(name):
                values.setdefault(section, {})[key] = (value,) if name == "PROXY_API_KEY" else value
        return values


def load(*, file: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings from all sources; `overrides` (nested, like the file) come from the command line.

    Raises ConfigError with one line that names the source and the setting.
    """
    if file is not None:
        _check_file(file)
    _check_environment()

    class Loaded(Settings):
        model_config = SettingsConfigDict(toml_file=file, env_ignore_empty=True)

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            """The first that has a value wins."""
            toml = TomlConfigSettingsSource(settings_cls)
            return init_settings, env_settings, ForeignNames(settings_cls), toml, StatePlace(settings_cls)

    try:
        return Loaded(**(overrides or {}))
    except SettingsError as exc:
        raise ConfigError(f"environment: {_first_line(exc)}") from None
    except ValidationError as exc:
        raise ConfigError(_explain(exc, file, overrides or {})) from None


def load_otel() -> OtelSettings:
    """What the standard `OTEL_...` variables say, for traces and metrics to be pushed; odd ones are warned of.

    Raises ConfigError with one line that names the variable.
    """
    settings, warnings = otel_variables.read(os.environ)
    for warning in warnings:
        log.warning(warning)
    if not settings.on and any(os.environ.get(name, "").strip() for name in otel_variables.ENDPOINTS):
        log.info("nothing is pushed, for OTEL_SDK_DISABLED or OTEL_..._EXPORTER says so")
    if settings.on:
        _prepare_libraries(settings)
    return settings


def _prepare_libraries(settings: OtelSettings) -> None:
    """Leave the libraries, which read the environment by themselves, no other reading of it than ours."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        value = os.environ[name].strip()
        if not value or (name in otel_variables.SPAN_LIMITS and value.lower() == "unset"):
            del os.environ[name]  # As if it were not set, says the specification; some take it for a value.
        else:
            os.environ[name] = value
    # Whoever has spans show header fields, and be it all of them, means no secrets.
    sanitized = os.environ.get(otel_variables.SANITIZED)
    os.environ[otel_variables.SANITIZED] = ",".join([*filter(None, [sanitized]), *otel_variables.SECRET_FIELDS])
    opted_in = otel_variables.opted_in(os.environ)
    if not {"http", "http/dup"}.intersection(opted_in):  # Else spans of the HTTP client have names that are outdated.
        os.environ[otel_variables.OPT_IN] = ",".join([*opted_in, "http"])
    if GRPC in (settings.traces.protocol, settings.metrics.protocol):
        # Its core would write a line about every connection that fails.
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def cache_directory() -> Path:
    """Where things that can be made again are kept: `XDG_CACHE_HOME`, else `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llama-exporter"


def state_directory() -> Path:
    """Where things are kept that a restart must not lose: `XDG_STATE_HOME`, else `~/.local/state`. Relative paths there
    are to be ignored (XDG Base Directory Specification)."""
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".local" / "state") / "llama-exporter"


def environment_without_settings() -> dict[str, str]:
    """The environment for a process that is given its settings in another way, and must not find ours."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(ENV_PREFIX) and name not in ENV_FOREIGN
    }


def _check_file(file: Path) -> None:
    try:
        tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"{file}: cannot be read ({(exc.strerror or str(exc)).lower()})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{file}: is not TOML: {exc}") from None


def _check_environment() -> None:
    """The library ignores names it does not know; a misspelt one would then silently have no effect."""
    known = {variable(path) for path in setting_paths()}
    sections = {variable(path[:-1]) for path in setting_paths() if len(path) > 1}
    for name in sorted(os.environ):
        if name in ENV_FOREIGN and os.environ[name] and not os.environ[name].strip():
            raise ConfigError(f"environment: {name} is blank; unset it, or give it a value")
        if name.startswith(FOREIGN_FAMILY) and name not in ENV_FOREIGN:
            raise ConfigError(f"environment: unknown setting {name}{_hint(name, sorted(ENV_FOREIGN))}")
        spelt = name.upper()
        if not spelt.startswith(ENV_PREFIX) or ENV_KUBERNETES.fullmatch(spelt):
            continue
        if spelt not in known | sections:
            bare = [each.removeprefix(ENV_PREFIX) for each in sorted(known)]
            hint = _hint(spelt.removeprefix(ENV_PREFIX), bare, prefix=ENV_PREFIX)
            raise ConfigError(f"environment: unknown setting {name}{hint}")


def variable(path: Sequence[str]) -> str:
    """The environment variable of a setting."""
    return ENV_PREFIX + "__".join(path).upper()


def setting_paths(model: type[BaseModel] = Settings, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every setting as section and key; `upstreams` is one setting."""
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from setting_paths(info.annotation, (*above, name))
        else:
            yield (*above, name)


def _hint(name: str, known: Sequence[str], prefix: str = "") -> str:
    near = nearest(name, known)
    return f"; did you mean {prefix}{near}?" if near else ""


def _explain(error: ValidationError, file: Path | None, overrides: Mapping[str, Any]) -> str:
    """The first error as one line: where it was set, which setting, what is wrong."""
    first = error.errors(include_url=False, include_context=False)[0]
    path = tuple(str(part) for part in first["loc"])
    prefix = _source(path, file, overrides)
    where = _spell(path)
    if first["type"] == "extra_forbidden":
        return f"{prefix}unknown setting {where}{_hint(path[-1], _siblings(path)) or _elsewhere(path[-1])}"
    message = PLAIN.get(first["type"]) or first["msg"].removeprefix("Value error, ")
    return f"{prefix}{where}: {message}" if where else f"{prefix}{message}"


def _elsewhere(name: str) -> str:
    """A hint for a setting that stands in the wrong section."""
    found = [".".join(path) for path in setting_paths() if path[-1] == name]
    return f"; did you mean {found[0]}?" if found else ""


def _spell(path: Sequence[str]) -> str:
    text = ""
    for part in path:
        text += f"[{int(part) + 1}]" if part.isdigit() else f".{part}" if text else part
    return text


def _source(path: Sequence[str], file: Path | None, overrides: Mapping[str, Any]) -> str:
    """Which source gave the value at `path`, as the beginning of a message; "" when no single one did."""
    if not path:
        return ""
    if _holds(overrides, path):
        return "command line: "
    for name in sorted(os.environ):
        candidate = ENV_FOREIGN.get(name) or tuple(name.upper().removeprefix(ENV_PREFIX).lower().split("__"))
        foreign = name in ENV_FOREIGN
        if (foreign or name.upper().startswith(ENV_PREFIX)) and tuple(path[: len(candidate)]) == tuple(candidate):
            return f"environment: {name}: "
    if file is not None and _holds(tomllib.loads(file.read_text(encoding="utf-8")), path):
        return f"{file}: "
    return ""


def _holds(values: Any, path: Sequence[str]) -> bool:
    for part in path:
        if not isinstance(values, Mapping):
            return True
        if part not in values:
            return False
        values = values[part]
    return True


def _siblings(path: Sequence[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in path[:-1]:
        if part == "upstreams":
            return list(UpstreamSettings.model_fields)
        info = model.model_fields.get(part)
        if info is None or not (isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)):
            break
        model = info.annotation
    return list(model.model_fields)


def to_toml(settings: Settings) -> str:
    """The settings in force as a TOML file that `load` understands; what is unset, and what is secret, as comments."""
    values = settings.model_dump(mode="json")
    lines: list[str] = []
    for content in values.pop("upstreams"):
        lines += ["[[upstreams]]", *_toml_lines(content), ""]
    for section, content in values.items():
        lines += _toml_section(section, content)
    return "\n".join(lines)


def _toml_section(name: str, content: Mapping[str, Any]) -> list[str]:
    plain = {key: value for key, value in content.items() if not isinstance(value, Mapping)}
    lines = [f"[{name}]", *_toml_lines(plain), ""]
    for key, value in content.items():
        if isinstance(value, Mapping):
            lines += _toml_section(f"{name}.{key}", value)
    return lines


def _toml_lines(values: Mapping[str, Any]) -> list[str]:
    return [_toml_line(key, value) for key, value in values.items()]


def _toml_line(key: str, value: Any) -> str:
    if value is None:
        return f"# {key} is unset"
    if MASK in (value, *(value if isinstance(value, list) else ())):
        return f"# {key} is set, and secret"
    return f"{key} = {json.dumps(value)}"  # JSON's strings, numbers, booleans and flat lists are TOML's


MASK = "**********"
"""What pydantic shows of a secret."""
