"""The models that a provider has: as it lists them itself, else as LiteLLM's registry knows them.

Stored credentials go where they were stored for and nowhere else: with another provider, auth type or address the
request has to bring its own, by the rule of `merge.py` that holds for writes as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any, Final

from ..store import AuthType, ModelConfigDraft, Secrets
from .access import Context, Scope
from .auth_types import AUTH_SCHEMES
from .errors import BadUserInput, InvalidInput
from .inputs import UNSET, AuthInput, ModelConfigInput, Unset
from .litellm_process import known_models
from .litellm_registry import without_provider
from .merge import merge
from .model_configs import find
from .outbound import Outbound, OutboundError, OutboundProblem
from .provider_bedrock import list_bedrock, region_of
from .provider_vertex import list_vertex
from .providers import ModelListing, Provider
from .references import is_reference
from .stored import read_stored
from .validation import can_be_stored, validate_input

MAX_MODELS: Final = 2_000
_MAX_PAGES: Final = 10
_MAX_LISTED: Final = 10_000
"""How many models of a page are looked at. Who may test names who answers: a page has room for 200,000."""
_AZURE_API_VERSION: Final = "2024-10-21"
_LIST_TIMEOUT_SECONDS: Final = 20.0
"""How long all pages of a list may take together."""


class ModelSource(Enum):
    """Who said which models there are."""

    PROVIDER = auto()
    REGISTRY = auto()


class ListProblem(Enum):
    """Why the provider did not say it."""

    NOT_LISTED = auto()
    MISSING_SECRET = auto()
    BLOCKED = auto()
    CONNECTION = auto()
    TIMEOUT = auto()
    AUTHENTICATION = auto()
    NOT_FOUND = auto()
    RATE_LIMIT = auto()
    BAD_REQUEST = auto()
    PROVIDER = auto()
    BAD_ANSWER = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderModel:
    """A model by its name at the provider. `max_input_tokens` None is unknown."""

    name: str
    max_input_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderModels:
    """Models by name, and who said so. `problem` and `message` say why it was not the provider, None when it was."""

    source: ModelSource
    models: tuple[ProviderModel, ...]
    problem: ListProblem | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """Where to ask, and with what. Absent fields are those of the stored config `config_id`, if it is given."""

    config_id: str | None = None
    api_base: str | Unset | None = UNSET
    auth: AuthInput | Unset | None = field(default=UNSET, repr=False)


class _CannotAsk(Exception):
    def __init__(self, problem: ListProblem, message: str) -> None:
        super().__init__(message)
        self.problem = problem
        self.message = message


async def models_of(context: Context, provider: Provider, request: ListRequest) -> ProviderModels:
    """The models of a provider. Raises Forbidden, BadUserInput, Unavailable."""
    context.principal.require(Scope.MODEL_CONFIG_TEST)
    draft, dropped = await _target(context, provider, request)
    try:
        found = await _ask_provider(context.outbound, provider, draft, dropped=dropped)
    except _CannotAsk as error:
        problem, message = error.problem, error.message
    except OutboundError as error:
        problem, message = ListProblem[error.problem.name], error.message
    else:
        return ProviderModels(source=ModelSource.PROVIDER, models=_sorted(found))
    known = [
        ProviderModel(name=without_provider(model.name, provider.name), max_input_tokens=model.max_input_tokens)
        for model in await known_models(provider.name)
    ]
    return ProviderModels(source=ModelSource.REGISTRY, models=_sorted(known), problem=problem, message=message)


def _sorted(models: list[ProviderModel]) -> tuple[ProviderModel, ...]:
    by_name = {model.name: model for model in models}
    return tuple(by_name[name] for name in sorted(by_name)[:MAX_MODELS])


async def _target(context: Context, provider: Provider, request: ListRequest) -> tuple[ModelConfigDraft, bool]:
    """What to ask with, and whether stored credentials were left out because they belong elsewhere."""
    base, lost = ModelConfigDraft(alias="", provider=provider.name), None
    if request.config_id is not None:
        config = await find(context, id=request.config_id)
        if config is None:
            raise BadUserInput("there is no model config with this id, or none that you may see")
        stored = read_stored(config, context.store.open_secrets)
        # No params are sent, so sealed ones may be lost.
        base, lost = replace(stored.draft, params={}, secrets=Secrets(auth=stored.draft.secrets.auth)), stored.lost
    given = ModelConfigInput(provider=provider.name, api_base=request.api_base, auth=request.auth)
    try:
        validate_input(given)
        merged = merge(base, given, lost=lost)
    except InvalidInput as error:
        raise BadUserInput(error.message) from None
    return merged.draft, merged.dropped_credentials


async def _ask_provider(
    outbound: Outbound, provider: Provider, draft: ModelConfigDraft, *, dropped: bool
) -> list[ProviderModel]:
    if provider.listing is None:
        raise _CannotAsk(ListProblem.NOT_LISTED, f"{provider.title} is not asked for its models")
    if is_reference(draft.api_base):
        raise _CannotAsk(ListProblem.MISSING_SECRET, "the apiBase is a reference, which only components resolve")
    if provider.listing is ModelListing.BEDROCK:
        return await _bedrock(outbound, draft, dropped=dropped)
    if provider.listing is ModelListing.VERTEX:
        return await _vertex(outbound, draft, dropped=dropped)
    api_base = draft.api_base or provider.default_api_base
    if api_base is None:
        raise _CannotAsk(ListProblem.BAD_REQUEST, f"{provider.title} needs an apiBase")
    key = _key(provider, draft, dropped=dropped)
    list_models = {
        ModelListing.OPENAI: _openai,
        ModelListing.AZURE: _azure,
        ModelListing.ANTHROPIC: _anthropic,
        ModelListing.GEMINI: _gemini,
        ModelListing.OLLAMA: _ollama,
    }[provider.listing]
    try:
        async with asyncio.timeout(_LIST_TIMEOUT_SECONDS):
            return await list_models(outbound, api_base.rstrip("/"), key)
    except TimeoutError:
        message = f"the list was not whole within {_LIST_TIMEOUT_SECONDS:g} seconds"
        raise OutboundError(OutboundProblem.TIMEOUT, message) from None
    except (KeyError, TypeError, AttributeError):
        raise OutboundError(OutboundProblem.BAD_ANSWER, "the answer is not a list of models") from None


def _key(provider: Provider, draft: ModelConfigDraft, *, dropped: bool) -> str | None:
    """The key to ask with, None where none is needed."""
    if draft.auth.type is AuthType.API_KEY:
        if "api_key" in draft.secrets.auth:
            return draft.secrets.auth["api_key"]
        _check_credentials(draft, dropped=dropped)
    elif draft.auth.type is not AuthType.NONE:
        name = AUTH_SCHEMES[draft.auth.type].api_name
        raise _CannotAsk(ListProblem.MISSING_SECRET, f"the list is asked for with an API key, and not with {name}")
    # An endpoint of somebody's own may need none.
    if draft.api_base is None and provider.auths[0].type is AuthType.API_KEY:
        raise _CannotAsk(ListProblem.MISSING_SECRET, f"{provider.title} needs an API key: give one in the request")
    return None


def _check_credentials(draft: ModelConfigDraft, *, dropped: bool) -> None:
    """Raise _CannotAsk when there were some that cannot be used here."""
    if set(draft.auth.fields) & AUTH_SCHEMES[draft.auth.type].secret_names:
        raise _CannotAsk(
            ListProblem.MISSING_SECRET,
            "the credentials are references, which only components resolve: give some in the request",
        )
    if dropped:
        raise _CannotAsk(
            ListProblem.MISSING_SECRET,
            "the stored credentials belong to another provider, kind of auth or address: give some in the request",
        )


async def _bedrock(outbound: Outbound, draft: ModelConfigDraft, *, dropped: bool) -> list[ProviderModel]:
    _check_credentials(draft, dropped=dropped)
    needed = {AuthType.AWS_IAM: {"access_key_id", "secret_access_key"}, AuthType.API_KEY: {"api_key"}}
    missing = needed.get(draft.auth.type)
    if missing is None or not missing <= set(draft.secrets.auth):
        # boto3 would look for those of the server's machine.
        raise _CannotAsk(ListProblem.MISSING_SECRET, "AWS Bedrock needs AWS credentials or an API key")
    region = region_of(draft)
    if region is None:
        raise _CannotAsk(ListProblem.BAD_REQUEST, "AWS Bedrock needs a region: auth.awsIam.regionName")
    names = await list_bedrock(outbound, draft, region)
    if names is None:
        raise _CannotAsk(ListProblem.NOT_LISTED, "AWS Bedrock is asked with boto3, which is not installed here")
    return [ProviderModel(name=_name(name)) for name in names]


async def _vertex(outbound: Outbound, draft: ModelConfigDraft, *, dropped: bool) -> list[ProviderModel]:
    _check_credentials(draft, dropped=dropped)
    if "credentials_json" not in draft.secrets.auth:
        # google-auth would look for those of the server's machine.
        raise _CannotAsk(ListProblem.MISSING_SECRET, "Google Vertex AI needs the key file of a service account")
    if is_reference(draft.auth.fields.get("location")):
        raise _CannotAsk(ListProblem.MISSING_SECRET, "the location is a reference, which only components resolve")
    names = await list_vertex(outbound, draft)
    if names is None:
        message = "Google Vertex AI is asked with google-auth, which is not installed here"
        raise _CannotAsk(ListProblem.NOT_LISTED, message)
    return [ProviderModel(name=_name(name)) for name in names]


async def _openai(outbound: Outbound, api_base: str, key: str | None) -> list[ProviderModel]:
    answer = await outbound.get_json(f"{api_base}/models", headers=_bearer(key))
    return [ProviderModel(name=_name(model["id"])) for model in _first(answer["data"])]


async def _azure(outbound: Outbound, api_base: str, key: str | None) -> list[ProviderModel]:
    address = api_base.removesuffix("/v1").removesuffix("/openai") + "/openai/models"
    headers = {} if key is None else {"api-key": key}
    answer = await outbound.get_json(address, headers=headers, params={"api-version": _AZURE_API_VERSION})
    return [
        ProviderModel(name=_name(model["id"]))
        for model in _first(answer["data"])
        if model.get("capabilities", {}).get("chat_completion")
    ]


async def _anthropic(outbound: Outbound, api_base: str, key: str | None) -> list[ProviderModel]:
    address = api_base.removesuffix("/messages").removesuffix("/v1") + "/v1/models"
    headers = {"anthropic-version": "2023-06-01"} | ({} if key is None else {"x-api-key": key})
    found = []
    async for page in _pages(outbound, address, headers, {"limit": "1000"}, "after_id", _next_of_anthropic):
        found += [ProviderModel(name=_name(model["id"])) for model in _first(page["data"])]
    return found


def _next_of_anthropic(page: Any) -> str | None:
    return page["last_id"] if page.get("has_more") else None


async def _gemini(outbound: Outbound, api_base: str, key: str | None) -> list[ProviderModel]:
    headers = {} if key is None else {"x-goog-api-key": key}
    found = []
    pages = _pages(outbound, f"{api_base}/models", headers, {"pageSize": "1000"}, "pageToken", _next_of_gemini)
    async for page in pages:
        found += [
            ProviderModel(name=_name(model["name"]).removeprefix("models/"), max_input_tokens=_tokens(model))
            for model in _first(page.get("models", []))
            if "generateContent" in model.get("supportedGenerationMethods", [])
        ]
    return found


def _next_of_gemini(page: Any) -> str | None:
    return page.get("nextPageToken") or None


def _tokens(model: Any) -> int | None:
    limit = model.get("inputTokenLimit")
    return limit if isinstance(limit, int) and 0 < limit < 2**31 else None


async def _ollama(outbound: Outbound, api_base: str, key: str | None) -> list[ProviderModel]:
    answer = await outbound.get_json(f"{api_base}/api/tags", headers=_bearer(key))
    return [ProviderModel(name=_name(model["name"])) for model in _first(answer["models"])]


async def _pages(
    outbound: Outbound, address: str, headers: Mapping[str, str], params: Mapping[str, str], cursor: str, following: Any
) -> AsyncIterator[Any]:
    """The pages of a list, as many as are bearable."""
    for _ in range(_MAX_PAGES):
        page = await outbound.get_json(address, headers=headers, params=params)
        yield page
        after = following(page)
        if after is None:
            return
        params = {**params, cursor: _name(after)}


def _first(models: Any) -> list[Any]:
    if not isinstance(models, list):
        raise TypeError("models are a list")
    return models[:_MAX_LISTED]


def _bearer(key: str | None) -> dict[str, str]:
    return {} if key is None else {"authorization": f"Bearer {key}"}


def _name(value: Any) -> str:
    """Raises OutboundError for what is no text, or one that no answer of ours can hold."""
    if not isinstance(value, str) or not can_be_stored(value):
        raise OutboundError(OutboundProblem.BAD_ANSWER, "the answer is not a list of models")
    return value
