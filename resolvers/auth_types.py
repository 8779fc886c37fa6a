"""The one table of auth types: which fields each has, what they are called where, and which of them are secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from ..store import AuthType


class FieldKind(Enum):
    """What a field holds; `validation.py` checks it."""

    TEXT = auto()
    TOKEN = auto()
    """Text that is sent in a header: no white space around it, no control characters."""
    URL = auto()
    LOCATION = auto()
    """A region that LiteLLM puts into a host name."""
    JSON_OBJECT = auto()
    """The text of a JSON object."""
    COUNT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthField:
    """One field of an auth type.

    `name` is its name in records, `api_name` in the API, `litellm_name` among LiteLLM's keyword arguments. `secret`
    values are sealed. `required` fields must have a value whenever a config has this auth type; secrets never are,
    because they are dropped when a config changes where its calls go.
    """

    name: str
    api_name: str
    litellm_name: str
    kind: FieldKind = FieldKind.TEXT
    secret: bool = False
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthScheme:
    """An auth type: its name in the API's input, and its fields."""

    api_name: str
    fields: tuple[AuthField, ...] = ()

    def field(self, name: str) -> AuthField | None:
        """The field with this name in records, None when there is none."""
        return next((field for field in self.fields if field.name == name), None)

    @property
    def secret_names(self) -> frozenset[str]:
        return frozenset(field.name for field in self.fields if field.secret)


def _field(
    name: str, litellm_name: str, kind: FieldKind = FieldKind.TEXT, *, secret: bool = False, required: bool = False
) -> AuthField:
    first, *rest = name.split("_")
    api_name = first + "".join(word.capitalize() for word in rest)
    return AuthField(
        name=name, api_name=api_name, litellm_name=litellm_name, kind=kind, secret=secret, required=required
    )


AUTH_SCHEMES: Mapping[AuthType, AuthScheme] = {
    AuthType.NONE: AuthScheme(api_name="none"),
    AuthType.API_KEY: AuthScheme(
        api_name="apiKey",
        fields=(_field("api_key", "api_key", FieldKind.TOKEN, secret=True),),
    ),
    AuthType.OAUTH2_CLIENT_CREDENTIALS: AuthScheme(
        api_name="oauth2ClientCredentials",
        fields=(
            _field("token_url", "oauth_token_url", FieldKind.URL, required=True),
            _field("client_id", "oauth_client_id", required=True),
            _field("client_secret", "oauth_client_secret", secret=True),
            _field("scope", "oauth_scope"),
            _field("audience", "oauth_audience"),
            _field("ca_cert", "oauth_ca_cert"),
            _field("token_refresh_buffer_seconds", "oauth_token_refresh_buffer_seconds", FieldKind.COUNT),
            _field("max_retries", "oauth_max_retries", FieldKind.COUNT),
        ),
    ),
    AuthType.AWS_IAM: AuthScheme(
        api_name="awsIam",
        fields=(
            _field("access_key_id", "aws_access_key_id", FieldKind.TOKEN, secret=True),
            _field("secret_access_key", "aws_secret_access_key", FieldKind.TOKEN, secret=True),
            _field("session_token", "aws_session_token", FieldKind.TOKEN, secret=True),
            _field("region_name", "aws_region_name", FieldKind.LOCATION),
        ),
    ),
    AuthType.GCP_SERVICE_ACCOUNT: AuthScheme(
        api_name="gcpServiceAccount",
        fields=(
            _field("credentials_json", "vertex_credentials", FieldKind.JSON_OBJECT, secret=True),
            _field("project", "vertex_project"),
            _field("location", "vertex_location", FieldKind.LOCATION),
        ),
    ),
}
