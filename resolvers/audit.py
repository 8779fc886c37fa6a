"""The audit log, read."""

from __future__ import annotations

from dataclasses import dataclass

from ..store import AuditEntry
from .access import Context, Scope
from .cursors import decode_cursor, encode_cursor
from .errors import Forbidden, translates_store_errors
from .model_configs import page_size

_LIST = "auditLog"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Entries, newest first, and whether older ones follow."""

    entries: tuple[AuditEntry, ...]
    has_next: bool


@translates_store_errors
async def audit_log(context: Context, *, first: int | None = None, after: str | None = None) -> AuditPage:
    """Up to `first` (1 to 100, 50 when None) entries, behind the cursor `after`. Raises Forbidden, BadUserInput.

    The log tells of every alias, so a key that is bound to some does not open it.
    """
    principal = context.principal
    principal.require(Scope.AUDIT_READ)
    if principal.aliases.patterns is not None:
        raise Forbidden(f"the audit log tells of all aliases, and {principal.name!r} is bound to some")
    size = page_size(first)
    before = None if after is None else _sequence_of_cursor(after)
    entries = await context.store.audit_log.page(first=size + 1, before=before)
    return AuditPage(entries=tuple(entries[:size]), has_next=len(entries) > size)


def cursor_of(entry: AuditEntry) -> str:
    """The cursor that stands for the place behind this entry. Opaque to clients."""
    return encode_cursor(_LIST, (entry.sequence,))


def _sequence_of_cursor(cursor: str) -> int:
    (sequence,) = decode_cursor(_LIST, cursor, (int,))
    return int(sequence)
