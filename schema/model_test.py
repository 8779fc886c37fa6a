"""Trying a model config before it is trusted."""

from typing import Annotated, Self

import strawberry
from strawberry import Maybe
from strawberry.scalars import JSON

from ..resolvers.inputs import ModelConfigInput
from ..resolvers.model_test import ModelTestOutcome, ModelTestRequest
from .enums import ModelTestProblem
from .errors import InvalidInput, NotFound
from .inputs import ModelAuthInput, or_unset, to_auth, value_of


@strawberry.input(
    description="What is to be tried: a stored config, values that are not stored, or both. A field that is absent is "
    "the stored config's, null is without it, a value is tried in its place. Stored credentials go where they were "
    "stored for alone: with another provider, kind of auth or address the request has to bring its own."
)
class TestModelConfigInput:
    id: Maybe[strawberry.ID | None] = strawberry.field(
        description="A stored config; absent or null when all is given here."
    )
    provider: Maybe[str | None] = strawberry.field(description="LiteLLM's name of the provider, such as `openai`.")
    model: Maybe[str | None] = strawberry.field(description="The provider's name of the model.")
    api_base: Maybe[str | None] = strawberry.field(
        description="The address of the model endpoint; null for the provider's own."
    )
    auth: Maybe[ModelAuthInput | None] = strawberry.field(
        description="The credentials, merged with stored ones of the same kind; null is `none: true`."
    )
    params: Maybe[JSON | None] = strawberry.field(
        description="Keyword arguments for LiteLLM's call, by the rules of `updateModelConfig`."
    )
    max_input_tokens: Maybe[int | None] = strawberry.field(
        description="The most tokens that a call may send. It is checked, and changes nothing about the call."
    )

    def to_request(self) -> ModelTestRequest:
        given = ModelConfigInput(
            provider=or_unset(self.provider),
            model=or_unset(self.model),
            api_base=or_unset(self.api_base),
            auth=to_auth(self.auth),
            params=or_unset(self.params),
            max_input_tokens=or_unset(self.max_input_tokens),
        )
        return ModelTestRequest(config_id=value_of(self.id), given=given)


@strawberry.type(description="Why a test failed.")
class ModelTestError:
    class_: ModelTestProblem = strawberry.field(name="class", description="The kind of it.")
    message: str = strawberry.field(
        description="More of it for people, as the provider says it, at most 1,000 characters. Credentials of the "
        "config are cut out of it."
    )


@strawberry.type(description="A test was made. `success` says how it ended.")
class TestModelConfigPayload:
    success: bool = strawberry.field(description="Whether the model answered.")
    latency_seconds: float | None = strawberry.field(
        description="How long the call took, in seconds; null when none was made, or it was given up."
    )
    answer: str | None = strawberry.field(
        description="What the model said, at most 2,000 characters; empty when it only called the tool, null when it "
        "did not answer. Credentials of the config are cut out of it."
    )
    tool_called: bool = strawberry.field(
        description="Whether it called the tool that the test gave it and whose use the question needs. A model that "
        "does not is of little use to an agent."
    )
    prompt_tokens: int | None = strawberry.field(description="The tokens of the call; null when not told.")
    completion_tokens: int | None = strawberry.field(description="The tokens of the answer; null when not told.")
    error: ModelTestError | None = strawberry.field(description="Why it failed; null with success.")

    @classmethod
    def of(cls, outcome: ModelTestOutcome) -> Self:
        """Convert the resolver's answer."""
        problem = outcome.problem
        return cls(
            success=problem is None,
            latency_seconds=outcome.latency_seconds,
            answer=outcome.answer,
            tool_called=outcome.tool_called,
            prompt_tokens=outcome.prompt_tokens,
            completion_tokens=outcome.completion_tokens,
            error=None if problem is None else ModelTestError(class_=problem, message=outcome.message or ""),
        )


TestModelConfigResult = Annotated[
    TestModelConfigPayload | NotFound | InvalidInput,
    strawberry.union("TestModelConfigResult", description="What `testModelConfig` answers."),
]
