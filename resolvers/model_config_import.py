"""Importing model configs from files of other programs: all of a file in one transaction, at one revision."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from ..store import AuthType, ModelConfigDraft, Position, Transaction
from .access import Context, Scope
from .errors import InvalidInput, translates_store_errors
from .importing import ImportedModel, ImportFormat, ParsedEntry, parse_import
from .inputs import UNSET, ModelConfigInput
from .merge import Merged, draft_of, merge, same_content
from .model_configs import require_alias
from .validation import validate_input


class ImportAction(StrEnum):
    """What an import does with one entry of its file."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportEntry:
    """One entry of the file: what became of it, why, and which of its keys have no meaning here."""

    alias: str
    action: ImportAction
    reason: str | None
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """All entries in the file's order. `position` is None when nothing was written."""

    entries: tuple[ImportEntry, ...]
    ignored_sections: tuple[str, ...]
    position: Position | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """The text of a file, and what to do with it. Hidden in the repr, because secrets may be in it."""

    content: str = field(repr=False)
    format: ImportFormat = ImportFormat.AUTO
    dry_run: bool = False


@translates_store_errors
async def import_model_configs(context: Context, request: ImportRequest) -> Imported:
    """Take the model configs of a file. A dry run answers the same and writes nothing.

    Raises InvalidInput for a file that cannot be read, Forbidden when one of its aliases is not the caller's to write.
    """
    context.principal.require(Scope.MODEL_CONFIG_WRITE)
    parsed = await parse_import(request.content, request.format)
    for entry in parsed.entries:
        if entry.model is not None:
            require_alias(context.principal, entry.model.alias)
    async with context.store.transaction(by=context.principal.subject) as transaction:
        entries = [await _apply(transaction, entry, dry_run=request.dry_run) for entry in parsed.entries]
        revision = transaction.revision
    return Imported(
        entries=tuple(entries),
        ignored_sections=parsed.ignored_sections,
        position=None if revision is None else Position(context.store.id, revision),
    )


async def _apply(transaction: Transaction, entry: ParsedEntry, *, dry_run: bool) -> ImportEntry:
    if entry.model is None:
        return _answer(entry, ImportAction.SKIP, entry.reason)
    existing = await transaction.find(alias=entry.model.alias)
    base = (
        ModelConfigDraft(alias=entry.model.alias)
        if existing is None
        else draft_of(existing, transaction.open_secrets(existing))
    )
    try:
        merged = _merged(base, entry.model)
    except InvalidInput as error:
        return _answer(entry, ImportAction.SKIP, error.message)
    if existing is None:
        if not dry_run:
            await transaction.create(merged.draft)
        return _answer(entry, ImportAction.CREATE)
    if same_content(base, merged.draft):
        return _answer(entry, ImportAction.UNCHANGED)
    if not dry_run:
        await transaction.update(existing, merged.draft)
    reason = (
        "stored credentials were dropped, because the provider, the kind of auth or the address changed"
        if merged.dropped_credentials
        else None
    )
    return _answer(entry, ImportAction.UPDATE, reason)


def _merged(base: ModelConfigDraft, model: ImportedModel) -> Merged:
    # A file without description or credentials says nothing about them, so what is stored stays.
    given = ModelConfigInput(
        alias=model.alias,
        description=UNSET if model.description is None else model.description,
        provider=model.provider,
        model=model.model,
        api_base=model.api_base,
        auth=UNSET if model.auth is None or model.auth.type is AuthType.NONE else model.auth,
        params=model.params,
        max_input_tokens=model.max_input_tokens,
    )
    validate_input(given)
    return merge(base, given)


def _answer(entry: ParsedEntry, action: ImportAction, reason: str | None = None) -> ImportEntry:
    return ImportEntry(alias=entry.alias, action=action, reason=reason, ignored=entry.ignored)
