"""The versions of a config: what changed from each to the next, and going back to one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from ..store import Auth, Change, ModelConfig, ModelConfigDraft, Position, Secrets
from .access import Context, Scope
from .auth_types import AUTH_SCHEMES
from .cursors import decode_cursor, encode_cursor
from .differences import FieldChange, field_changes
from .errors import InvalidInput, NotFound, translates_store_errors
from .inputs import AuthInput, ModelConfigInput
from .merge import Merged, credential_names, merge, same_content
from .model_configs import Updated, check_rename, find_for_write, page_size
from .stored import Stored, read_stored
from .validation import validate_input

_TO_VERSION = ("input", "toVersion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a config, and what it changed. `changes` of a `baseline` are its whole content: the version before
    it is not there to compare with.
    """

    version: int
    position: Position
    at: datetime
    by: str
    baseline: bool
    changes: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Versions, newest first, the cursor behind each of them, and whether older ones follow."""

    versions: tuple[Version, ...]
    cursors: tuple[str, ...]
    has_next: bool


@translates_store_errors
async def history(
    context: Context, config: ModelConfig, *, first: int | None = None, after: str | None = None
) -> History:
    """Up to `first` (1 to 100, 50 when None) versions of a config, behind the cursor `after`.

    Begins at the version of `config`. Ends where the retained change log does, and before a version with an alias that
    the caller may not see. Raises Forbidden, BadUserInput.
    """
    context.principal.require(Scope.MODEL_CONFIG_READ)
    size = page_size(first)
    name = f"history of {config.id}"
    before = config.version + 1
    if after is not None:
        (version,) = decode_cursor(name, after, (int,))
        before = min(before, int(version))
    # One more tells whether there is a next page, and what the oldest of this one is compared with.
    states = _visible(context, await context.store.history(config.id, first=size + 1, before=before))
    by_version = {state.version: state for state in states}
    versions = [_version(context, state, by_version.get(state.version - 1)) for state in states[:size]]
    cursors = tuple(encode_cursor(name, (version.version,)) for version in versions)
    return History(versions=tuple(versions), cursors=cursors, has_next=len(states) > size)


@translates_store_errors
async def rollback(context: Context, *, id: str, expected_version: int, to_version: int) -> Updated:  # noqa: A002 - the API's name
    """Make a new version with the content of an old one. One that would stay as it is keeps its version.

    Today's credentials stay if provider, auth type and address are the same, and are dropped otherwise, and where
    they cannot be opened; those of the old version never come back. Raises Forbidden, InvalidInput, NotFound,
    VersionConflict, AliasTaken, ProtectedDefault.
    """
    principal = context.principal
    principal.require(Scope.MODEL_CONFIG_WRITE)
    async with context.store.transaction(by=principal.subject) as transaction:
        config = await find_for_write(principal, transaction, id, expected_version)
        old = await transaction.find_version(id, to_version) if 1 <= to_version <= config.version else None
        if old is None or not principal.aliases.allows(old.alias):
            raise NotFound(
                f"version {to_version} of this config does not exist, is no longer kept, or is not yours to see: "
                "`history` shows those that there are",
                _TO_VERSION,
            )
        stored = read_stored(config, transaction.open_secrets)
        restored = restore(stored, old)
        if old.alias != config.alias:
            await check_rename(principal, transaction, config, old.alias, _TO_VERSION)
        if not same_content(stored.draft, restored.draft):
            config = await transaction.update(config, restored.draft, to_version=to_version)
    return Updated(config=config, dropped_credentials=restored.dropped_credentials)


def restore(today: Stored, old: ModelConfig) -> Merged:
    """The content of an old version with the credentials of `today` where these may stay.

    References to environment variables are no secrets: the old ones come back where today's credentials do not stay,
    and where there are none today. Raises InvalidInput when this version of Modelwire allows the old content no more.
    """
    base = today.draft
    try:
        kept = merge(base, _content(old, credentials=not credential_names(base.auth), without=base.secrets.params))
        stays = today.lost is None and not kept.dropped_credentials
        if stays and (base.secrets or credential_names(base.auth)):
            return kept
        bare = replace(base, auth=_without_credentials(base.auth), secrets=Secrets())
        restored = merge(bare, _content(old, credentials=True))
        return replace(restored, dropped_credentials=not stays and _are_lost(base, restored.draft))
    except InvalidInput as error:
        raise InvalidInput(
            f"version {old.version} cannot come back as it was: {error.message}; change the config instead", _TO_VERSION
        ) from None


def _are_lost(today: ModelConfigDraft, restored: ModelConfigDraft) -> bool:
    """Whether credentials of today are there no more. A reference that the old version has as well is not lost."""
    references = {name: today.auth.fields.get(name) for name in credential_names(today.auth)}
    return bool(today.secrets) or any(restored.auth.fields.get(name) != own for name, own in references.items())


def _content(old: ModelConfig, *, credentials: bool, without: Collection[str] = ()) -> ModelConfigInput:
    """What somebody would have to give for the content of an old version, but for its secrets. `credentials` says
    whether its references are given in place of those that are stored, `without` which params are not.
    """
    hidden = frozenset() if credentials else AUTH_SCHEMES[old.auth.type].secret_names
    names = [field.name for field in AUTH_SCHEMES[old.auth.type].fields if field.name not in hidden]
    given = ModelConfigInput(
        alias=old.alias,
        description=old.description,
        provider=old.provider,
        model=old.model,
        api_base=old.api_base,
        auth=AuthInput(type=old.auth.type, values={name: old.auth.fields.get(name) for name in names}),
        params={name: value for name, value in old.params.items() if name not in without},
        max_input_tokens=old.max_input_tokens,
    )
    validate_input(given)
    return given


def _without_credentials(auth: Auth) -> Auth:
    secret_names = AUTH_SCHEMES[auth.type].secret_names
    return Auth(type=auth.type, fields={name: value for name, value in auth.fields.items() if name not in secret_names})


def _visible(context: Context, states: list[Change]) -> list[ModelConfig]:
    visible: list[ModelConfig] = []
    for change in states:
        if change.config is None or not context.principal.aliases.allows(change.config.alias):
            break
        visible.append(change.config)
    return visible


def _version(context: Context, state: ModelConfig, previous: ModelConfig | None) -> Version:
    # An old version may outlive its key. Its secrets are then equal to none that they are compared with.
    before = None if previous is None else read_stored(previous, context.store.open_secrets).draft
    return Version(
        version=state.version,
        position=Position(context.store.id, state.revision),
        at=state.updated_at,
        by=state.updated_by,
        baseline=previous is None and state.version > 1,
        changes=field_changes(before, read_stored(state, context.store.open_secrets).draft),
    )
