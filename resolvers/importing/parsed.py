"""What a reader of a file format makes of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...store import Json
from ..inputs import AuthInput


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedModel:
    """One entry of a file in Modelwire's terms. Its repr hides whatever can be a secret.

    `auth` holds only the fields that the file gives; without any its type is `none`. `params` are keyword arguments
    of LiteLLM's call, those that will be sealed among them. None means that the file does not say.

    `complete` entries are the whole config: what they leave out is cleared, except for the secrets that they name in
    `sealed_auth` (fields of the auth type) and `sealed_params`, which stay as they are stored. Without it, stored
    description and credentials stay where the file gives none.
    """

    alias: str
    provider: str | None
    model: str | None
    api_base: str | None = None
    auth: AuthInput
    params: Mapping[str, Json] = field(default_factory=dict, repr=False)
    max_input_tokens: int | None = None
    description: str | None = None
    complete: bool = False
    sealed_auth: tuple[str, ...] = ()
    sealed_params: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedEntry:
    """One entry of a file: a model to import or, where `model` is None, one to skip for `reason`.

    `alias` is the name that the entry gives itself, else its place in the file such as `model_list[3]`. `ignored`
    names the fields that an imported entry had and Modelwire does not keep, in the order of the file; a skipped
    entry is left out whole, so it names none. `line` is where the entry stands, None when the reader does not say.
    """

    alias: str
    model: ImportedModel | None = None
    reason: str | None = None
    ignored: tuple[str, ...] = ()
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFile:
    """All of a file: its entries, and the other sections that it has, both in the order of the file."""

    entries: tuple[ParsedEntry, ...]
    ignored_sections: tuple[str, ...]
