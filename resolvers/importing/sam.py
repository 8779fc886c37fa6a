"""Solace Agent Mesh's `shared_config.yaml`: one model config of each alias in its `models`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ...store import Json
from .document import Document, malformed
from .litellm_entry import SkipEntry, check_alias, read_model
from .parsed import ParsedEntry, ParsedFile
from .sam_variables import Substitution, Variables

_SHARED: Final = "shared_config"
_MODELS: Final = "models"


def recognises(sections: Mapping[str, Json]) -> bool:
    """Whether a file with these top-level keys is of this format."""
    return _SHARED in sections or isinstance(sections.get(_MODELS), dict)


async def read(document: Document, variables: Mapping[str, str]) -> ParsedFile:
    """Read a whole file. Raises InvalidInput when it has no mapping of models; a single bad entry is skipped."""
    entries: list[ParsedEntry] = []
    ignored: list[str] = []
    taken: set[str] = set()
    found = False
    known = Variables(variables)
    for name, section in _sections(document.value):
        if name != _MODELS:
            ignored.append(name)
            continue
        if not isinstance(section, dict):
            raise malformed(f"`{_MODELS}` must be a mapping of aliases, each with a model or LiteLLM's parameters")
        found = True
        for alias, definition in section.items():
            entry = await _entry(alias, definition, taken, known)
            entries.append(entry)
            if entry.model is not None:
                taken.add(alias)
    if not found:
        raise malformed(
            f"not a Solace Agent Mesh shared_config.yaml: it has no `{_MODELS}` at its top level or in `{_SHARED}`"
        )
    return ParsedFile(entries=tuple(entries), ignored_sections=tuple(ignored))


def _sections(document: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """The sections of the file and, in their place, those of `shared_config`, which is a list of mappings."""
    for name, section in document.items():
        if name != _SHARED:
            yield name, section
        elif isinstance(section, dict):
            yield from section.items()
        elif isinstance(section, list):
            for index, item in enumerate(section):
                yield from item.items() if isinstance(item, dict) else [(f"{_SHARED}[{index}]", item)]


async def _entry(alias: str, definition: Json, taken: set[str], variables: Variables) -> ParsedEntry:
    try:
        check_alias(alias, taken, "give this one a name of its own")
        if not isinstance(definition, str | dict):
            raise SkipEntry("neither the name of a model nor a mapping with a `model`")
        fields = {"model": definition} if isinstance(definition, str) else definition
        substitution = Substitution(variables)
        model, ignored = await read_model(alias, substitution.apply(fields))
    except SkipEntry as skip:
        return ParsedEntry(alias=alias, reason=str(skip))
    names = [name for name in fields if name in ignored]
    return ParsedEntry(alias=alias, model=model, ignored=(*names, *substitution.left_out))
