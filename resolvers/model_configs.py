"""Reading and writing model configs."""

from __future__ import annotations

from dataclasses import dataclass

from ..store import Listing, ModelConfig, ModelConfigDraft, OrderBy, Position, Transaction
from .access import Context, Principal, Scope
from .cursors import decode_cursor, encode_cursor
from .errors import (
    AliasTaken,
    BadUserInput,
    Forbidden,
    InUse,
    ProtectedDefault,
    Unavailable,
    VersionConflict,
    no_such_config,
    translates_store_errors,
)
from .inference import needs_provider, with_provider
from .inputs import ModelConfigInput, Unset
from .merge import Merged, merge, same_content
from .stored import read_stored
from .validation import MAX_DESCRIPTION_LENGTH, can_be_stored, validate_alias, validate_input

DEFAULT_PAGE = 50
MAX_PAGE = 100

_PLACES: dict[OrderBy, tuple[type[int | str], ...]] = {
    OrderBy.ALIAS: (str,),
    OrderBy.UPDATED_AT: (int, str),
    OrderBy.PROVIDER: (str, str),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list is narrowed to; None means "any". `search` is part of alias, description or model, in any case."""

    search: str | None = None
    provider: str | None = None
    configured: bool | None = None
    is_default: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How a list is sorted."""

    by: OrderBy = OrderBy.ALIAS
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Configs, the cursor behind each of them, and whether more follow."""

    configs: tuple[ModelConfig, ...]
    cursors: tuple[str, ...]
    has_next: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """The config after an update, None when it was only validated."""

    config: ModelConfig | None
    dropped_credentials: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """What was deleted, and the position of the deletion."""

    id: str
    alias: str
    position: Position


@translates_store_errors
async def find(context: Context, *, id: str | None = None, alias: str | None = None) -> ModelConfig | None:  # noqa: A002 - the API's name
    """The config with this id or this alias (exactly one of both), None when there is none that the caller may see.

    Raises Forbidden for an alias that the caller's key does not open.
    """
    context.principal.require(Scope.MODEL_CONFIG_READ)
    if alias is not None:
        require_alias(context.principal, alias)
    if not can_be_stored(id or alias or ""):
        return None
    config = await context.store.find(id=id, alias=alias)
    return config if config is not None and context.principal.aliases.allows(config.alias) else None


@translates_store_errors
async def page(
    context: Context,
    *,
    first: int | None = None,
    after: str | None = None,
    narrowed: Filter = Filter(),
    order: Order = Order(),
) -> Page:
    """Up to `first` (1 to 100, 50 when None) configs that the caller may see, behind the cursor `after`.

    Raises Forbidden, BadUserInput for a `first` out of range, an `after` of another list or order, and a text to search
    for that is longer than any there is.
    """
    context.principal.require(Scope.MODEL_CONFIG_READ)
    size = page_size(first)
    name = f"modelConfigs {order.by} {'descending' if order.descending else 'ascending'}"
    place = None if after is None else decode_cursor(name, after, _PLACES[order.by])
    if len(narrowed.search or "") > MAX_DESCRIPTION_LENGTH:
        # Each config is compared with it, in the event loop.
        raise BadUserInput(f"search must have at most {MAX_DESCRIPTION_LENGTH} characters")
    if not can_be_stored(narrowed.provider or ""):
        return Page(configs=(), cursors=(), has_next=False)
    listing = Listing(
        visible=context.principal.aliases,
        search=narrowed.search,
        provider=narrowed.provider,
        configured=narrowed.configured,
        is_default=narrowed.is_default,
        order_by=order.by,
        descending=order.descending,
    )
    found = await context.store.page(listing, first=size + 1, after=place)
    return Page(
        configs=tuple(found[:size]),
        cursors=tuple(encode_cursor(name, listing.place_of(config)) for config in found[:size]),
        has_next=len(found) > size,
    )


def page_size(first: int | None) -> int:
    """How many entries a page has that was asked for with `first`. Raises BadUserInput."""
    size = DEFAULT_PAGE if first is None else first
    if not 1 <= size <= MAX_PAGE:
        raise BadUserInput(f"first must be 1 to {MAX_PAGE}")
    return size


@translates_store_errors
async def create(context: Context, given: ModelConfigInput, *, validate_only: bool = False) -> ModelConfig | None:
    """Make a config; None when it was only validated. Raises Forbidden, InvalidInput, AliasTaken, Unavailable."""
    context.principal.require(Scope.MODEL_CONFIG_WRITE)
    alias = None if isinstance(given.alias, Unset) else given.alias
    validate_alias(alias)
    assert alias is not None  # noqa: S101 - validate_alias refuses it
    require_alias(context.principal, alias)
    validate_input(given)
    merged = merge(ModelConfigDraft(alias=alias), await with_provider(given))
    async with context.store.transaction(by=context.principal.subject) as transaction:
        await _require_free(transaction, alias)
        return None if validate_only else await transaction.create(merged.draft)


@translates_store_errors
async def update(
    context: Context,
    *,
    id: str,  # noqa: A002 - the API's name
    expected_version: int,
    given: ModelConfigInput,
    validate_only: bool = False,
) -> Updated:
    """Change a config. One that would stay as it is keeps its version. One whose secrets cannot be opened has to be
    given them anew.

    Raises Forbidden, InvalidInput, NotFound, VersionConflict, AliasTaken, ProtectedDefault, Unavailable.
    """
    context.principal.require(Scope.MODEL_CONFIG_WRITE)
    validate_input(given)
    given = await _with_provider(context, id, expected_version, given)
    async with context.store.transaction(by=context.principal.subject) as transaction:
        config = await find_for_write(context.principal, transaction, id, expected_version)
        if needs_provider(given, config):
            raise Unavailable("the config was changed while the provider of its model was found out: try again")
        stored = read_stored(config, transaction.open_secrets)
        merged = merge(stored.draft, given, lost=stored.lost)
        if merged.draft.alias != config.alias:
            await check_rename(context.principal, transaction, config, merged.draft.alias)
        if validate_only:
            return Updated(config=None, dropped_credentials=merged.dropped_credentials)
        if _changes(stored.draft, merged):
            config = await transaction.update(config, merged.draft)
        return Updated(config=config, dropped_credentials=merged.dropped_credentials)


@translates_store_errors
async def delete(context: Context, *, id: str, expected_version: int, force: bool = False) -> Deleted:  # noqa: A002 - the API's name
    """Delete a config; with `force` also one that components use.

    Raises Forbidden, NotFound, VersionConflict, ProtectedDefault, InUse.
    """
    context.principal.require(Scope.MODEL_CONFIG_WRITE)
    async with context.store.transaction(by=context.principal.subject) as transaction:
        config = await find_for_write(context.principal, transaction, id, expected_version)
        if config.is_default:
            raise ProtectedDefault(
                f"{config.alias!r} is a default alias, which components count on: change it instead of deleting it",
                ("input", "id"),
            )
        if not force:
            await _require_unused(context.principal, transaction, config)
        change = await transaction.delete(config)
    return Deleted(id=config.id, alias=config.alias, position=Position(context.store.id, change.revision))


async def _require_unused(principal: Principal, transaction: Transaction, config: ModelConfig) -> None:
    bindings = await transaction.users(config, first=MAX_PAGE)
    if not bindings:
        return
    count = len({binding.component.id for binding in bindings})
    used = f"{count} or more components use" if len(bindings) == MAX_PAGE else f"{count} component(s) use(s)"
    raise InUse(
        f"{used} {config.alias!r} and would be left without: have them use another first, or delete it with `force`",
        tuple(bindings) if Scope.COMPONENT_READ in principal.scopes else (),
    )


async def _with_provider(
    context: Context, config_id: str, expected_version: int, given: ModelConfigInput
) -> ModelConfigInput:
    """The input with its model's provider, where it and the config have none. What cannot be written stays as it is:
    the transaction says why.
    """
    if not needs_provider(given) or not can_be_stored(config_id):
        return given
    config = await context.store.find(id=config_id)
    if config is None or config.version != expected_version or not context.principal.aliases.allows(config.alias):
        return given
    return await with_provider(given, config)


def require_alias(principal: Principal, alias: str) -> None:
    """Raise Forbidden unless the principal's key opens this alias."""
    if not principal.aliases.allows(alias):
        raise Forbidden(f"{principal.name!r} is bound to other aliases than {alias!r}")


async def find_for_write(
    principal: Principal, transaction: Transaction, config_id: str, expected_version: int
) -> ModelConfig:
    """The config that is to be written. Raises NotFound, VersionConflict."""
    config = await transaction.find(id=config_id) if can_be_stored(config_id) else None
    if config is None or not principal.aliases.allows(config.alias):
        raise no_such_config()
    if config.version != expected_version:
        raise VersionConflict(
            f"the config is at version {config.version}, not {expected_version}: somebody else changed it; "
            "read it again and decide anew",
            config,
        )
    return config


async def check_rename(
    principal: Principal,
    transaction: Transaction,
    config: ModelConfig,
    alias: str,
    path: tuple[str, ...] = ("input", "alias"),
) -> None:
    """Raise Forbidden, ProtectedDefault or AliasTaken unless the principal may give the config this new alias.

    `path` is where the request asks for it.
    """
    require_alias(principal, alias)
    if config.is_default:
        raise ProtectedDefault(
            f"{config.alias!r} is a default alias, which components count on: it cannot be renamed", path
        )
    await _require_free(transaction, alias, path)


async def _require_free(transaction: Transaction, alias: str, path: tuple[str, ...] = ("input", "alias")) -> None:
    if await transaction.find(alias=alias) is not None:
        raise AliasTaken(f"there is a model config with the alias {alias!r} already", path)


def _changes(base: ModelConfigDraft, merged: Merged) -> bool:
    return merged.gives_credentials or not same_content(base, merged.draft)
