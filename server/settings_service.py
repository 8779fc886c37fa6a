"""The settings of the database, of the address, and of what the server does by itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode

from ..resolvers.outbound import OutboundPolicy
from ..store import DatabaseOptions
from .setting_values import database, host_name, is_loopback, listed


def _data_dir() -> Path:
    home = os.environ.get("XDG_DATA_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "share") / "modelwire"


class ServiceSettings(BaseSettings):
    """Where the server keeps its data and listens, and how it works."""

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
    log_format: Literal["text", "json"] = Field(
        "text", description="Whether messages are logged as lines of text, or each as one JSON object."
    )
    metrics_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="What `/metrics` asks for as a bearer token. Without it, it answers only while the server listens "
        "on loopback, there whoever asks.",
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

    @field_validator("outbound_allowed_hosts", mode="before")
    @classmethod
    def _hosts(cls, value: object) -> object:
        return listed(value, host_name)

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

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
