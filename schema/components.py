"""Components, what each of them runs, and how far a version has come."""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from datetime import datetime
from typing import Any, Self, TypeVar

import strawberry
from strawberry import Maybe
from strawberry.dataloader import DataLoader
from strawberry.scalars import JSON

from .. import store
from ..resolvers import components
from ..store import BindingsOf
from .base import After, First, Info, PageInfo, described
from .enums import BindingState, Outcome
from .inputs import value_of

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_MAX_BATCH = 100


async def _gathered(
    info: Info, name: Hashable, key: _Key, load: Callable[[list[_Key]], Awaitable[list[_Value]]]
) -> _Value:
    """What `load` answers for the key, asked together with those of the other objects of the answer."""
    loader: DataLoader[Any, Any] | None = info.context.loaders.get(name)
    if loader is None:
        # Without a memory: the events of a subscription share it, and each tells of another moment.
        loader = DataLoader(load, cache=False, max_batch_size=_MAX_BATCH)
        info.context.loaders[name] = loader
    found: _Value = await loader.load(key)
    return found


async def bindings_of(info: Info, of: BindingsOf, id_: str, first: First, after: After) -> "ComponentBindingConnection":
    """A page of the bindings of one config or component."""
    size, behind = value_of(first), value_of(after)

    async def load(ids: list[str]) -> list[components.BindingPage]:
        pages = await components.bindings(info.context, of, ids, first=size, after=behind)
        return [pages[each] for each in ids]

    page = await _gathered(info, ("bindings", of, size, behind), id_, load)
    return ComponentBindingConnection.of(page, after=behind)


async def rollout_of(info: Info, config: store.ModelConfig) -> "Rollout":
    """How far the config's current version has come."""

    async def load(configs: list[store.ModelConfig]) -> list[store.Rollout]:
        found: Mapping[str, store.Rollout] = await components.rollouts(info.context, configs)
        return [found[each.id] for each in configs]

    return Rollout.of(await _gathered(info, "rollouts", config, load))


@strawberry.type(
    description="A running process with the subscriber in it, as it describes itself with its credentials."
)
class Component:
    record: strawberry.Private[store.Component]
    id: strawberry.ID = strawberry.field(
        description="Made of the instance id and the credentials: nobody else can pass for it."
    )
    instance_id: strawberry.ID = strawberry.field(description="What the process calls itself; another one each start.")
    name: str = strawberry.field(description="What it is, such as `orders-agent`; many processes may be the same.")
    kind: str | None = strawberry.field(description="What kind of program it is; null when it does not say.")
    library_version: str | None = strawberry.field(
        description="The version of its subscriber; null when it does not say."
    )
    labels: JSON = strawberry.field(description="Texts by name, such as the zone that it runs in.")
    subject: str = strawberry.field(description="Whose credentials it has, such as `api_key:k3j9x2q8ab`.")
    online: bool = strawberry.field(description="Whether it is connected, to any of the servers.")
    connected_at: datetime = strawberry.field(description="When its present, or last, connection began (UTC).")
    disconnected_at: datetime | None = strawberry.field(
        description="When its last connection ended (UTC); null while it is connected. A day later it is forgotten."
    )

    @described("What it watches by name, in the order of aliases and ids. Needs `component:read`.")
    async def bindings(self, info: Info, first: First = None, after: After = None) -> "ComponentBindingConnection":
        return await bindings_of(info, BindingsOf.COMPONENT, self.record.id, first, after)

    @classmethod
    def of(cls, record: store.Component) -> Self:
        """Convert the record."""
        return cls(
            record=record,
            id=strawberry.ID(record.id),
            instance_id=strawberry.ID(record.instance_id),
            name=record.name,
            kind=record.kind,
            library_version=record.library_version,
            labels=JSON(dict(record.labels)),
            subject=record.subject,
            online=record.online,
            connected_at=record.connected_at,
            disconnected_at=record.disconnected_at,
        )


@strawberry.type(description="A component's use of one alias, or of one config by its id.")
class ComponentBinding:
    component: Component = strawberry.field(description="Who uses it.")
    alias: str = strawberry.field(description="The config's alias, or the one that is waited for.")
    model_config_id: strawberry.ID | None = strawberry.field(description="The config; null while there is none.")
    state: BindingState = strawberry.field(description="How it stands to the config's current version.")
    desired_version: int | None = strawberry.field(
        description="The config's current version; null while there is none."
    )
    delivered_version: int | None = strawberry.field(
        description="The version that was sent to it last; null when none was, or that is not known."
    )
    applied_version: int | None = strawberry.field(
        description="The last version that it said it runs; null when it said so of none."
    )
    acknowledged_version: int | None = strawberry.field(
        description="The last version that it spoke of; `outcome`, `reason` and `message` are what it said."
    )
    outcome: Outcome | None = strawberry.field(description="What it did with that; null when it has not spoken.")
    reason: str | None = strawberry.field(
        description="Why it refused, as a class such as `missing_secret`; null when it gave none."
    )
    message: str | None = strawberry.field(description="Why it refused, for people; null when it said nothing.")
    acknowledged_at: datetime | None = strawberry.field(
        description="When it did what it spoke of (UTC); null when it has not spoken."
    )

    @classmethod
    def of(cls, binding: store.Binding) -> Self:
        """Convert the record."""
        return cls(
            component=Component.of(binding.component),
            alias=binding.alias,
            model_config_id=None if binding.config_id is None else strawberry.ID(binding.config_id),
            state=binding.state,
            desired_version=binding.desired_version,
            delivered_version=binding.delivered_version,
            applied_version=binding.applied_version,
            acknowledged_version=binding.acknowledged_version,
            outcome=binding.outcome,
            reason=binding.reason,
            message=binding.message,
            acknowledged_at=binding.acknowledged_at,
        )


@strawberry.type(description="A binding in a list.")
class ComponentBindingEdge:
    cursor: str = strawberry.field(description="The place behind this binding in the list. Opaque.")
    node: ComponentBinding = strawberry.field(description="The binding.")


@strawberry.type(description="A page of bindings, in the order of the components' names.")
class ComponentBindingConnection:
    edges: list[ComponentBindingEdge] = strawberry.field(description="The bindings with their cursors.")
    page_info: PageInfo = strawberry.field(description="Where this page lies in the list.")

    @classmethod
    def of(cls, page: components.BindingPage, *, after: str | None) -> Self:
        """Convert the page that was asked for with this `after`."""
        edges = [
            ComponentBindingEdge(cursor=cursor, node=ComponentBinding.of(binding))
            for cursor, binding in zip(page.cursors, page.bindings, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.of(page.cursors, has_next=page.has_next, after=after))


@strawberry.type(description="A component in a list.")
class ComponentEdge:
    cursor: str = strawberry.field(description="The place behind this component in the list. Opaque.")
    node: Component = strawberry.field(description="The component.")


@strawberry.type(description="A page of components, in the order of their names.")
class ComponentConnection:
    edges: list[ComponentEdge] = strawberry.field(description="The components with their cursors.")
    page_info: PageInfo = strawberry.field(description="Where this page lies in the list.")

    @classmethod
    def of(cls, page: components.ComponentPage, *, after: str | None) -> Self:
        """Convert the page that was asked for with this `after`."""
        edges = [
            ComponentEdge(cursor=cursor, node=Component.of(component))
            for cursor, component in zip(page.cursors, page.components, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.of(page.cursors, has_next=page.has_next, after=after))


@strawberry.input(
    description="Narrows a list of components: to those for which all that is given holds, exactly. Fields that are "
    "absent or null narrow nothing."
)
class ComponentFilter:
    name: Maybe[str | None] = strawberry.field(description="What it is called.")
    kind: Maybe[str | None] = strawberry.field(description="What kind of program it is.")
    alias: Maybe[str | None] = strawberry.field(description="An alias that it uses.")
    online: Maybe[bool | None] = strawberry.field(description="Whether it is connected.")

    def to_filter(self) -> components.Filter:
        return components.Filter(
            name=value_of(self.name), kind=value_of(self.kind), alias=value_of(self.alias), online=value_of(self.online)
        )


@strawberry.type(description="A reason for which components refuse a version.")
class RolloutReason:
    reason: str | None = strawberry.field(
        description="The class, such as `missing_secret`; null for those that gave none."
    )
    components: int = strawberry.field(description="How many refuse for it.")


@strawberry.type(
    description="How far a config's current version has come: each component that uses the config is counted once. "
    "All run it when `pending` and `refused` are 0."
)
class Rollout:
    version: int = strawberry.field(description="The config's version at the moment of counting.")
    applied: int = strawberry.field(description="How many said that they run it.")
    refused: int = strawberry.field(description="How many refused it, and go on with what they had.")
    pending: int = strawberry.field(description="How many are connected and have not spoken of it yet.")
    offline: int = strawberry.field(description="How many are not connected, and will hear of it when they return.")
    reasons: list[RolloutReason] = strawberry.field(description="Why it is refused, the most frequent reason first.")

    @classmethod
    def of(cls, record: store.Rollout) -> Self:
        """Convert the record."""
        reasons = sorted(record.reasons.items(), key=lambda item: (-item[1], item[0] or ""))
        return cls(
            version=record.version,
            applied=record.applied,
            refused=record.refused,
            pending=record.pending,
            offline=record.offline,
            reasons=[RolloutReason(reason=reason, components=count) for reason, count in reasons],
        )
