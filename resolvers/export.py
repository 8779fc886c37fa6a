"""Writing model configs into files: Modelwire's own format, and LiteLLM's `config.yaml`. Never a sealed secret."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import yaml

from ..store import AuthType, Json, ModelConfig, Position, Selector
from .access import Context, Scope
from .auth_types import AUTH_SCHEMES
from .errors import translates_store_errors
from .importing.litellm_entry import is_for_router
from .importing.modelwire import CONFIGS, HEADER, VERSION
from .litellm_params import litellm_model
from .litellm_registry import COMMON_PROVIDERS

_WIDTH: Final = 120


class ExportFormat(StrEnum):
    """The form of an export."""

    MODELWIRE = "modelwire"
    """Modelwire's own: everything but the values of sealed secrets."""
    LITELLM = "litellm"
    """The `config.yaml` of LiteLLM's proxy: what that can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The text of a file, and the position whose state it is."""

    content: str = field(repr=False)
    position: Position


@translates_store_errors
async def export_model_configs(context: Context, format: ExportFormat) -> Exported:  # noqa: A002 - the API's name
    """All configs that the caller may see, as a file. Raises Forbidden without `model_config:read`."""
    context.principal.require(Scope.MODEL_CONFIG_READ)
    snapshot = await context.store.snapshot(Selector(visible=context.principal.aliases))
    content = await asyncio.to_thread(_WRITERS[format], snapshot.configs)
    return Exported(content=content, position=Position(context.store.id, snapshot.revision))


def write_modelwire(configs: Iterable[ModelConfig]) -> str:
    """The configs in Modelwire's own format: reading it back changes nothing."""
    comment = (
        "# Model configs of Modelwire, the whole of each. Sealed secrets are named and not shown; applying this file\n"
        "# keeps them as they are stored.\n"
    )
    return comment + _dump({HEADER: VERSION, CONFIGS: {config.alias: _entry(config) for config in configs}})


def _entry(config: ModelConfig) -> dict[str, Json]:
    entry = {
        "description": config.description,
        "provider": config.provider,
        "model": config.model,
        "api_base": config.api_base,
        "auth": _auth(config),
        "params": dict(config.params) or None,
        "sealed_params": list(config.sealed_params) or None,
        "max_input_tokens": config.max_input_tokens,
    }
    return {name: value for name, value in entry.items() if value is not None}


def _auth(config: ModelConfig) -> dict[str, Json] | None:
    if config.auth.type is AuthType.NONE:
        return None
    names = [each.name for each in AUTH_SCHEMES[config.auth.type].fields]
    fields = {name: config.auth.fields[name] for name in names if name in config.auth.fields}
    sealed = [name for name in names if name in config.auth.hints]
    return {"type": config.auth.type.value, **fields, **({"sealed": sealed} if sealed else {})}


def write_litellm(configs: Iterable[ModelConfig]) -> str:
    """The configs as LiteLLM's `config.yaml`, with a comment for what that cannot say."""
    deployments = []
    remarks = []
    for config in configs:
        if config.configured:
            deployments.append(_deployment(config))
        remarks += [f"# {_one_line(config.alias)}: {remark}\n" for remark in _remarks(config)]
    comment = "# Model configs of Modelwire, for LiteLLM. Descriptions and sealed secrets are not in this file.\n"
    return comment + "".join(remarks) + _dump({"model_list": deployments})


def _deployment(config: ModelConfig) -> dict[str, Json]:
    scheme = AUTH_SCHEMES[config.auth.type]
    call: dict[str, Json] = {"model": litellm_model(config)}
    if config.provider not in COMMON_PROVIDERS:
        call["custom_llm_provider"] = config.provider
    if config.api_base is not None:
        call["api_base"] = config.api_base
    call |= {
        each.litellm_name: config.auth.fields[each.name] for each in scheme.fields if each.name in config.auth.fields
    }
    call |= {name: value for name, value in config.params.items() if not is_for_router(name, value)}
    deployment: dict[str, Json] = {"model_name": config.alias, "litellm_params": call}
    if config.max_input_tokens is not None:
        # In litellm_params it would be sent to the provider.
        deployment["model_info"] = {"max_input_tokens": config.max_input_tokens}
    return deployment


def _remarks(config: ModelConfig) -> list[str]:
    if not config.configured:
        return ["left out, it is not configured yet"]
    remarks = []
    names = {each.name: each.litellm_name for each in AUTH_SCHEMES[config.auth.type].fields}
    sealed = [*(names[name] for name in names if name in config.auth.hints), *config.sealed_params]
    if sealed:
        remarks.append(f"sealed and left out: {', '.join(sealed)}")
    router = [name for name, value in config.params.items() if is_for_router(name, value)]
    if router:
        remarks.append(f"left out, LiteLLM's router would take them for its own: {', '.join(router)}")
    if config.auth.type is AuthType.OAUTH2_CLIENT_CREDENTIALS:
        remarks.append("LiteLLM itself cannot sign in with oauth_…")
    return remarks


_WRITERS: Final[Mapping[ExportFormat, Callable[[Iterable[ModelConfig]], str]]] = {
    ExportFormat.MODELWIRE: write_modelwire,
    ExportFormat.LITELLM: write_litellm,
}


class _Dumper(yaml.SafeDumper):
    """Writes everything out: no YAML aliases (`*id001`) for values that are there twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # A line break that is not LF would be folded into a blank by every style but the double quotes, which escape it.
    odd = any(character in text for character in "\r\x85\u2028\u2029")
    style = '"' if odd else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _dump(document: Mapping[str, Json]) -> str:
    return yaml.dump(document, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=_WIDTH)


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
