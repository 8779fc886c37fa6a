"""What LiteLLM's `litellm_params` of one deployment mean in Modelwire's terms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ...store import AuthType, Json
from ..auth_types import AUTH_SCHEMES, AuthField, FieldKind
from ..inputs import AuthInput
from ..params import REFUSED_PARAMS

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

_AWS_PROVIDERS: Final = ("bedrock", "sagemaker", "aws_")
_GOOGLE_PROVIDERS: Final = ("vertex_ai",)

_AUTH_FIELDS: Final[Mapping[str, tuple[AuthType, AuthField]]] = {
    auth_field.litellm_name: (auth_type, auth_field)
    for auth_type, scheme in AUTH_SCHEMES.items()
    for auth_field in scheme.fields
}


class SkipEntry(Exception):
    """This entry cannot be imported; the text says why, and what to do."""


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
    given = {name: value for name, value in litellm_params.items() if is_given(value)}
    api_base, ignored = _api_base(given)
    auth, other_auth = _auth(provider, given)
    ignored |= litellm_params.keys() - given.keys() | other_auth
    params = {}
    for name, value in given.items():
        if name in ROUTER_PARAMS or name.startswith(_ROUTER_PREFIXES) or _is_several(name, value):
            ignored.add(name)
        elif name not in REFUSED_PARAMS:
            params[name] = value
        elif name not in _READ_ELSEWHERE and name not in _AUTH_FIELDS:
            ignored.add(name)
    return CallSettings(
        api_base=api_base,
        auth=auth,
        params=params,
        max_input_tokens=_max_input_tokens(given),
        ignored=frozenset(ignored),
    )


_READ_ELSEWHERE: Final = frozenset({"model", "custom_llm_provider", "api_base", "base_url", "max_input_tokens"})


def _is_several(name: str, value: Json) -> bool:
    # LiteLLM's router makes one deployment of each organization in a list; a call takes one.
    return name == "organization" and isinstance(value, list)


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
    if provider.startswith(_AWS_PROVIDERS):
        return (AuthType.AWS_IAM,)
    return (AuthType.GCP_SERVICE_ACCOUNT,) if provider.startswith(_GOOGLE_PROVIDERS) else ()


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
