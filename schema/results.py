"""Payloads of the mutations, and the unions that they return."""

from typing import Annotated, Self

import strawberry

from .. import store
from ..resolvers import model_config_import
from ..resolvers.access import Scope
from ..resolvers.api_keys import CreatedApiKey
from ..resolvers.model_config_import import Imported
from ..resolvers.model_configs import Deleted, Updated
from .base import Info, Revision, described, revision
from .enums import ImportAction
from .errors import AliasTaken, InUse, InvalidInput, NotFound, ProtectedDefault, RevisionConflict, VersionConflict
from .history import FieldChange
from .types import ApiKey, ModelConfig


@strawberry.type(description="A model config was made.")
class CreateModelConfigPayload:
    model_config: ModelConfig | None = strawberry.field(description="The new config; null with `validateOnly`.")

    @classmethod
    def of(cls, config: store.ModelConfig | None) -> Self:
        """Convert the resolver's answer."""
        return cls(model_config=None if config is None else ModelConfig.of(config))


@strawberry.type(description="A model config was changed, or is as it was wanted already.")
class UpdateModelConfigPayload:
    model_config: ModelConfig | None = strawberry.field(
        description="The config after the change; null with `validateOnly`."
    )
    dropped_credentials: bool = strawberry.field(
        description="Whether stored credentials were dropped, because the provider, the kind of auth or the address "
        "that calls go to changed and the request did not give them anew."
    )

    @classmethod
    def of(cls, updated: Updated) -> Self:
        """Convert the resolver's answer."""
        config = None if updated.config is None else ModelConfig.of(updated.config)
        return cls(model_config=config, dropped_credentials=updated.dropped_credentials)


@strawberry.type(description="A model config was deleted.")
class DeleteModelConfigPayload:
    id: strawberry.ID = strawberry.field(description="The config's id; it is never used again.")
    alias: str = strawberry.field(description="The alias that is free now.")
    revision: Revision = strawberry.field(description="The revision of the deletion.")

    @classmethod
    def of(cls, deleted: Deleted) -> Self:
        """Convert the resolver's answer."""
        return cls(id=strawberry.ID(deleted.id), alias=deleted.alias, revision=revision(deleted.position))


@strawberry.type(description="What became of one entry of the file, or of a config that the file does not name.")
class ImportEntry:
    record: strawberry.Private[model_config_import.ImportEntry]
    alias: str = strawberry.field(
        description="The name that the entry gives itself, else its place in the file such as `model_list[3]`."
    )
    action: ImportAction = strawberry.field(description="What is done with it.")
    reason: str | None = strawberry.field(
        description="Why it is skipped and what can be done; else what is to be known, such as that stored "
        "credentials were dropped."
    )
    ignored: list[str] = strawberry.field(description="The names of its fields that have no meaning here.")

    @described("What differs, field by field; empty when nothing does. Needs `model_config:read`; null without it.")
    def changes(self, info: Info) -> list[FieldChange] | None:
        info.context.principal.require(Scope.MODEL_CONFIG_READ)
        return [FieldChange.of(change) for change in self.record.changes]

    @classmethod
    def of(cls, entry: model_config_import.ImportEntry) -> Self:
        """Convert the resolver's answer."""
        return cls(
            record=entry, alias=entry.alias, action=entry.action, reason=entry.reason, ignored=list(entry.ignored)
        )


@strawberry.type(description="A file was imported, all at one revision; with `dryRun`, what an import would do.")
class ImportModelConfigsPayload:
    entries: list[ImportEntry] = strawberry.field(
        description="All entries of the file, in its order, then those of `prune`."
    )
    ignored_sections: list[str] = strawberry.field(description="The file's other top-level keys, as they are written.")
    revision: Revision | None = strawberry.field(
        description="The revision of the import; null when nothing was written."
    )
    base_revision: Revision = strawberry.field(
        description="The revision that the file was compared with; `expectedRevision` of an import that must do the "
        "same."
    )

    @classmethod
    def of(cls, imported: Imported) -> Self:
        """Convert the resolver's answer."""
        return cls(
            entries=[ImportEntry.of(entry) for entry in imported.entries],
            ignored_sections=list(imported.ignored_sections),
            revision=None if imported.position is None else revision(imported.position),
            base_revision=revision(imported.base),
        )


@strawberry.type(description="An API key was made.")
class CreateApiKeyPayload:
    api_key: ApiKey = strawberry.field(description="The new key, without its secret.")
    secret: str = strawberry.field(
        description="The whole key, as it goes behind `Authorization: Bearer`. It is shown this once and not stored."
    )

    @classmethod
    def of(cls, created: CreatedApiKey) -> Self:
        """Convert the resolver's answer."""
        return cls(api_key=ApiKey.of(created.key), secret=created.secret)


@strawberry.type(description="A model config has the content of an old version again.")
class RollbackModelConfigPayload:
    model_config: ModelConfig = strawberry.field(
        description="The config at its new version; at the one that it had when nothing differed."
    )
    dropped_credentials: bool = strawberry.field(
        description="Whether stored credentials were dropped, because the old version has another provider, kind of "
        "auth or address than they were stored for. Those of the old version never come back."
    )

    @classmethod
    def of(cls, updated: Updated) -> Self:
        """Convert the resolver's answer."""
        assert updated.config is not None  # noqa: S101 - None is for validateOnly
        return cls(model_config=ModelConfig.of(updated.config), dropped_credentials=updated.dropped_credentials)


CreateModelConfigResult = Annotated[
    CreateModelConfigPayload | AliasTaken | InvalidInput,
    strawberry.union("CreateModelConfigResult", description="What `createModelConfig` answers."),
]
UpdateModelConfigResult = Annotated[
    UpdateModelConfigPayload | NotFound | VersionConflict | AliasTaken | ProtectedDefault | InvalidInput,
    strawberry.union("UpdateModelConfigResult", description="What `updateModelConfig` answers."),
]
DeleteModelConfigResult = Annotated[
    DeleteModelConfigPayload | NotFound | VersionConflict | ProtectedDefault | InUse,
    strawberry.union("DeleteModelConfigResult", description="What `deleteModelConfig` answers."),
]
RollbackModelConfigResult = Annotated[
    RollbackModelConfigPayload | NotFound | VersionConflict | AliasTaken | ProtectedDefault | InvalidInput,
    strawberry.union("RollbackModelConfigResult", description="What `rollbackModelConfig` answers."),
]
ImportModelConfigsResult = Annotated[
    ImportModelConfigsPayload | InvalidInput | RevisionConflict,
    strawberry.union("ImportModelConfigsResult", description="What `importModelConfigs` answers."),
]
CreateApiKeyResult = Annotated[
    CreateApiKeyPayload | InvalidInput,
    strawberry.union("CreateApiKeyResult", description="What `createApiKey` answers."),
]
