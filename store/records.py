"""Records: what the store takes and gives. Plain immutable values, without SQL and without GraphQL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Self

Json = Any
"""A value of JSON: None, bool, int, float, str, a list or a dict with string keys of the same."""

DEFAULT_ALIASES = ("general", "planning")
"""The aliases that exist from the first start on, as placeholders until somebody configures them."""


class AuthType(StrEnum):
    """How LiteLLM signs in to the model endpoint."""

    NONE = "none"
    API_KEY = "api_key"
    OAUTH2_CLIENT_CREDENTIALS = "oauth2_client_credentials"
    AWS_IAM = "aws_iam"
    GCP_SERVICE_ACCOUNT = "gcp_service_account"


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """The part of a config's authentication that is no secret.

    `fields` holds plain values and `os.environ/NAME` references by field name (`region_name`, `api_key`, …).
    `hints` names the secret fields whose values are sealed; its value is the last four characters, or None where
    the secret is too short to show any.
    """

    type: AuthType = AuthType.NONE
    fields: Mapping[str, Json] = field(default_factory=dict)
    hints: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """The secret values of one config at one version, opened. Hidden in its repr; never logged.

    `auth` by field name of the auth type, `params` by LiteLLM's parameter name.
    """

    auth: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, Json] = field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        return bool(self.auth or self.params)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfigDraft:
    """The whole content of a config as a writer wants it to be; the store adds id, version, revision and dates.

    `params` are LiteLLM's keyword arguments without those in `secrets.params`. `provider` and `model` are None in a
    placeholder; None elsewhere means "not set".
    """

    alias: str
    description: str | None = None
    provider: str | None = None
    model: str | None = None
    api_base: str | None = None
    auth: Auth = field(default_factory=Auth)
    params: Mapping[str, Json] = field(default_factory=dict)
    max_input_tokens: int | None = None
    secrets: Secrets = field(default_factory=Secrets)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The immutable settings of one model at one version.

    `version` counts this config's changes, from 1. `revision` is the store-wide counter at the change that made this
    version. `sealed` is the envelope of its secrets (None without secrets); `Store.open_secrets` opens it.
    Times are UTC; `created_by` and `updated_by` name a subject such as `api_key:k3j9x2q8ab`.
    """

    id: str
    alias: str
    description: str | None
    provider: str | None
    model: str | None
    api_base: str | None
    auth: Auth
    params: Mapping[str, Json]
    sealed_params: tuple[str, ...]
    max_input_tokens: int | None
    version: int
    revision: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    sealed: bytes | None = field(default=None, repr=False)

    @property
    def configured(self) -> bool:
        """Whether calls can be made with it: provider and model are set."""
        return self.provider is not None and self.model is not None

    @property
    def is_default(self) -> bool:
        """Whether it is one of the aliases that always exist."""
        return self.alias in DEFAULT_ALIASES


class Operation(StrEnum):
    """What a change did to its config."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row of the change log: what one transaction did to one config.

    `previous_alias` is the alias before the change (None for a creation), `config` the state after it (None for a
    deletion). `version` grows by one with each change, deletions included.
    """

    revision: int
    config_id: str
    version: int
    operation: Operation
    previous_alias: str | None
    config: ModelConfig | None
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Position:
    """Where a subscriber stands: a revision of one store. Its string form is the `Revision` of the API."""

    store_id: str
    revision: int

    _FORM = re.compile(r"([0-9a-z]{1,32})-(0|[1-9][0-9]{0,18})")

    def __str__(self) -> str:
        return f"{self.store_id}-{self.revision}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the string form. Raises ValueError when it is none, or beyond 64 bits."""
        match = cls._FORM.fullmatch(text)
        if match is None or int(match[2]) >= 2**63:
            raise ValueError("not a revision of Modelwire")
        return cls(match[1], int(match[2]))


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction that was committed: the position that it led to, and all its changes, in the order of the log."""

    position: Position
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class AliasPatterns:
    """The aliases that somebody may see: exact names, or globs in which `*` stands for any characters.

    `patterns` None means all aliases.
    """

    patterns: tuple[str, ...] | None = None

    def allows(self, alias: str) -> bool:
        return self.patterns is None or any(_glob(pattern).fullmatch(alias) for pattern in self.patterns)

    @property
    def exact(self) -> frozenset[str] | None:
        """The aliases themselves when no pattern is a glob, else None."""
        if self.patterns is None or any("*" in pattern for pattern in self.patterns):
            return None
        return frozenset(self.patterns)


@lru_cache(maxsize=1024)
def _glob(pattern: str) -> re.Pattern[str]:
    first, *rest = (re.escape(part) for part in pattern.split("*"))
    if not rest:
        return re.compile(first)
    # Each part is taken where it first comes and not tried elsewhere, which finds a match if there is one: with
    # backtracking, a pattern of many * would take for ever on an alias of the wrong kind.
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return re.compile(f"{first}{middle}.*{rest[-1]}", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """What a watch or a read names: configs by id and by alias, or all of them when both are None.

    `visible` bounds it to the aliases that the principal may see. A selector is hashable: equal selectors see equal
    events.
    """

    ids: frozenset[str] | None = None
    aliases: frozenset[str] | None = None
    visible: AliasPatterns = field(default_factory=AliasPatterns)

    @property
    def everything(self) -> bool:
        """Whether it names all configs (that are visible)."""
        return self.ids is None and self.aliases is None

    def matches(self, config_id: str, alias: str) -> bool:
        """Whether a config with this id is named while it has this alias."""
        if not self.visible.allows(alias):
            return False
        return self.everything or config_id in (self.ids or ()) or alias in (self.aliases or ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of what a selector names at one revision of one store."""

    store_id: str
    revision: int
    configs: tuple[ModelConfig, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """An API key without its secret. `aliases` None means all; `expires_at` None means never.

    `last_used_at` is behind by up to some minutes; None means never, or only just now.
    """

    id: str
    name: str
    scopes: frozenset[str]
    aliases: AliasPatterns
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    secret_hash: str = field(repr=False)
