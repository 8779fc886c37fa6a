"""The memory: model configs, their change log, sealed secrets, API keys. The only package that knows SQL."""

from __future__ import annotations

from .api_keys import ApiKeys
from .errors import (
    AliasInUse,
    KeyringError,
    SchemaMismatch,
    StoreCorrupt,
    StoreError,
    StoreUnavailable,
    UnknownKey,
)
from .feed import Feed
from .migrate import migrate
from .options import DatabaseOptions
from .records import (
    DEFAULT_ALIASES,
    AliasPatterns,
    ApiKey,
    Auth,
    AuthType,
    Change,
    Json,
    ModelConfig,
    ModelConfigDraft,
    Operation,
    Position,
    Secrets,
    Selector,
    Snapshot,
)
from .rotation import KeyUse, Resealed, SealedRows
from .retention import Retention
from .secrets import Keyring, new_key
from .store import Store, open_store
from .transaction import Transaction
from .watch import RemovedConfig, WatchBookmark, WatchChange, WatchEvent, WatchSnapshot

__all__ = [
    "DEFAULT_ALIASES",
    "AliasInUse",
    "AliasPatterns",
    "ApiKey",
    "ApiKeys",
    "Auth",
    "AuthType",
    "Change",
    "DatabaseOptions",
    "Feed",
    "Json",
    "KeyUse",
    "Keyring",
    "KeyringError",
    "ModelConfig",
    "ModelConfigDraft",
    "Operation",
    "Position",
    "RemovedConfig",
    "Resealed",
    "Retention",
    "SchemaMismatch",
    "SealedRows",
    "Secrets",
    "Selector",
    "Snapshot",
    "Store",
    "StoreCorrupt",
    "StoreError",
    "StoreUnavailable",
    "Transaction",
    "UnknownKey",
    "WatchBookmark",
    "WatchChange",
    "WatchEvent",
    "WatchSnapshot",
    "migrate",
    "new_key",
    "open_store",
]
