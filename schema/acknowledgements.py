"""What components say of the versions that they were sent."""

from typing import Annotated, Self

import strawberry
from strawberry import Maybe

from .. import store
from ..resolvers.acknowledgements import AcknowledgeRequest
from .enums import Outcome
from .errors import InvalidInput, NotFound
from .inputs import value_of


@strawberry.input(description="What a component did with a version of a model config.")
class AcknowledgeModelConfigInput:
    instance_id: strawberry.ID = strawberry.field(
        description="The component's own, as its `connection_init` said it; that of somebody else is not found."
    )
    id: strawberry.ID = strawberry.field(description="The config's id.")
    version: int = strawberry.field(description="The version that it is about.")
    outcome: Outcome = strawberry.field(description="What the component did with it.")
    reason: Maybe[str | None] = strawberry.field(
        description="Why it refused, as a class: `missing_secret` or `probe_failed:authentication` for example, at "
        "most 100 characters."
    )
    message: Maybe[str | None] = strawberry.field(
        description="Why it refused, for people, and never with a secret; what is over 1,000 characters is cut off."
    )
    seconds_ago: float = strawberry.field(
        default=0.0, description="How long ago it did it; more than a day counts as a day."
    )

    def to_request(self) -> AcknowledgeRequest:
        return AcknowledgeRequest(
            instance_id=self.instance_id,
            id=self.id,
            version=self.version,
            outcome=self.outcome,
            reason=value_of(self.reason),
            message=value_of(self.message),
            seconds_ago=self.seconds_ago,
        )


@strawberry.type(description="What the component said is written. A version that is older changes nothing.")
class AcknowledgeModelConfigPayload:
    id: strawberry.ID = strawberry.field(description="The config's id.")
    version: int = strawberry.field(description="The version that it is about.")
    outcome: Outcome = strawberry.field(description="What the component did with it.")

    @classmethod
    def of(cls, given: store.Acknowledgement) -> Self:
        """Convert the record."""
        return cls(id=strawberry.ID(given.config_id), version=given.version, outcome=given.outcome)


AcknowledgeModelConfigResult = Annotated[
    AcknowledgeModelConfigPayload | NotFound | InvalidInput,
    strawberry.union("AcknowledgeModelConfigResult", description="What `acknowledgeModelConfig` answers."),
]
