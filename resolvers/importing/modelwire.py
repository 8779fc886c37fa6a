"""Modelwire's own format: the whole of each config, as a git repository would keep it.

    modelwire: 1
    model_configs:
      general:
        description: For everything
        provider: openai
        model: gpt-4o
        api_base: https://llm.example.com/v1
        auth:
          type: api_key
          api_key: os.environ/OPENAI_API_KEY
        params:
          temperature: 0.2
        sealed_params: [extra_headers]
        max_input_tokens: 100000

What an entry leaves out is cleared. Secrets stand there as references only; those that Modelwire keeps sealed are
named, by `sealed` in `auth` and by `sealed_params`, and stay as they are stored. The format is strict, because a typing
error that was passed over would clear a field.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, NoReturn

from ...store import AuthType, Json
from ..auth_types import AUTH_SCHEMES
from ..inputs import AuthInput
from ..params import holds_secret
from ..references import is_reference
from .document import Document, malformed
from .parsed import ImportedModel, ParsedEntry, ParsedFile

VERSION: Final = 1
HEADER: Final = "modelwire"
CONFIGS: Final = "model_configs"

_TEXTS: Final = ("description", "provider", "model", "api_base")
_FIELDS: Final = (*_TEXTS, "auth", "params", "sealed_params", "max_input_tokens")
_KINDS: Final[Mapping[type, str]] = {str: "text", int: "a whole number", dict: "a mapping", list: "a list"}


def recognises(sections: Mapping[str, Json]) -> bool:
    """Whether a file with these top-level keys is of this format."""
    return HEADER in sections


async def read(document: Document, _variables: Mapping[str, str]) -> ParsedFile:
    """Read a whole file. Raises InvalidInput, with the line, for anything in it that is not right."""
    reader = _Reader(document)
    return ParsedFile(entries=reader.entries(), ignored_sections=())


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document

    def entries(self) -> tuple[ParsedEntry, ...]:
        sections = self._document.value
        if HEADER not in sections:
            raise malformed(f"not a file of Modelwire's own format: it does not begin with `{HEADER}: {VERSION}`")
        version = sections[HEADER]
        if isinstance(version, bool) or version != VERSION:
            self._refuse(f"`{HEADER}` must be {VERSION}, the one version of the format that this server reads", HEADER)
        self._check_keys(sections, (HEADER, CONFIGS))
        if CONFIGS not in sections:
            self._refuse(f"`{CONFIGS}` is missing: write `{CONFIGS}: {{}}` for none", HEADER)
        configs = self._typed(sections[CONFIGS], dict, CONFIGS)
        return tuple(self._entry(alias, definition) for alias, definition in configs.items())

    def _entry(self, alias: str, definition: Json) -> ParsedEntry:
        path = (CONFIGS, alias)
        fields = self._typed(definition, dict, *path)
        self._check_keys(fields, _FIELDS, *path)
        texts = {name: self._typed(fields[name], str, *path, name) for name in _TEXTS if name in fields}
        auth, sealed_auth = self._auth(fields["auth"], *path, "auth") if "auth" in fields else (None, ())
        params, sealed_params = self._params(fields, *path)
        limit = fields.get("max_input_tokens")
        model = ImportedModel(
            alias=alias,
            provider=texts.get("provider"),
            model=texts.get("model"),
            api_base=texts.get("api_base"),
            description=texts.get("description"),
            auth=auth or AuthInput(type=AuthType.NONE),
            params=params,
            max_input_tokens=limit if limit is None else self._typed(limit, int, *path, "max_input_tokens"),
            complete=True,
            sealed_auth=sealed_auth,
            sealed_params=sealed_params,
        )
        return ParsedEntry(alias=alias, model=model, line=self._document.line(*path))

    def _auth(self, value: Json, *path: str) -> tuple[AuthInput, tuple[str, ...]]:
        given = self._typed(value, dict, *path)
        types = [type_.value for type_ in AuthType]
        if given.get("type") not in types:
            self._refuse(f"`type` must be one of {', '.join(types)}", *path, "type")
        scheme = AUTH_SCHEMES[AuthType(given["type"])]
        names = [field.name for field in scheme.fields]
        self._check_keys(given, ("type", "sealed", *names) if scheme.secret_names else ("type", *names), *path)
        sealed = self._names(given.get("sealed", []), *path, "sealed")
        for index, name in enumerate(sealed):
            if name not in scheme.secret_names or name in given:
                problem = f"`sealed` names secrets of this type that have no line of their own: {name!r} is none"
                self._refuse(problem, *path, "sealed", index)
        values = {name: given.get(name) for name in names if name not in sealed}
        for name, content in values.items():
            if content is None and name in given:
                self._refuse(f"`{name}` has no value: leave it out", *path, name)
            if name in scheme.secret_names and content is not None and not is_reference(content):
                self._refuse_secret(name, f"sealed: [{name}]", *path, name)
        return AuthInput(type=AuthType(given["type"]), values=values), sealed

    def _params(self, fields: Mapping[str, Json], *path: str) -> tuple[dict[str, Json], tuple[str, ...]]:
        params = self._typed(fields.get("params", {}), dict, *path, "params")
        sealed = self._names(fields.get("sealed_params", []), *path, "sealed_params")
        for index, name in enumerate(sealed):
            if name in params:
                self._refuse(f"{name!r} stands in `params` already", *path, "sealed_params", index)
        for name, value in params.items():
            if holds_secret(name, value):
                self._refuse_secret(name, f"sealed_params: [{name}]", *path, "params", name)
        return params, sealed

    def _names(self, value: Json, *path: str) -> tuple[str, ...]:
        names = self._typed(value, list, *path)
        return tuple(dict.fromkeys(self._typed(name, str, *path, index) for index, name in enumerate(names)))

    def _typed(self, value: Json, kind: type, *path: str | int) -> Any:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
            self._refuse(f"`{_shown(path[-1])}` must be {_KINDS[kind]}", *path)
        return value

    def _check_keys(self, given: Mapping[str, Json], known: Collection[str], *path: str) -> None:
        for name in given:
            if name not in known:
                self._refuse(f"`{_shown(name)}` is not known here; what is: {', '.join(known)}", *path, name)

    def _refuse_secret(self, name: str, marker: str, *path: str) -> NoReturn:
        self._refuse(
            f"`{_shown(name)}` holds a secret, and a file of this format holds none: write os.environ/NAME, which "
            f"components resolve, or set it with `modelwire set` or updateModelConfig and write `{marker}` here",
            *path,
        )

    def _refuse(self, message: str, *path: str | int) -> NoReturn:
        raise malformed(f"line {self._document.line(*path)}: {message}")


def _shown(name: str | int) -> str:
    return f"item {name + 1}" if isinstance(name, int) else name[:100]
