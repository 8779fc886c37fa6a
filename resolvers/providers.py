"""LiteLLM's providers: how each is signed in to, where it is, and how its models are named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum, auto
from typing import Final

from ..store import AuthType
from .access import Context, Scope
from .auth_types import AUTH_SCHEMES, AuthField
from .errors import BadUserInput
from .litellm_process import supported_params
from .litellm_registry import without_provider
from .provider_names import PROVIDER_TITLES


class ModelListing(Enum):
    """How a provider lists its models: a wire format, or a library that speaks it."""

    OPENAI = auto()
    AZURE = auto()
    BEDROCK = auto()
    ANTHROPIC = auto()
    GEMINI = auto()
    OLLAMA = auto()
    VERTEX = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAuth:
    """A way to sign in to a provider. `required` names the fields without which its calls fail."""

    type: AuthType
    required: frozenset[str] = frozenset()

    @property
    def fields(self) -> tuple[AuthField, ...]:
        return AUTH_SCHEMES[self.type].fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider by its LiteLLM name.

    `common` says that its description is our own; the others are described alike, by what LiteLLM takes for all.
    `default_api_base` is where calls go without an `apiBase`; None when it depends on other fields or only LiteLLM
    knows it. `auths` has the usual way first. `listing` None means that the provider is not asked for its models.
    """

    name: str
    title: str
    common: bool
    auths: tuple[ProviderAuth, ...]
    default_api_base: str | None = None
    api_base_required: bool = False
    listing: ModelListing | None = None

    @property
    def model_prefix(self) -> str:
        """What LiteLLM routes by, in front of the model's name."""
        return f"{self.name}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Described:
    """A row of the table: `Provider` without what its name tells."""

    title: str
    auths: tuple[ProviderAuth, ...]
    default_api_base: str | None = None
    api_base_required: bool = False
    listing: ModelListing | None = None


_NONE = ProviderAuth(type=AuthType.NONE)
_KEY = ProviderAuth(type=AuthType.API_KEY, required=frozenset({"api_key"}))
_OAUTH2 = ProviderAuth(
    type=AuthType.OAUTH2_CLIENT_CREDENTIALS, required=frozenset({"token_url", "client_id", "client_secret"})
)
# Without keys LiteLLM takes the credentials of the machine that a component runs on.
_AWS = ProviderAuth(type=AuthType.AWS_IAM)
_GCP = ProviderAuth(type=AuthType.GCP_SERVICE_ACCOUNT)


def _openai_compatible(title: str, api_base: str | None = None) -> _Described:
    """An endpoint of somebody's own when there is no `api_base`: often without any key."""
    return _Described(
        title=title,
        auths=(_KEY,) if api_base is not None else (_KEY, _OAUTH2, _NONE),
        default_api_base=api_base,
        api_base_required=api_base is None,
        listing=ModelListing.OPENAI,
    )


_COMMON: Final[Mapping[str, _Described]] = {
    "openai": _Described(
        title="OpenAI",
        # With an `apiBase`, this is also how any endpoint is used that is compatible with OpenAI's.
        auths=(_KEY, _OAUTH2, _NONE),
        default_api_base="https://api.openai.com/v1",
        listing=ModelListing.OPENAI,
    ),
    "anthropic": _Described(
        title="Anthropic",
        auths=(_KEY, _OAUTH2),
        default_api_base="https://api.anthropic.com",
        listing=ModelListing.ANTHROPIC,
    ),
    "azure": _Described(
        title="Azure OpenAI", auths=(_KEY, _OAUTH2, _NONE), api_base_required=True, listing=ModelListing.AZURE
    ),
    "gemini": _Described(
        title="Google AI Studio",
        auths=(_KEY,),
        default_api_base="https://generativelanguage.googleapis.com/v1beta",
        listing=ModelListing.GEMINI,
    ),
    "vertex_ai": _Described(title="Google Vertex AI", auths=(_GCP, _NONE), listing=ModelListing.VERTEX),
    "bedrock": _Described(title="AWS Bedrock", auths=(_AWS, _KEY, _NONE), listing=ModelListing.BEDROCK),
    "ollama": _Described(
        title="Ollama",
        auths=(_NONE, _KEY),
        default_api_base="http://localhost:11434",
        listing=ModelListing.OLLAMA,
    ),
    "ollama_chat": _Described(
        title="Ollama (chat API)",
        auths=(_NONE, _KEY),
        default_api_base="http://localhost:11434",
        listing=ModelListing.OLLAMA,
    ),
    "custom_openai": _openai_compatible("OpenAI-compatible endpoint"),
    "hosted_vllm": _openai_compatible("vLLM (OpenAI-compatible)"),
    "litellm_proxy": _openai_compatible("LiteLLM proxy"),
    "lm_studio": _openai_compatible("LM Studio"),
    "groq": _openai_compatible("Groq", "https://api.groq.com/openai/v1"),
    "mistral": _openai_compatible("Mistral AI", "https://api.mistral.ai/v1"),
    "openrouter": _openai_compatible("OpenRouter", "https://openrouter.ai/api/v1"),
    "xai": _openai_compatible("xAI", "https://api.x.ai/v1"),
}

AWS_PREFIXES: Final = ("bedrock", "sagemaker", "aws_")
GOOGLE_PREFIXES: Final = ("vertex_ai",)
"""How the names of those begin that take a cloud's own credentials."""

# Names that people try, from other tools and from the providers' own, and that no spelling check would lead on.
_KNOWN_AS: Final[Mapping[str, str]] = {
    "aws": "bedrock",
    "azure_openai": "azure",
    "claude": "anthropic",
    "google": "gemini",
    "google_ai_studio": "gemini",
    "openai_compatible": "openai",
    "openai-compatible": "openai",
    "vertex": "vertex_ai",
}


def is_provider(name: str) -> bool:
    """Whether LiteLLM has a provider of this name. Costs nothing: LiteLLM is not asked."""
    return name in PROVIDER_TITLES


def similar_provider(name: str) -> str | None:
    """The provider that was probably meant by a name that is none; None when nothing comes near."""
    if name in _KNOWN_AS:
        return _KNOWN_AS[name]
    return next(iter(get_close_matches(name, PROVIDER_TITLES, n=1)), None)


def describe(name: str) -> Provider | None:
    """The provider of this name, None when LiteLLM has none."""
    if name not in PROVIDER_TITLES:
        return None
    described = _COMMON.get(name)
    if described is None:
        return Provider(name=name, title=PROVIDER_TITLES[name], common=False, auths=_usual_auths(name))
    return Provider(
        name=name,
        title=described.title,
        common=True,
        auths=described.auths,
        default_api_base=described.default_api_base,
        api_base_required=described.api_base_required,
        listing=described.listing,
    )


def _usual_auths(name: str) -> tuple[ProviderAuth, ...]:
    if name.startswith(AWS_PREFIXES):
        return (_AWS, _KEY, _NONE)
    if name.startswith(GOOGLE_PREFIXES):
        return (_GCP, _NONE)
    return (ProviderAuth(type=AuthType.API_KEY), _OAUTH2, _NONE)


async def all_providers(context: Context) -> list[Provider]:
    """All providers, the common ones first, each part by name. Raises Forbidden."""
    context.principal.require(Scope.MODEL_CONFIG_READ)
    found = [provider for name in PROVIDER_TITLES if (provider := describe(name)) is not None]
    return sorted(found, key=lambda provider: (not provider.common, provider.name))


async def find_provider(context: Context, name: str) -> Provider | None:
    """The provider of this name, None when LiteLLM has none. Raises Forbidden."""
    context.principal.require(Scope.MODEL_CONFIG_READ)
    return describe(name)


MAX_MODEL_LENGTH = 256


def check_model(model: str) -> None:
    """Raise BadUserInput for what cannot be the name of a model."""
    if not 1 <= len(model) <= MAX_MODEL_LENGTH or not model.isprintable():
        raise BadUserInput(f"model must have 1 to {MAX_MODEL_LENGTH} characters, and no control characters")


async def params_of(context: Context, provider: Provider, model: str) -> tuple[str, ...] | None:
    """The parameters that LiteLLM takes for a model, None when it cannot tell. Raises Forbidden, BadUserInput,
    Unavailable.
    """
    context.principal.require(Scope.MODEL_CONFIG_READ)
    check_model(model)
    return await supported_params(provider.name, without_provider(model, provider.name))
