"""Settings: loaded once, frozen, and the only place that reads the environment.

Sources, later ones win: defaults, TOML file, environment, command line. `cli` calls `load`; everything else is handed
what it needs.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from exporter.errors import ConfigError

ENV_PREFIX = "LLAMA_EXPORTER_"
ENV_FOREIGN = {
    "LOG_REQUEST_METRICS": ("metrics", "enabled"),
    "PROXY_API_KEY": ("auth", "api_keys"),
}
"""Names from the systems whose clients we serve, and the settings that they mean. Our own names win over them."""

Seconds = Annotated[float, Field(gt=0)]
Bounds = Annotated[tuple[float, ...], NoDecode]


class Section(BaseModel):
    """A part of the settings: frozen, and nothing unknown is let through."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def _split_list(value: Any) -> Any:
    """A list may be written `a, b`, or as JSON, where only text can be given."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("starts like a JSON list, but is none") from None
    return tuple(part.strip() for part in value.split(",") if part.strip())


def split_address(address: str) -> tuple[str, int]:
    """`HOST:PORT`, `[IPv6]:PORT` or `:PORT` (all interfaces) as host and port. Raises ValueError."""
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{address!r} is not HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{address!r}: write an IPv6 address in brackets, [{host}]:{port}")
    return host or "0.0.0.0", int(port)


def _check_address(address: str) -> str:
    split_address(address)
    return address


class UpstreamSettings(Section):
    """One llama-server."""

    name: str = Field(
        default="", max_length=64, description="Label in metrics and errors; default: the host and port, or the tier."
    )
    url: str = Field(description="`http://host:port`, with a path if the server has one.")
    tier: str = Field(
        default="unknown", max_length=64, description="Tier that its requests count for (Q2, Q3, Q4, ...)."
    )
    provider: str = Field(default="llama_cpp", max_length=64, description="Value of the label `gen_ai_provider_name`.")
    api_key: SecretStr | None = Field(
        default=None,
        description="Sent as a bearer token by our own polls, and with requests that carry no credentials.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_url(cls, value: Any) -> Any:
        """`URL` or `TIER=URL` stands for the whole."""
        if not isinstance(value, str):
            return value
        tier, separator, url = value.partition("=")
        if separator and re.fullmatch(r"[\w.-]+", tier):
            return {"name": tier, "tier": tier, "url": url}
        return {"url": value}

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            raise ValueError("the port is not a number from 1 to 65535") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            raise ValueError("it must look like http://127.0.0.1:8080")
        if parts.username is not None or parts.password is not None:
            raise ValueError("put credentials into api_key, not into the URL")
        if parts.query or parts.fragment:
            raise ValueError("it must not have a query or fragment")
        return url

    @property
    def label(self) -> str:
        """The name, or host and port of the URL."""
        return self.name or urlsplit(self.url).netloc


class ProxySettings(Section):
    """The listener that clients use instead of llama-server."""

    listen: str = Field(default="127.0.0.1:8001", description="`HOST:PORT`; port 0 takes a free one.")
    connect_timeout_seconds: Seconds = Field(default=5.0, description="For a connection to an upstream; then 502.")
    idle_timeout_seconds: Seconds | None = Field(
        default=None,
        description="Longest silence of an upstream, before or within its answer; then 504. Unset: wait for ever.",
    )
    shutdown_grace_seconds: float = Field(
        default=30.0, ge=0, description="After SIGTERM, how long requests in flight may take to finish."
    )
    max_in_flight: int | None = Field(
        default=None, ge=1, description="Requests served at once; more are refused with 503. Unset: no limit."
    )
    held_body_bytes: int = Field(
        default=1 << 20,
        ge=0,
        le=64 << 20,
        description="Request bodies up to this size are looked into, and can be sent again; longer ones pass unseen.",
    )
    client_name_header: str = Field(
        default="X-Origin", description="Header that names the client application, where there is no `Origin` header."
    )

    _listen = field_validator("listen")(_check_address)


class AdminSettings(Section):
    """The listener for Prometheus, dashboards and people."""

    listen: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("127.0.0.1:9464",), min_length=1, description="One or more `HOST:PORT`."
    )

    @field_validator("listen", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _split_list(value)

    @field_validator("listen")
    @classmethod
    def _check(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_check_address(address) for address in value)


class AuthSettings(Section):
    """API keys. Unset means open."""

    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(), description="Accepted on the admin listener (`PROXY_API_KEY` adds one)."
    )
    proxy_api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(), description="Demanded on the proxy listener; not passed on to llama-server."
    )

    @field_validator("api_keys", "proxy_api_keys", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _split_list(value)

    @field_validator("api_keys", "proxy_api_keys")
    @classmethod
    def _check(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(not key.get_secret_value().strip() for key in value):
            raise ValueError("a key must not be empty")
        return value


class BucketSettings(Section):
    """Upper bounds of the histograms' buckets, ascending; unset: the defaults listed in docs/metrics.md."""

    duration: Bounds | None = Field(default=None, description="Seconds of a whole request.")
    ttft: Bounds | None = Field(default=None, description="Seconds to the first token.")
    queue: Bounds | None = Field(default=None, description="Seconds of waiting inside the server.")
    per_token: Bounds | None = Field(default=None, description="Seconds per output token, averaged over a request.")
    inter_token: Bounds | None = Field(default=None, description="Seconds between two content chunks.")
    output_speed: Bounds | None = Field(default=None, description="Generated tokens per second.")
    prompt_speed: Bounds | None = Field(default=None, description="Prompt tokens per second.")
    tokens: Bounds | None = Field(default=None, description="Tokens of one request.")
    overhead: Bounds | None = Field(default=None, description="Seconds that the sidecar itself adds.")
    health_check: Bounds | None = Field(default=None, description="Seconds of a health check.")

    @field_validator("*", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _split_list(value)

    @field_validator("*")
    @classmethod
    def _ascending(cls, value: Bounds | None) -> Bounds | None:
        if value is not None and (not value or value[0] <= 0 or any(a >= b for a, b in pairwise(value))):
            raise ValueError("bounds must be positive and ascending")
        return value


class MetricsSettings(Section):
    """What is recorded of the traffic."""

    enabled: bool = Field(
        default=True, description="Master switch (`LOG_REQUEST_METRICS`): off, traffic flows and nothing is recorded."
    )
    max_models: int = Field(
        default=100,
        ge=1,
        le=100_000,
        description="Distinct model names, beside those that an upstream serves, before `other`.",
    )
    max_label_values: int = Field(
        default=50, ge=1, le=10_000, description="The same for finish reasons and error types."
    )
    buckets: BucketSettings = BucketSettings()


class SamplingSettings(Section):
    """How often the machine and the llama-servers are looked at."""

    interval_seconds: float = Field(default=5.0, ge=0.5, le=3600)
    host: bool = Field(default=True, description="CPU, memory, file systems, disks, network.")
    gpu: bool = Field(default=True, description="NVIDIA by NVML, AMD by sysfs; silently none where there is none.")
    llama_server: bool = Field(default=True, description="`/health`, `/props`, `/slots`, `/metrics`, models.")


class LogSettings(Section):
    """Our own log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="At debug, one line per request."
    )
    format: Literal["auto", "text", "json"] = Field(
        default="auto", description="auto: text on a terminal, JSON otherwise."
    )

    @field_validator("level", "format", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value


class StoreSettings(Section):
    """History on disk."""

    url: Literal["none"] = Field(default="none", description="This version keeps no history: `none` is the only value.")


class Settings(BaseSettings):
    """Everything that can be configured."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        nested_model_default_partial_update=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
    )

    upstreams: Annotated[tuple[UpstreamSettings, ...], NoDecode] = Field(
        default=(UpstreamSettings(url="http://127.0.0.1:8080"),),
        min_length=1,
        description="The llama-servers; `URL` or `TIER=URL` is short for a table.",
    )
    proxy: ProxySettings = ProxySettings()
    admin: AdminSettings = AdminSettings()
    auth: AuthSettings = AuthSettings()
    metrics: MetricsSettings = MetricsSettings()
    sampling: SamplingSettings = SamplingSettings()
    log: LogSettings = LogSettings()
    store: StoreSettings = StoreSettings()

    @field_validator("upstreams", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _split_list(value)

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [upstream.label for upstream in self.upstreams]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"upstreams: two are named {name!r}; give each a name of its own")
        addresses = [self.proxy.listen, *self.admin.listen]
        ports = [port for _, port in map(split_address, addresses) if port]
        if len(set(ports)) < len(ports):
            raise ValueError("proxy.listen and admin.listen: each listener needs a port of its own")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, our environment names, foreign names, file; the first that has a value wins."""
        return init_settings, env_settings, ForeignNames(settings_cls), TomlConfigSettingsSource(settings_cls)


class ForeignNames(PydanticBaseSettingsSource):
    """The environment names of the systems whose clients we serve."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: values are nested, `__call__` gives them all."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The values that are set, nested like the file."""
        return {
            section: {key: os.environ[name]} for name, (section, key) in ENV_FOREIGN.items() if os.environ.get(name)
        }


def load(*, file: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings from all sources; `overrides` (nested, like the file) come from the command line.

    Raises ConfigError with one line that names the source and the setting.
    """
    if file is not None:
        _check_file(file)
    _check_environment()

    class Loaded(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return Loaded(**(overrides or {}))
    except ValidationError as exc:
        raise ConfigError(_explain(exc, file, overrides or {})) from None


def cache_directory() -> Path:
    """Where things that can be made again are kept: `XDG_CACHE_HOME`, else `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llama-exporter"


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
        if name.upper().startswith(ENV_PREFIX) and name.upper() not in known | sections:
            raise ConfigError(f"environment: unknown setting {name}{_nearest(name.upper(), sorted(known))}")


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


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def _explain(error: ValidationError, file: Path | None, overrides: Mapping[str, Any]) -> str:
    """The first error as one line: where it was set, which setting, what is wrong."""
    first = error.errors(include_url=False, include_context=False)[0]
    path = tuple(str(part) for part in first["loc"])
    prefix = _source(path, file, overrides)
    where = _spell(path)
    if first["type"] == "extra_forbidden":
        return f"{prefix}unknown setting {where}{_nearest(path[-1], _siblings(path))}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        message = "is required"
    return f"{prefix}{where}: {message}" if where else f"{prefix}{message}"


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
    """The settings in force as a TOML file that `load` understands; secrets are shown as stars, unset ones as
    comments."""
    values = settings.model_dump(mode="json")
    lines: list[str] = []
    for upstream in values.pop("upstreams"):
        lines += ["[[upstreams]]", *_toml_lines(upstream), ""]
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
    # JSON's strings, numbers, booleans and flat lists are TOML's.
    return [f"# {key} is unset" if value is None else f"{key} = {json.dumps(value)}" for key, value in values.items()]
