"""What `params` may hold: which names are refused, which values are sealed, which decide where a call goes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..store import Json
from .auth_types import AUTH_SCHEMES
from .references import is_reference

_SET_ELSEWHERE = {
    "model": "set the config's `model` instead",
    "custom_llm_provider": "set the config's `provider` instead",
    "api_base": "set the config's `apiBase` instead",
    "base_url": "set the config's `apiBase` instead",
    "max_input_tokens": "set the config's `maxInputTokens` instead",
    "messages": "it belongs to each call",
    "input": "it belongs to each call",
    "prompt": "it belongs to each call",
    "stream": "it belongs to each call",
}

AUTH_SYNONYMS: Mapping[str, str] = {
    "apikey": "api_key",
    "vertex_ai_credentials": "vertex_credentials",
    "vertex_ai_project": "vertex_project",
    "vertex_ai_location": "vertex_location",
}
"""Further names under which LiteLLM reads the same fields of an auth type, each with the first one."""


def _refused() -> dict[str, str]:
    homes = {
        field.litellm_name: f"set `auth.{scheme.api_name}.{field.api_name}` instead"
        for scheme in AUTH_SCHEMES.values()
        for field in scheme.fields
    }
    return _SET_ELSEWHERE | homes | {name: homes[home] for name, home in AUTH_SYNONYMS.items()}


REFUSED_PARAMS: Mapping[str, str] = _refused()
"""LiteLLM's parameters that Modelwire sets itself, each with what its caller can do instead."""

_SECRET_NAME = re.compile(
    r"secret|passw(or)?d|passphrase|(^|_)pwd($|_)|credential|authorization|cookie|connection_string"
    r"|(^|_)auth$|(^|_)headers?$"
    r"|(^|_)(key|token)(_(id|value|data|json|base64))?$"
    r"|(api|access|secret|private|subscription|account|encryption|signing|auth)_?keys?$"
    r"|(auth|access|bearer|session|refresh|identity|id)_?tokens?$"
)
_NO_SECRET_NAME = re.compile(
    r"(langfuse_)?public_key|(prompt_|preset_)?cache_key|litellm_credential_name|(eos|bos)_token|.*cost_per_.*"
)
# Values that are secret under any name: a URL with user information, an HTTP authorization.
_SECRET_VALUE = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]*@|(?:bearer|basic)\s+\S)", re.IGNORECASE)


def _snake(name: str) -> str:
    """`xApiKey`, `X-Api-Key` and `x.api.key` as `x_api_key`."""
    words = re.sub(r"([a-z0-9])([A-Z])|([A-Z])(?=[A-Z][a-z])", r"\1\3_\2", name)
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def is_secret_name(name: str) -> bool:
    """Whether what stands under this name is taken for a secret. In doubt it is: sealing too much harms nobody."""
    snake = _snake(name)
    return _SECRET_NAME.search(snake) is not None and _NO_SECRET_NAME.fullmatch(snake) is None


def holds_secret(name: str, value: Json, *, inside: bool = False) -> bool:
    """Whether the value of this name holds a secret at any depth. `inside` a secret-named value everything is one.

    Empty values, booleans and references are no secrets.
    """
    return _holds_secret(value, inside or is_secret_name(name))


def _holds_secret(value: Json, secret: bool) -> bool:
    # The items of a list stand under one name, which may be long: it is looked at once.
    if isinstance(value, Mapping):
        return any(holds_secret(key, inner, inside=secret) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return any(_holds_secret(inner, secret) for inner in value)
    if value is None or value == "" or isinstance(value, bool) or is_reference(value):
        return False
    return secret or (isinstance(value, str) and _SECRET_VALUE.match(value) is not None)


# A fallback is a second call with the same credentials to another model, provider or address; Snowflake's account is a
# part of its host's name.
_STEERING_NAME = re.compile(
    r"(^|_)(url|uri|base|endpoint|host|hostname|port|proxy|proxies|authority|domain|site|region|location)(_name)?$"
    r"|fallback|^account_id$|^model_list$|^model_alias_map$|^custom_llm_provider$|^use_litellm_proxy$"
)


def steering(params: Mapping[str, Json]) -> Iterator[tuple[tuple[str, ...], Json]]:
    """The parts of params that decide where a call, and with it the credentials, goes: their paths and values."""
    return _steering((), params)


def _steering(path: tuple[str, ...], value: Json) -> Iterator[tuple[tuple[str, ...], Json]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if _STEERING_NAME.search(_snake(name)):
                yield (*path, name), inner
            else:
                yield from _steering((*path, name), inner)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _steering((*path, str(index)), inner)
