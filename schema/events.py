"""The events of `modelConfigChanged`."""

import strawberry

from ..store import WatchChange, WatchEvent, WatchSnapshot
from .base import Revision, revision
from .types import ModelConfig


@strawberry.interface(description="One step of a watch. The subscriber's position is the last event's revision.")
class ModelConfigEvent:
    revision: Revision = strawberry.field(
        description="The revision whose state the subscriber has after this event; `since` of a later subscription."
    )


@strawberry.type(
    description="The whole state of what the watch names. It replaces all that the subscriber holds: what it does "
    "not contain is gone."
)
class ModelConfigSnapshot(ModelConfigEvent):
    model_configs: list[ModelConfig] = strawberry.field(description="All configs that the watch names.")
    reset: bool = strawberry.field(
        description="Whether the watch begins anew: `since` could not be resumed from (compacted, of another store, or "
        "ahead of this one), the store was replaced, or the viewer may see other aliases than before."
    )


@strawberry.type(description="A config that left what the watch names: deleted, renamed away, or no longer permitted.")
class RemovedModelConfig:
    id: strawberry.ID = strawberry.field(description="The config's id.")
    alias: str = strawberry.field(description="The alias under which the subscriber knew it.")


@strawberry.type(
    description="The difference between the subscriber's position and `revision`, in one event: all of a transaction, "
    "and when the subscriber was away or slow of several. Take `removed` before `put`."
)
class ModelConfigChange(ModelConfigEvent):
    put: list[ModelConfig] = strawberry.field(description="Configs that are new or changed, in their latest version.")
    removed: list[RemovedModelConfig] = strawberry.field(description="Configs that are gone for this watch.")


@strawberry.type(description="Nothing changed, and the subscriber is current as of `revision`.")
class Bookmark(ModelConfigEvent):
    pass


def model_config_event(event: WatchEvent) -> ModelConfigEvent:
    """Convert the feed's event."""
    at = revision(event.position)
    match event:
        case WatchSnapshot():
            configs = [ModelConfig.of(config) for config in event.configs]
            return ModelConfigSnapshot(revision=at, model_configs=configs, reset=event.reset)
        case WatchChange():
            put = [ModelConfig.of(config) for config in event.put]
            gone = [RemovedModelConfig(id=strawberry.ID(config.id), alias=config.alias) for config in event.removed]
            return ModelConfigChange(revision=at, put=put, removed=gone)
        case _:
            return Bookmark(revision=at)
