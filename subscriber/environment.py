"""Which environment variables a configuration may read in the component, and reading them.

Whoever may write a config could otherwise have any variable of every component sent to a host of their choice, so a
reference is followed only when its name is allowed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

from .errors import ConfigRefused, ConfigurationError
from .protocol import SCALARS, Json

# Names that the provider pages of https://docs.litellm.ai/docs/providers tell users to set, for the providers whose
# variables do not all end in _API_KEY.
DEFAULT_ALLOWED_ENV: Final[tuple[str, ...]] = (
    "*_API_KEY",
    # OpenAI and endpoints that speak its API
    "OPENAI_API_BASE",
    "OPENAI_BASE_URL",
    "OPENAI_ORGANIZATION",
    "HOSTED_VLLM_API_BASE",
    "OLLAMA_API_BASE",
    "OPENROUTER_API_BASE",
    # Azure
    "AZURE_API_BASE",
    "AZURE_API_VERSION",
    "AZURE_AD_TOKEN",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_AI_API_BASE",
    # AWS Bedrock and SageMaker
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_REGION_NAME",
    "AWS_BEARER_TOKEN_BEDROCK",
    # Google Vertex AI
    "GOOGLE_APPLICATION_CREDENTIALS",
    "VERTEXAI_PROJECT",
    "VERTEXAI_LOCATION",
    "VERTEXAI_CREDENTIALS",
    # IBM watsonx
    "WATSONX_URL",
    "WATSONX_APIKEY",
    "WATSONX_TOKEN",
    "WATSONX_PROJECT_ID",
    "WATSONX_DEPLOYMENT_SPACE_ID",
    # others
    "ANTHROPIC_API_BASE",
    "CLOUDFLARE_ACCOUNT_ID",
    "DATABRICKS_API_BASE",
    "HF_TOKEN",
    "HUGGINGFACE_API_BASE",
    "REPLICATE_API_TOKEN",
    "SNOWFLAKE_ACCOUNT_ID",
    "SNOWFLAKE_JWT",
)

_REFERENCE = "os.environ/"
_OIDC = "oidc/"
_PREFIXES = (_REFERENCE, _OIDC)


class AllowedEnv:
    """The names that references may have: exact, or with `*` for any characters. MODELWIRE_* is never among them.

    Raises ConfigurationError for one text, which is a collection of characters.
    """

    def __init__(self, names: Iterable[str] = DEFAULT_ALLOWED_ENV) -> None:
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise ConfigurationError(
                f"allowed_env is a collection of names, such as [*DEFAULT_ALLOWED_ENV, 'ORDERS_*'], not {names!r}"
            )
        self.names = tuple(names)

    def allows(self, name: str) -> bool:
        return not name.startswith("MODELWIRE_") and any(fnmatchcase(name, pattern) for pattern in self.names)

    def resolve(self, value: Json, path: str) -> Json:
        """Give `value` with every reference in it, however deep, replaced by the variable's value.

        `path` names the value in messages. Raises ConfigRefused (`missing_secret`) for a name that is not allowed or
        a variable that is not set or empty.
        """
        if isinstance(value, str):
            return self._text(value, path) if value.startswith(_PREFIXES) else value
        if isinstance(value, SCALARS):
            return value
        if isinstance(value, Mapping):
            return {key: self.resolve(item, f"{path}.{key}") for key, item in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, bytes):
            return [self.resolve(item, f"{path}[{index}]") for index, item in enumerate(value)]
        return value

    def _text(self, value: str, path: str) -> str:
        if value.startswith(_OIDC):
            # LiteLLM follows these by itself at the call. It drops every "oidc/" in the text, so the same is done here.
            kind, _, name = value.replace(_OIDC, "").partition("/")
            if kind in ("env", "env_path"):
                self._require_allowed(name, path)
        if not value.startswith(_REFERENCE):
            return value
        name = value.removeprefix(_REFERENCE)
        self._require_allowed(name, path)
        if not (found := os.environ.get(name)):
            raise ConfigRefused(
                "missing_secret", f"{path} refers to the variable {name}, which is not set in this process"
            )
        return found

    def _require_allowed(self, name: str, path: str) -> None:
        if not self.allows(name):
            raise ConfigRefused(
                "missing_secret",
                f"{path} refers to the variable {name}, which this component does not allow: "
                "add the name to allowed_env if the configuration may read it",
            )
