from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from modelwire.resolvers.outbound import OutboundPolicy
from modelwire.server.settings import Settings
from modelwire.server.settings_loading import SettingsError, load_settings, settings_table

CANARY = "canary-9f8e7d6c5b4a"
SUBSCRIBER = Path(__file__).parents[3] / "subscriber"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working folder and no variables of ours."""
    for variable in ("MODELWIRE_SECRETS_DIR", *(setting.variable for setting in settings_table())):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str, name: str = "modelwire.toml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def test_environment_file_and_flags_win_in_rising_order(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().port == 8400
    monkeypatch.setenv("MODELWIRE_PORT", "8001")
    assert load_settings().port == 8001
    write("port = 8002")
    assert load_settings().port == 8002
    assert load_settings({"port": "8003"}).port == 8003


def test_a_named_file_is_read_instead_of_the_default_one() -> None:
    write("port = 8001")
    other = write("port = 8002", "other.toml")
    assert load_settings(file=other).port == 8002


def secret(monkeypatch: pytest.MonkeyPatch, name: str, text: str | bytes) -> Path:
    """A file in the folder of secrets."""
    path = Path("secrets", name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    monkeypatch.setenv("MODELWIRE_SECRETS_DIR", "secrets")
    return path


def test_files_of_secrets_win_over_the_environment_and_the_settings_file_over_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODELWIRE_HOST", "::1")
    monkeypatch.setenv("MODELWIRE_PORT", "8001")
    secret(monkeypatch, "modelwire_port", "8002\n")
    secret(monkeypatch, "MODELWIRE_ADMIN_KEY", f"{CANARY}\n")
    secret(monkeypatch, "modelwire_seed_file", "")
    secret(monkeypatch, "postgres_password", "of somebody else")
    loaded = load_settings()
    assert (loaded.host, loaded.port, loaded.seed_file) == ("::1", 8002, None)
    assert loaded.admin_key is not None
    assert loaded.admin_key.get_secret_value() == CANARY
    write("port = 8003")
    assert load_settings().port == 8003


def test_what_is_wrong_with_a_file_of_secrets_is_said_without_its_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret(monkeypatch, "modelwire_encryption_key", CANARY)
    secret(monkeypatch, "modelwire_database_url", f"mysql://user:{CANARY}@host/db")
    with pytest.raises(SettingsError, match=r"^the file modelwire_database_url in MODELWIRE_SECRETS_DIR: ") as caught:
        load_settings()
    assert "modelwire_encryption_key is no setting of this version; did you mean 'encryption_keys'?" in caplog.text
    assert CANARY not in str(caught.value) + caplog.text
    secret(monkeypatch, "modelwire_database_url", b"\xff")
    with pytest.raises(SettingsError, match="modelwire_database_url is no text in UTF-8"):
        load_settings()
    monkeypatch.setenv("MODELWIRE_SECRETS_DIR", "elsewhere")
    with pytest.raises(SettingsError, match="MODELWIRE_SECRETS_DIR: elsewhere cannot be read: No such file"):
        load_settings()


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELWIRE_ADMIN_KEY", "")
    assert load_settings().admin_key is None


def test_unknown_names_in_the_file_are_errors_with_a_suggestion() -> None:
    path = write("prot = 1\ncolour = 2")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert f"{path} has 'prot', which is no setting; did you mean 'port'?" in str(caught.value)
    assert "'colour', which is no setting" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("port = ", "is no TOML"), ("port = 1\nport = 2", "is no TOML"), (None, "cannot be read")],
)
def test_a_file_that_cannot_be_read_is_an_error(text: str | None, message: str) -> None:
    path = Path("missing.toml") if text is None else write(text, "bad.toml")
    with pytest.raises(SettingsError, match=message):
        load_settings(file=path)


def test_unknown_variables_are_warned_about(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("MODELWIRE_PROT", CANARY)
    load_settings()
    assert "MODELWIRE_PROT is set and is no setting of this version; did you mean MODELWIRE_PORT?" in caplog.text
    assert CANARY not in caplog.text


def test_what_components_and_kubernetes_set_is_not_warned_about(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sources = (path.read_text(encoding="utf-8") for path in SUBSCRIBER.rglob("*.py"))
    names = {name for text in sources for name in re.findall(r"MODELWIRE(?:_[A-Z]+)+", text)}
    assert {"MODELWIRE_URL", "MODELWIRE_CACHE_KEY"} <= names
    for name in names:
        monkeypatch.setenv(name, "something")
    monkeypatch.setenv("MODELWIRE_PORT", "tcp://10.0.0.1:8400")
    monkeypatch.setenv("MODELWIRE_PORT_8400_TCP", "tcp://10.0.0.1:8400")
    assert load_settings().port == 8400
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("port", "http", "--port: Input should be a valid integer"),
        ("port", "70000", "--port: Input should be less than or equal to 65535"),
        ("host", "", "--host: String should have at least 1 character"),
        ("log_level", "loud", "--log-level: Input should be 'debug', 'info', 'warning' or 'error'"),
        ("bookmark_seconds", "31", "--bookmark-seconds: Input should be less than or equal to 30"),
        ("feed_poll_seconds", "0", "--feed-poll-seconds: Input should be greater than 0"),
        ("allowed_origins", "console.example.com", "--allowed-origins: an origin has a scheme and a host"),
        ("allowed_origins", "https://console.example.com/", "--allowed-origins: an origin has a scheme and a host"),
        ("public_url", "example.com/modelwire", "--public-url: write it as https://HOST or https://HOST:PORT/PATH"),
        ("public_url", "https://me:pw@example.com", "--public-url: write it as https://HOST or https://HOST:PORT/PATH"),
        ("public_url", "https://example.com:x", "--public-url: write it as https://HOST or https://HOST:PORT/PATH"),
        ("public_url", "https://example.com/?a=b", "--public-url: write it as https://HOST or https://HOST:PORT/PATH"),
        ("trusted_proxies", "proxy.example", "--trusted-proxies: a proxy is an IP address, or a network such as"),
        ("trusted_proxies", "10.0.0.1/8", "--trusted-proxies: a proxy is an IP address, or a network such as"),
        ("outbound_allowed_hosts", "https://h.example", "--outbound-allowed-hosts: a host is a name or an IP address"),
        ("outbound_allowed_hosts", "h.example:80", "--outbound-allowed-hosts: a host is a name or an IP address"),
        ("database_url", "sqlite://", "--database-url: write it as sqlite:///FILE"),
        ("database_url", "sqlite:///:memory:", "--database-url: write it as sqlite:///FILE"),
        ("database_url", "mysql://host/db", "--database-url: write it as sqlite:///FILE"),
        ("database_url", "sqlite:///x.db?timeout=5", "--database-url: write it as sqlite:///FILE"),
    ],
)
def test_values_that_cannot_be_are_named_with_their_source(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({name: value})
    assert str(caught.value).startswith(message)


def test_the_source_of_a_wrong_value_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELWIRE_PORT", "http")
    write("log_level = 'loud'")
    with pytest.raises(SettingsError, match="log_level in the settings file: ") as caught:
        load_settings()
    assert "MODELWIRE_PORT: Input should be a valid integer" in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_urls_are_taken_as_people_write_them(scheme: str) -> None:
    url = f"{scheme}://modelwire:{CANARY}@db:6432/modelwire?sslmode=require"
    settings = load_settings({"database_url": url})
    assert settings.database_url == url
    assert not settings.embedded
    assert CANARY not in repr(settings)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"postgresql://modelwire:{CANARY}@db:port/modelwire", "malformed"),
        (f"postgresql://modelwire:{CANARY}@db", "names no database"),
        (f"postgresql+asyncpg://modelwire:{CANARY}@db/modelwire", "write postgresql://"),
    ],
)
def test_postgresql_urls_that_cannot_be_used_are_refused_without_the_password(url: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings({"database_url": url})
    assert CANARY not in str(caught.value)


def test_secrets_are_in_no_message_and_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELWIRE_ADMIN_KEY", CANARY)
    monkeypatch.setenv("MODELWIRE_ENCRYPTION_KEYS", CANARY)
    assert CANARY not in repr(load_settings())
    monkeypatch.delenv("MODELWIRE_ENCRYPTION_KEYS")
    write(f"encryption_keys = ['{CANARY}']")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert CANARY not in str(caught.value)


def test_secrets_have_no_flag() -> None:
    without_flag = {setting.name for setting in settings_table() if setting.flag is None}
    assert without_flag == {"encryption_keys", "admin_key", "metrics_token"}


def test_every_setting_is_explained() -> None:
    for setting in settings_table():
        assert setting.help.endswith("."), setting.name
        assert (setting.unit == "s") == setting.name.endswith("_seconds"), setting.name
        assert (setting.unit == "bytes") == setting.name.endswith("_bytes"), setting.name


def test_a_relative_database_lies_in_the_data_folder(tmp_path: Path) -> None:
    settings = load_settings({"data_dir": str(tmp_path / "data")})
    assert settings.database_path == tmp_path / "data" / "modelwire.db"
    assert settings.key_file == tmp_path / "data" / "modelwire.db.key"
    elsewhere = load_settings({"database_url": f"sqlite:///{tmp_path}/other.db"})
    assert elsewhere.database_path == tmp_path / "other.db"


@pytest.mark.parametrize(
    ("home", "folder"), [("/srv/data", "/srv/data/modelwire"), ("relative", "~/.local/share/modelwire")]
)
def test_the_data_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, home: str, folder: str) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", home)
    assert load_settings().data_dir == Path(folder).expanduser()


def test_origins_are_a_list_or_comma_separated() -> None:
    expected = frozenset({"https://a.example", "http://localhost:5173"})
    assert load_settings({"allowed_origins": "https://a.example, http://localhost:5173,"}).allowed_origins == expected
    write('allowed_origins = ["https://a.example", "http://localhost:5173"]')
    assert load_settings().allowed_origins == expected


def test_every_limit_of_the_transport_is_a_setting() -> None:
    changed = {
        "max_depth": 3,
        "max_tokens": 4,
        "max_aliases": 5,
        "max_cost": 55,
        "introspection": False,
        "max_operations_per_connection": 6,
        "max_connections_per_principal": 7,
        "max_message_bytes": 2048,
        "init_timeout_seconds": 1.5,
        "body_timeout_seconds": 2.5,
        "send_timeout_seconds": 3.5,
        "keep_alive_seconds": 4.5,
    }
    limits = Settings(**changed).limits
    by_setting = {name: getattr(limits, name.removeprefix("max_")) for name in changed}
    assert by_setting == changed


def test_where_the_server_may_call_is_closed_until_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().outbound_policy == OutboundPolicy(private_addresses=False, allowed_hosts=frozenset())
    monkeypatch.setenv("MODELWIRE_OUTBOUND_PRIVATE_ADDRESSES", "true")
    monkeypatch.setenv("MODELWIRE_OUTBOUND_ALLOWED_HOSTS", "Ollama.example, [::1]")
    policy = load_settings().outbound_policy
    assert policy.private_addresses
    assert policy.allowed_hosts == {"ollama.example", "::1"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_no_authentication_on_loopback(host: str) -> None:
    assert Settings(no_auth=True, host=host).no_auth


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com"])
def test_no_authentication_anywhere_else_is_refused(host: str) -> None:
    with pytest.raises(SettingsError, match=f"--no-auth: needs a loopback address .* and host is {host}"):
        load_settings({"no_auth": True, "host": host})
    assert not Settings(host=host).no_auth


@pytest.mark.parametrize(
    ("given", "url", "origin", "path"),
    [
        ("https://example.com", "https://example.com", "https://example.com", ""),
        ("HTTPS://Example.com:443/", "https://example.com", "https://example.com", ""),
        ("https://example.com/modelwire/", "https://example.com/modelwire", "https://example.com", "/modelwire"),
        ("http://[::1]:8080/a/b", "http://[::1]:8080/a/b", "http://[::1]:8080", "/a/b"),
    ],
)
def test_a_public_url_is_an_origin_and_a_path(given: str, url: str, origin: str, path: str) -> None:
    settings = load_settings({"public_url": given, "allowed_origins": "https://a.example"})
    assert (settings.public_url, settings.public_path) == (url, path)
    assert settings.page_origins == {origin, "https://a.example"}
    assert load_settings().page_origins == frozenset()


def test_proxies_are_addresses_and_networks() -> None:
    settings = load_settings({"trusted_proxies": "10.0.0.0/8, 127.0.0.1,::1"})
    assert settings.trusted_proxies == {"10.0.0.0/8", "127.0.0.1", "::1"}
