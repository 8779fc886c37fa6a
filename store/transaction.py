"""Writing: what one transaction may do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Delete, Row, Update, bindparam, delete, insert, select, true, update

from .audit import GENESIS, AuditAction, AuditEvent, append, last_row
from .change_log import change_of, find_config, find_configs, find_version, new_config_id, state_columns
from .component_lists import using
from .component_records import Binding
from .database import Connection
from .errors import AliasInUse
from .records import Change, Commit, Json, ModelConfig, ModelConfigDraft, Operation, Position, Secrets, Selector
from .secrets import Envelope, Keyring
from .tables import model_config_changes as changes
from .tables import model_configs as heads
from .tables import store_meta

# What every writer needs to know, in one statement.
_audit = last_row.subquery("audit")
beginning = select(
    store_meta, _audit.c.sequence.label("audit_sequence"), _audit.c.hash.label("audit_hash")
).select_from(store_meta.outerjoin(_audit, true()))
"""What the connection of a Transaction has to begin with."""

_alias_owner = select(heads.c.id).where(heads.c.alias == bindparam("alias"))
_log_change = insert(changes)
_add_head = insert(heads)
_at_version = (heads.c.id == bindparam("config_id"), heads.c.version == bindparam("current_version"))
_move_head = update(heads).where(*_at_version).values(alias=bindparam("next_alias"), version=bindparam("next_version"))
_drop_head = delete(heads).where(*_at_version)
_count_on = update(store_meta).values(revision=bindparam("next_revision"))


class Transaction:
    """All that is written in one `async with store.transaction(…)`: serialised with every other writer from its begin,
    visible to others at once and as a whole, at one revision. An exception that leaves the block undoes all of it.

    It begins with the first thing that is read or written. What is written is sent to the database before the next
    thing is read, or with the commit, in one go. `began` is called with the row of `store_meta` once it has begun.
    """

    def __init__(
        self,
        connection: Connection,
        keyring: Keyring,
        *,
        began: Callable[[Row[Any]], None],
        by: str,
        via: str | None = None,
    ) -> None:
        self._connection = connection
        self._keyring = keyring
        self._began = began
        self._by = by
        self._via = via
        self._events: list[AuditEvent] = []
        self._changes: list[Change] = []
        self._at = datetime.now(UTC)
        self._base: Row[Any] | None = None
        self._revision: int | None = None
        # The current versions that this transaction knows of, by config; None: there is none.
        self._versions: dict[str, int | None] = {}

    @property
    def revision(self) -> int | None:
        """The revision of this transaction; None until the first write, and for ever when there is none."""
        return self._revision

    @property
    def outcome(self) -> Commit | None:
        """What this transaction comes to once it is committed; None when nothing was written in it."""
        if self._base is None or self._revision is None:
            return None
        changes = sorted(self._changes, key=lambda change: (change.config_id, change.version))
        return Commit(Position(self._base.store_id, self._revision), tuple(changes))

    async def base_revision(self) -> int:
        """The last revision before this transaction: what it reads is of this moment, until its own first write."""
        return int((await self._begin()).revision)

    async def find(self, *, id: str | None = None, alias: str | None = None) -> ModelConfig | None:  # noqa: A002 - the API's name
        """The config with this id or this alias, as it is in this transaction; None when there is none."""
        config = await find_config(self._connection, id=id, alias=alias)
        if config is not None:
            self._versions[config.id] = config.version
        return config

    async def configs(self, selector: Selector) -> list[ModelConfig]:
        """All configs that a selector names, by alias, as they are in this transaction."""
        found = await find_configs(self._connection, selector)
        self._versions |= {config.id: config.version for config in found}
        return found

    async def find_version(self, config_id: str, version: int) -> ModelConfig | None:
        """A config as it was at one version; None when the change log does not have it (any more)."""
        return await find_version(self._connection, config_id, version)

    async def create(self, draft: ModelConfigDraft) -> ModelConfig:
        """A new config, at version 1. Raises AliasInUse, with nothing written."""
        await self._require_free(draft.alias)
        base = await self._begin()
        config_id = new_config_id()
        config = self._log_state(
            base, draft, Operation.CREATE, config_id=config_id, version=1, created_at=self._at, created_by=self._by
        )
        self._connection.write(_add_head, {"id": config.id, "alias": config.alias, "version": config.version})
        self._remember(AuditAction.MODEL_CONFIG_CREATE, config.id, config.version, alias=config.alias)
        return config

    async def update(
        self, config: ModelConfig, draft: ModelConfigDraft, *, to_version: int | None = None
    ) -> ModelConfig:
        """The next version of a config, with the whole content of `draft`; nothing is compared or merged.

        `config` is as found or written in this transaction; ValueError when it is no longer the current version.
        `to_version` is the old version whose content it is; None when it is no roll-back.
        Raises AliasInUse, with nothing written.
        """
        base = await self._require_current(config)
        if draft.alias != config.alias:
            await self._require_free(draft.alias)
        updated = self._log_state(
            base,
            draft,
            Operation.UPDATE,
            config_id=config.id,
            version=config.version + 1,
            previous_alias=config.alias,
            created_at=config.created_at,
            created_by=config.created_by,
        )
        self._change_head(config, _move_head, {"next_alias": updated.alias, "next_version": updated.version})
        renamed = {} if updated.alias == config.alias else {"previousAlias": config.alias}
        if to_version is None:
            self._remember(AuditAction.MODEL_CONFIG_UPDATE, config.id, updated.version, alias=updated.alias, **renamed)
        else:
            rolled_back = {**renamed, "toVersion": to_version}
            self._remember(
                AuditAction.MODEL_CONFIG_ROLLBACK, config.id, updated.version, alias=updated.alias, **rolled_back
            )
        return updated

    async def delete(self, config: ModelConfig) -> Change:
        """Delete a config; its history stays. `config` as with `update`."""
        base = await self._require_current(config)
        self._change_head(config, _drop_head)
        change = self._log(
            base, Operation.DELETE, config_id=config.id, version=config.version + 1, previous_alias=config.alias
        )
        self._remember(AuditAction.MODEL_CONFIG_DELETE, config.id, config.version + 1, alias=config.alias)
        return change

    async def users(self, config: ModelConfig, *, first: int) -> list[Binding]:
        """The first bindings of a config whose components are connected."""
        return await using(self._connection, config.id, now=self._at, first=first)

    def open_secrets(self, config: ModelConfig) -> Secrets:
        """As `Store.open_secrets`."""
        return open_secrets(self._keyring, config)

    async def complete(self) -> None:
        """Write what belongs to the transaction as a whole: its rows of the audit log."""
        if self._events:
            base = await self._begin()
            last = (base.audit_sequence or 0, base.audit_hash or GENESIS)
            await append(self._connection, self._events, at=self._at, last=last)

    async def _begin(self) -> Row[Any]:
        """What the transaction began with."""
        if self._base is None:
            self._base = (await self._connection.opened()).one()
            self._began(self._base)
        return self._base

    async def _require_current(self, config: ModelConfig) -> Row[Any]:
        # Nobody else can have written since it was found.
        if config.id not in self._versions:
            await self.find(id=config.id)
        if self._versions.get(config.id) != config.version:
            raise ValueError(f"version {config.version} of config {config.id} is not the current one")
        return await self._begin()

    async def _require_free(self, alias: str) -> None:
        if (await self._connection.execute(_alias_owner, {"alias": alias})).first() is not None:
            raise AliasInUse(alias)

    def _change_head(self, config: ModelConfig, statement: Update | Delete, values: Mapping[str, Any] = {}) -> None:
        known = {"config_id": config.id, "current_version": config.version}
        self._connection.write(statement, {**known, **values}, rows=1)

    def _log_state(
        self,
        base: Row[Any],
        draft: ModelConfigDraft,
        operation: Operation,
        *,
        config_id: str,
        version: int,
        previous_alias: str | None = None,
        created_at: datetime,
        created_by: str,
    ) -> ModelConfig:
        envelope = self._keyring.seal(draft.secrets, config_id=config_id, version=version)
        state = {**state_columns(draft, envelope), "created_at": created_at, "created_by": created_by}
        change = self._log(
            base, operation, config_id=config_id, version=version, previous_alias=previous_alias, state=state
        )
        assert change.config is not None  # noqa: S101 - it is no deletion
        return change.config

    def _log(
        self,
        base: Row[Any],
        operation: Operation,
        *,
        config_id: str,
        version: int,
        previous_alias: str | None,
        state: Mapping[str, Any] | None = None,
    ) -> Change:
        row = {
            "config_id": config_id,
            "version": version,
            "revision": self._take_revision(base),
            "operation": operation.value,
            "previous_alias": previous_alias,
            "changed_at": self._at,
            "changed_by": self._by,
            **(state or {}),
        }
        self._connection.write(_log_change, row)
        self._versions[config_id] = None if operation is Operation.DELETE else version
        change = change_of(SimpleNamespace(**row))
        self._changes.append(change)
        return change

    def _remember(self, action: AuditAction, config_id: str, version: int, **details: Json) -> None:
        details |= {"id": config_id, "version": version, "revision": self._revision}
        if self._via is not None:
            details["via"] = self._via
        self._events.append(AuditEvent(action=action, actor=self._by, details=details))

    def _take_revision(self, base: Row[Any]) -> int:
        if self._revision is None:
            self._revision = int(base.revision) + 1
            self._connection.write(_count_on, {"next_revision": self._revision})
        return self._revision


def open_secrets(keyring: Keyring, config: ModelConfig) -> Secrets:
    """The secrets of a config; empty when it has none. Raises UnknownKey, StoreCorrupt."""
    if config.sealed is None:
        return Secrets()
    return keyring.open(Envelope.parse(config.sealed), config_id=config.id, version=config.version)
