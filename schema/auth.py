"""Authentication of a model config, as it is shown: never a secret."""

from typing import Annotated

import strawberry

from .. import store
from ..store import AuthType


@strawberry.type(
    description="A secret that is stored, without its value. Where nothing is stored, this object is null."
)
class StoredSecret:
    reference: str | None = strawberry.field(
        description="The reference `os.environ/NAME` that each component resolves from its own environment; "
        "null when the value itself is stored, sealed."
    )
    hint: str | None = strawberry.field(
        description="The last four characters of a sealed value; null for a reference, and where they would tell "
        "too much or nothing."
    )


@strawberry.type(description="Calls are made without credentials, or with those of the component's environment.")
class NoAuth:
    none: bool = strawberry.field(description="Always true.")


@strawberry.type(description="Calls carry an API key.")
class ApiKeyAuth:
    api_key: StoredSecret | None = strawberry.field(description="The provider's API key.")


@strawberry.type(description="Calls carry a bearer token that the component fetches with OAuth2 client credentials.")
class OAuth2ClientCredentialsAuth:
    token_url: str | None = strawberry.field(description="Where tokens are fetched.")
    client_id: str | None = strawberry.field(description="The client's id at the token endpoint.")
    client_secret: StoredSecret | None = strawberry.field(description="The client's secret at the token endpoint.")
    scope: str | None = strawberry.field(description="The scopes asked for, separated by blanks.")
    audience: str | None = strawberry.field(description="The audience asked for.")
    ca_cert: str | None = strawberry.field(
        description="A certificate authority to trust at the token endpoint: a path in the component, or PEM text."
    )
    token_refresh_buffer_seconds: int | None = strawberry.field(
        description="How long before its expiry a token is renewed, in seconds; null leaves it to the component."
    )
    max_retries: int | None = strawberry.field(
        description="How often a failed token request is repeated; null leaves it to the component."
    )


@strawberry.type(description="Calls are signed with AWS credentials.")
class AwsIamAuth:
    access_key_id: StoredSecret | None = strawberry.field(description="The access key's id.")
    secret_access_key: StoredSecret | None = strawberry.field(description="The secret access key.")
    session_token: StoredSecret | None = strawberry.field(description="The token of temporary credentials.")
    region_name: str | None = strawberry.field(description="The AWS region, such as `eu-central-1`.")


@strawberry.type(description="Calls are made as a Google Cloud service account.")
class GcpServiceAccountAuth:
    credentials_json: StoredSecret | None = strawberry.field(description="The service account's key file.")
    project: str | None = strawberry.field(description="The project that is billed; null takes the key file's.")
    location: str | None = strawberry.field(description="The region, such as `europe-west4`, or `global`.")


ModelAuth = Annotated[
    ApiKeyAuth | OAuth2ClientCredentialsAuth | AwsIamAuth | GcpServiceAccountAuth | NoAuth,
    strawberry.union(
        "ModelAuth", description="How LiteLLM signs in to the model endpoint. Secrets are write-only: see StoredSecret."
    ),
]


def model_auth(auth: store.Auth) -> ModelAuth:
    """Convert the record."""
    fields = auth.fields.get
    match auth.type:
        case AuthType.NONE:
            return NoAuth(none=True)
        case AuthType.API_KEY:
            return ApiKeyAuth(api_key=_secret(auth, "api_key"))
        case AuthType.OAUTH2_CLIENT_CREDENTIALS:
            return OAuth2ClientCredentialsAuth(
                token_url=fields("token_url"),
                client_id=fields("client_id"),
                client_secret=_secret(auth, "client_secret"),
                scope=fields("scope"),
                audience=fields("audience"),
                ca_cert=fields("ca_cert"),
                token_refresh_buffer_seconds=fields("token_refresh_buffer_seconds"),
                max_retries=fields("max_retries"),
            )
        case AuthType.AWS_IAM:
            return AwsIamAuth(
                access_key_id=_secret(auth, "access_key_id"),
                secret_access_key=_secret(auth, "secret_access_key"),
                session_token=_secret(auth, "session_token"),
                region_name=fields("region_name"),
            )
        case AuthType.GCP_SERVICE_ACCOUNT:
            return GcpServiceAccountAuth(
                credentials_json=_secret(auth, "credentials_json"),
                project=fields("project"),
                location=fields("location"),
            )


def _secret(auth: store.Auth, name: str) -> StoredSecret | None:
    if name in auth.hints:
        return StoredSecret(reference=None, hint=auth.hints[name])
    reference = auth.fields.get(name)
    return None if reference is None else StoredSecret(reference=reference, hint=None)
