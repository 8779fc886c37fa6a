"""`key=value` arguments: what they say of a model config, as the API's inputs want it."""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from .errors import CommandError, ExitCode

REFERENCE: Final = "os.environ/"
_PARAMS: Final = "params"
_STDIN: Final = "@-"
_VARIABLE: Final = "env:"
_CLEARING: Final = ("", "null")


class AuthField(NamedTuple):
    """A field of a kind of auth: its names in the API and among LiteLLM's keyword arguments."""

    kind: str
    name: str
    litellm_name: str
    secret: bool = False
    number: bool = False


AUTH_FIELDS: Final = (
    AuthField("apiKey", "apiKey", "api_key", secret=True),
    AuthField("oauth2ClientCredentials", "tokenUrl", "oauth_token_url"),
    AuthField("oauth2ClientCredentials", "clientId", "oauth_client_id"),
    AuthField("oauth2ClientCredentials", "clientSecret", "oauth_client_secret", secret=True),
    AuthField("oauth2ClientCredentials", "scope", "oauth_scope"),
    AuthField("oauth2ClientCredentials", "audience", "oauth_audience"),
    AuthField("oauth2ClientCredentials", "caCert", "oauth_ca_cert"),
    AuthField(
        "oauth2ClientCredentials", "tokenRefreshBufferSeconds", "oauth_token_refresh_buffer_seconds", number=True
    ),
    AuthField("oauth2ClientCredentials", "maxRetries", "oauth_max_retries", number=True),
    AuthField("awsIam", "accessKeyId", "aws_access_key_id", secret=True),
    AuthField("awsIam", "secretAccessKey", "aws_secret_access_key", secret=True),
    AuthField("awsIam", "sessionToken", "aws_session_token", secret=True),
    AuthField("awsIam", "regionName", "aws_region_name"),
    AuthField("gcpServiceAccount", "credentialsJson", "vertex_credentials", secret=True),
    AuthField("gcpServiceAccount", "project", "vertex_project"),
    AuthField("gcpServiceAccount", "location", "vertex_location"),
)
"""The server's table of auth types, of which the command line knows the names alone. Kept equal to it by a test."""

FIELDS: Final = ("provider", "model", "apiBase", "description", "maxInputTokens", "alias")


def _plain(name: str) -> str:
    """The name without what tells camelCase and snake_case apart."""
    return name.replace("_", "").lower()


_FIELDS: Final = {_plain(name): name for name in FIELDS}
_AUTH: Final = {_plain(name): found for found in AUTH_FIELDS for name in (found.name, found.litellm_name)}


@dataclass(kw_only=True)
class Assignments:
    """What was assigned. None stands for a value that is cleared.

    `fields` and `auth` are parts of the API's inputs; `auth` None is left as it is. `params` is a whole that takes the
    place of all params, None when none was given; `param_changes` are single ones, `cleared_params` those that go.
    `exposed` are the keys of secrets that stood on the command line, `exposed_params` the params that did; the server
    knows which of them are secret.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    auth: dict[str, Any] | None = None
    params_given: bool = False
    params: dict[str, Any] | None = None
    param_changes: dict[str, Any] = field(default_factory=dict)
    cleared_params: set[str] = field(default_factory=set)
    exposed: list[str] = field(default_factory=list)
    exposed_params: set[str] = field(default_factory=set)

    def input(self, config: Mapping[str, Any] | None) -> dict[str, Any]:
        """The fields of an input that makes of `config`, as the API shows it, what was assigned; None: of nothing."""
        given = dict(self.fields)
        if self.auth is not None:
            given["auth"] = self.auth
        if self.params_given or self.param_changes or self.cleared_params:
            given["params"] = self._params(config)
        if config is None:
            return {name: value for name, value in given.items() if value is not None}
        return given

    def _params(self, config: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if self.params_given and self.params is None and not self.param_changes:
            return None
        stored = {} if config is None or self.params_given else config["params"]
        params = {**stored, **(self.params or {}), **self.param_changes}
        sealed = () if config is None else config["sealedParams"]
        for name in self.cleared_params:
            params.pop(name, None)
            if name in sealed:
                params[name] = None
        return params


def keys() -> Iterator[str]:
    """What can stand in front of the =."""
    yield from map(_snake, FIELDS)
    yield from (found.litellm_name for found in AUTH_FIELDS)
    yield from ("auth", _PARAMS, f"{_PARAMS}.")


def parse(arguments: Sequence[str], *, read_stdin: Callable[[str], str] | None = None) -> Assignments:
    """Read `key=value` arguments. `read_stdin(key)` gives what `@-` stands for. Raises CommandError (USAGE)."""
    reader = _Reader(read_stdin or _read_stdin)
    assigned = Assignments()
    seen: set[str] = set()
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not equals or not key:
            raise _usage(f"{argument!r} is no assignment: write it as key=value, such as model=gpt-4o")
        _assign(assigned, key, text, reader, seen)
    return assigned


def _assign(assigned: Assignments, key: str, text: str, reader: _Reader, seen: set[str]) -> None:
    plain = _plain(key)
    if key.startswith(f"{_PARAMS}."):
        name = key.removeprefix(f"{_PARAMS}.")
        _once(seen, key, key)
        _assign_param(assigned, name, text, reader)
    elif key == _PARAMS:
        _once(seen, key, key)
        assigned.params_given, assigned.params = True, _object(key, text, reader)
        if assigned.params and not text.startswith("@"):
            assigned.exposed_params |= assigned.params.keys()
    elif plain == "auth":
        _once(seen, key, plain)
        if text not in ("none", *_CLEARING):
            raise _usage(f"{key} can only be none; other kinds of auth are given by their fields, such as api_key=@-")
        _set_auth(assigned, key, "none", True)
    elif (found := _AUTH.get(plain)) is not None:
        _once(seen, key, found.name)
        _assign_auth(assigned, key, found, text, reader)
    elif (name := _FIELDS.get(plain, "")) != "":
        _once(seen, key, name)
        cleared = text in _CLEARING
        assigned.fields[name] = None if cleared else _number(key, text) if name == "maxInputTokens" else text
    else:
        raise _unknown(key)


def _assign_param(assigned: Assignments, name: str, text: str, reader: _Reader) -> None:
    if not name:
        raise _usage("params. needs the name of a parameter, such as params.temperature=0.2")
    if text == "":
        assigned.cleared_params.add(name)
        return
    argument, text = text, reader.value(f"{_PARAMS}.{name}", text)
    if argument == text:
        assigned.exposed_params.add(name)
    try:
        assigned.param_changes[name] = _json(f"{_PARAMS}.{name}", text)
    except (ValueError, RecursionError):
        assigned.param_changes[name] = text


def _assign_auth(assigned: Assignments, key: str, found: AuthField, text: str, reader: _Reader) -> None:
    value: Any
    if text in _CLEARING:
        value = None
    else:
        value = reader.value(key, text)
        if found.secret and value == text and not text.startswith(REFERENCE):
            assigned.exposed.append(key)
        if found.number:
            value = _number(key, value)
    _set_auth(assigned, key, found.kind, {found.name: value})


def _set_auth(assigned: Assignments, key: str, kind: str, value: Any) -> None:
    if assigned.auth is None:
        assigned.auth = {kind: value}
    elif kind not in assigned.auth:
        (other,) = assigned.auth
        raise _usage(
            f"{key} is of another kind of auth ({kind}) than what stands before it ({other}): a config has one"
        )
    else:
        assigned.auth[kind].update(value)


class _Reader:
    """Gives the values that do not stand in the arguments themselves."""

    def __init__(self, read_stdin: Callable[[str], str]) -> None:
        self._read_stdin: Callable[[str], str] | None = read_stdin

    def value(self, key: str, text: str) -> str:
        """What `@-`, `@FILE` and `env:NAME` stand for; any other text is what it is."""
        if text == _STDIN:
            if self._read_stdin is None:
                raise _usage(f"{key}: standard input can be read for one value alone")
            value, self._read_stdin, source = self._read_stdin(key), None, "standard input"
        elif text.startswith("@"):
            value, source = _read_file(key, Path(text[1:]).expanduser()), text[1:]
        elif text.startswith(_VARIABLE):
            source = text.removeprefix(_VARIABLE)
            value = os.environ.get(source, "")
        else:
            return text
        # Editors and echo end a file with a line break that is not meant.
        value = value.removesuffix("\n").removesuffix("\r")
        if not value:
            raise _usage(f"{key}: there is nothing in {source}")
        return value


def _read_file(key: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise _usage(f"{key}: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _usage(f"{key}: {path} is not a text file in UTF-8") from None


def _read_stdin(key: str) -> str:
    """What is piped in; at a terminal it is asked for, and not shown."""
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass(f"{key}: ")
    return sys.stdin.read()


def _object(key: str, text: str, reader: _Reader) -> dict[str, Any] | None:
    if text in _CLEARING:
        return None
    try:
        value = _json(key, reader.value(key, text))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _usage(f'{key} is a JSON object, such as {{"temperature": 0.2}}; params.NAME= sets one of them')
    return value


def _json(key: str, text: str) -> Any:
    """Raises ValueError and RecursionError for what is no JSON."""
    value = json.loads(text)
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise _usage(f"{key} holds NaN or a number without end, which JSON has not") from None
    return value


def _number(key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _usage(f"{key} is a whole number, and not {text!r}") from None


def _once(seen: set[str], key: str, name: str) -> None:
    if name in seen:
        raise _usage(f"{key} is given twice")
    seen.add(name)


def _unknown(key: str) -> CommandError:
    names = [*FIELDS, *(found.litellm_name for found in AUTH_FIELDS), *(found.name for found in AUTH_FIELDS)]
    close = difflib.get_close_matches(key, [*map(_snake, names), _PARAMS], n=1, cutoff=0.75)
    if close:
        return _usage(f"{key} is no field of a model config: did you mean {close[0]}?")
    return _usage(f"{key} is no field of a model config: params.{key}= sets a parameter of the calls")


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _usage(message: str) -> CommandError:
    return CommandError(message, ExitCode.USAGE)
