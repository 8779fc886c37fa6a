"""What can be watched."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Annotated, TypeVar

import strawberry
from strawberry import Maybe

from ..resolvers import subscriptions
from .base import Info, Revision, described_subscription
from .component_events import ComponentEvent, component_event
from .events import ModelConfigEvent, model_config_event
from .inputs import ModelConfigRef, value_of

_Event = TypeVar("_Event")
_T = TypeVar("_T")

SHARED_FIELDS = frozenset(
    {
        "Query.modelConfig",
        "Query.modelConfigs",
        "Query.node",
        "Subscription.modelConfigChanged",
        "ModelConfig.revision",
        "ModelConfig.litellmModel",
        "ModelConfig.litellmParams",
    }
)
"""The fields, besides plain values, whose answers depend on nothing but their arguments, the scopes and aliases of who
asks, and the model configs: all that are committed, or those of the event. Not on who asks, and not on what else is in
the database by then."""


@strawberry.type(description="What can be watched.")
class Subscription:
    @described_subscription(
        "The current state of what `by` names, at once, then every later change. Intermediate versions may be "
        "skipped; the latest never is. Needs `model_config:read`, for each event anew: when the viewer's rights change "
        "while the socket is open, it ends with an error that says what is missing, or, without aliases in `by`, goes "
        "on with a snapshot (`reset`) of what the viewer may see now."
    )
    async def model_config_changed(
        self,
        info: Info,
        by: Annotated[
            Maybe[list[ModelConfigRef] | None],
            strawberry.argument(
                description="Which configs; all that the viewer may see when absent, null or empty. An alias may be "
                "one that no config has yet."
            ),
        ] = None,
        since: Annotated[
            Maybe[Revision | None],
            strawberry.argument(
                description="The last event's revision, to go on from there: the first event is then the difference, "
                "a bookmark when there is none, or a snapshot with `reset` when it cannot be told."
            ),
        ] = None,
    ) -> AsyncGenerator[ModelConfigEvent, None]:
        refs = value_of(by) or []
        events = subscriptions.watch(
            info.context,
            ids=[ref.id.value for ref in refs if ref.id is not None],
            aliases=[ref.alias.value for ref in refs if ref.alias is not None],
            since=value_of(since),
        )
        # Returned, not yielded from: what `watch` raises is then the answer to the subscribe itself.
        return _converted(events, model_config_event)

    @described_subscription(
        "Components coming, going, and what each of them runs: at once all that use what `by` names and the rollouts "
        "of these configs, then the differences. States that lie between may be skipped; the latest never is. All that "
        "are connected have spoken of a version when its rollout has `pending` 0. Needs `component:read`, for each "
        "event anew: when the viewer's rights change while the socket is open, it ends with an error that says what is "
        "missing, or goes on with the difference to what the viewer may see now."
    )
    async def component_changed(
        self,
        info: Info,
        by: Annotated[
            Maybe[list[ModelConfigRef] | None],
            strawberry.argument(
                description="Of which configs; when absent, null or empty of all that the viewer may see, with the "
                "components that use none. An alias may be one that no config has yet."
            ),
        ] = None,
    ) -> AsyncGenerator[ComponentEvent, None]:
        refs = value_of(by) or []
        events = subscriptions.watch_components(
            info.context,
            ids=[ref.id.value for ref in refs if ref.id is not None],
            aliases=[ref.alias.value for ref in refs if ref.alias is not None],
        )
        return _converted(events, component_event)


async def _converted(events: AsyncGenerator[_Event, None], convert: Callable[[_Event], _T]) -> AsyncGenerator[_T, None]:
    async with aclosing(events):
        async for event in events:
            yield convert(event)
