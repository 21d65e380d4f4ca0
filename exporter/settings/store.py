"""The settings of what survives a restart, and of the listener that shows it alone."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_serializer, field_validator

from exporter.settings.fields import Section, check_address

NONE = "none"
FOREVER = "forever"
UNIT_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
LEAST_KEEP_SECONDS = 3600
MOST_KEEP_SECONDS = 100 * UNIT_SECONDS["y"]
SCHEMES = ("sqlite", "postgresql", "postgres")
EXAMPLES = "sqlite:////var/lib/llama-exporter/history.db, postgresql://user@host/database, or none"


def read_duration(text: str) -> int:
    """Seconds of a duration as Prometheus writes it: `90m`, `12h`, `30d`, `2w`, `1y`, `1d12h`. Raises ValueError."""
    parts = re.findall(r"([0-9]{1,9})([mhdwy])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration; write 12h, 30d, 1y, or `{FOREVER}`")
    return sum(int(number) * UNIT_SECONDS[unit] for number, unit in parts)


def check_store_url(url: str) -> str:
    """The URL, if it can be one of a store. Raises ValueError, which does not quote it: it can hold a password."""
    if url.strip().lower() == NONE:
        return NONE
    scheme, separator, _ = url.partition("://")
    if not separator or scheme.lower() not in SCHEMES:
        raise ValueError(f"it must look like {EXAMPLES}")
    if scheme.lower() == "sqlite":
        sqlite_path(url)
    else:
        _check_server(url)
    return url


def sqlite_path(url: str) -> str | None:
    """The file of a SQLite URL, percent-decoded; None for another database. Raises ValueError."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() != "sqlite":
        return None
    if not rest.startswith("/"):
        raise ValueError("sqlite: three slashes for a path from here, four for one from the root: sqlite:////var/h.db")
    path = unquote(rest[1:])
    odd = path.endswith("/") or path.startswith((":memory:", "file:")) or "?" in rest or not path.isprintable()
    if not path or odd:
        raise ValueError("sqlite: it must name a file, and nothing else")
    return path


def _check_server(url: str) -> None:
    try:
        parts = urlsplit(url)
        named = parts.path.strip("/") and parts.port != 0
        # What is left of a password in another place would be shown.
        escaped = parts.netloc.count("@") <= 1 and "@" not in parts.path
    except ValueError:
        named, escaped = "", True
    if not named:
        raise ValueError("postgresql: it must look like postgresql://user:password@host:5432/database")
    if not escaped:
        raise ValueError("postgresql: in a password, @ is %40, : is %3A, / is %2F")


class StoreSettings(Section):
    """History: what survives a restart."""

    url: SecretStr | None = Field(
        default=None,
        description="Where finished requests and samples are kept: `sqlite:///PATH`, `postgresql://user@host/database` "
        "(for many sidecars; needs the extra `postgresql`), or `none`. Unset: a SQLite file in the user's state "
        "directory, `$XDG_STATE_HOME/llama-exporter/history.db` (`~/.local/state/...`).",
    )
    instance: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        description="Name of this sidecar on every row, the same after a restart; unset: `host:port` of the proxy "
        "listener.",
    )
    keep: str = Field(
        default="30d",
        description="How long requests are kept: `12h`, `30d`, `1y`, `forever`; samples, too, those older than a day "
        "as means of a minute. Running totals go on.",
    )
    queue_records: int = Field(
        default=20_000,
        ge=100,
        le=1_000_000,
        description="Records that wait while the database is away; what finishes beyond that is dropped, and counted.",
    )
    auto_migrate: bool = Field(
        default=True,
        description="Whether the sidecar makes and updates the tables itself; if not, `llama-exporter store migrate` "
        "must.",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else SecretStr(check_store_url(value.get_secret_value()))

    @field_validator("instance")
    @classmethod
    def _check_instance(cls, value: str | None) -> str | None:
        if value is not None and not value.isprintable():
            raise ValueError("only printable characters are allowed")
        return value

    @field_validator("keep")
    @classmethod
    def _check_keep(cls, value: str) -> str:
        if value == FOREVER:
            return value
        if read_duration(value) > MOST_KEEP_SECONDS:
            raise ValueError(f"more than a hundred years; write `{FOREVER}`")
        if read_duration(value) < LEAST_KEEP_SECONDS:
            raise ValueError('less than an hour is no history; `store.url = "none"` keeps nothing')
        return value

    @field_serializer("url", when_used="json")
    def _show_url(self, value: SecretStr | None) -> str | None:
        """Only a URL with a password is secret."""
        if value is None:
            return None
        url = value.get_secret_value()
        user = url.partition("://")[2].rpartition("@")[0]
        return str(value) if ":" in user or "password=" in url else url

    @property
    def keep_seconds(self) -> int | None:
        """How long; None: for ever."""
        return None if self.keep == FOREVER else read_duration(self.keep)

    @property
    def place(self) -> str | None:
        """The URL, with its secrets; None where nothing is kept."""
        url = self.url.get_secret_value() if self.url else NONE
        return None if url == NONE else url


class CompletionsSettings(Section):
    """A listener of its own for the history contract, on which `/metrics` is always JSON."""

    listen: str | None = Field(default=None, description="`HOST:PORT`; unset: no such listener.")

    @field_validator("listen")
    @classmethod
    def _check(cls, value: str | None) -> str | None:
        return None if value is None else check_address(value)
