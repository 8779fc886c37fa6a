"""Model configs as the command line reads and shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .client import GraphQLClient
from .errors import CommandError
from .output import printable, shortened

_STORED = "{ hint reference }"
CONFIG = f"""
fragment Config on ModelConfig {{
  id alias description provider model litellmModel apiBase
  auth {{
    type: __typename
    ... on ApiKeyAuth {{ apiKey {_STORED} }}
    ... on OAuth2ClientCredentialsAuth {{
      tokenUrl clientId clientSecret {_STORED} scope audience caCert tokenRefreshBufferSeconds maxRetries
    }}
    ... on AwsIamAuth {{
      accessKeyId {_STORED} secretAccessKey {_STORED} sessionToken {_STORED} regionName
    }}
    ... on GcpServiceAccountAuth {{ credentialsJson {_STORED} project location }}
  }}
  params sealedParams maxInputTokens configured isDefault version revision createdAt createdBy updatedAt updatedBy
}}
"""
FIND = f"""
query Find($alias: String!) {{
  viewer {{ scopes }}
  modelConfig(by: {{alias: $alias}}) {{ ...Config }}
}}
{CONFIG}
"""

_AUTH_NAMES = {
    "ApiKeyAuth": "API key",
    "OAuth2ClientCredentialsAuth": "OAuth2 client credentials",
    "AwsIamAuth": "AWS credentials",
    "GcpServiceAccountAuth": "Google Cloud service account",
    "NoAuth": "none",
}


def lookup_config(client: GraphQLClient, alias: str) -> tuple[dict[str, Any] | None, frozenset[str]]:
    """The config with this alias, None when there is none; and the scopes of who asks. Raises CommandError."""
    data = client.execute(FIND, {"alias": alias})
    return data["modelConfig"], frozenset(data["viewer"]["scopes"])


def find_config(client: GraphQLClient, alias: str) -> tuple[dict[str, Any], frozenset[str]]:
    """Do as `lookup_config` does, and raise CommandError when there is none."""
    config, scopes = lookup_config(client, alias)
    if config is None:
        raise unknown_alias(alias)
    return config, scopes


def unknown_alias(alias: str) -> CommandError:
    return CommandError(
        f"there is no model config with the alias {alias!r}, or none that you may see; `modelwire list` shows those "
        "that there are"
    )


def dropped_credentials(alias: str) -> str:
    """What to say when a change left the stored credentials behind."""
    return (
        "Its stored credentials were dropped, because they are for another provider, kind of auth or address: give it "
        f"new ones, as `modelwire set {printable(alias)} api_key=@-` does."
    )


def auth_name(auth: Mapping[str, Any]) -> str:
    """The kind of auth, for people."""
    return _AUTH_NAMES.get(auth["type"], str(auth["type"]))


def auth_summary(auth: Mapping[str, Any]) -> str:
    """The kind of auth and what it has for a key, in a few words."""
    if auth["type"] != "ApiKeyAuth":
        return auth_name(auth)
    return "no API key yet" if auth["apiKey"] is None else f"API key {secret_text(auth['apiKey'])}"


def auth_lines(auth: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each field of the auth that has a value, by name."""
    for name, value in auth.items():
        if name == "type" or value is None:
            continue
        yield name, secret_text(value) if isinstance(value, dict) else value_text(value)


def secret_text(secret: Mapping[str, Any]) -> str:
    """A StoredSecret of the API."""
    if secret["reference"] is not None:
        return str(secret["reference"])
    return "(secret)" if secret["hint"] is None else f"(secret, …{secret['hint']})"


def value_text(value: Any) -> str:
    """A value of a config in one line, without the quotes that a text has in JSON, cut off when it is very long."""
    return shortened(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def model_text(config: Mapping[str, Any]) -> str:
    """What a config makes calls to, for people."""
    return str(config["litellmModel"]) if config["configured"] else "(not configured)"
