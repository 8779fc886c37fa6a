"""Reads configuration files into Modelwire's terms: its own and those of other programs. It writes nothing, asks no
network and sees no environment but what its caller gives.

A format is one module with the two functions of `_Format`, one member of ImportFormat and one line in `_FORMATS`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol

from ...store import Json
from . import litellm, modelwire, sam
from .document import MAX_BYTES, Document, malformed, read_document
from .parsed import ImportedModel, ParsedEntry, ParsedFile

__all__ = ["MAX_BYTES", "ImportFormat", "ImportedModel", "ParsedEntry", "ParsedFile", "parse_import"]


class ImportFormat(StrEnum):
    """What kind of file it is."""

    AUTO = "auto"
    """Found out by what the file holds."""
    LITELLM = "litellm"
    """The `config.yaml` of LiteLLM's proxy."""
    SAM = "sam"
    """The `shared_config.yaml` of Solace Agent Mesh."""
    MODELWIRE = "modelwire"
    """Modelwire's own, as its export writes it."""


class _Format(Protocol):
    def recognises(self, sections: Mapping[str, Json], /) -> bool: ...

    async def read(self, document: Document, variables: Mapping[str, str], /) -> ParsedFile: ...


# In the order in which AUTO asks them.
_FORMATS: Final[Mapping[ImportFormat, _Format]] = {
    ImportFormat.MODELWIRE: modelwire,
    ImportFormat.LITELLM: litellm,
    ImportFormat.SAM: sam,
}
_SIGNS: Final = (
    "a LiteLLM config.yaml has a `model_list` at its top level, a Solace Agent Mesh shared_config.yaml a "
    "`shared_config` or `models`, Modelwire's own format begins with `modelwire: 1`"
)


async def parse_import(
    content: str,
    format: ImportFormat,  # noqa: A002  the API's name of it
    variables: Mapping[str, str] = MappingProxyType({}),
) -> ParsedFile:
    """Read the text of a file. What is wrong with one entry of it makes that entry a skipped one, with a reason.

    `variables` are what `${NAME}` in a SAM file may stand for. Raises InvalidInput, path ("input", "content"), when
    the file as a whole cannot be read: not YAML, too large, not of this format. A file of Modelwire's own format is
    refused as a whole for anything that is wrong in it.
    """
    document = await asyncio.to_thread(read_document, content)
    if not isinstance(document.value, dict):
        raise malformed(f"the file is not a mapping of sections: {_SIGNS}")
    if format is not ImportFormat.AUTO:
        return await _FORMATS[format].read(document, variables)
    for reader in _FORMATS.values():
        if reader.recognises(document.value):
            return await reader.read(document, variables)
    raise malformed(f"the file is of no format that can be imported: {_SIGNS}")
