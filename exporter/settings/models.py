"""The settings of the models that are managed through the sidecar, and of the llama-server that it runs for them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from exporter.settings.fields import LISTED, Section


class ModelsSettings(Section):
    """Models that can be discovered, registered, loaded and unloaded through the admin listener."""

    dir: Annotated[tuple[str, ...], *LISTED] = Field(
        default=(),
        description="Folders with model files (GGUF). Models are discovered and registered within them, nowhere else.",
    )
    llama_server: str | None = Field(
        default=None,
        description="A `llama-server` to start, watch over and stop, in router mode, at the address of the first "
        "upstream (`--manage-llama-server PATH`).",
    )
    arguments: Annotated[tuple[str, ...], *LISTED] = Field(
        default=(),
        description="More arguments for it. What they say of models overrules what is set for each model.",
    )
    max_loaded: int = Field(
        default=4, ge=0, le=1000, description="Models that it keeps loaded at once; 0: no limit. (`--models-max`)"
    )
    preset_file: str | None = Field(
        default=None,
        description="Where registered models are written for llama-server; unset: `models-PORT.ini` in the user's "
        "state directory, by the port of `proxy.listen`. A router that you start yourself is given it as "
        "`--models-preset FILE`.",
    )

    @field_validator("dir")
    @classmethod
    def _check_dir(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not each.strip() or not each.isprintable():
                raise ValueError("a folder's path must be printable, and not empty")
        return value

    @field_validator("llama_server", "preset_file")
    @classmethod
    def _check_path(cls, value: str | None) -> str | None:
        if value is not None and (not value.strip() or not value.isprintable()):
            raise ValueError("it must be the path of a file")
        return value


class RateLimitSettings(Section):
    """How often one address may ask the routes of the model manager (`/api/models`, `/api/config`, ...)."""

    requests_per_minute: int = Field(
        default=100, ge=0, le=1_000_000, description="From one address, in a minute; then 429. 0: no limit."
    )
    redis_url: SecretStr | None = Field(
        default=None,
        description="Redis in which several sidecars count together, `redis://[user:password@]host:port`; unset: each "
        "counts by itself. Needs the extra `redis`.",
    )

    @field_validator("redis_url")
    @classmethod
    def _check_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("redis://", "rediss://")):
            raise ValueError("it must look like redis://127.0.0.1:6379")
        return value
