"""`${NAME}` and `${NAME, default}` in the models of a Solace Agent Mesh file.

A secret is never looked up: it becomes a reference that the component resolves, so that neither the file's reader nor
the store ever has its value. Everything else becomes the variable's value, or else the default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ...store import Json
from ..auth_types import AUTH_SCHEMES, FieldKind
from ..params import is_secret_name
from ..references import PREFIX
from .document import MAX_EXPANDED, malformed, read_scalar
from .litellm_entry import SkipEntry

_SHOWN_PATH: Final = 200
_VARIABLE: Final = re.compile(r"\$\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?:,([^}]*))?\}")

_TEXTS: Final = frozenset({"model", "api_base", "base_url", "custom_llm_provider"}) | {
    auth_field.litellm_name
    for scheme in AUTH_SCHEMES.values()
    for auth_field in scheme.fields
    if auth_field.kind is not FieldKind.COUNT
}
"""Fields that are text, whatever YAML would make of their value."""


class Variables:
    """What the variables of one file stand for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._room = MAX_EXPANDED

    def take(self, name: str) -> str | None:
        """The value to put in once more; None when there is none. Raises InvalidInput when that makes the file too
        large.
        """
        value = self._values.get(name)
        self._room -= len(value or "")
        if self._room < 0:
            raise malformed("the values of its variables (`${NAME}`) make the document too large")
        return value


@dataclass(slots=True)
class Substitution:
    """Puts values where a file names variables. `left_out` collects the paths of defaults that are not kept."""

    variables: Variables = field(repr=False)
    left_out: list[str] = field(default_factory=list)

    def apply(self, fields: Mapping[str, Json]) -> dict[str, Json]:
        """The fields of one entry with everything put in. Raises SkipEntry where there is nothing to put in."""
        return self._values("", fields, secret=False)

    def _values(self, path: str, fields: Mapping[str, Json], *, secret: bool) -> dict[str, Json]:
        return {
            name: self._value(f"{path}{name}"[:_SHOWN_PATH], name, value, secret=secret or is_secret_name(name))
            for name, value in fields.items()
        }

    def _value(self, path: str, name: str, value: Json, *, secret: bool) -> Json:
        if isinstance(value, dict):
            return self._values(f"{path}.", value, secret=secret)
        if isinstance(value, list):
            # All of them have one name, which may be long: it is looked at once.
            return [self._value(f"{path}[{i}]", name, inner, secret=secret) for i, inner in enumerate(value)]
        if not isinstance(value, str):
            return value
        # Behind the last brace there is no variable: one that is not closed would be looked for from each `${` on.
        end = value.rfind("}") + 1
        if not _VARIABLE.search(value, 0, end):
            return value
        if secret:
            return self._reference(path, value)
        text = _VARIABLE.sub(lambda match: self._text(path, match), value[:end]) + value[end:]
        if name in _TEXTS or not _VARIABLE.fullmatch(value.strip()):
            return text
        try:
            return read_scalar(text)
        except ValueError as error:
            raise SkipEntry(f"`{path}`: {error}") from None

    def _reference(self, path: str, value: str) -> str:
        match = _VARIABLE.fullmatch(value.strip())
        if match is None:
            raise SkipEntry(
                f"`{path}` is a secret with a variable inside of a longer text, and components resolve whole values "
                "only: put the whole value into one variable, and write `${NAME}`"
            )
        if (match[2] or "").strip():
            self.left_out.append(f"{path}.default")
        return PREFIX + match[1]

    def _text(self, path: str, match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        # A field that is no secret is shown to everybody who may read configs.
        hidden = is_secret_name(name) or name.startswith("MODELWIRE_")
        value = None if hidden else self.variables.take(name)
        if value is not None:
            return value.strip()
        if default is not None:
            return str(default).strip()
        if hidden:
            raise SkipEntry(f"`{path}` is no secret and takes the variable {name}, which is one by its name: rename it")
        raise SkipEntry(
            f"`{path}` takes the variable {name}, which has no value and no default: set it where the file is read, or "
            f"write `${{{name}, default}}`"
        )
