"""The events of `componentChanged`."""

from typing import Self

import strawberry

from ..store import Component as ComponentRecord
from ..store import ConfigRollout, FleetEvent, Member
from .components import Component, ComponentBinding, Rollout
from .events import RemovedModelConfig


@strawberry.type(description="How far a model config's current version has come.")
class ModelConfigRollout:
    id: strawberry.ID = strawberry.field(description="The config's id.")
    alias: str = strawberry.field(description="The config's alias.")
    rollout: Rollout = strawberry.field(description="How many components applied and refused it.")

    @classmethod
    def of(cls, record: ConfigRollout) -> Self:
        """Convert the record."""
        return cls(id=strawberry.ID(record.config_id), alias=record.alias, rollout=Rollout.of(record.rollout))


@strawberry.type(description="A component with its bindings to what is watched.")
class WatchedComponent:
    component: Component = strawberry.field(description="The component.")
    bindings: list[ComponentBinding] = strawberry.field(
        description="All its bindings to what is watched: they replace those that were known of it."
    )

    @classmethod
    def of(cls, record: Member) -> Self:
        """Convert the record."""
        bindings = [ComponentBinding.of(each) for each in record.bindings]
        return cls(component=Component.of(record.component), bindings=bindings)


@strawberry.type(
    description="A component that is not told of any more: it was forgotten, a day after it was last connected, or "
    "uses nothing of what is watched, or may not be seen any more."
)
class RemovedComponent:
    id: strawberry.ID = strawberry.field(description="The component's id.")
    instance_id: strawberry.ID = strawberry.field(description="What the process called itself.")
    name: str = strawberry.field(description="What it was.")

    @classmethod
    def of(cls, record: ComponentRecord) -> Self:
        """Convert the record."""
        return cls(id=strawberry.ID(record.id), instance_id=strawberry.ID(record.instance_id), name=record.name)


@strawberry.interface(description="One step of watching components.")
class ComponentEvent:
    complete: bool = strawberry.field(
        description="Whether all is told with this event. One event tells of 200 components and rollouts at most; when "
        "false, more follows at once."
    )
    rollouts: list[ModelConfigRollout] = strawberry.field(
        description="How far those of the watched configs have come of which that is new: at first all of them."
    )


@strawberry.type(description="The first event: the state of what is watched. It replaces all that is known.")
class ComponentSnapshot(ComponentEvent):
    components: list[WatchedComponent] = strawberry.field(
        description="The components, connected or not, in the order of their names."
    )


@strawberry.type(
    description="The difference to what is known by the events before. What happened between two events is told "
    "together, so states may be skipped; the latest never is."
)
class ComponentChange(ComponentEvent):
    put: list[WatchedComponent] = strawberry.field(description="Components that are new or other than before.")
    removed: list[RemovedComponent] = strawberry.field(description="Components that are not told of any more.")
    removed_rollouts: list[RemovedModelConfig] = strawberry.field(
        description="Configs whose rollouts are not told of any more."
    )


def component_event(event: FleetEvent) -> ComponentEvent:
    """Convert the store's event."""
    members = [WatchedComponent.of(member) for member in event.members]
    rollouts = [ModelConfigRollout.of(each) for each in event.rollouts]
    if event.first:
        return ComponentSnapshot(complete=event.complete, rollouts=rollouts, components=members)
    return ComponentChange(
        complete=event.complete,
        rollouts=rollouts,
        put=members,
        removed=[RemovedComponent.of(each) for each in event.removed],
        removed_rollouts=[
            RemovedModelConfig(id=strawberry.ID(each.config_id), alias=each.alias) for each in event.removed_rollouts
        ],
    )
