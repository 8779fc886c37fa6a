"""LiteLLM's `config.yaml`: one model config of each deployment in its `model_list`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from ...store import Json
from .document import Document, malformed
from .litellm_entry import SkipEntry, check_alias, read_model, text
from .parsed import ParsedEntry, ParsedFile

_LIST: Final = "model_list"
_LIMIT: Final = "max_input_tokens"
_TAKEN: Final = "LiteLLM's load balancing between deployments is not imported; give this deployment a name of its own"


def recognises(sections: Mapping[str, Json]) -> bool:
    """Whether a file with these top-level keys is of this format."""
    return _LIST in sections


async def read(document: Document, _variables: Mapping[str, str]) -> ParsedFile:
    """Read a whole file. Raises InvalidInput when it has no list of models; a single bad entry is skipped."""
    sections = document.value
    if _LIST not in sections:
        raise malformed(f"not a LiteLLM config.yaml: it has no `{_LIST}` at its top level")
    deployments = sections[_LIST]
    if not isinstance(deployments, list):
        raise malformed(f"`{_LIST}` must be a list of models, each with `model_name` and `litellm_params`")
    entries: list[ParsedEntry] = []
    taken: set[str] = set()
    for index, deployment in enumerate(deployments):
        entry = await _entry(f"{_LIST}[{index}]", deployment, taken)
        entries.append(entry)
        if entry.model is not None:
            taken.add(entry.alias)
    return ParsedFile(entries=tuple(entries), ignored_sections=tuple(name for name in sections if name != _LIST))


async def _entry(place: str, deployment: Json, taken: set[str]) -> ParsedEntry:
    alias = place
    try:
        if not isinstance(deployment, dict):
            raise SkipEntry("not a mapping: write it as `model_name` and `litellm_params`")
        name = text(deployment, "model_name")
        if name is None:
            raise SkipEntry("it has no `model_name`: give it the name that components ask for")
        alias = name
        check_alias(alias, taken, _TAKEN)
        return await _import(alias, deployment)
    except SkipEntry as skip:
        return ParsedEntry(alias=alias, reason=str(skip))


async def _import(alias: str, deployment: Mapping[str, Json]) -> ParsedEntry:
    litellm_params = deployment.get("litellm_params")
    if not isinstance(litellm_params, dict):
        raise SkipEntry("it has no `litellm_params`: add them, with a `model`")
    model, ignored = await read_model(alias, litellm_params)
    taken = {"model_name"}
    limit = _max_input_tokens(deployment.get("model_info"))
    if model.max_input_tokens is None and limit is not None:
        model = replace(model, max_input_tokens=limit)
        if deployment["model_info"] == {_LIMIT: limit}:
            taken.add("model_info")
    return ParsedEntry(alias=alias, model=model, ignored=_in_file_order(deployment, ignored, taken))


def _max_input_tokens(model_info: Json) -> int | None:
    """The limit where LiteLLM's router reads it. What is none is left to `ignored`, as all else in `model_info`."""
    limit = model_info.get(_LIMIT) if isinstance(model_info, dict) else None
    return limit if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0 else None


def _in_file_order(deployment: Mapping[str, Json], ignored: frozenset[str], taken: set[str]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for name, value in deployment.items():
        if name == "litellm_params":
            names.update(dict.fromkeys(inner for inner in value if inner in ignored))
        elif name not in taken:
            names[name] = None
    return tuple(names)
