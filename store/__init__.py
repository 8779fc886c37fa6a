"""The memory: model configs, their change log, sealed secrets, API keys. The only package that knows SQL."""

from __future__ import annotations

from . import tracing
from .api_keys import ApiKeys
from .audit import AuditAction, AuditEntry, AuditEvent, AuditLog
from .audit_chain import AuditReport, verify_audit_log
from .backup import Copied, back_up, renew_identity, restore
from .component_lists import BindingsOf, ComponentListing
from .component_records import (
    Acknowledgement,
    Binding,
    BindingState,
    Bound,
    Component,
    ConfigRollout,
    Member,
    Outcome,
    PresenceBatch,
    Rollout,
)
from .components import Components, component_id
from .database import database_location
from .errors import (
    AliasInUse,
    Compacted,
    KeyringError,
    SchemaMismatch,
    StoreCorrupt,
    StoreError,
    StoreUnavailable,
    UnknownKey,
)
from .feed import Feed
from .fleet import Fleet
from .fleet_watch import FleetEvent, FleetWatch
from .listing import Listing, OrderBy, Place
from .migrate import migrate
from .mirror import Mirror
from .options import DatabaseOptions
from .records import (
    DEFAULT_ALIASES,
    AliasPatterns,
    ApiKey,
    Auth,
    AuthType,
    Change,
    Commit,
    Json,
    ModelConfig,
    ModelConfigDraft,
    Operation,
    Position,
    Secrets,
    Selector,
    Snapshot,
)
from .retention import Retention
from .rotation import KeyUse, Resealed, SealedRows
from .secrets import Keyring, new_key
from .sessions import EndReason, Session, Sessions
from .store import Store, open_store
from .transaction import Transaction
from .watch import RemovedConfig, WatchBookmark, WatchChange, WatchEvent, WatchSnapshot

__all__ = [
    "DEFAULT_ALIASES",
    "Acknowledgement",
    "AliasInUse",
    "AliasPatterns",
    "ApiKey",
    "ApiKeys",
    "AuditAction",
    "AuditEntry",
    "AuditEvent",
    "AuditLog",
    "AuditReport",
    "Auth",
    "AuthType",
    "Binding",
    "BindingState",
    "BindingsOf",
    "Bound",
    "Change",
    "Commit",
    "Compacted",
    "Component",
    "ComponentListing",
    "Components",
    "ConfigRollout",
    "Copied",
    "DatabaseOptions",
    "EndReason",
    "Feed",
    "Fleet",
    "FleetEvent",
    "FleetWatch",
    "Json",
    "KeyUse",
    "Keyring",
    "KeyringError",
    "Listing",
    "Member",
    "Mirror",
    "ModelConfig",
    "ModelConfigDraft",
    "Operation",
    "OrderBy",
    "Outcome",
    "Place",
    "Position",
    "PresenceBatch",
    "RemovedConfig",
    "Resealed",
    "Retention",
    "Rollout",
    "SchemaMismatch",
    "SealedRows",
    "Secrets",
    "Selector",
    "Session",
    "Sessions",
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
    "back_up",
    "component_id",
    "database_location",
    "migrate",
    "new_key",
    "open_store",
    "renew_identity",
    "restore",
    "tracing",
    "verify_audit_log",
]
