"""What the fields of a model config may hold. Each check raises InvalidInput, whose message stands without its path."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from urllib.parse import urlsplit

from ..store import AuthType, Json
from .auth_types import AUTH_SCHEMES, AuthField, AuthScheme, FieldKind
from .errors import InvalidInput
from .inputs import AuthInput, ModelConfigInput, Unset
from .params import REFUSED_PARAMS
from .providers import MAX_MODEL_LENGTH, is_provider, similar_provider
from .references import PREFIX, is_reference

MAX_NAME_LENGTH = 100
MAX_DESCRIPTION_LENGTH = 2_000
MAX_URL_LENGTH = 2_048
MAX_AUTH_VALUE_LENGTH = 16_384
MAX_PARAMS_BYTES = 64 * 1024
MAX_PARAMS_DEPTH = 10
MAX_COUNT = 2**31 - 1
_SHOWN_NAME_LENGTH = 100

_PROVIDER = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_PARAM_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_LOCATION = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

Path = tuple[str, ...]


def validate_input(given: ModelConfigInput) -> None:
    """Check every field that the writer gave, by itself. What fields mean together is checked where they are merged."""
    if not isinstance(given.alias, Unset):
        validate_alias(given.alias)
    if isinstance(given.description, str):
        _validate_description(given.description)
    if isinstance(given.provider, str):
        _validate_provider(given.provider)
    if isinstance(given.model, str):
        _validate_line("model", given.model, MAX_MODEL_LENGTH, ("input", "model"))
    if isinstance(given.api_base, str) and not is_reference(given.api_base):
        _validate_url("apiBase", given.api_base, ("input", "apiBase"), query_allowed=False)
    if isinstance(given.max_input_tokens, int) and not 1 <= given.max_input_tokens <= MAX_COUNT:
        raise InvalidInput(f"maxInputTokens must be 1 to {MAX_COUNT}", ("input", "maxInputTokens"))
    if isinstance(given.auth, AuthInput):
        _validate_auth(given.auth)
    if not isinstance(given.params, Unset) and given.params is not None:
        _validate_params(given.params)


def _validate_provider(provider: str) -> None:
    path = ("input", "provider")
    if not _PROVIDER.fullmatch(provider):
        raise InvalidInput(
            "provider must be the name of a LiteLLM provider, such as openai or vertex_ai: 1 to 64 lower-case letters, "
            "digits, _ . or -, with a letter or digit first",
            path,
        )
    if not is_provider(provider):
        similar = similar_provider(provider)
        meant = "`providers` lists them" if similar is None else f"did you mean {similar}?"
        raise InvalidInput(f"provider must be the name of a LiteLLM provider; {provider} is none: {meant}", path)


def validate_alias(alias: str | None, path: Path = ("input", "alias")) -> None:
    """Check an alias: 1 to 100 characters, no control characters, no outer white space, no `*`."""
    if alias is None:
        raise InvalidInput("alias cannot be null: a config always has one", path)
    _validate_line("alias", alias, MAX_NAME_LENGTH, path)
    if "*" in alias:
        raise InvalidInput("alias must not contain *: a config has one name, and * stands for many", path)


def validate_name(label: str, name: str, path: Path) -> None:
    """Check the name that somebody gives to a thing: one line of 1 to 100 characters."""
    _validate_line(label, name, MAX_NAME_LENGTH, path)


def _validate_url(label: str, url: str, path: Path, *, query_allowed: bool) -> None:
    """Check an absolute http or https URL without user information and fragment."""
    problem = _url_problem(url, query_allowed=query_allowed)
    if problem is not None:
        raise InvalidInput(
            f"{label} must be an absolute http or https URL, such as https://host/v1, or a reference such as "
            f"os.environ/API_BASE: it {problem}",
            path,
        )


def validate_params_size(params: Mapping[str, Json]) -> None:
    """Check how large they are as compact JSON."""
    if len(json.dumps(params, ensure_ascii=False, separators=(",", ":")).encode()) > MAX_PARAMS_BYTES:
        raise InvalidInput(f"params must have at most {MAX_PARAMS_BYTES // 1024} KiB as JSON", ("input", "params"))


def _url_problem(url: str, *, query_allowed: bool) -> str | None:
    if len(url) > MAX_URL_LENGTH:
        return f"has more than {MAX_URL_LENGTH} characters"
    if any(char.isspace() or char == "\\" or _is_control(char) for char in url):
        return "contains white space, a control character or a backslash"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "has a host or port that is none"
    if parts.scheme not in {"http", "https"}:
        return "begins with neither http:// nor https://"
    if "@" in parts.netloc:
        return "contains user information, which belongs into auth"
    if not parts.hostname or port == 0:
        return "has no host, or the port 0"
    if "#" in url or (not query_allowed and "?" in url):
        return "has a query or a fragment" if not query_allowed else "has a fragment"
    return None


def _validate_line(label: str, text: str, max_length: int, path: Path) -> None:
    if not 1 <= len(text) <= max_length:
        raise InvalidInput(f"{label} must have 1 to {max_length} characters; this one has {len(text)}", path)
    if any(_is_control(char) for char in text):
        raise InvalidInput(f"{label} must not contain control characters or line breaks", path)
    if text != text.strip():
        raise InvalidInput(f"{label} must not begin or end with white space", path)


def _validate_description(text: str) -> None:
    path = ("input", "description")
    if len(text) > MAX_DESCRIPTION_LENGTH:
        raise InvalidInput(f"description must have at most {MAX_DESCRIPTION_LENGTH} characters", path)
    if any(_is_control(char) and char not in "\n\r\t" for char in text):
        raise InvalidInput("description must not contain control characters other than line breaks and tabs", path)


def can_be_stored(name: str) -> bool:
    """Whether an id or alias can exist at all. Others need not be asked for, and a database may choke on them."""
    return not any(_is_control(char) for char in name)


def _is_control(char: str) -> bool:
    """Control characters, line and paragraph separators, and lone surrogates, which no database keeps."""
    return unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}


def _validate_auth(auth: AuthInput) -> None:
    scheme = AUTH_SCHEMES[auth.type]
    if auth.type is AuthType.NONE:
        if auth.values.get("none", True) is not True:
            raise InvalidInput("auth.none can only be true; to set another kind, give that kind", _auth_path("none"))
        return
    for name, value in auth.values.items():
        field = scheme.field(name)
        if field is None:
            raise InvalidInput(f"auth.{scheme.api_name} has no field {name}", _auth_path(scheme.api_name))
        if value is not None:
            _validate_auth_value(scheme, field, value)


def _auth_path(*names: str) -> Path:
    return ("input", "auth", *names)


def _validate_auth_value(scheme: AuthScheme, field: AuthField, value: Json) -> None:
    label = f"auth.{scheme.api_name}.{field.api_name}"
    path = _auth_path(scheme.api_name, field.api_name)
    if field.kind is FieldKind.COUNT:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
            raise InvalidInput(f"{label} must be a whole number from 0 to {MAX_COUNT}", path)
        return
    if not isinstance(value, str):
        raise InvalidInput(f"{label} must be text", path)
    if is_reference(value):
        return
    if value == "":
        raise InvalidInput(f"{label} must not be empty: leave it out to keep what is stored, null clears it", path)
    if value.startswith(PREFIX):
        raise InvalidInput(f"{label} looks like a reference and is none: write {PREFIX}NAME", path)
    if len(value) > MAX_AUTH_VALUE_LENGTH:
        raise InvalidInput(f"{label} must have at most {MAX_AUTH_VALUE_LENGTH} characters", path)
    _validate_auth_text(field, label, value, path)


def _validate_auth_text(field: AuthField, label: str, value: str, path: Path) -> None:
    match field.kind:
        case FieldKind.URL:
            _validate_url(label, value, path, query_allowed=True)
        case FieldKind.LOCATION:
            if not _LOCATION.fullmatch(value):
                raise InvalidInput(f"{label} must be a region: lower-case letters, digits and hyphens", path)
        case FieldKind.JSON_OBJECT:
            if not _is_json_object(value):
                raise InvalidInput(f"{label} must be the text of a JSON object", path)
        case FieldKind.TOKEN:
            _validate_line(label, value, MAX_AUTH_VALUE_LENGTH, path)
        case _:
            if any(_is_control(char) and char not in "\n\r\t" for char in value):
                raise InvalidInput(f"{label} must not contain control characters", path)


def _is_json_object(text: str) -> bool:
    try:
        value = json.loads(text)
        text.encode()
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict)


def _validate_params(params: Json) -> None:
    path = ("input", "params")
    if not isinstance(params, Mapping):
        raise InvalidInput(
            'params must be an object with the names of LiteLLM\'s parameters, {"temperature": 0.2}', path
        )
    for name, value in params.items():
        _validate_param_name(name, (*path, str(name)))
        problem = _json_problem(value, depth=2)
        if problem is not None:
            raise InvalidInput(f"params.{name} {problem}", (*path, name))
    validate_params_size(params)


def _validate_param_name(name: Json, path: Path) -> None:
    if not isinstance(name, str) or not _PARAM_NAME.fullmatch(name):
        shown = repr(name[:_SHOWN_NAME_LENGTH]) if isinstance(name, str) else "a name that is no text"
        raise InvalidInput(
            f"params must not contain {shown}: its names are LiteLLM's keyword arguments, letters, digits and _, "
            "no digit first",
            path[:2],
        )
    instead = REFUSED_PARAMS.get(name)
    if instead is not None:
        raise InvalidInput(f"params must not contain {name}: {instead}", path)


def _json_problem(value: Json, depth: int) -> str | None:
    """What is wrong with a value of params, None when nothing is. `depth` counts the params object itself as 1."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            return "has a name that is no text"
        children = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple):
        children = list(value)
    else:
        return _scalar_problem(value)
    if depth > MAX_PARAMS_DEPTH:
        return f"is nested too deeply: params may have {MAX_PARAMS_DEPTH} levels"
    return next((problem for child in children if (problem := _json_problem(child, depth + 1))), None)


def _scalar_problem(value: Json) -> str | None:
    match value:
        case None | bool():
            return None
        case str():
            return "contains a character that cannot be stored" if _unstorable(value) else None
        case int():
            return None if -(2**63) <= value < 2**63 else "has a whole number beyond 64 bits"
        case float():
            return None if math.isfinite(value) else "has a number that is not finite"
        case _:
            return f"has a value that is not JSON ({type(value).__name__})"


def _unstorable(text: str) -> bool:
    return any(char == "\0" or unicodedata.category(char) == "Cs" for char in text)
