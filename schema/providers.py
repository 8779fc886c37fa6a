"""Providers, as those see them who fill in a model config."""

from typing import Annotated, Self

import strawberry
from strawberry import Maybe

from ..resolvers import provider_models, providers, setup_status
from ..resolvers.auth_types import AUTH_SCHEMES, AuthField
from ..resolvers.errors import BadUserInput
from ..resolvers.litellm_params import routed_model
from .base import Info, described
from .enums import AuthType, ListProblem, ModelSource
from .inputs import ModelAuthInput, or_unset, to_auth, value_of


@strawberry.type(description="Whether the default aliases can be used, of those that the viewer may see.")
class SetupStatus:
    configured: bool = strawberry.field(description="Whether all of them have a provider and a model.")
    missing: list[str] = strawberry.field(description="The aliases that have not.")

    @classmethod
    def of(cls, status: setup_status.SetupStatus) -> Self:
        """Convert the resolver's answer."""
        return cls(configured=status.configured, missing=list(status.missing))


@strawberry.type(description="A field of a way to sign in.")
class ProviderAuthField:
    name: str = strawberry.field(description="Its name in the input, such as `apiKey`.")
    litellm_name: str = strawberry.field(description="Its name among LiteLLM's keyword arguments, such as `api_key`.")
    required: bool = strawberry.field(
        description="Whether calls to this provider fail without it. A config can be stored without it when it is "
        "secret."
    )
    secret: bool = strawberry.field(description="Whether it is sealed, and never shown.")
    description: str = strawberry.field(description="What it holds.")

    @classmethod
    def of(cls, field: AuthField, *, required: bool) -> Self:
        """Convert the record."""
        return cls(
            name=field.api_name,
            litellm_name=field.litellm_name,
            required=required,
            secret=field.secret,
            description=field.description,
        )


@strawberry.type(description="A way to sign in to a provider.")
class ProviderAuthType:
    type: AuthType = strawberry.field(description="Which one.")
    input_name: str = strawberry.field(description="The field of `ModelAuthInput` that gives it, such as `apiKey`.")
    fields: list[ProviderAuthField] = strawberry.field(description="What it consists of; empty for `none`.")

    @classmethod
    def of(cls, auth: providers.ProviderAuth) -> Self:
        """Convert the record."""
        return cls(
            type=auth.type,
            input_name=AUTH_SCHEMES[auth.type].api_name,
            fields=[ProviderAuthField.of(field, required=field.name in auth.required) for field in auth.fields],
        )


@strawberry.input(
    description="Where to ask a provider for its models, and with what. Stored credentials go where they were stored "
    "for alone: with another provider, kind of auth or address, the request has to bring its own."
)
class ProviderConnectionInput:
    model_config: Maybe[strawberry.ID | None] = strawberry.field(
        description="A config whose address and credentials are used where no others are given. Needs "
        "`model_config:read`."
    )
    api_base: Maybe[str | None] = strawberry.field(
        description="The address; null for the provider's own. References are not resolved here."
    )
    auth: Maybe[ModelAuthInput | None] = strawberry.field(
        description="The credentials; lists are asked for with an API key or with none, those of AWS Bedrock also with "
        "AWS credentials, and those of Vertex AI with the key file of a service account."
    )

    def to_request(self) -> provider_models.ListRequest:
        return provider_models.ListRequest(
            config_id=value_of(self.model_config),
            api_base=or_unset(self.api_base),
            auth=to_auth(self.auth),
        )


@strawberry.type(description="A model of a provider.")
class ProviderModel:
    name: str = strawberry.field(description="The provider's name of it, which goes into a config's `model`.")
    litellm_model: str = strawberry.field(description="The name that LiteLLM routes by.")
    max_input_tokens: int | None = strawberry.field(description="The most tokens of a call; null when unknown.")


@strawberry.type(description="The models of a provider, at most 2,000.")
class ProviderModels:
    source: ModelSource = strawberry.field(description="Who said so.")
    models: list[ProviderModel] = strawberry.field(description="By name.")
    problem: ListProblem | None = strawberry.field(
        description="Why the provider did not say so itself; null when it did."
    )
    message: str | None = strawberry.field(
        description="The same for people, and what can be done. It holds no secret and nothing that was answered."
    )

    @classmethod
    def of(cls, found: provider_models.ProviderModels, provider: str) -> Self:
        """Convert the resolver's answer."""
        models = [
            ProviderModel(
                name=model.name,
                litellm_model=routed_model(provider, model.name) or model.name,
                max_input_tokens=model.max_input_tokens,
            )
            for model in found.models
        ]
        return cls(source=found.source, models=models, problem=found.problem, message=found.message)


@strawberry.type(description="A provider of models, by its LiteLLM name.")
class Provider:
    record: strawberry.Private[providers.Provider]
    listed: strawberry.Private[bool]
    name: str = strawberry.field(description="LiteLLM's name, which goes into a config's `provider`.")
    title: str = strawberry.field(description="What people call it.")
    common: bool = strawberry.field(
        description="Whether its other fields describe this provider. Those of the others say what holds for most."
    )
    auth_types: list[ProviderAuthType] = strawberry.field(description="The ways to sign in, the usual one first.")
    default_api_base: str | None = strawberry.field(
        description="Where calls go without an `apiBase`; null when other fields decide, or only LiteLLM knows."
    )
    api_base_required: bool = strawberry.field(description="Whether calls need an `apiBase`.")
    model_prefix: str = strawberry.field(
        description="What LiteLLM routes by, in front of the model: `litellmModel` has it, `model` need not."
    )

    @described(
        "The parameters that LiteLLM takes for this model, such as `temperature` and `tools`; null when it cannot "
        "tell. The first such question waits until LiteLLM is loaded, some seconds; no other request does. Needs "
        "`model_config:read`. Only of `provider`, not of `providers`."
    )
    async def supported_params(
        self, info: Info, model: Annotated[str, strawberry.argument(description="With or without the prefix.")]
    ) -> list[str] | None:
        _require_one(self.listed, "supportedParams")
        found = await providers.params_of(info.context, self.record, model)
        return None if found is None else list(found)

    @described(
        "The provider's models: as it lists them now, else as LiteLLM's registry knows them. Without `using` it is "
        "asked without credentials. Needs `model_config:test`. Send it by POST, with the credentials in the variables. "
        "Only of `provider`, not of `providers`."
    )
    async def models(
        self,
        info: Info,
        using: Annotated[
            Maybe[ProviderConnectionInput | None], strawberry.argument(description="Where to ask, and with what.")
        ] = None,
    ) -> ProviderModels:
        _require_one(self.listed, "models")
        given = value_of(using)
        request = provider_models.ListRequest() if given is None else given.to_request()
        return ProviderModels.of(await provider_models.models_of(info.context, self.record, request), self.record.name)

    @classmethod
    def of(cls, provider: providers.Provider, *, listed: bool = False) -> Self:
        """Convert the record. `listed` says that it is one of all."""
        return cls(
            record=provider,
            listed=listed,
            name=provider.name,
            title=provider.title,
            common=provider.common,
            auth_types=[ProviderAuthType.of(auth) for auth in provider.auths],
            default_api_base=provider.default_api_base,
            api_base_required=provider.api_base_required,
            model_prefix=provider.model_prefix,
        )


def _require_one(listed: bool, field: str) -> None:
    # One document could else ask for it a hundred times.
    if listed:
        raise BadUserInput(f"{field} is answered for one provider: ask with provider(name: …)")
