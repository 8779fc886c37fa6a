"""What can be asked."""

from typing import Annotated

import strawberry
from strawberry import Maybe

from ..resolvers import api_key_admin, audit, components, export, model_configs, providers
from ..resolvers.setup_status import setup_status
from .api_keys import ApiKeyConnection
from .audit import AuditEntryConnection
from .base import After, First, Info, described
from .components import ComponentConnection, ComponentFilter
from .enums import ExportFormat
from .inputs import ModelConfigFilter, ModelConfigOrder, ModelConfigRef, value_of
from .providers import Provider, SetupStatus
from .types import ModelConfig, ModelConfigConnection, ModelConfigExport, Node, Viewer


@strawberry.type(description="What can be asked.")
class Query:
    @described("The object with this id; null when there is none that the viewer may see. Needs `model_config:read`.")
    async def node(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The object's id.")],  # noqa: A002 - the API's name
    ) -> Node | None:
        found = await model_configs.find(info.context, id=id)
        return None if found is None else ModelConfig.of(found)

    @described("Who is asking, and with which rights.")
    def viewer(self, info: Info) -> Viewer:
        return Viewer.of(info.context.principal)

    @described("The model config with this id or alias; null when there is none. Needs `model_config:read`.")
    async def model_config(
        self, info: Info, by: Annotated[ModelConfigRef, strawberry.argument(description="Which one.")]
    ) -> ModelConfig | None:
        found = await model_configs.find(info.context, id=value_of(by.id), alias=value_of(by.alias))
        return None if found is None else ModelConfig.of(found)

    @described(
        "The model configs that the viewer may see, in the order of their aliases or another. Needs "
        "`model_config:read`."
    )
    async def model_configs(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        filter: Annotated[  # noqa: A002 - the API's name
            Maybe[ModelConfigFilter | None], strawberry.argument(description="Which ones; all when absent or null.")
        ] = None,
        order_by: Annotated[
            Maybe[ModelConfigOrder | None],
            strawberry.argument(description="In which order; by alias, ascending, when absent or null."),
        ] = None,
    ) -> ModelConfigConnection:
        behind, narrowed, order = value_of(after), value_of(filter), value_of(order_by)
        page = await model_configs.page(
            info.context,
            first=value_of(first),
            after=behind,
            narrowed=model_configs.Filter() if narrowed is None else narrowed.to_filter(),
            order=model_configs.Order() if order is None else order.to_order(),
        )
        return ModelConfigConnection.of(page, after=behind)

    @described("All model configs that the viewer may see, as a file. Needs `model_config:read`.")
    async def model_config_export(
        self,
        info: Info,
        format: Annotated[ExportFormat, strawberry.argument(description="Which form.")] = ExportFormat.MODELWIRE,  # noqa: A002 - the API's name
    ) -> ModelConfigExport:
        return ModelConfigExport.of(await export.export_model_configs(info.context, format))

    @described(
        "The components that are connected, or were until a day ago, in the order of their names. Needs "
        "`component:read`; who is bound to aliases sees those that use one of these."
    )
    async def components(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        filter: Annotated[  # noqa: A002 - the API's name
            Maybe[ComponentFilter | None], strawberry.argument(description="Which ones; all when absent or null.")
        ] = None,
    ) -> ComponentConnection:
        behind, narrowed = value_of(after), value_of(filter)
        page = await components.page(
            info.context,
            first=value_of(first),
            after=behind,
            narrowed=components.Filter() if narrowed is None else narrowed.to_filter(),
        )
        return ComponentConnection.of(page, after=behind)

    @described(
        "Who did what, and who was denied, newest first. Needs `audit:read`, with a key that is not bound to aliases."
    )
    async def audit_log(self, info: Info, first: First = None, after: After = None) -> AuditEntryConnection:
        behind = value_of(after)
        page = await audit.audit_log(info.context, first=value_of(first), after=behind)
        return AuditEntryConnection.of(page, after=behind)

    @described(
        "The API keys, the newest first, revoked and expired ones too. Needs `api_key:admin`; who is bound to aliases "
        "sees the keys that are bound to no others."
    )
    async def api_keys(self, info: Info, first: First = None, after: After = None) -> ApiKeyConnection:
        behind = value_of(after)
        page = await api_key_admin.page(info.context, first=value_of(first), after=behind)
        return ApiKeyConnection.of(page, after=behind)

    @described("Whether the default aliases can be used. Needs `model_config:read`.")
    async def setup_status(self, info: Info) -> SetupStatus:
        return SetupStatus.of(await setup_status(info.context))

    @described("All providers of LiteLLM, the common ones first. Needs `model_config:read`.")
    async def providers(self, info: Info) -> list[Provider]:
        return [Provider.of(found, listed=True) for found in await providers.all_providers(info.context)]

    @described("The provider of this name; null when LiteLLM has none. Needs `model_config:read`.")
    async def provider(
        self, info: Info, name: Annotated[str, strawberry.argument(description="LiteLLM's name, such as `openai`.")]
    ) -> Provider | None:
        found = await providers.find_provider(info.context, name)
        return None if found is None else Provider.of(found)
