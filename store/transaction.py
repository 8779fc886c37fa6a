"""Writing: what one transaction may do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import CursorResult, Delete, Insert, Select, Update, bindparam, delete, insert, select, update

from .audit import AuditAction, AuditEvent, append
from .change_log import change_of, config_of, find_config, find_configs, find_version, new_config_id, state_columns
from .component_lists import using
from .component_records import Binding
from .database import Connection
from .errors import AliasInUse, StoreUnavailable
from .records import Change, Json, ModelConfig, ModelConfigDraft, Operation, Secrets, Selector
from .secrets import Envelope, Keyring
from .tables import model_config_changes as changes
from .tables import model_configs as heads
from .tables import store_meta

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
    """

    def __init__(
        self,
        connection: Connection,
        keyring: Keyring,
        *,
        base_revision: int,
        last_audit_row: tuple[int, str],
        by: str,
        via: str | None = None,
    ) -> None:
        self._connection = connection
        self._keyring = keyring
        self._base_revision = base_revision
        self._last_audit_row = last_audit_row
        self._by = by
        self._via = via
        self._events: list[AuditEvent] = []
        self._at = datetime.now(UTC)
        self._failed = False
        self._revision: int | None = None
        # The versions that this transaction has written, by config; None: it was deleted.
        self._written: dict[str, int | None] = {}

    @property
    def revision(self) -> int | None:
        """The revision of this transaction; None until the first write, and for ever when there is none."""
        return self._revision

    @property
    def base_revision(self) -> int:
        """The last revision before this transaction: what it reads is of this moment, until its own first write."""
        return self._base_revision

    async def find(self, *, id: str | None = None, alias: str | None = None) -> ModelConfig | None:  # noqa: A002 - the API's name
        """The config with this id or this alias, as it is in this transaction; None when there is none."""
        return await find_config(self._connection, id=id, alias=alias)

    async def configs(self, selector: Selector) -> list[ModelConfig]:
        """All configs that a selector names, by alias, as they are in this transaction."""
        return await find_configs(self._connection, selector)

    async def find_version(self, config_id: str, version: int) -> ModelConfig | None:
        """A config as it was at one version; None when the change log does not have it (any more)."""
        return await find_version(self._connection, config_id, version)

    async def create(self, draft: ModelConfigDraft) -> ModelConfig:
        """A new config, at version 1. Raises AliasInUse, with nothing written."""
        await self._require_free(draft.alias)
        config_id = new_config_id()
        config = await self._log_state(
            draft, Operation.CREATE, config_id=config_id, version=1, created_at=self._at, created_by=self._by
        )
        await self._execute(_add_head, {"id": config.id, "alias": config.alias, "version": config.version})
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
        self._require_current(config)
        if draft.alias != config.alias:
            await self._require_free(draft.alias)
        updated = await self._log_state(
            draft,
            Operation.UPDATE,
            config_id=config.id,
            version=config.version + 1,
            previous_alias=config.alias,
            created_at=config.created_at,
            created_by=config.created_by,
        )
        await self._change_head(config, _move_head, {"next_alias": updated.alias, "next_version": updated.version})
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
        self._require_current(config)
        await self._change_head(config, _drop_head)
        row = await self._log(
            Operation.DELETE, config_id=config.id, version=config.version + 1, previous_alias=config.alias
        )
        self._remember(AuditAction.MODEL_CONFIG_DELETE, config.id, config.version + 1, alias=config.alias)
        return change_of(row)

    async def users(self, config: ModelConfig, *, first: int) -> list[Binding]:
        """The first bindings of a config whose components are connected."""
        return await using(self._connection, config.id, now=self._at, first=first)

    def open_secrets(self, config: ModelConfig) -> Secrets:
        """As `Store.open_secrets`."""
        return open_secrets(self._keyring, config)

    async def complete(self) -> None:
        """Write what belongs to the transaction as a whole: its rows of the audit log.

        Raises StoreUnavailable when a statement failed: what came before it must not be committed without it.
        """
        self._check_intact()
        if self._events:
            await append(self._connection, self._events, at=self._at, last=self._last_audit_row)

    def _check_intact(self) -> None:
        if self._failed:
            raise StoreUnavailable("the transaction failed before its end, nothing of it was written; try again")

    def _require_current(self, config: ModelConfig) -> None:
        # Nobody else can have written since it was found.
        if self._written.get(config.id, config.version) != config.version:
            raise _not_current(config)

    async def _require_free(self, alias: str) -> None:
        if (await self._execute(_alias_owner, {"alias": alias})).first() is not None:
            raise AliasInUse(alias)

    async def _change_head(
        self, config: ModelConfig, statement: Update | Delete, values: Mapping[str, Any] = {}
    ) -> None:
        changed = await self._execute(statement, {"config_id": config.id, "current_version": config.version, **values})
        if changed.rowcount != 1:
            self._failed = True
            raise _not_current(config)

    async def _log_state(
        self,
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
        row = await self._log(
            operation, config_id=config_id, version=version, previous_alias=previous_alias, state=state
        )
        return config_of(row)

    async def _log(
        self,
        operation: Operation,
        *,
        config_id: str,
        version: int,
        previous_alias: str | None,
        state: Mapping[str, Any] | None = None,
    ) -> SimpleNamespace:
        row = {
            "config_id": config_id,
            "version": version,
            "revision": await self._take_revision(),
            "operation": operation.value,
            "previous_alias": previous_alias,
            "changed_at": self._at,
            "changed_by": self._by,
            **(state or {}),
        }
        await self._execute(_log_change, row)
        self._written[config_id] = None if operation is Operation.DELETE else version
        return SimpleNamespace(**row)

    def _remember(self, action: AuditAction, config_id: str, version: int, **details: Json) -> None:
        details |= {"id": config_id, "version": version, "revision": self._revision}
        if self._via is not None:
            details["via"] = self._via
        self._events.append(AuditEvent(action=action, actor=self._by, details=details))

    async def _take_revision(self) -> int:
        if self._revision is None:
            revision = self._base_revision + 1
            await self._execute(_count_on, {"next_revision": revision})
            self._revision = revision
        return self._revision

    async def _execute(
        self, statement: Select[Any] | Insert | Update | Delete, row: Mapping[str, Any] | None = None
    ) -> CursorResult[Any]:
        self._check_intact()
        try:
            return await self._connection.execute(statement, row)
        except BaseException:
            # The database may have ended the transaction by itself (a full disk); a later statement would stand alone.
            self._failed = True
            raise


def _not_current(config: ModelConfig) -> ValueError:
    return ValueError(f"version {config.version} of config {config.id} is not the current one")


def open_secrets(keyring: Keyring, config: ModelConfig) -> Secrets:
    """The secrets of a config; empty when it has none. Raises UnknownKey, StoreCorrupt."""
    if config.sealed is None:
        return Secrets()
    return keyring.open(Envelope.parse(config.sealed), config_id=config.id, version=config.version)
