"""What LiteLLM's `litellm_params` of one deployment mean in Modelwire's terms."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from ...store import AuthType, Json
from ..auth_types import AUTH_SCHEMES, AuthField, FieldKind
from ..inputs import AuthInput
from ..litellm_registry import InferredModel, infer_provider, without_provider
from ..params import AUTH_SYNONYMS, REFUSED_PARAMS
from ..providers import AWS_PREFIXES, GOOGLE_PREFIXES
from .parsed import ImportedModel

ROUTER_PARAMS: Final = frozenset(
    {
        # Limits, weights and budgets by which LiteLLM's router chooses a deployment, or its proxy refuses a request.
        *("tpm", "rpm", "itpm", "otpm", "weight", "order", "max_parallel_requests", "cooldown_time"),
        *("default_api_key_tpm_limit", "default_api_key_rpm_limit", "max_budget", "budget_duration"),
        *("tags", "tag_regex", "enable_tag_filtering", "allowed_model_region", "routing_strategy"),
        *("provider_affinity_header", "silent_model", "model_info"),
        # What the proxy's clients may do, and its endpoints besides completions.
        *("configurable_clientside_auth_params", "use_in_pass_through", "max_file_size_mb"),
        *("keepalive_seconds", "allow_client_keepalive_override"),
        # A name in the proxy's own list of credentials.
        "litellm_credential_name",
    }
)
"""LiteLLM's parameters that its router or proxy reads and a call does not: see DeploymentOptions and RoutingOptions in
litellm/types/litellm_params.py, and GenericLiteLLMParams in litellm/types/router.py."""

# Configures one of the router's own strategies: auto_router_config, quality_router_default_model, …
_ROUTER_PREFIXES: Final = ("auto_router_", "complexity_router_", "adaptive_router_", "quality_router_")

_AUTH_ORDER: Final = (
    AuthType.OAUTH2_CLIENT_CREDENTIALS,
    AuthType.API_KEY,
    AuthType.AWS_IAM,
    AuthType.GCP_SERVICE_ACCOUNT,
)
"""Which auth type an entry gets that has fields of several, when none of them is the provider's own."""

_AUTH_FIELDS: Final[Mapping[str, tuple[AuthType, AuthField]]] = {
    auth_field.litellm_name: (auth_type, auth_field)
    for auth_type, scheme in AUTH_SCHEMES.items()
    for auth_field in scheme.fields
}


class SkipEntry(Exception):
    """This entry cannot be imported; the text says why, and what to do."""


def check_alias(alias: str, taken: Collection[str], instead: str) -> None:
    """Raise SkipEntry for a name that no config can have, or that an earlier entry has: `instead` says what to do."""
    if "*" in alias:
        raise SkipEntry(
            f"{alias!r} is a wildcard that stands for many models: write one entry per model, each with a name "
            "without *"
        )
    if alias in taken:
        raise SkipEntry(f"an earlier entry has the name {alias!r} already, and the first wins: {instead}")


async def read_model(alias: str, litellm_params: Mapping[str, Json]) -> tuple[ImportedModel, frozenset[str]]:
    """The model config that LiteLLM's parameters of one deployment make, and the names of those that are not kept.

    Raises SkipEntry.
    """
    inferred = await _infer(litellm_params)
    settings = read_call_settings(inferred.provider, litellm_params)
    model = ImportedModel(
        alias=alias,
        provider=inferred.provider,
        model=inferred.model,
        api_base=settings.api_base,
        auth=settings.auth,
        params=settings.params,
        max_input_tokens=settings.max_input_tokens,
    )
    return model, settings.ignored


async def _infer(litellm_params: Mapping[str, Json]) -> InferredModel:
    model = text(litellm_params, "model")
    if model is None:
        raise SkipEntry("it has no `model`: add one, as provider/model")
    if "*" in model:
        raise SkipEntry(f"the model {model!r} is a wildcard that stands for many models: write one entry per model")
    if model.startswith("auto_router/"):
        raise SkipEntry(
            f"{model!r} is a router of LiteLLM's proxy and no model: import the models that it chooses from"
        )
    provider = text(litellm_params, "custom_llm_provider")
    if provider is not None:
        return _named(model, provider)
    inferred = await infer_provider(model, text(litellm_params, "base_url") or text(litellm_params, "api_base"))
    if inferred is None:
        raise SkipEntry(
            f"LiteLLM cannot tell the provider of the model {model!r}: set `custom_llm_provider`, or write the model "
            f"as provider/model, for example openrouter/{model}"
        )
    return inferred


def _named(model: str, provider: str) -> InferredModel:
    name = without_provider(model, provider)
    if not is_given(name):
        raise SkipEntry(f"the model {model!r} has no name behind its provider: write it as provider/model")
    return InferredModel(provider, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettings:
    """What a deployment says about its calls, besides provider and model. `ignored` names what is not kept."""

    api_base: str | None
    auth: AuthInput
    params: Mapping[str, Json] = field(repr=False)
    max_input_tokens: int | None
    ignored: frozenset[str]


def is_given(value: Json) -> bool:
    """Whether a field says anything: in a YAML file, `api_key:` with nothing behind it is null."""
    return value is not None and value != ""


def text(fields: Mapping[str, Json], name: str) -> str | None:
    """The text of a field, None when it is not given. Raises SkipEntry when it is no text."""
    value = fields.get(name)
    if not is_given(value):
        return None
    if not isinstance(value, str):
        raise SkipEntry(f"`{name}` must be text: put its value in quotes")
    return value


def read_call_settings(provider: str, litellm_params: Mapping[str, Json]) -> CallSettings:
    """Sort the fields of `litellm_params`, except for those that name the model. Raises SkipEntry."""
    written = {name: value for name, value in litellm_params.items() if is_given(value)}
    synonyms = _synonyms(written)
    given = {synonyms.get(name, name): value for name, value in written.items()}
    api_base, other_address = _api_base(given)
    auth, other_auth = _auth(provider, given)
    ignored = other_address | other_auth
    params = {}
    for name, value in given.items():
        if is_for_router(name, value):
            ignored.add(name)
        elif name not in REFUSED_PARAMS:
            params[name] = value
        elif name not in _READ_ELSEWHERE and name not in _AUTH_FIELDS:
            ignored.add(name)
    written_as = {first: name for name, first in synonyms.items()}
    empty = litellm_params.keys() - written.keys()
    return CallSettings(
        api_base=api_base,
        auth=auth,
        params=params,
        max_input_tokens=_max_input_tokens(given),
        ignored=frozenset(written_as.get(name, name) for name in ignored) | empty,
    )


_READ_ELSEWHERE: Final = frozenset({"model", "custom_llm_provider", "api_base", "base_url", "max_input_tokens"})


def _synonyms(given: Mapping[str, Json]) -> dict[str, str]:
    """LiteLLM's first name of a field by the other name that it has here. A first name that is there itself wins."""
    return {name: first for name, first in AUTH_SYNONYMS.items() if name in given and first not in given}


def is_for_router(name: str, value: Json) -> bool:
    """Whether LiteLLM's router or proxy takes this parameter for itself, and a call does not."""
    # Of an organization list the router makes one deployment for each; a call takes one.
    several = name == "organization" and isinstance(value, list)
    return several or name in ROUTER_PARAMS or name.startswith(_ROUTER_PREFIXES)


def _api_base(given: Mapping[str, Json]) -> tuple[str | None, set[str]]:
    api_base, base_url = text(given, "api_base"), text(given, "base_url")
    # In LiteLLM's call base_url wins.
    return base_url or api_base, {"api_base"} if api_base and base_url else set()


def _auth(provider: str, given: Mapping[str, Json]) -> tuple[AuthInput, set[str]]:
    """The authentication, and the names of those fields that belong to another type than the chosen one."""
    by_type: dict[AuthType, list[AuthField]] = {}
    for name in given:
        if name in _AUTH_FIELDS:
            auth_type, auth_field = _AUTH_FIELDS[name]
            by_type.setdefault(auth_type, []).append(auth_field)
    chosen = next((type_ for type_ in (*_own_type(provider), *_AUTH_ORDER) if type_ in by_type), AuthType.NONE)
    values = {auth_field.name: _auth_value(auth_field, given) for auth_field in by_type.pop(chosen, ())}
    others = {auth_field.litellm_name for fields in by_type.values() for auth_field in fields}
    return AuthInput(type=chosen, values=values), others


def _own_type(provider: str) -> tuple[AuthType, ...]:
    if provider.startswith(AWS_PREFIXES):
        return (AuthType.AWS_IAM,)
    return (AuthType.GCP_SERVICE_ACCOUNT,) if provider.startswith(GOOGLE_PREFIXES) else ()


def _auth_value(auth_field: AuthField, given: Mapping[str, Json]) -> Json:
    name = auth_field.litellm_name
    value = given[name]
    if auth_field.kind is FieldKind.COUNT:
        return _whole_number(name, value, least=0)
    if auth_field.kind is FieldKind.JSON_OBJECT and isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return text(given, name)


def _max_input_tokens(given: Mapping[str, Json]) -> int | None:
    name = "max_input_tokens"
    return _whole_number(name, given[name], least=1) if name in given else None


def _whole_number(name: str, value: Json, *, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SkipEntry(f"`{name}` must be a whole number from {least} on")
    return value
