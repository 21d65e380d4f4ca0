"""Settings: which source wins, what is refused, and how clearly."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter import config
from exporter.errors import ConfigError
from exporter.settings import Settings
from exporter.settings.store import EXAMPLES, read_duration, sqlite_path


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOG_REQUEST_METRICS", "PROXY_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "exporter.toml"
    file.write_text(text)
    return file


def refused(**sources: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        config.load(**sources)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults() -> None:
    settings = config.load()
    assert settings.proxy.listen == "127.0.0.1:8001"
    assert settings.admin.listen == ("127.0.0.1:9464",)
    assert [upstream.name for upstream in settings.upstreams] == ["llama-server"]
    assert settings.proxy.idle_timeout_seconds is None


def test_each_source_wins_over_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(
        tmp_path,
        '[log]\nlevel = "error"\n'
        '[proxy]\nlisten = "127.0.0.1:1"\nconnect_timeout_seconds = 1\nidle_timeout_seconds = 1\n',
    )
    monkeypatch.setenv("LLAMA_EXPORTER_PROXY__LISTEN", "127.0.0.1:2")
    monkeypatch.setenv("LLAMA_EXPORTER_PROXY__CONNECT_TIMEOUT_SECONDS", "2")
    settings = config.load(file=file, overrides={"proxy": {"listen": "127.0.0.1:3"}})
    assert settings.proxy.listen == "127.0.0.1:3"
    assert settings.proxy.connect_timeout_seconds == 2
    assert settings.proxy.idle_timeout_seconds == 1
    assert settings.proxy.held_body_bytes == 8 << 20
    assert settings.log.level == "error"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        config.load().proxy.listen = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("http://a:1", [("llama-server", "http://a:1", None)]),
        ("Q2=http://a:1, Q4=http://b:2/path", [("Q2", "http://a:1", "Q2"), ("Q4", "http://b:2/path", "Q4")]),
        ('[{"name": "x", "url": "https://c"}]', [("x", "https://c", None)]),
        ("http://[::1]:8080", [("llama-server", "http://[::1]:8080", None)]),
        ("http://a:1?x=y=z", None),
    ],
)
def test_upstreams_as_text(
    written: str, expected: list[tuple[str, str, str | None]] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_EXPORTER_UPSTREAMS", written)
    if expected is None:
        assert "query" in refused()
    else:
        assert [(each.name, each.url, each.tier) for each in config.load().upstreams] == expected


def test_names_of_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_REQUEST_METRICS", "false")
    monkeypatch.setenv("PROXY_API_KEY", "secret-1")
    settings = config.load()
    assert settings.metrics.enabled is False
    assert [key.get_secret_value() for key in settings.auth.api_keys] == ["secret-1"]
    monkeypatch.setenv("LLAMA_EXPORTER_METRICS__ENABLED", "true")
    assert config.load().metrics.enabled is True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[proxy]\nlisen = ":1"', "unknown setting proxy.lisen; did you mean listen?"),
        ("[prox]\na = 1", "unknown setting prox; did you mean proxy?"),
        ("[metrics.buckets]\ntttft = [1]", "unknown setting metrics.buckets.tttft; did you mean ttft?"),
        ('[[upstreams]]\nurl = "http://a"\ntir = "Q2"', "unknown setting upstreams[1].tir; did you mean tier?"),
        ('[[upstreams]]\nname = "a"', "upstreams[1].url: is required"),
        ('[upstreams]\nurl = "http://a"', "upstreams: write [[upstreams]], with two brackets: there can be several"),
        (
            '[[upstreams]]\nurl = "http://a/v1/"',
            "upstreams[1].url: leave out /v1: clients' paths are put behind this URL as they come",
        ),
        (
            '[store]\nurl = "mysql://u:geheim@h/d"',
            "store.url: it must look like sqlite:////var/lib/llama-exporter/history.db, "
            "postgresql://user@host/database, or none",
        ),
        ('[store]\nurl = "/var/h.db"', f"store.url: it must look like {EXAMPLES}"),
        ('[store]\nurl = "sqlite:////var/"', "store.url: sqlite: it must name a file, and nothing else"),
        ('[store]\nurl = "sqlite:////a%00b"', "store.url: sqlite: it must name a file, and nothing else"),
        ('[store]\nkeep = "1000y"', "store.keep: more than a hundred years; write `forever`"),
        ('[store]\nurl = "sqlite:///:memory:"', "store.url: sqlite: it must name a file, and nothing else"),
        ('[store]\nurl = "sqlite:////h.db?mode=ro"', "store.url: sqlite: it must name a file, and nothing else"),
        (
            '[store]\nurl = "sqlite://h.db"',
            "store.url: sqlite: three slashes for a path from here, four for one from the root: sqlite:////var/h.db",
        ),
        (
            '[store]\nurl = "postgresql://u:geheim@h"',
            "store.url: postgresql: it must look like postgresql://user:password@host:5432/database",
        ),
        (
            '[store]\nurl = "postgresql://u:geheim@h:0/d"',
            "store.url: postgresql: it must look like postgresql://user:password@host:5432/database",
        ),
        (
            '[store]\nurl = "postgresql://u:a@geheim@h/d"',
            "store.url: postgresql: in a password, @ is %40, : is %3A, / is %2F",
        ),
        ("[store]\nkeep = 30", "store.keep: must be a text"),
        ('[store]\nkeep = "30"', "store.keep: '30' is not a duration; write 12h, 30d, 1y, or `forever`"),
        ('[store]\nkeep = "1d 2h"', "store.keep: '1d 2h' is not a duration; write 12h, 30d, 1y, or `forever`"),
        ('[store]\nkeep = "-1d"', "store.keep: '-1d' is not a duration; write 12h, 30d, 1y, or `forever`"),
        ('[store]\nkeep = "59m"', 'store.keep: less than an hour is no history; `store.url = "none"` keeps nothing'),
        ('[store]\ninstance = ""', "store.instance: String should have at least 1 character"),
        ('[store]\ninstance = "a\\nb"', "store.instance: only printable characters are allowed"),
        ("[store]\nqueue_records = 5", "store.queue_records: Input should be greater than or equal to 100"),
        ('[store]\nkep = "1d"', "unknown setting store.kep; did you mean keep?"),
        ('[completions]\nlisten = "9465"', "completions.listen: '9465' is not HOST:PORT"),
        ('[proxy]\nlisten = "8001"', "proxy.listen: '8001' is not HOST:PORT"),
        ('[proxy]\nlisten = "::1:8001"', "proxy.listen: '::1:8001': write an IPv6 address in brackets, [::1]:8001"),
        (
            "[sampling]\ninterval_seconds = 0.1",
            "sampling.interval_seconds: Input should be greater than or equal to 0.5",
        ),
        ("[metrics.buckets]\nttft = [3, 1]", "metrics.buckets.ttft: bounds must be positive, finite and ascending"),
        ("[metrics.buckets]\nttft = [1, inf]", "metrics.buckets.ttft: bounds must be positive, finite and ascending"),
        (
            "[metrics.buckets]\nttft = [1, nan, 2]",
            "metrics.buckets.ttft: bounds must be positive, finite and ascending",
        ),
        ('[[upstreams]]\nurl = "http://a..b:80"', "upstreams[1].url: the host name is not one"),
        ('[[upstreams]]\nurl = "http://exa mple:80"', "upstreams[1].url: the host name is not one"),
        (
            '[[upstreams]]\nurl = "http://a"\napi_key = "geheim\\r\\nx"',
            "upstreams[1].api_key: a key must be printable ASCII text",
        ),
        ('[auth]\napi_keys = ["geheim", " "]', "auth.api_keys: a key must not be empty"),
        (
            '[[upstreams]]\nurl = "http://u:geheim@h"',
            "upstreams[1].url: put credentials into api_key, not into the URL",
        ),
    ],
)
def test_mistakes_in_the_file(text: str, expected: str, tmp_path: Path) -> None:
    file = write(tmp_path, text)
    message = refused(file=file)
    assert message == f"{file}: {expected}"
    assert "geheim" not in message


def test_file_that_is_no_toml(tmp_path: Path) -> None:
    file = write(tmp_path, "[proxy")
    assert refused(file=file).startswith(f"{file}: is not TOML: Expected ']'")


def test_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "exporter.toml"
    file.write_bytes(b"\xff\xfe")
    assert refused(file=file) == f"{file}: is not UTF-8 text"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("LLAMA_EXPORTER_LOG__LEVEL", "loud", "environment: LLAMA_EXPORTER_LOG__LEVEL: log.level: Input should be"),
        ("LOG_REQUEST_METRICS", "perhaps", "environment: LOG_REQUEST_METRICS: metrics.enabled: must be true or false"),
        (
            "LLAMA_EXPORTER_ADMIN__LISTN",
            ":1",
            "environment: unknown setting LLAMA_EXPORTER_ADMIN__LISTN; did you mean LLAMA_EXPORTER_ADMIN__LISTEN?",
        ),
        ("LLAMA_EXPORTER_PROXY", "abc", 'environment: error parsing value for field "proxy"'),
        ("LLAMA_EXPORTER_UPSTREAMS", "[{", "environment: LLAMA_EXPORTER_UPSTREAMS: upstreams: starts like a JSON list"),
    ],
)
def test_mistakes_in_the_environment(name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert refused().startswith(expected)


def test_two_of_one_name() -> None:
    tables = [{"name": "Q4", "url": "http://a:1"}, {"name": "Q4", "url": "http://a:2"}]
    overrides: Mapping[str, Any] = {"upstreams": tables}
    message = "upstreams: two are named 'Q4'; give each a `name` of its own, in an [[upstreams]] table"
    assert refused(overrides=overrides) == message


def test_upstreams_without_names_are_told_apart() -> None:
    given = ["Q4=http://a:1", "http://b:1", "Q4=http://a:2", "http://b:2", {"name": "Q4-2", "url": "http://c:1"}]
    names = [each.name for each in config.load(overrides={"upstreams": given}).upstreams]
    assert names == ["Q4", "llama-server", "Q4-3", "llama-server-2", "Q4-2"]


@pytest.mark.parametrize(
    ("routing", "expected"),
    [
        ({"tiers": ["a", "b", "a"]}, "routing.tiers: 'a' is given twice"),
        ({"tiers": ["a", "unknown"]}, "routing.tiers: 'unknown' stands for what cannot be told"),
        ({"tiers": [" "]}, "routing.tiers: a name must be 1 to 64 printable characters"),
        (
            {"complexity": {"complex_tier": "Q8"}},
            "routing: complexity.complex_tier: 'Q8' is not one of the tiers Q2, Q3",
        ),
        ({"complexity": {"moderate_from": 8}}, "routing.complexity: moderate_from must not be above complex_from"),
        ({"fallback": "never"}, "routing.fallback:"),
        ({"fallbck": "off"}, "unknown setting routing.fallbck; did you mean fallback?"),
        ({"complexity": {"wrd_weight": 1}}, "unknown setting routing.complexity.wrd_weight"),
    ],
)
def test_mistakes_in_routing(routing: Mapping[str, Any], expected: str) -> None:
    assert refused(overrides={"routing": routing}).removeprefix("command line: ").startswith(expected)


def test_each_of_several_tiers_needs_its_place() -> None:
    upstreams = ["small=http://a:1", "Q8=http://b:1"]
    message = refused(overrides={"upstreams": upstreams})
    assert message.startswith("upstreams[1].tier: 'small' is not one of routing.tiers (Q2, Q3, Q4), which say")
    config.load(overrides={"upstreams": upstreams, "routing": {"tiers": "small, large"}})
    config.load(overrides={"upstreams": upstreams[:1]})  # alone it is a label


def test_a_slash_in_a_name() -> None:
    message = refused(overrides={"upstreams": [{"name": "a/b", "url": "http://a:1"}]})
    assert message.startswith("command line: upstreams[1].name: a name must not hold `/`")


@pytest.mark.parametrize("field", ["name", "tier", "provider"])
def test_labels_of_an_upstream_are_printable(field: str) -> None:
    message = refused(overrides={"upstreams": [{"url": "http://a:1", field: "a\r\nb"}]})
    assert message == f"command line: upstreams[1].{field}: only printable characters are allowed"


def test_routing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_EXPORTER_ROUTING__TIERS", "small, large")
    monkeypatch.setenv("LLAMA_EXPORTER_ROUTING__COMPLEXITY__SIMPLE_PHRASES", "was ist, wer ist")
    routing = config.load().routing
    assert routing.tiers == ("small", "large")
    assert routing.complexity.simple_phrases == ("was ist", "wer ist")
    assert routing.complexity.complex_phrases  # the other defaults stand


def test_two_listeners_on_one_port() -> None:
    message = refused(overrides={"proxy": {"listen": "127.0.0.1:9464"}})
    assert message == "proxy.listen and admin.listen: each of the two needs a port of its own"
    assert config.load(overrides={"proxy": {"listen": ":0"}, "admin": {"listen": [":0"]}}).proxy.listen == ":0"


def test_printed_settings_can_be_read_again(tmp_path: Path) -> None:
    settings = config.load(overrides={"upstreams": ["Q4=http://a:1"], "metrics": {"buckets": {"ttft": [0.5, 1]}}})
    file = write(tmp_path, config.to_toml(settings))
    again = config.load(file=file)
    assert again.model_dump() == settings.model_dump()


def test_secrets_are_hidden_when_printed() -> None:
    settings = config.load(
        overrides={"auth": {"api_keys": ["geheim"]}, "upstreams": [{"url": "http://a", "api_key": "geheim"}]}
    )
    text = config.to_toml(settings)
    assert "geheim" not in text + repr(settings)
    assert "api_keys" not in tomllib.loads(text)["auth"]
    assert text.count("# api_keys is set, and secret") == 1
    assert text.count("# api_key is set, and secret") == 1


@pytest.mark.parametrize("name", ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8001_TCP_ADDR"])
def test_what_kubernetes_puts_into_the_environment_is_not_meant_for_us(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"LLAMA_EXPORTER_{name}", "tcp://10.0.0.7:8001")
    found, expected = config.load().model_dump(), Settings().model_dump()
    assert found["store"].pop("url") != expected["store"].pop("url")  # it depends on who the user is
    assert found == expected


def test_an_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_EXPORTER_PROXY__LISTEN", "")
    assert config.load().proxy.listen == "127.0.0.1:8001"


def test_no_name_is_suggested_that_is_nothing_like_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_EXPORTER_FOO", "1")
    assert refused() == "environment: unknown setting LLAMA_EXPORTER_FOO"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8001", "http://localhost:9464", "http://[::1]:8001/path"])
def test_the_sidecar_is_no_upstream_of_itself(url: str) -> None:
    message = refused(overrides={"upstreams": ["http://other:8001", url]})
    assert message == "upstreams[2].url: this is the sidecar's own listener, not a llama-server"


def test_one_port_on_several_addresses() -> None:
    settings = config.load(overrides={"admin": {"listen": ["127.0.0.1:9464", "[::1]:9464"]}})
    assert len(settings.admin.listen) == 2
    assert refused(overrides={"admin": {"listen": [":1", ":1"]}}) == "admin.listen: an address is given twice"


def test_every_setting_has_a_meaning() -> None:
    for path in config.setting_paths():
        model: Any = Settings
        for part in path[:-1]:
            model = model.model_fields[part].annotation
        assert model.model_fields[path[-1]].description or path[-1] == "interval_seconds", path


def test_a_setting_in_the_wrong_section_is_shown_its_place(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("max_readers = 5\n")
    with pytest.raises(ConfigError, match=r"unknown setting max_readers; did you mean live\.max_readers\?"):
        config.load(file=file)


def test_a_blank_key_is_no_open_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_API_KEY", "  ")
    with pytest.raises(ConfigError, match="PROXY_API_KEY is blank"):
        config.load()


def test_a_misspelt_foreign_name_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VDM_ACTIVE_REQUESTS_SSE_ENABLE", "false")
    with pytest.raises(ConfigError, match=r"did you mean VDM_ACTIVE_REQUESTS_SSE_ENABLED\?"):
        config.load()


def test_foreign_names_mean_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VDM_ACTIVE_REQUESTS_SSE_ENABLED", "false")
    monkeypatch.setenv("VDM_ACTIVE_REQUESTS_SSE_INTERVAL", "2")
    monkeypatch.setenv("VDM_ACTIVE_REQUESTS_SSE_HEARTBEAT", "15")
    live = config.load().live
    assert (live.active_requests_stream, live.active_requests_interval_seconds) == (False, 2.0)
    assert live.active_requests_heartbeat_seconds == 15.0


@pytest.mark.parametrize("origin", ["http://*.example", "page.example", "http://a/b", "http://a@b"])
def test_origins_are_exact(origin: str) -> None:
    with pytest.raises(ConfigError, match="is not an origin"):
        config.load(overrides={"admin": {"cors_origins": origin}})


def test_values_are_spoken_of_without_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_EXPORTER_LIVE__ACTIVE_REQUESTS_STREAM", "maybe")
    with pytest.raises(ConfigError, match=r"active_requests_stream: must be true or false"):
        config.load()


@pytest.mark.parametrize("key", ["a,b", '["zz","yy"]', " padded "])
def test_proxy_api_key_is_one_key_whatever_is_in_it(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("PROXY_API_KEY", key)
    assert [each.get_secret_value() for each in config.load().auth.api_keys] == [key]


@pytest.mark.parametrize("name", ["Authorization", "cookie", "X-API-Key"])
def test_the_name_of_a_client_is_not_its_secret(name: str) -> None:
    with pytest.raises(ConfigError, match="carries a secret"):
        config.load(overrides={"proxy": {"client_name_header": name}})


def test_history_is_kept_in_the_users_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    usual = tmp_path / ".local" / "state"
    for state, folder in ((str(tmp_path / "100% ä"), tmp_path / "100% ä"), ("", usual), ("relative", usual)):
        monkeypatch.setenv("XDG_STATE_HOME", state)
        assert sqlite_path(config.load().store.place or "") == str(folder / "llama-exporter" / "history.db")
    monkeypatch.delenv("XDG_STATE_HOME")
    assert sqlite_path(config.load().store.place or "") == str(usual / "llama-exporter" / "history.db")


def test_a_user_without_a_home_has_no_history(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(_: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", classmethod(nowhere))
    assert config.load().store.place is None


def test_every_source_wins_over_the_usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, '[store]\nurl = "sqlite:////of/file.db"\nkeep = "forever"\n')
    assert config.load(file=file).store.place == "sqlite:////of/file.db"
    assert config.load(file=file).store.keep_seconds is None
    monkeypatch.setenv("LLAMA_EXPORTER_STORE__URL", "postgresql://h/of_environment")
    assert config.load(file=file).store.place == "postgresql://h/of_environment"
    for none in ("none", "NONE", " None "):
        assert config.load(file=file, overrides={"store": {"url": none}}).store.place is None
    assert Settings().store.place is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60m", 3600), ("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600), ("1y", 31_536_000), ("1d12h", 129_600)],
)
def test_how_long_history_is_kept(text: str, seconds: int) -> None:
    assert read_duration(text) == seconds
    assert config.load(overrides={"store": {"keep": text}}).store.keep_seconds == seconds


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/h.db", "/var/h.db"),
        ("sqlite:///h.db", "h.db"),
        ("SQLite:////var/a%20b%25.db", "/var/a b%.db"),
        ("postgresql://h/d", None),
    ],
)
def test_files_of_history(url: str, path: str | None) -> None:
    assert sqlite_path(url) == path
    assert config.load(overrides={"store": {"url": url}}).store.place == url


def test_the_listener_of_history_has_a_port_of_its_own() -> None:
    assert config.load().completions.listen is None
    assert config.load(overrides={"completions": {"listen": ":0"}}).completions.listen == ":0"
    for other in ("127.0.0.1:8001", "[::1]:9464"):
        message = refused(overrides={"completions": {"listen": other}})
        assert message == "completions.listen: it needs a port of its own"
    message = refused(overrides={"completions": {"listen": ":9465"}, "upstreams": ["http://127.0.0.1:9465"]})
    assert message == "upstreams[1].url: this is the sidecar's own listener, not a llama-server"
