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
    because they are dropped when a config changes where its calls go. `description` is for people who fill it in.
    """

    name: str
    api_name: str
    litellm_name: str
    description: str
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
    name: str,
    litellm_name: str,
    description: str,
    kind: FieldKind = FieldKind.TEXT,
    *,
    secret: bool = False,
    required: bool = False,
) -> AuthField:
    first, *rest = name.split("_")
    api_name = first + "".join(word.capitalize() for word in rest)
    return AuthField(
        name=name,
        api_name=api_name,
        litellm_name=litellm_name,
        description=description,
        kind=kind,
        secret=secret,
        required=required,
    )


AUTH_SCHEMES: Mapping[AuthType, AuthScheme] = {
    AuthType.NONE: AuthScheme(api_name="none"),
    AuthType.API_KEY: AuthScheme(
        api_name="apiKey",
        fields=(_field("api_key", "api_key", "The provider's API key.", FieldKind.TOKEN, secret=True),),
    ),
    AuthType.OAUTH2_CLIENT_CREDENTIALS: AuthScheme(
        api_name="oauth2ClientCredentials",
        fields=(
            _field("token_url", "oauth_token_url", "Where tokens are fetched.", FieldKind.URL, required=True),
            _field("client_id", "oauth_client_id", "The client's id at the token endpoint.", required=True),
            _field("client_secret", "oauth_client_secret", "The client's secret at the token endpoint.", secret=True),
            _field("scope", "oauth_scope", "The scopes asked for, separated by blanks."),
            _field("audience", "oauth_audience", "The audience asked for."),
            _field(
                "ca_cert",
                "oauth_ca_cert",
                "A certificate authority to trust at the token endpoint: a path in the component, or PEM text.",
            ),
            _field(
                "token_refresh_buffer_seconds",
                "oauth_token_refresh_buffer_seconds",
                "How long before its expiry a token is renewed, in seconds.",
                FieldKind.COUNT,
            ),
            _field(
                "max_retries", "oauth_max_retries", "How often a failed token request is repeated.", FieldKind.COUNT
            ),
        ),
    ),
    AuthType.AWS_IAM: AuthScheme(
        api_name="awsIam",
        fields=(
            _field("access_key_id", "aws_access_key_id", "The access key's id.", FieldKind.TOKEN, secret=True),
            _field(
                "secret_access_key", "aws_secret_access_key", "The secret access key.", FieldKind.TOKEN, secret=True
            ),
            _field(
                "session_token",
                "aws_session_token",
                "The token of temporary credentials.",
                FieldKind.TOKEN,
                secret=True,
            ),
            _field("region_name", "aws_region_name", "The AWS region, such as eu-central-1.", FieldKind.LOCATION),
        ),
    ),
    AuthType.GCP_SERVICE_ACCOUNT: AuthScheme(
        api_name="gcpServiceAccount",
        fields=(
            _field(
                "credentials_json",
                "vertex_credentials",
                "The service account's key file.",
                FieldKind.JSON_OBJECT,
                secret=True,
            ),
            _field("project", "vertex_project", "The project that is billed; without it the key file's."),
            _field("location", "vertex_location", "The region, such as europe-west4, or global.", FieldKind.LOCATION),
        ),
    ),
}
