"""The resolvers' enums, described for the API."""

from enum import Enum
from typing import Any

import strawberry

from ..resolvers.export import ExportFormat
from ..resolvers.importing import ImportFormat
from ..resolvers.model_config_import import ImportAction

__all__ = ["ExportFormat", "ImportAction", "ImportFormat"]


def _describe(enum: type[Enum], description: str, values: dict[Enum, str]) -> None:
    definition: Any = strawberry.enum(enum, description=description)
    for value in definition.__strawberry_definition__.values:
        # A KeyError here says that a new member has no description yet.
        value.description = values[enum[value.name]]


_describe(
    ImportFormat,
    "What kind of file an import is given.",
    {
        ImportFormat.AUTO: "Found out by what the file holds.",
        ImportFormat.LITELLM: "The `config.yaml` of LiteLLM's proxy.",
        ImportFormat.SAM: "The `shared_config.yaml` of Solace Agent Mesh.",
        ImportFormat.MODELWIRE: "Modelwire's own, as `modelConfigExport` writes it. An entry is the whole of its "
        "config: what it leaves out is cleared, except for sealed secrets that it names. Strict: anything wrong in "
        "the file refuses it as a whole, a secret that is not a reference, too.",
    },
)
_describe(
    ImportAction,
    "What an import does with one entry of its file.",
    {
        ImportAction.CREATE: "A new config is made.",
        ImportAction.UPDATE: "The config with this alias is changed.",
        ImportAction.UNCHANGED: "The config with this alias is as the file wants it.",
        ImportAction.SKIP: "Nothing is done; `reason` says why.",
        ImportAction.DELETE: "The config is deleted, because the file does not name it. Only with `prune`.",
    },
)
_describe(
    ExportFormat,
    "The form of an export.",
    {
        ExportFormat.MODELWIRE: "Modelwire's own: everything but the values of sealed secrets, which it names.",
        ExportFormat.LITELLM: "The `config.yaml` of LiteLLM's proxy: what that can say. Sealed secrets and "
        "placeholders are left out and named in a comment.",
    },
)
