"""Components, what each of them runs, and how far a version has come."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from ..store import Binding, BindingsOf, Component, ComponentListing, ModelConfig, Rollout
from .access import Context, Scope
from .cursors import decode_cursor, encode_cursor
from .errors import translates_store_errors
from .model_configs import page_size
from .validation import can_be_stored

_LIST = "components"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list is narrowed to, each exactly; None means "any"."""

    name: str | None = None
    kind: str | None = None
    alias: str | None = None
    online: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentPage:
    """Components, the cursor behind each of them, and whether more follow."""

    components: tuple[Component, ...] = ()
    cursors: tuple[str, ...] = ()
    has_next: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingPage:
    """Bindings, the cursor behind each of them, and whether more follow."""

    bindings: tuple[Binding, ...] = ()
    cursors: tuple[str, ...] = ()
    has_next: bool = False


@translates_store_errors
async def page(
    context: Context, *, first: int | None = None, after: str | None = None, narrowed: Filter = Filter()
) -> ComponentPage:
    """Up to `first` (1 to 100, 50 when None) components, by name, behind the cursor `after`.

    Who is bound to aliases sees those that use one of these. Raises Forbidden, BadUserInput.
    """
    context.principal.require(Scope.COMPONENT_READ)
    size = page_size(first)
    place = None if after is None else decode_cursor(_LIST, after, (str, str))
    if not all(can_be_stored(text or "") for text in (narrowed.name, narrowed.kind, narrowed.alias)):
        return ComponentPage()
    listing = ComponentListing(
        visible=context.principal.aliases,
        name=narrowed.name,
        kind=narrowed.kind,
        alias=narrowed.alias,
        online=narrowed.online,
    )
    behind = None if place is None else (str(place[0]), str(place[1]))
    found = await context.store.components.page(listing, now=datetime.now(UTC), first=size + 1, after=behind)
    return ComponentPage(
        components=tuple(found[:size]),
        cursors=tuple(encode_cursor(_LIST, (each.name, each.id)) for each in found[:size]),
        has_next=len(found) > size,
    )


@translates_store_errors
async def bindings(
    context: Context, of: BindingsOf, ids: Collection[str], *, first: int | None = None, after: str | None = None
) -> Mapping[str, BindingPage]:
    """For each of these configs, or components, up to `first` (1 to 100, 50 when None) bindings behind `after`.

    The caller may see them all; of the bindings it is shown those of aliases that its key opens. Raises Forbidden,
    BadUserInput.
    """
    context.principal.require(Scope.COMPONENT_READ)
    size = page_size(first)
    name = f"bindings of a {of}"
    place = None if after is None else decode_cursor(name, after, (str, str, str))
    found = await context.store.components.bindings(
        of,
        ids,
        visible=context.principal.aliases,
        now=datetime.now(UTC),
        first=size + 1,
        after=None if place is None else (str(place[0]), str(place[1]), str(place[2])),
    )
    return {id_: _page(name, found.get(id_, []), size) for id_ in ids}


@translates_store_errors
async def rollouts(context: Context, configs: Collection[ModelConfig]) -> Mapping[str, Rollout]:
    """How far the current version of each of these configs has come, by its id. Raises Forbidden."""
    context.principal.require(Scope.COMPONENT_READ)
    found = await context.store.components.rollouts({config.id for config in configs}, now=datetime.now(UTC))
    return {config.id: found.get(config.id) or Rollout(version=config.version) for config in configs}


def _page(name: str, found: list[Binding], size: int) -> BindingPage:
    return BindingPage(
        bindings=tuple(found[:size]),
        cursors=tuple(
            encode_cursor(name, (each.component.name, each.component.id, each.reference)) for each in found[:size]
        ),
        has_next=len(found) > size,
    )
