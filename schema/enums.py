"""The resolvers' enums, described for the API."""

from enum import Enum
from typing import Any

import strawberry

from ..resolvers.export import ExportFormat
from ..resolvers.importing import ImportFormat
from ..resolvers.model_config_import import ImportAction
from ..resolvers.model_test import ModelTestProblem
from ..resolvers.provider_models import ListProblem, ModelSource
from ..store import AuthType, BindingState, OrderBy, Outcome

__all__ = [
    "AuthType",
    "BindingState",
    "ExportFormat",
    "ImportAction",
    "ImportFormat",
    "ListProblem",
    "ModelSource",
    "ModelTestProblem",
    "OrderBy",
    "OrderDirection",
    "Outcome",
]


@strawberry.enum(description="Which end of a list comes first.")
class OrderDirection(Enum):
    ASC = strawberry.enum_value("ascending", description="The lowest first: A before Z, the oldest first.")
    DESC = strawberry.enum_value("descending", description="The highest first: Z before A, the newest first.")


def _describe(enum: type[Enum], description: str, values: dict[Enum, str], name: str | None = None) -> None:
    definition: Any = strawberry.enum(enum, description=description, name=name)
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
_describe(
    OrderBy,
    "What a list of model configs is sorted by; among equals the alias decides.",
    {
        OrderBy.ALIAS: "The alias, by code points. A page costs the same however many configs there are.",
        OrderBy.UPDATED_AT: "The last change, in the order in which changes were written (`revision`). The newest "
        "first costs little; the oldest first costs a look at the change log from its begin.",
        OrderBy.PROVIDER: "The provider, configs without one first when ascending. A page costs a look at every "
        "config in the database.",
    },
    name="ModelConfigOrderField",
)
_describe(
    Outcome,
    "What a component did with a version.",
    {
        Outcome.APPLIED: "It makes its calls with it.",
        Outcome.REFUSED: "It cannot use it, and goes on with what it had.",
    },
    name="AcknowledgeOutcome",
)
_describe(
    BindingState,
    "How a component stands to the current version of a config.",
    {
        BindingState.APPLIED: "It said that it runs it.",
        BindingState.REFUSED: "It said that it cannot use it, and goes on with what it had.",
        BindingState.PENDING: "It has not spoken of it yet.",
        BindingState.OFFLINE: "It is not connected.",
        BindingState.WAITING: "There is no config with this alias yet.",
    },
    name="ComponentBindingState",
)
_describe(
    AuthType,
    "How LiteLLM signs in to a model endpoint: the kinds that `ModelAuthInput` can give.",
    {
        AuthType.NONE: "Without credentials, or with those of the component's environment.",
        AuthType.API_KEY: "With an API key.",
        AuthType.OAUTH2_CLIENT_CREDENTIALS: "With a bearer token that is fetched with OAuth2 client credentials.",
        AuthType.AWS_IAM: "By signing with AWS credentials.",
        AuthType.GCP_SERVICE_ACCOUNT: "As a Google Cloud service account.",
    },
)
_describe(
    ModelSource,
    "Who said which models a provider has.",
    {
        ModelSource.PROVIDER: "The provider, just now.",
        ModelSource.REGISTRY: "LiteLLM's registry, as old as the LiteLLM that is installed.",
    },
    name="ProviderModelSource",
)
_describe(
    ListProblem,
    "Why a provider did not list its models.",
    {
        ListProblem.NOT_LISTED: "It is none that is asked.",
        ListProblem.MISSING_SECRET: "Credentials are missing, stored for another address, or references.",
        ListProblem.BLOCKED: "The server's settings do not permit calls to this address; redirects are not followed.",
        ListProblem.CONNECTION: "There was no connection: name, port or certificate are wrong, or nobody listens.",
        ListProblem.TIMEOUT: "There was no whole answer in time.",
        ListProblem.AUTHENTICATION: "The credentials were refused.",
        ListProblem.NOT_FOUND: "There is no such list at this address.",
        ListProblem.RATE_LIMIT: "The provider asks for fewer requests.",
        ListProblem.BAD_REQUEST: "The request was refused, or an `apiBase` is missing.",
        ListProblem.PROVIDER: "The provider failed.",
        ListProblem.BAD_ANSWER: "The answer was too large, or not what such a provider answers.",
    },
    name="ProviderModelsProblem",
)
_describe(
    ModelTestProblem,
    "Why a test of a model config failed.",
    {
        ModelTestProblem.MISSING_SECRET: "A value is a reference (`os.environ/NAME`), which only components resolve.",
        ModelTestProblem.INVALID_CONFIG: "A component would refuse the config.",
        ModelTestProblem.UNSUPPORTED: "The server cannot try this kind of credentials, or lacks a "
        "library for this provider; a component may be able to.",
        ModelTestProblem.BLOCKED: "The server's settings do not permit calls to this address, or the call was "
        "redirected to another one.",
        ModelTestProblem.CONNECTION: "There was no connection: name, port or certificate are wrong, or nobody listens.",
        ModelTestProblem.TIMEOUT: "There was no whole answer in time.",
        ModelTestProblem.AUTHENTICATION: "The credentials were refused.",
        ModelTestProblem.NOT_FOUND: "The provider does not have this model, or nothing is at this address.",
        ModelTestProblem.RATE_LIMIT: "The provider asks for fewer requests, or wants to be paid.",
        ModelTestProblem.BAD_REQUEST: "The provider does not take the call, a parameter of it for example.",
        ModelTestProblem.PROVIDER: "The provider failed, or answered what LiteLLM does not understand.",
        ModelTestProblem.BAD_ANSWER: "The answer was too large.",
    },
)
