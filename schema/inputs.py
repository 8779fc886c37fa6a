"""Inputs. `Maybe` tells absent from null: absent keeps, null clears, a value replaces."""

from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

import strawberry
from strawberry import Maybe
from strawberry.scalars import JSON

from ..resolvers.api_keys import ApiKeyInput
from ..resolvers.inputs import UNSET, AuthInput, ModelConfigInput, Unset
from ..resolvers.model_config_import import ImportRequest
from ..resolvers.model_configs import Filter, Order
from ..store import AuthType
from .base import Revision
from .enums import ImportFormat, OrderBy, OrderDirection

_T = TypeVar("_T")

_SECRET = "Write-only: absent keeps what is stored, null clears it. `os.environ/NAME` is resolved in the component."  # noqa: S105 - a text


def value_of(given: Maybe[_T]) -> _T | None:
    """The value, None when it is absent or null."""
    return None if given is None else given.value


def or_unset(given: Maybe[Any]) -> Any:
    """The value, None when it is null, UNSET when it is absent."""
    return UNSET if given is None else given.value


@strawberry.input(one_of=True, description="Names one model config, by its id or by its alias.")
class ModelConfigRef:
    id: Maybe[strawberry.ID] = strawberry.field(description="The config's id; it stays through renames.")
    alias: Maybe[str] = strawberry.field(description="The alias, whichever config has it, now or later.")


@strawberry.input(
    description="Narrows a list of model configs: to those for which all that is given holds. Fields that are absent "
    "or null narrow nothing. A page of a narrowed list may cost a look at every config there is."
)
class ModelConfigFilter:
    search: Maybe[str | None] = strawberry.field(
        description="Part of the alias, the description or the model, in upper or lower case."
    )
    provider: Maybe[str | None] = strawberry.field(description="The provider, exactly.")
    configured: Maybe[bool | None] = strawberry.field(description="Whether provider and model are set.")
    is_default: Maybe[bool | None] = strawberry.field(description="Whether it is one of the default aliases.")

    def to_filter(self) -> Filter:
        return Filter(
            search=value_of(self.search),
            provider=value_of(self.provider),
            configured=value_of(self.configured),
            is_default=value_of(self.is_default),
        )


@strawberry.input(
    description="The order of a list of model configs. A cursor belongs to its order. A config that changes its place "
    "while pages are read may come twice or not at all; all others come once."
)
class ModelConfigOrder:
    field: OrderBy = strawberry.field(description="What it is sorted by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Which end comes first.")

    def to_order(self) -> Order:
        return Order(by=self.field, descending=self.direction is OrderDirection.DESC)


@strawberry.input(description="Sign in with an API key.")
class ApiKeyAuthInput:
    api_key: Maybe[str | None] = strawberry.field(description=f"The provider's API key. {_SECRET}")


@strawberry.input(
    description="Sign in with a bearer token that the component fetches with OAuth2 client credentials. "
    "`tokenUrl` and `clientId` are required, unless they are stored already."
)
class OAuth2ClientCredentialsAuthInput:
    token_url: Maybe[str | None] = strawberry.field(
        description="Where tokens are fetched, an http or https URL. Changing its scheme, host or port drops stored "
        "credentials that are not given anew."
    )
    client_id: Maybe[str | None] = strawberry.field(description="The client's id at the token endpoint.")
    client_secret: Maybe[str | None] = strawberry.field(
        description=f"The client's secret at the token endpoint. {_SECRET}"
    )
    scope: Maybe[str | None] = strawberry.field(description="The scopes to ask for, separated by blanks.")
    audience: Maybe[str | None] = strawberry.field(description="The audience to ask for.")
    ca_cert: Maybe[str | None] = strawberry.field(
        description="A certificate authority to trust at the token endpoint: a path in the component, or PEM text."
    )
    token_refresh_buffer_seconds: Maybe[int | None] = strawberry.field(
        description="How long before its expiry a token is renewed, in seconds."
    )
    max_retries: Maybe[int | None] = strawberry.field(description="How often a failed token request is repeated.")


@strawberry.input(description="Sign calls with AWS credentials; with the region alone, those of the component.")
class AwsIamAuthInput:
    access_key_id: Maybe[str | None] = strawberry.field(description=f"The access key's id. {_SECRET}")
    secret_access_key: Maybe[str | None] = strawberry.field(description=f"The secret access key. {_SECRET}")
    session_token: Maybe[str | None] = strawberry.field(description=f"The token of temporary credentials. {_SECRET}")
    region_name: Maybe[str | None] = strawberry.field(description="The AWS region, such as `eu-central-1`.")


@strawberry.input(description="Make calls as a Google Cloud service account.")
class GcpServiceAccountAuthInput:
    credentials_json: Maybe[str | None] = strawberry.field(
        description=f"The text of the service account's key file, a JSON object. {_SECRET}"
    )
    project: Maybe[str | None] = strawberry.field(description="The project that is billed.")
    location: Maybe[str | None] = strawberry.field(description="The region, such as `europe-west4`, or `global`.")


_AuthFields = ApiKeyAuthInput | OAuth2ClientCredentialsAuthInput | AwsIamAuthInput | GcpServiceAccountAuthInput


@strawberry.input(
    one_of=True,
    description="How LiteLLM signs in to the model endpoint: one kind. With the kind that is stored, the fields are "
    "merged one by one; another kind replaces all that is stored.",
)
class ModelAuthInput:
    api_key: Maybe[ApiKeyAuthInput] = strawberry.field(description="With an API key.")
    oauth2_client_credentials: Maybe[OAuth2ClientCredentialsAuthInput] = strawberry.field(
        description="With OAuth2 client credentials."
    )
    aws_iam: Maybe[AwsIamAuthInput] = strawberry.field(description="With AWS credentials.")
    gcp_service_account: Maybe[GcpServiceAccountAuthInput] = strawberry.field(
        description="As a Google Cloud service account."
    )
    none: Maybe[bool] = strawberry.field(description="Without stored credentials; can only be true.")

    def to_auth(self) -> AuthInput:
        # The names of the fields are the values of AuthType, and exactly one of them is given.
        type_, given = next((t, getattr(self, t.value)) for t in AuthType if getattr(self, t.value) is not None)
        values = {"none": given.value} if type_ is AuthType.NONE else _auth_values(given.value)
        return AuthInput(type=type_, values=values)


def _auth_values(auth: _AuthFields) -> dict[str, str | int | None]:
    given = {field.name: getattr(auth, field.name) for field in fields(auth)}
    return {name: some.value for name, some in given.items() if some is not None}


def to_auth(given: Maybe[ModelAuthInput | None]) -> AuthInput | Unset | None:
    """The credentials, None when they are null, UNSET when they are absent."""
    if given is None:
        return UNSET
    return None if given.value is None else given.value.to_auth()


_PROVIDER = "LiteLLM's name of the provider, such as `openai` or `vertex_ai`."
_INFERRED = (
    "it is the one that LiteLLM routes the model to, by its prefix, its name or `apiBase`; InvalidInput when LiteLLM "
    "cannot tell. Null is none: the config is a placeholder."
)
_MODEL = "The provider's name of the model, with or without LiteLLM's prefix, 1 to 256 characters."
_API_BASE = (
    "The address of the model endpoint: an absolute http or https URL without user information, query and fragment, "
    "or a reference `os.environ/NAME`. Null for the provider's own."
)
_DESCRIPTION = "A text for people, at most 2,000 characters."
_PARAMS = (
    "Keyword arguments for LiteLLM's call, by name: an object of at most 64 KiB and 10 levels. Those that Modelwire "
    "sets itself, such as `model`, `messages`, `stream` and `api_key`, are refused. Those that hold a secret, such as "
    "`extra_headers`, are sealed. A null is stored, and passed on as None."
)
_MAX_INPUT_TOKENS = "The most tokens that a call may send, at least 1; null leaves it to LiteLLM's registry."
_VALIDATE_ONLY = "Check all, the alias too, and write nothing."


@strawberry.input(description="A new model config.")
class CreateModelConfigInput:
    alias: str = strawberry.field(
        description="The unique name that components ask for: 1 to 100 characters, no control characters, no outer "
        "white space, no `*`."
    )
    provider: Maybe[str | None] = strawberry.field(
        description=f"{_PROVIDER} When it is absent and there is a model, {_INFERRED}"
    )
    model: Maybe[str | None] = strawberry.field(description=_MODEL)
    api_base: Maybe[str | None] = strawberry.field(description=_API_BASE)
    description: Maybe[str | None] = strawberry.field(description=_DESCRIPTION)
    auth: Maybe[ModelAuthInput | None] = strawberry.field(
        description="How LiteLLM signs in; absent or null is `none: true`."
    )
    params: Maybe[JSON | None] = strawberry.field(description=_PARAMS)
    max_input_tokens: Maybe[int | None] = strawberry.field(description=_MAX_INPUT_TOKENS)
    validate_only: bool | None = strawberry.field(default=False, description=_VALIDATE_ONLY)

    def to_input(self) -> ModelConfigInput:
        return ModelConfigInput(
            alias=self.alias,
            provider=or_unset(self.provider),
            model=or_unset(self.model),
            api_base=or_unset(self.api_base),
            description=or_unset(self.description),
            auth=to_auth(self.auth),
            params=or_unset(self.params),
            max_input_tokens=or_unset(self.max_input_tokens),
        )


@strawberry.input(
    description="A change of a model config. A field that is absent stays as it is, null clears it, a value replaces "
    "it. Changing the provider, the kind of auth or the address that calls go to drops stored credentials that are not "
    "given anew. What changes nothing makes no new version."
)
class UpdateModelConfigInput:
    id: strawberry.ID = strawberry.field(description="The config's id.")
    expected_version: int = strawberry.field(
        description="The version that the change is made to; when the config is at another one, VersionConflict."
    )
    alias: Maybe[str | None] = strawberry.field(
        description="A new name, by the rules of a new config's. Null is refused, as is renaming a default alias."
    )
    provider: Maybe[str | None] = strawberry.field(
        description=f"{_PROVIDER} When it is absent, a model is given and the config has no provider, {_INFERRED}"
    )
    model: Maybe[str | None] = strawberry.field(description=_MODEL)
    api_base: Maybe[str | None] = strawberry.field(description=_API_BASE)
    description: Maybe[str | None] = strawberry.field(description=_DESCRIPTION)
    auth: Maybe[ModelAuthInput | None] = strawberry.field(description="How LiteLLM signs in; null is `none: true`.")
    params: Maybe[JSON | None] = strawberry.field(
        description=f"{_PARAMS} The object replaces all params that are not sealed. A sealed one stays when it is "
        "absent, null clears it, a value replaces it. Null instead of the object clears all, sealed ones too."
    )
    max_input_tokens: Maybe[int | None] = strawberry.field(description=_MAX_INPUT_TOKENS)
    validate_only: bool | None = strawberry.field(default=False, description=_VALIDATE_ONLY)

    def to_input(self) -> ModelConfigInput:
        return ModelConfigInput(
            alias=or_unset(self.alias),
            provider=or_unset(self.provider),
            model=or_unset(self.model),
            api_base=or_unset(self.api_base),
            description=or_unset(self.description),
            auth=to_auth(self.auth),
            params=or_unset(self.params),
            max_input_tokens=or_unset(self.max_input_tokens),
        )


@strawberry.input(description="The deletion of a model config.")
class DeleteModelConfigInput:
    id: strawberry.ID = strawberry.field(description="The config's id.")
    expected_version: int = strawberry.field(
        description="The version that is deleted; when the config is at another one, VersionConflict."
    )
    force: bool | None = strawberry.field(
        default=False,
        description="Delete although components use the config; else the answer then is InUse.",
    )


@strawberry.input(description="The way back to an old version of a model config.")
class RollbackModelConfigInput:
    id: strawberry.ID = strawberry.field(description="The config's id.")
    expected_version: int = strawberry.field(
        description="The version that the config is at now; when it is at another one, VersionConflict."
    )
    to_version: int = strawberry.field(description="The version whose content the config shall have, of `history`.")


@strawberry.input(description="A file, and what to do with the model configs that it holds.")
class ImportModelConfigsInput:
    content: str = strawberry.field(description="The text of the file.")
    format: ImportFormat | None = strawberry.field(default=ImportFormat.AUTO, description="What kind of file it is.")
    dry_run: bool | None = strawberry.field(
        default=False, description="Answer what would happen to each entry, and write nothing."
    )
    prune: bool | None = strawberry.field(
        default=False,
        description="Delete the configs that the file does not name, default aliases excepted. Needs "
        "`model_config:read`, too.",
    )
    expected_revision: Maybe[Revision | None] = strawberry.field(
        description="The `baseRevision` of a dry run; when anybody wrote since, RevisionConflict, and nothing is done."
    )
    variables: Maybe[JSON | None] = strawberry.field(
        description="What `${NAME}` in a SAM file stands for: an object of texts by name. The server's own environment "
        "is never looked at. Secrets need none: they become references `os.environ/NAME`."
    )

    def to_request(self) -> ImportRequest:
        variables = value_of(self.variables)
        return ImportRequest(
            content=self.content,
            format=ImportFormat.AUTO if self.format is None else self.format,
            dry_run=bool(self.dry_run),
            prune=bool(self.prune),
            expected_revision=value_of(self.expected_revision),
            variables={} if variables is None else variables,
        )


@strawberry.input(description="A new API key. It cannot permit more than the key that makes it.")
class CreateApiKeyInput:
    name: str = strawberry.field(description="What people call it, 1 to 100 characters.")
    scopes: list[str] = strawberry.field(
        description="What it permits, at least one of `model_config:read`, `model_config:write`, `model_config:test`, "
        "`model_config:resolve`, `component:read`, `component:report`, `audit:read`, `api_key:admin`."
    )
    aliases: Maybe[list[str] | None] = strawberry.field(
        description="The aliases that it opens, exact or with `*` for any text; absent or null for all."
    )
    expires_at: Maybe[datetime | None] = strawberry.field(
        description="When it ends, in the future and with a time zone; absent or null for never."
    )

    def to_request(self) -> ApiKeyInput:
        aliases = value_of(self.aliases)
        return ApiKeyInput(
            name=self.name,
            scopes=tuple(self.scopes),
            aliases=None if aliases is None else tuple(aliases),
            expires_at=value_of(self.expires_at),
        )
