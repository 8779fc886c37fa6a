"""The resolvers' enums, described for the API."""

from enum import Enum
from typing import Any

import strawberry

from ..resolvers.importing import ImportFormat
from ..resolvers.model_config_import import ImportAction

__all__ = ["ImportAction", "ImportFormat"]


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
    },
)
