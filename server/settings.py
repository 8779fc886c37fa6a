"""The settings of the server: one table that makes the validation, `modelwire serve --help` and the reference."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from ..resolvers.attempts import Attempts
from ..resolvers.outbound import OutboundPolicy
from ..resolvers.session_rules import SessionRules
from ..store import DatabaseOptions
from . import oidc_settings
from .graphql.limits import Limits
from .oidc import OidcRules
from .setting_values import database, host_name, is_loopback, listed, of_kubernetes, origin

PREFIX = "MODELWIRE_"
LIMITS = Limits()


def _data_dir() -> Path:
    home = os.environ.get("XDG_DATA_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "share") / "modelwire"


class Settings(BaseSettings):
    """How one server process runs. Durations are seconds, sizes bytes."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    database_url: str = Field(
        "sqlite:///modelwire.db",
        # A PostgreSQL URL may hold a password.
        repr=False,
        description="The database: sqlite:///FILE, where a relative path lies in the data folder, or "
        "postgresql://USER:PASSWORD@HOST:5432/DATABASE. On the command line others on this machine see a password.",
    )
    database_pool_size: int = Field(
        8, ge=2, le=1000, description="How many connections to the database each worker process may have open."
    )
    database_connect_timeout_seconds: float = Field(
        5.0,
        ge=2,
        le=60,
        description="How long connecting to PostgreSQL may take.",
        json_schema_extra={"unit": "s"},
    )
    database_statement_timeout_seconds: float = Field(
        10.0,
        gt=0,
        le=600,
        description="PostgreSQL ends a statement that takes longer, waiting for other writers included.",
        json_schema_extra={"unit": "s"},
    )
    mirror_configs: int = Field(
        10_000,
        ge=0,
        description="So many model configs, some kB each, are kept in memory by every worker, to answer reads while "
        "the database is away; with more, such reads fail.",
    )
    data_dir: Path = Field(
        default_factory=_data_dir,
        description="The folder of the embedded database and of the key file that opens its secrets.",
        json_schema_extra={"default": "$XDG_DATA_HOME/modelwire or ~/.local/share/modelwire"},
    )
    host: str = Field("127.0.0.1", min_length=1, description="The address to listen on.")
    port: int = Field(8400, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    no_auth: bool = Field(
        False,
        description="Ask nobody who they are: whoever reaches the server may do everything, every user and every "
        "program of this machine. For trying things out; only on a loopback address.",
        json_schema_extra={"switch": True},
    )
    workers: int = Field(1, ge=1, le=256, description="How many processes serve.")
    encryption_keys: SecretStr | None = Field(
        None,
        description="The keys that seal stored secrets: comma-separated, each 32 bytes in URL-safe base64, with an "
        "optional `name:` in front. The first seals, all open. Without any, a key file is made next to the embedded "
        "database; with PostgreSQL they must be set.",
    )
    admin_key: SecretStr | None = Field(
        None,
        description="Sets the administrator key at the first start, instead of making one: "
        "mw_<10 lower-case letters and digits>_<64 hex digits>.",
    )
    seed_file: Path | None = Field(
        None,
        description="A file whose model configs fill a new database at the first start: a LiteLLM config.yaml, a "
        "Solace Agent Mesh shared_config.yaml, or an export of Modelwire. Without it, LLM_SERVICE_ENDPOINT, "
        "LLM_SERVICE_API_KEY, LLM_SERVICE_GENERAL_MODEL_NAME and LLM_SERVICE_PLANNING_MODEL_NAME do, if they are set. "
        "A database to which anything was ever written is left as it is.",
    )
    allowed_origins: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="Web pages of these origins (https://host:port, comma-separated) may use the API besides its own.",
    )
    access_token_seconds: float = Field(
        900.0,
        ge=0.5,
        le=86_400,
        description="How long an access token is good that `signIn` or `refreshSession` gave.",
        json_schema_extra={"unit": "s"},
    )
    session_seconds: float = Field(
        2_592_000.0,
        ge=1,
        le=31_536_000,
        description="How long after `signIn` one has to sign in again, however often the session was refreshed.",
        json_schema_extra={"unit": "s"},
    )
    sign_in_attempts_per_minute: int = Field(
        30,
        ge=1,
        le=1_000_000,
        description="How many attempts to sign in an address has, in every worker; behind a proxy all have one "
        "address.",
    )
    oidc_issuer: str = Field(
        "",
        description="An OIDC issuer whose tokens are accepted besides API keys, exactly as it writes itself in `iss`. "
        "It is called whatever the outbound settings say. Empty for none.",
    )
    oidc_audience: str = Field(
        "",
        validate_default=True,
        description="What the issuer's tokens must have in `aud` to be meant for this server.",
    )
    oidc_algorithms: Annotated[frozenset[str], NoDecode] = Field(
        frozenset({"RS256", "ES256"}),
        min_length=1,
        description="The algorithms with which the issuer may sign, comma-separated.",
        json_schema_extra={"default": "RS256,ES256"},
    )
    oidc_leeway_seconds: float = Field(
        30.0,
        ge=0,
        le=300,
        description="By how much the issuer's clock may differ from this server's.",
        json_schema_extra={"unit": "s"},
    )
    oidc_scopes_claim: str = Field(
        "scope",
        min_length=1,
        description="The claim that says what one may do, a list or a text with blanks between; "
        "a dot leads into an object, as in realm_access.roles.",
    )
    oidc_scope_map: Annotated[dict[str, frozenset[str]], NoDecode] = Field(
        {},
        description='What the words of that claim permit, as JSON or a table of the settings file: {"agents-admin": '
        '["*"], "agents": ["model_config:read", "model_config:resolve"]}. Without it they are scopes themselves.',
        json_schema_extra={"default": ""},
    )
    oidc_aliases_claim: str = Field(
        "",
        description="The claim with the aliases that a token opens, exact or with * for any text; empty: all of them.",
    )
    outbound_private_addresses: bool = Field(
        False,
        description="Whether the server may call private and loopback addresses, such as an Ollama of your own, when "
        "somebody asks for a provider's models or tests a config.",
    )
    outbound_allowed_hosts: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="The only hosts that the server may call (names or IP addresses, comma-separated); they may be "
        "private. Empty means any host of the internet.",
    )
    test_timeout_seconds: float = Field(
        30.0,
        gt=0,
        le=600,
        description="How long the call of a model test may take.",
        json_schema_extra={"unit": "s"},
    )
    max_concurrent_tests: int = Field(
        4,
        ge=1,
        le=64,
        description="How many model tests, and lists that a cloud's library asks for, each worker process makes at a "
        "time; further ones are refused. Each takes some 30 MB.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe messages to log."
    )
    feed_poll_seconds: float = Field(
        0.2,
        gt=0,
        le=10,
        description="How long a commit of another process on the same database may stay unseen.",
        json_schema_extra={"unit": "s"},
    )
    bookmark_seconds: float = Field(
        25.0,
        gt=0,
        le=30,
        description="A subscription that has nothing to say for this long says where it stands.",
        json_schema_extra={"unit": "s"},
    )
    component_lease_seconds: float = Field(
        30.0,
        ge=1,
        le=600,
        description="How long components count as connected to a server process that ended without a word.",
        json_schema_extra={"unit": "s"},
    )
    history_retention_days: int = Field(
        90,
        ge=1,
        le=36_500,
        description="How long the versions of model configs are kept; a subscriber that was away for longer begins "
        "anew. The current version is always kept, and so are the last few of each config.",
        json_schema_extra={"unit": "days"},
    )
    history_min_versions: int = Field(
        20, ge=1, description="How many of the last versions of each model config are kept, however old they are."
    )
    max_message_bytes: int = Field(
        LIMITS.message_bytes,
        ge=1024,
        description="The largest request body or websocket message.",
        json_schema_extra={"unit": "bytes"},
    )
    max_depth: int = Field(LIMITS.depth, ge=1, description="How deep the selections of an operation may be nested.")
    max_tokens: int = Field(LIMITS.tokens, ge=1, description="How many tokens a GraphQL document may have.")
    max_aliases: int = Field(LIMITS.aliases, ge=0, description="How many fields of an operation may be renamed.")
    max_cost: int = Field(
        LIMITS.cost,
        ge=1,
        description="How many fields an operation may ask for; those of a connection count for each item of a page.",
    )
    introspection: bool = Field(
        LIMITS.introspection, description="Whether clients may ask for the schema, as GraphiQL does."
    )
    max_operations_per_connection: int = Field(
        LIMITS.operations_per_connection,
        ge=1,
        description="How many operations one websocket may run at the same time.",
    )
    max_connections_per_principal: int = Field(
        LIMITS.connections_per_principal, ge=1, description="How many websockets and streams one API key may have open."
    )
    init_timeout_seconds: float = Field(
        LIMITS.init_timeout_seconds,
        gt=0,
        description="How long a new websocket may take to say who it is.",
        json_schema_extra={"unit": "s"},
    )
    body_timeout_seconds: float = Field(
        LIMITS.body_timeout_seconds,
        gt=0,
        description="How long the body of a request may take to arrive.",
        json_schema_extra={"unit": "s"},
    )
    send_timeout_seconds: float = Field(
        LIMITS.send_timeout_seconds,
        gt=0,
        description="A websocket or a stream that cannot be written to for this long is dropped.",
        json_schema_extra={"unit": "s"},
    )
    keep_alive_seconds: float = Field(
        LIMITS.keep_alive_seconds,
        gt=0,
        description="A stream that has nothing to say for this long says so, lest a proxy takes it for dead.",
        json_schema_extra={"unit": "s"},
    )

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        return database(url)

    @field_validator("no_auth")
    @classmethod
    def _on_loopback(cls, no_auth: bool, info: ValidationInfo) -> bool:
        host = info.data.get("host")
        if no_auth and host is not None and not is_loopback(host):
            raise ValueError(f"needs a loopback address to listen on, such as 127.0.0.1, and host is {host}")
        return no_auth

    @field_validator("data_dir", "seed_file")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        return listed(value, origin)

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer(cls, url: str) -> str:
        return oidc_settings.issuer(url)

    @field_validator("oidc_audience")
    @classmethod
    def _audience(cls, audience: str, info: ValidationInfo) -> str:
        if info.data.get("oidc_issuer") and not audience:
            raise ValueError("set it too: without an audience every token of the issuer would be accepted")
        return audience

    @field_validator("oidc_algorithms", mode="before")
    @classmethod
    def _algorithms(cls, value: object) -> object:
        return listed(value, oidc_settings.algorithm)

    @field_validator("oidc_scope_map", mode="before")
    @classmethod
    def _scope_map(cls, value: object) -> object:
        return oidc_settings.scope_map(value)

    @field_validator("outbound_allowed_hosts", mode="before")
    @classmethod
    def _hosts(cls, value: object) -> object:
        return listed(value, host_name)

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- the signature is pydantic-settings'
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- the signature is pydantic-settings'
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(env_settings, EnvSettingsSource)  # noqa: S101 -- what pydantic-settings always gives
        env_settings.env_vars = {
            name: value for name, value in env_settings.env_vars.items() if not of_kubernetes(value)
        }
        return init_settings, env_settings

    @property
    def embedded(self) -> bool:
        """Whether the database is a file of this machine, and not PostgreSQL."""
        return self.database_url.startswith("sqlite:")

    @property
    def database_path(self) -> Path:
        """The file of the embedded database."""
        return self.data_dir / self.database_url.removeprefix("sqlite:///")

    @property
    def key_file(self) -> Path:
        """Where the keys lie that open the secrets, when `encryption_keys` is not set."""
        return self.database_path.with_name(self.database_path.name + ".key")

    @property
    def database_options(self) -> DatabaseOptions:
        """How the store uses its database."""
        return DatabaseOptions(
            pool_size=self.database_pool_size,
            connect_timeout_seconds=self.database_connect_timeout_seconds,
            statement_timeout_seconds=self.database_statement_timeout_seconds,
            mirror_configs=self.mirror_configs,
        )

    @property
    def outbound_policy(self) -> OutboundPolicy:
        """Where the server may call."""
        return OutboundPolicy(
            private_addresses=self.outbound_private_addresses,
            allowed_hosts=self.outbound_allowed_hosts,
            litellm_timeout_seconds=self.test_timeout_seconds,
            max_concurrent_litellm=self.max_concurrent_tests,
        )

    @property
    def oidc_rules(self) -> OidcRules | None:
        """Whose tokens are accepted besides our own; None: nobody's."""
        if not self.oidc_issuer:
            return None
        names = [field.name for field in dataclasses.fields(OidcRules)]
        return OidcRules(**{name: getattr(self, f"oidc_{name}") for name in names})

    @property
    def session_rules(self) -> SessionRules:
        """How long tokens live, with attempts to sign in of its own."""
        return SessionRules(
            access_token_seconds=self.access_token_seconds,
            session_seconds=self.session_seconds,
            attempts=Attempts(self.sign_in_attempts_per_minute),
        )

    @property
    def limits(self) -> Limits:
        """The limits of the GraphQL endpoint."""
        names = [field.name for field in dataclasses.fields(Limits)]
        return Limits(**{name: getattr(self, name if hasattr(self, name) else f"max_{name}") for name in names})
