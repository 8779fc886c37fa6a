"""Model configs and what belongs to them."""

from datetime import datetime
from typing import Self

import strawberry
from strawberry.scalars import JSON

from .. import store
from ..resolvers import history, litellm_params, model_configs
from ..resolvers.access import Principal
from ..resolvers.export import Exported
from ..store import Position
from .auth import ModelAuth, model_auth
from .base import After, First, Info, PageInfo, Revision, described, revision
from .components import ComponentBindingConnection, Rollout, bindings_of, rollout_of
from .history import ModelConfigVersionConnection
from .inputs import value_of


@strawberry.interface(description="An object with an id of its own, which `node` finds.")
class Node:
    id: strawberry.ID = strawberry.field(description="The object's id. Opaque, and never used again.")


@strawberry.type(description="The settings of one model at one version.")
class ModelConfig(Node):
    record: strawberry.Private[store.ModelConfig]
    alias: str = strawberry.field(description="The unique name that components ask for, 1 to 100 characters.")
    description: str | None = strawberry.field(description="A text for people.")
    provider: str | None = strawberry.field(
        description="LiteLLM's name of the provider, such as `openai`; null until configured."
    )
    model: str | None = strawberry.field(description="The provider's name of the model; null until configured.")
    api_base: str | None = strawberry.field(
        description="The address of the model endpoint, or a reference `os.environ/NAME`; null for the provider's own."
    )
    auth: ModelAuth = strawberry.field(description="How LiteLLM signs in to the model endpoint, without secrets.")
    params: JSON = strawberry.field(
        description="Keyword arguments for LiteLLM's call, by name, without the sealed ones. A null is None there."
    )
    sealed_params: list[str] = strawberry.field(
        description="The names of those params that hold a secret; `litellmParams` has their values."
    )
    max_input_tokens: int | None = strawberry.field(
        description="The most tokens that a call may send; null leaves it to LiteLLM's registry."
    )
    configured: bool = strawberry.field(description="Whether calls can be made: provider and model are set.")
    is_default: bool = strawberry.field(
        description="Whether this is one of the default aliases, which can neither be deleted nor renamed."
    )
    version: int = strawberry.field(description="Counts this config's changes, from 1; `expectedVersion` of a write.")
    created_at: datetime = strawberry.field(description="When the config was made (UTC).")
    created_by: str = strawberry.field(description="Who made the config, such as `api_key:k3j9x2q8ab`.")
    updated_at: datetime = strawberry.field(description="When this version was made (UTC).")
    updated_by: str = strawberry.field(description="Who made this version.")

    @described("The revision that made this version.")
    def revision(self, info: Info) -> Revision:
        return revision(Position(info.context.store.id, self.record.revision))

    @described("The name that LiteLLM routes by, such as `gemini/gemini-2.5-flash`; null for a placeholder.")
    def litellm_model(self) -> str | None:
        return litellm_params.litellm_model(self.record)

    @described(
        "All keyword arguments that LiteLLM needs, credentials too; null for a placeholder. References "
        "are left to the component. Needs the scope `model_config:resolve`; without it, null and an error FORBIDDEN."
    )
    def litellm_params(self, info: Info) -> JSON | None:
        arguments = litellm_params.litellm_params(info.context, self.record)
        return None if arguments is None else JSON(arguments)

    @described(
        "The config's versions up to this one, newest first, as far back as they are kept. Needs `model_config:read`. "
        "The history of a deleted config cannot be read any more, and that of a config with the same alias is another."
    )
    async def history(self, info: Info, first: First = None, after: After = None) -> ModelConfigVersionConnection:
        behind = value_of(after)
        page = await history.history(info.context, self.record, first=value_of(first), after=behind)
        return ModelConfigVersionConnection.of(page, after=behind)

    @described("Who uses the config, in the order of the components' names. Needs `component:read`.")
    async def components(self, info: Info, first: First = None, after: After = None) -> ComponentBindingConnection:
        return await bindings_of(info, store.BindingsOf.CONFIG, self.record.id, first, after)

    @described("How far the current version has come. Needs `component:read`.")
    async def rollout(self, info: Info) -> Rollout:
        return await rollout_of(info, self.record)

    @classmethod
    def of(cls, record: store.ModelConfig) -> Self:
        """Convert the record."""
        return cls(
            record=record,
            id=strawberry.ID(record.id),
            alias=record.alias,
            description=record.description,
            provider=record.provider,
            model=record.model,
            api_base=record.api_base,
            auth=model_auth(record.auth),
            params=JSON(dict(record.params)),
            sealed_params=list(record.sealed_params),
            max_input_tokens=record.max_input_tokens,
            configured=record.configured,
            is_default=record.is_default,
            version=record.version,
            created_at=record.created_at,
            created_by=record.created_by,
            updated_at=record.updated_at,
            updated_by=record.updated_by,
        )


@strawberry.type(description="A model config in a list.")
class ModelConfigEdge:
    cursor: str = strawberry.field(description="The place behind this config in the list. Opaque.")
    node: ModelConfig = strawberry.field(description="The config.")


@strawberry.type(description="A page of model configs.")
class ModelConfigConnection:
    edges: list[ModelConfigEdge] = strawberry.field(description="The configs with their cursors.")
    page_info: PageInfo = strawberry.field(description="Where this page lies in the list.")

    @classmethod
    def of(cls, page: model_configs.Page, *, after: str | None) -> Self:
        """Convert the page that was asked for with this `after`."""
        edges = [
            ModelConfigEdge(cursor=cursor, node=ModelConfig.of(config))
            for cursor, config in zip(page.cursors, page.configs, strict=True)
        ]
        page_info = PageInfo.of([edge.cursor for edge in edges], has_next=page.has_next, after=after)
        return cls(edges=edges, page_info=page_info)


@strawberry.type(description="Model configs as the text of a file.")
class ModelConfigExport:
    content: str = strawberry.field(description="The text, YAML. It never holds a sealed secret.")
    revision: Revision = strawberry.field(description="The revision whose state it is.")

    @classmethod
    def of(cls, exported: Exported) -> Self:
        """Convert the resolver's answer."""
        return cls(content=exported.content, revision=revision(exported.position))


@strawberry.type(description="Who is asking.")
class Viewer:
    subject: str = strawberry.field(description="What `createdBy` and `updatedBy` say for the viewer's writes.")
    name: str = strawberry.field(description="A name for people: of the API key, or as the identity provider says.")
    scopes: list[str] = strawberry.field(description="What the viewer may do, such as `model_config:read`.")
    aliases: list[str] | None = strawberry.field(
        description="The aliases that the viewer may see, exact or with `*` for any text; null for all."
    )
    token_expires_at: datetime | None = strawberry.field(
        description="When the viewer's credential ends (UTC); null when it does not."
    )

    @classmethod
    def of(cls, principal: Principal) -> Self:
        """Convert the principal."""
        patterns = principal.aliases.patterns
        return cls(
            subject=principal.subject,
            name=principal.name,
            scopes=sorted(scope.value for scope in principal.scopes),
            aliases=None if patterns is None else list(patterns),
            token_expires_at=principal.expires_at,
        )


@strawberry.type(description="An API key, without its secret.")
class ApiKey:
    id: strawberry.ID = strawberry.field(description="The key's id, the part of the key between its two underscores.")
    name: str = strawberry.field(description="What people call it.")
    scopes: list[str] = strawberry.field(description="What it permits, such as `model_config:read`.")
    aliases: list[str] | None = strawberry.field(
        description="The aliases that it opens, exact or with `*` for any text; null for all."
    )
    created_at: datetime = strawberry.field(description="When it was made (UTC).")
    created_by: str = strawberry.field(description="Who made it.")
    expires_at: datetime | None = strawberry.field(description="When it ends (UTC); null when it does not.")
    last_used_at: datetime | None = strawberry.field(
        description="When it was last used (UTC), some minutes behind; while a connection is open, it is in use. Null "
        "when it never was."
    )
    revoked_at: datetime | None = strawberry.field(description="When it was revoked (UTC); null when it was not.")

    @classmethod
    def of(cls, record: store.ApiKey) -> Self:
        """Convert the record."""
        patterns = record.aliases.patterns
        return cls(
            id=strawberry.ID(record.id),
            name=record.name,
            scopes=sorted(record.scopes),
            aliases=None if patterns is None else list(patterns),
            created_at=record.created_at,
            created_by=record.created_by,
            expires_at=record.expires_at,
            last_used_at=record.last_used_at,
            revoked_at=record.revoked_at,
        )
