"""LiteLLM's `config.yaml`: one model config of each deployment in its `model_list`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...store import Json
from ..litellm_registry import InferredModel, infer_provider, without_provider
from .document import malformed
from .litellm_entry import SkipEntry, is_given, read_call_settings, text
from .parsed import ImportedModel, ParsedEntry, ParsedFile

_LIST: Final = "model_list"


def recognises(document: Mapping[str, Json]) -> bool:
    """Whether a document is of this format."""
    return _LIST in document


async def read(document: Mapping[str, Json]) -> ParsedFile:
    """Read a whole file. Raises InvalidInput when it has no list of models; a single bad entry is skipped."""
    if _LIST not in document:
        raise malformed(f"not a LiteLLM config.yaml: it has no `{_LIST}` at its top level")
    deployments = document[_LIST]
    if not isinstance(deployments, list):
        raise malformed(f"`{_LIST}` must be a list of models, each with `model_name` and `litellm_params`")
    entries: list[ParsedEntry] = []
    taken: set[str] = set()
    for index, deployment in enumerate(deployments):
        entry = await _entry(f"{_LIST}[{index}]", deployment, taken)
        entries.append(entry)
        if entry.model is not None:
            taken.add(entry.alias)
    return ParsedFile(entries=tuple(entries), ignored_sections=tuple(name for name in document if name != _LIST))


async def _entry(place: str, deployment: Json, taken: set[str]) -> ParsedEntry:
    alias = place
    try:
        if not isinstance(deployment, dict):
            raise SkipEntry("not a mapping: write it as `model_name` and `litellm_params`")
        name = text(deployment, "model_name")
        if name is None:
            raise SkipEntry("it has no `model_name`: give it the name that components ask for")
        alias = name
        _check_name(alias, taken)
        return await _import(alias, deployment)
    except SkipEntry as skip:
        return ParsedEntry(alias=alias, reason=str(skip))


def _check_name(alias: str, taken: set[str]) -> None:
    if "*" in alias:
        raise SkipEntry(
            f"{alias!r} is a wildcard that stands for many models: write one entry per model, each with a name "
            "without *"
        )
    if alias in taken:
        raise SkipEntry(
            f"an earlier entry has the name {alias!r} already, and the first wins: LiteLLM's load balancing between "
            "deployments is not imported; give this deployment a name of its own"
        )


async def _import(alias: str, deployment: Mapping[str, Json]) -> ParsedEntry:
    litellm_params = deployment.get("litellm_params")
    if not isinstance(litellm_params, dict):
        raise SkipEntry("it has no `litellm_params`: add them, with a `model`")
    inferred = await _model(litellm_params)
    settings = read_call_settings(inferred.provider, litellm_params)
    model = ImportedModel(
        alias=alias,
        provider=inferred.provider,
        model=inferred.model,
        api_base=settings.api_base,
        auth=settings.auth,
        params=settings.params,
        max_input_tokens=settings.max_input_tokens,
    )
    return ParsedEntry(alias=alias, model=model, ignored=_in_file_order(deployment, settings.ignored))


def _in_file_order(deployment: Mapping[str, Json], ignored: frozenset[str]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for name, value in deployment.items():
        if name == "litellm_params":
            names.update(dict.fromkeys(inner for inner in value if inner in ignored))
        elif name != "model_name":
            names[name] = None
    return tuple(names)


async def _model(litellm_params: Mapping[str, Json]) -> InferredModel:
    model = text(litellm_params, "model")
    if model is None:
        raise SkipEntry("its `litellm_params` have no `model`: add one, as provider/model")
    if "*" in model:
        raise SkipEntry(f"the model {model!r} is a wildcard that stands for many models: write one entry per model")
    if model.startswith("auto_router/"):
        raise SkipEntry(
            f"{model!r} is a router of LiteLLM's proxy and no model: import the models that it chooses from"
        )
    provider = text(litellm_params, "custom_llm_provider")
    if provider is not None:
        return _named(model, provider)
    inferred = await infer_provider(model, text(litellm_params, "base_url") or text(litellm_params, "api_base"))
    if inferred is None:
        raise SkipEntry(
            f"LiteLLM cannot tell the provider of the model {model!r}: set `custom_llm_provider`, or write the model "
            f"as provider/model, for example openrouter/{model}"
        )
    return inferred


def _named(model: str, provider: str) -> InferredModel:
    name = without_provider(model, provider)
    if not is_given(name):
        raise SkipEntry(f"the model {model!r} has no name behind its provider: write it as provider/model")
    return InferredModel(provider, name)
