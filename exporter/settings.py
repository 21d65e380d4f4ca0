"""Every setting: its name, type, default, bounds and meaning. `config` fills them; everyone else is handed what it
needs."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

ENV_PREFIX = "LLAMA_EXPORTER_"

LOOPBACK_HOSTS = frozenset(("localhost", "127.0.0.1", "::1"))

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


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


LISTED = (NoDecode, BeforeValidator(_split_list))
"""Makes a setting of several values understand `a, b` and JSON; what to write behind its type in `Annotated`."""

Bounds = Annotated[tuple[float, ...], *LISTED]


def check_key(key: str) -> str:
    """The key, if it can be sent in a header field. Raises ValueError, which does not quote it."""
    if not key.strip():
        raise ValueError("a key must not be empty")
    if not key.isascii() or not key.isprintable():
        raise ValueError("a key must be printable ASCII text")
    return key


def split_address(address: str) -> tuple[str, int]:
    """`HOST:PORT`, `[IPv6]:PORT` or `:PORT` (all interfaces) as host and port. Raises ValueError."""
    host, separator, port = address.rpartition(":")
    if not separator or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
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
        default="",
        max_length=64,
        description="Label in metrics and errors; default: llama-server, llama-server-2 ... or the tier of `TIER=URL`.",
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
        if not re.fullmatch(r"[\w-]+(\.[\w-]+)*\.?|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(%\w+)?", parts.hostname):
            raise ValueError("the host name is not one")
        if parts.username is not None or parts.password is not None:
            raise ValueError("put credentials into api_key, not into the URL")
        if parts.query or parts.fragment:
            raise ValueError("it must not have a query or fragment")
        if parts.path.rstrip("/").endswith("/v1"):
            raise ValueError("leave out /v1: clients' paths are put behind this URL as they come")
        return url

    def reaches(self, address: str) -> bool:
        """Whether the URL leads to a listener of this machine with that address, as far as the names tell."""
        host, port = split_address(address)
        parts = urlsplit(self.url)
        here = parts.hostname in LOOPBACK_HOSTS and host in LOOPBACK_HOSTS | {"0.0.0.0", "::"}
        return (parts.port or (443 if parts.scheme == "https" else 80)) == port and (parts.hostname == host or here)

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_key(value.get_secret_value())
        return value


def default_name(number: int) -> str:
    """The name of the first, second, ... upstream that was given none."""
    return "llama-server" if number == 1 else f"llama-server-{number}"


class ProxySettings(Section):
    """The listener that clients use instead of llama-server."""

    listen: str = Field(default="127.0.0.1:8001", description="`HOST:PORT`; port 0 takes a free one.")
    connect_timeout_seconds: Seconds = Field(default=5.0, description="For a connection to an upstream; then 502.")
    idle_timeout_seconds: Seconds | None = Field(
        default=None,
        description="Longest silence of an upstream, before or within its answer; then 504. Unset: wait for ever.",
    )
    shutdown_grace_seconds: float = Field(
        default=30.0, ge=0, le=86_400, description="After SIGTERM, how long requests in flight may take to finish."
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

    listen: Annotated[tuple[str, ...], *LISTED] = Field(
        default=("127.0.0.1:9464",), min_length=1, description="One or more `HOST:PORT`."
    )

    @field_validator("listen")
    @classmethod
    def _check(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_check_address(address) for address in value)


class AuthSettings(Section):
    """API keys. Unset means open."""

    api_keys: Annotated[tuple[SecretStr, ...], *LISTED] = Field(
        default=(), description="Demanded on the admin listener, but for `/-/healthy`. `PROXY_API_KEY` means this one."
    )
    proxy_api_keys: Annotated[tuple[SecretStr, ...], *LISTED] = Field(
        default=(), description="Demanded on the proxy listener; not passed on to llama-server."
    )

    @field_validator("api_keys", "proxy_api_keys")
    @classmethod
    def _check(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for key in value:
            check_key(key.get_secret_value())
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

    @field_validator("*")
    @classmethod
    def _ascending(cls, value: Bounds | None) -> Bounds | None:
        if value is None:
            return None
        rising = bool(value) and value[0] > 0 and all(low < high for low, high in pairwise(value))
        if not rising or value[-1] == float("inf"):
            raise ValueError("bounds must be positive, finite and ascending")
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

    url: str = Field(default="none", description="This version keeps no history: `none` is the only value.")

    @field_validator("url")
    @classmethod
    def _check(cls, value: str) -> str:
        if value != "none":
            raise ValueError("this version keeps no history; `none` is the only value")
        return value


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
        if isinstance(value, dict):
            raise ValueError("write [[upstreams]], with two brackets: there can be several")
        return _split_list(value)

    @field_validator("upstreams")
    @classmethod
    def _name(cls, value: tuple[UpstreamSettings, ...]) -> tuple[UpstreamSettings, ...]:
        """An upstream without a name gets one that does not give its address away: clients see it in errors."""
        return tuple(
            upstream if upstream.name else upstream.model_copy(update={"name": default_name(number)})
            for number, upstream in enumerate(value, 1)
        )

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [upstream.name for upstream in self.upstreams]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"upstreams: two are named {name!r}; give each a `name` of its own, in an [[upstreams]] table"
                )
        _, proxy_port = split_address(self.proxy.listen)
        admin_ports = [port for _, port in map(split_address, self.admin.listen)]
        if proxy_port and proxy_port in admin_ports:
            raise ValueError("proxy.listen and admin.listen: each of the two needs a port of its own")
        if len(set(self.admin.listen)) < len(self.admin.listen):
            raise ValueError("admin.listen: an address is given twice")
        for number, upstream in enumerate(self.upstreams, 1):
            if upstream.reaches(self.proxy.listen) or any(map(upstream.reaches, self.admin.listen)):
                raise ValueError(f"upstreams[{number}].url: this is the sidecar's own listener, not a llama-server")
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
        """Only what is given: where settings come from is `config`'s business."""
        return (init_settings,)
