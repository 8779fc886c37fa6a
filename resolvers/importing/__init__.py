"""Reads configuration files of other programs into Modelwire's terms. It writes nothing and asks no network.

A format is one module with the two functions of `_Format`, one member of ImportFormat and one line in `_FORMATS`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Protocol

from ...store import Json
from ..litellm_registry import infer_provider
from . import litellm
from .document import malformed, read_document
from .parsed import ImportedModel, ParsedEntry, ParsedFile

__all__ = ["ImportFormat", "ImportedModel", "ParsedEntry", "ParsedFile", "infer_provider", "parse_import"]


class ImportFormat(StrEnum):
    """What kind of file it is."""

    AUTO = "auto"
    """Found out by what the file holds."""
    LITELLM = "litellm"
    """The `config.yaml` of LiteLLM's proxy."""


class _Format(Protocol):
    def recognises(self, document: Mapping[str, Json], /) -> bool: ...

    async def read(self, document: Mapping[str, Json], /) -> ParsedFile: ...


_FORMATS: Final[Mapping[ImportFormat, _Format]] = {ImportFormat.LITELLM: litellm}


async def parse_import(content: str, format: ImportFormat) -> ParsedFile:  # noqa: A002  the API's name of it
    """Read the text of a file. What is wrong with one entry of it makes that entry a skipped one, with a reason.

    Raises InvalidInput, path ("input", "content"), when the file as a whole cannot be read: not YAML, too large, not
    of this format.
    """
    document = await asyncio.to_thread(read_document, content)
    if not isinstance(document, dict):
        raise malformed("the file is not a mapping of sections: a LiteLLM config.yaml begins with `model_list:`")
    if format is not ImportFormat.AUTO:
        return await _FORMATS[format].read(document)
    for reader in _FORMATS.values():
        if reader.recognises(document):
            return await reader.read(document)
    raise malformed(
        "the file is of no format that can be imported: a LiteLLM config.yaml has a `model_list` at its top level"
    )
