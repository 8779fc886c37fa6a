"""Importing model configs from files: all of a file in one transaction, at one revision."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from ..store import AuthType, Json, ModelConfigDraft, Position, Selector, Transaction
from .access import Context, Scope
from .auth_types import AUTH_SCHEMES
from .differences import FieldChange, field_changes
from .errors import InvalidInput, RevisionConflict, translates_store_errors
from .importing import ImportedModel, ImportFormat, ParsedEntry, parse_import
from .inputs import UNSET, ModelConfigInput
from .litellm_params import routed_model
from .merge import Merged, merge, same_content
from .model_configs import require_alias
from .stored import Stored, read_stored
from .validation import validate_input


class ImportAction(StrEnum):
    """What an import does with one entry of its file, or with a config that the file does not name."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    SKIP = "skip"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportEntry:
    """What became of one entry of the file, why, which of its keys have no meaning here, and what it changes."""

    alias: str
    action: ImportAction
    reason: str | None
    ignored: tuple[str, ...]
    changes: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """All entries in the file's order, then those of `prune`. `position` is None when nothing was written.

    `base` is the position that the file was compared with.
    """

    entries: tuple[ImportEntry, ...]
    ignored_sections: tuple[str, ...]
    position: Position | None
    base: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """The text of a file, and what to do with it. Hidden in the repr, because secrets may be in it.

    `variables` are what `${NAME}` in a SAM file stands for, not validated yet. `prune` deletes what the file does not
    name. `expected_revision` is the string form of the position that the file is meant for, None for any.
    """

    content: str = field(repr=False)
    format: ImportFormat = ImportFormat.AUTO
    dry_run: bool = False
    prune: bool = False
    expected_revision: str | None = None
    variables: Json = field(default_factory=dict, repr=False)


@translates_store_errors
async def import_model_configs(context: Context, request: ImportRequest) -> Imported:
    """Take the model configs of a file. A dry run answers the same and writes nothing.

    Raises InvalidInput for a file that cannot be read, RevisionConflict when somebody wrote since `expected_revision`,
    Forbidden when one of its aliases is not the caller's to write.
    """
    principal = context.principal
    principal.require(Scope.MODEL_CONFIG_WRITE)
    if request.prune:
        principal.require(Scope.MODEL_CONFIG_READ)
    parsed = await parse_import(request.content, request.format, _variables(request.variables))
    for entry in parsed.entries:
        if entry.model is not None:
            require_alias(principal, entry.alias)
    async with context.store.transaction(by=principal.subject, via="import") as transaction:
        base = Position(context.store.id, await transaction.base_revision())
        if request.expected_revision not in {None, str(base)}:
            raise RevisionConflict("a model config was changed in the meantime: plan anew", base)
        entries = await apply_entries(transaction, parsed.entries, dry_run=request.dry_run)
        if request.prune:
            visible = Selector(visible=principal.aliases)
            named = {entry.alias for entry in parsed.entries}
            entries += await _prune(transaction, visible, named, dry_run=request.dry_run)
        revision = transaction.revision
    return Imported(
        entries=tuple(entries),
        ignored_sections=parsed.ignored_sections,
        position=None if revision is None else Position(context.store.id, revision),
        base=base,
    )


async def apply_entries(
    transaction: Transaction, entries: Iterable[ParsedEntry], *, dry_run: bool = False
) -> list[ImportEntry]:
    """Write the entries of a file and say what became of each. Raises InvalidInput for one that is `complete` and
    cannot be written; others are skipped.
    """
    return [await _apply(transaction, entry, dry_run=dry_run) for entry in entries]


def _variables(given: Json) -> Mapping[str, str]:
    if not isinstance(given, Mapping) or not all(isinstance(value, str) for value in given.values()):
        raise InvalidInput(
            "variables must be an object of texts, by the names of the variables", ("input", "variables")
        )
    return given


async def _apply(transaction: Transaction, entry: ParsedEntry, *, dry_run: bool) -> ImportEntry:
    model = entry.model
    if model is None:
        return _answer(entry, ImportAction.SKIP, entry.reason)
    existing = await transaction.find(alias=model.alias)
    stored = (
        Stored(draft=ModelConfigDraft(alias=model.alias), lost=None)
        if existing is None
        else read_stored(existing, transaction.open_secrets)
    )
    base = stored.draft
    if stored.lost is not None and (model.sealed_auth or model.sealed_params):
        return _answer(entry, ImportAction.SKIP, f"what it leaves sealed here cannot be opened: {stored.lost}")
    try:
        merged = _merged(stored, model)
    except InvalidInput as error:
        if model.complete:
            raise InvalidInput(f"line {entry.line}: {model.alias}: {error.message}", ("input", "content")) from None
        return _answer(entry, ImportAction.SKIP, error.message)
    reason = _remark(merged, model, stored.lost)
    if existing is None:
        if not dry_run:
            await transaction.create(merged.draft)
        return _answer(entry, ImportAction.CREATE, reason, field_changes(None, merged.draft))
    if same_content(base, merged.draft):
        return _answer(entry, ImportAction.UNCHANGED, reason)
    if not dry_run:
        await transaction.update(existing, merged.draft)
    return _answer(entry, ImportAction.UPDATE, reason, field_changes(base, merged.draft))


async def _prune(
    transaction: Transaction, visible: Selector, named: Collection[str], *, dry_run: bool
) -> list[ImportEntry]:
    """Delete what the file does not name. Default aliases stay: components count on them."""
    entries = []
    for config in await transaction.configs(visible):
        if config.alias in named:
            continue
        entry = ParsedEntry(alias=config.alias)
        if config.is_default:
            reason = "the file does not name it; it stays as it is, because components count on a default alias"
            entries.append(_answer(entry, ImportAction.UNCHANGED, reason))
            continue
        changes = field_changes(read_stored(config, transaction.open_secrets).draft, None)
        entries.append(_answer(entry, ImportAction.DELETE, changes=changes))
        if not dry_run:
            await transaction.delete(config)
    return entries


def _merged(stored: Stored, model: ImportedModel) -> Merged:
    base = stored.draft
    given = _complete_input(base, model) if model.complete else _partial_input(base, model)
    validate_input(given)
    return merge(base, given, lost=stored.lost)


def _partial_input(base: ModelConfigDraft, model: ImportedModel) -> ModelConfigInput:
    # A file without description or credentials says nothing about them, so what is stored stays.
    given = ModelConfigInput(
        alias=model.alias,
        description=UNSET if model.description is None else model.description,
        provider=model.provider,
        model=model.model,
        api_base=model.api_base,
        auth=UNSET if model.auth.type is AuthType.NONE else model.auth,
        params=model.params,
        max_input_tokens=model.max_input_tokens,
    )
    same = base.provider == model.provider and routed_model(base.provider, base.model) == routed_model(
        model.provider, model.model
    )
    # Other programs' files name models with LiteLLM's prefix, a config may have its model with or without it.
    return replace(given, model=base.model) if same else given


def _complete_input(base: ModelConfigDraft, model: ImportedModel) -> ModelConfigInput:
    cleared = {name: None for name in base.secrets.params if name not in model.sealed_params}
    return ModelConfigInput(
        alias=model.alias,
        description=model.description,
        provider=model.provider,
        model=model.model,
        api_base=model.api_base,
        auth=model.auth,
        params={**cleared, **model.params},
        max_input_tokens=model.max_input_tokens,
    )


def _remark(merged: Merged, model: ImportedModel, lost: str | None) -> str | None:
    """What the reader of a plan has to know."""
    if lost is not None:
        return f"the stored credentials are replaced, because they cannot be opened: {lost}"
    if merged.dropped_credentials:
        return "stored credentials were dropped, because the provider, the kind of auth or the address changed"
    api_names = {each.name: each.api_name for each in AUTH_SCHEMES[model.auth.type].fields}
    missing = [
        *(f"auth.{api_names[name]}" for name in model.sealed_auth if name not in merged.draft.secrets.auth),
        *(f"params.{name}" for name in model.sealed_params if name not in merged.draft.secrets.params),
    ]
    if not missing:
        return None
    return (
        f"the file says that {', '.join(missing)} is sealed here, and nothing is: set it with `modelwire set` or "
        "updateModelConfig"
    )


def _answer(
    entry: ParsedEntry, action: ImportAction, reason: str | None = None, changes: tuple[FieldChange, ...] = ()
) -> ImportEntry:
    return ImportEntry(alias=entry.alias, action=action, reason=reason, ignored=entry.ignored, changes=changes)
