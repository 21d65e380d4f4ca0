"""Every setting: its name, type, default, bounds and meaning. `config` fills them; everyone else is handed what it
needs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from exporter.settings.fields import (
    LISTED,
    Seconds,
    Section,
    check_address,
    check_harmless_header,
    check_key,
    check_origin,
    split_address,
    split_list,
)
from exporter.settings.live import LiveSettings
from exporter.settings.metrics import MetricsSettings
from exporter.settings.models import ModelsSettings, RateLimitSettings
from exporter.settings.routing import QUANTIZATION_TIERS, UNKNOWN_TIER, RoutingSettings
from exporter.settings.store import CompletionsSettings, StoreSettings
from exporter.settings.upstream import UpstreamSettings, with_names

__all__ = ["ENV_PREFIX", "Settings", "UpstreamSettings", "split_address"]

ENV_PREFIX = "LLAMA_EXPORTER_"


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
        default=8 << 20,
        ge=0,
        le=64 << 20,
        description="Request bodies up to this size are looked into, and can be sent again; longer ones pass unseen. "
        "Over 1 MiB, only those are looked into that hold few values, such as images.",
    )
    client_name_header: str = Field(
        default="X-Origin", description="Header that names the client application, where there is no `Origin` header."
    )

    _listen = field_validator("listen")(check_address)
    _client_name_header = field_validator("client_name_header")(check_harmless_header)


class AdminSettings(Section):
    """The listener for Prometheus, dashboards and people."""

    listen: Annotated[tuple[str, ...], *LISTED] = Field(
        default=("127.0.0.1:9464",), min_length=1, description="One or more `HOST:PORT`."
    )

    cors_origins: Annotated[tuple[str, ...], *LISTED] = Field(
        default=("*",),
        description="Web pages of these origins (`https://host:port`) may use the admin listener from a browser; `*`: "
        "all others may read. `[]`: only its own pages. (An empty environment variable counts as unset.)",
    )

    @field_validator("listen")
    @classmethod
    def _check(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_address(address) for address in value)

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_origin(origin) for origin in value)


class AuthSettings(Section):
    """API keys. Unset means open."""

    api_keys: Annotated[tuple[SecretStr, ...], *LISTED] = Field(
        default=(),
        description="Required on the admin listener, except for `/-/healthy` and the pages `/api/docs` and "
        "`/monitoring` (they hold no figures). Browsers sign in on `/monitoring`, for 7 days; a change of these keys "
        "signs all of them out. `PROXY_API_KEY` sets this one.",
    )
    proxy_api_keys: Annotated[tuple[SecretStr, ...], *LISTED] = Field(
        default=(), description="Required on the proxy listener; not passed on to llama-server."
    )

    @field_validator("api_keys", "proxy_api_keys")
    @classmethod
    def _check(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for key in value:
            check_key(key.get_secret_value())
        return value


class SamplingSettings(Section):
    """What is sampled of the machine and of the llama-servers, and how often."""

    interval_seconds: float = Field(
        default=5.0,
        ge=0.5,
        le=3600,
        description="Between two samples. `POST /api/metrics` changes it until the sidecar is restarted.",
    )
    host: bool = Field(default=True, description="CPU, memory, file systems, disks, network.")
    gpu: bool = Field(default=True, description="NVIDIA by NVML, AMD by sysfs; silently none where there is none.")
    llama_server: bool = Field(default=True, description="`/health`, `/props`, `/slots`, `/metrics`, models.")
    index_paths: Annotated[tuple[str, ...], *LISTED] = Field(
        default=(), description="Vector indexes (files, or folders with files) whose size is shown."
    )
    redis_url: SecretStr | None = Field(
        default=None,
        description="Redis whose memory is shown, `redis://[user:password@]host:port`; needs the extra `redis`.",
    )

    @field_validator("redis_url")
    @classmethod
    def _check_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("it must look like redis://127.0.0.1:6379")
        return value


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
    routing: RoutingSettings = RoutingSettings()
    metrics: MetricsSettings = MetricsSettings()
    sampling: SamplingSettings = SamplingSettings()
    live: LiveSettings = LiveSettings()
    log: LogSettings = LogSettings()
    store: StoreSettings = StoreSettings()
    completions: CompletionsSettings = CompletionsSettings()
    models: ModelsSettings = ModelsSettings()
    rate_limit: RateLimitSettings = RateLimitSettings()

    @field_validator("upstreams", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, dict):
            raise ValueError("write [[upstreams]], with two brackets: there can be several")
        return split_list(value)

    @field_validator("upstreams")
    @classmethod
    def _name(cls, value: tuple[UpstreamSettings, ...]) -> tuple[UpstreamSettings, ...]:
        return with_names(value)

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
        self._check_completions(proxy_port, admin_ports)
        self._check_tiers()
        own = [self.proxy.listen, *self.admin.listen, *filter(None, (self.completions.listen,))]
        for number, upstream in enumerate(self.upstreams, 1):
            if any(map(upstream.reaches, own)):
                raise ValueError(f"upstreams[{number}].url: this is the sidecar's own listener, not a llama-server")
        return self

    def _check_completions(self, proxy_port: int, admin_ports: list[int]) -> None:
        if self.completions.listen is not None:
            _, port = split_address(self.completions.listen)
            if port and port in (proxy_port, *admin_ports):
                raise ValueError("completions.listen: it needs a port of its own")

    def _check_tiers(self) -> None:
        """Among several upstreams, each tier needs a place in the order from cheap to capable."""
        placed = {*self.routing.tiers, *QUANTIZATION_TIERS, UNKNOWN_TIER}
        for number, upstream in enumerate(self.upstreams if len(self.upstreams) > 1 else (), 1):
            if upstream.tier is not None and upstream.tier not in placed:
                raise ValueError(
                    f"upstreams[{number}].tier: {upstream.tier!r} is not one of routing.tiers "
                    f"({', '.join(self.routing.tiers)}), which say what is cheap and what is capable"
                )

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
