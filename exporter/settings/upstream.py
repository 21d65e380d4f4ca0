"""The settings of one llama-server."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain, count
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from exporter.settings.fields import LISTED, LOOPBACK_HOSTS, Section, check_key, split_address


class UpstreamSettings(Section):
    """One llama-server."""

    name: str = Field(
        default="",
        max_length=64,
        description="Label in metrics and errors; default: its tier, else `llama-server`, with `-2`, `-3`, ... where "
        "that is taken.",
    )
    url: str = Field(description="`http://host:port`, with a path if the server has one.")
    tier: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Tier that its requests count for (Q2, Q3, Q4, ...); unset: told from the quantization of its "
        "model, or of each of its models, else `unknown`.",
    )
    provider: str = Field(default="llama_cpp", max_length=64, description="Value of the label `gen_ai_provider_name`.")
    models: Annotated[tuple[str, ...], *LISTED] = Field(
        default=(), description="Model names that it answers to, beside those that it lists itself."
    )
    weight: float = Field(
        default=1.0, gt=0, le=1000, allow_inf_nan=False, description="Its share of the load within its tier."
    )
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
            return {"tier": tier, "url": url}
        return {"url": value}

    @field_validator("name", "tier", "provider")
    @classmethod
    def _check_label(cls, value: str | None) -> str | None:
        if value is not None and not value.isprintable():
            raise ValueError("only printable characters are allowed")
        return value

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if "/" in value:
            raise ValueError("a name must not hold `/`, which stands between it and a model's name")
        return value

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

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it, as far as the name tells."""
        host = urlsplit(self.url).hostname or ""
        return host in LOOPBACK_HOSTS or host.startswith("127.")

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_key(value.get_secret_value())
        return value


def with_names(upstreams: Iterable[UpstreamSettings]) -> tuple[UpstreamSettings, ...]:
    """A name for each upstream that has none, which does not give its address away: clients see it in errors."""
    upstreams = tuple(upstreams)
    taken = {upstream.name for upstream in upstreams}
    named = []
    for upstream in upstreams:
        name = upstream.name
        if not name:
            base = upstream.tier or "llama-server"
            names = chain((base,), (f"{base}-{number}" for number in count(2)))
            name = next(each for each in names if each not in taken)
            taken.add(name)
        named.append(upstream.model_copy(update={"name": name}))
    return tuple(named)
