"""Whatever a file holds: it is taken, named as ignored, part of an entry that is skipped for a reason, or refused."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwire.resolvers.auth_types import AUTH_SCHEMES
from modelwire.resolvers.errors import InvalidInput
from modelwire.resolvers.importing import ImportFormat, ParsedEntry, ParsedFile, parse_import
from modelwire.resolvers.importing.litellm_entry import ROUTER_PARAMS
from modelwire.resolvers.params import AUTH_SYNONYMS, REFUSED_PARAMS
from modelwire.store import AuthType

AUTH_NAMES = [field.litellm_name for scheme in AUTH_SCHEMES.values() for field in scheme.fields]
AUTH_FIELDS = {field.litellm_name: field.name for scheme in AUTH_SCHEMES.values() for field in scheme.fields}

# What YAML and a database can carry; what they cannot is refused by name in test_document.py.
texts = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), max_size=20)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts
scalars |= st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)

other_names = sorted({*ROUTER_PARAMS, *REFUSED_PARAMS, "temperature", "timeout", "organization"} - {*AUTH_NAMES})
counts = {"oauth_token_refresh_buffer_seconds", "oauth_max_retries"}
right = {name: st.none() | (st.integers(0, 9) if name in counts else texts) for name in AUTH_NAMES}
right |= {name: st.none() | texts for name in ("api_base", "base_url", "custom_llm_provider")}
right |= {"max_input_tokens": st.none() | st.integers(1, 9)}
right_models = st.sampled_from(["openai/gpt-4o", "gpt-4o", "bedrock/x", "vertex_ai/x"])
wrong_models = st.sampled_from(["openai/*", "no-such-model", "auto_router/x", "openai/"])
aliases = st.sampled_from(["a", "b", "c", "d", "*"])


def some_of(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """A few of these fields; a fixed dictionary of this many optional keys would hold half of them each time."""
    return st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: fields[name] for name in names})
    )


def merged(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(lambda dicts: {key: value for each in dicts for key, value in each.items()})


anything = st.dictionaries(st.sampled_from(other_names) | texts, values, max_size=3)
right_params = merged(
    anything.map(lambda fields: {name: value for name, value in fields.items() if name not in right}),
    some_of(right),
    st.fixed_dictionaries({"model": right_models}),
)
wrong_params = merged(
    st.dictionaries(st.sampled_from(AUTH_NAMES), values, max_size=3),
    st.fixed_dictionaries({}, optional={"model": right_models | wrong_models | values}),
)
beside = st.dictionaries(st.sampled_from(["tpm", "model_info"]) | texts, values, max_size=3)
right_deployments = merged(beside, st.fixed_dictionaries({"model_name": aliases, "litellm_params": right_params}))
wrong_deployments = merged(
    beside,
    st.fixed_dictionaries({}, optional={"model_name": aliases | values, "litellm_params": wrong_params | values}),
)
deployments = right_deployments | right_deployments | wrong_deployments
files = st.dictionaries(texts, values, max_size=3).flatmap(
    lambda sections: st.fixed_dictionaries(
        {}, optional={"model_list": st.lists(deployments | values, max_size=4) | values}
    ).map(lambda models: sections | models)
)


async def parsed(content: str) -> ParsedFile | None:
    """What becomes of a file; None when it is refused as a whole. Anything else raised fails the test."""
    try:
        return await parse_import(content, ImportFormat.AUTO)
    except InvalidInput as error:
        refusal = error
    assert refusal.path == ("input", "content")
    assert refusal.message
    return None


@settings(max_examples=200, deadline=None, derandomize=True)
@given(files, st.booleans())
async def test_every_key_of_every_file_has_a_fate(document: dict[str, Any], as_json: bool) -> None:
    content = json.dumps(document, ensure_ascii=False) if as_json else yaml.safe_dump(document, allow_unicode=True)

    result = await parsed(content)

    if not isinstance(document.get("model_list"), list):
        assert result is None
        return
    assert result is not None
    assert set(result.ignored_sections) == document.keys() - {"model_list"}
    assert len(result.entries) == len(document["model_list"])
    for entry, deployment in zip(result.entries, document["model_list"], strict=True):
        if entry.model is None:
            assert entry.reason
            assert entry.ignored == ()
        else:
            assert fates(entry, deployment["litellm_params"]) == named(deployment)


def named(deployment: dict[str, Any]) -> set[str]:
    """The names of everything that a deployment says."""
    return set(deployment) - {"litellm_params"} | set(deployment["litellm_params"])


def fates(entry: ParsedEntry, litellm_params: dict[str, Any]) -> set[str]:
    """The names of everything that was taken, with the value that it has in the file, or is named as ignored."""
    model = entry.model
    assert model is not None
    assert all(litellm_params[name] == value for name, value in model.params.items())
    taken = {
        "api_base": model.api_base,
        "base_url": model.api_base,
        "max_input_tokens": model.max_input_tokens,
        **{name: model.auth.values.get(field) for name, field in AUTH_FIELDS.items()},
        **{name: model.auth.values.get(AUTH_FIELDS[first]) for name, first in AUTH_SYNONYMS.items()},
    }
    known = {name for name, value in taken.items() if value is not None and is_value(litellm_params.get(name), value)}
    known |= {"model", "custom_llm_provider"} & litellm_params.keys()
    return {"model_name", *known, *model.params, *entry.ignored}


def is_value(written: Any, value: Any) -> bool:
    """Whether a value is what the file has; a credentials mapping is taken as its JSON text."""
    return value == written or (isinstance(written, dict) and json.loads(value) == written)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(max_size=300) | st.text("model_list: []{}&*!|>-?'\"%@#\n\t,a1", max_size=300))
async def test_no_text_raises_anything_but_invalid_input(content: str) -> None:
    await parsed(content)
    await parsed(f"model_list:\n  - {content}")


own_fields = ["description", "provider", "model", "api_base", "auth", "params", "sealed_params", "max_input_tokens"]
own_auths = st.fixed_dictionaries(
    {"type": st.sampled_from(AuthType) | values},
    optional={"sealed": st.lists(texts, max_size=2) | values, "api_key": values, "client_id": values},
)
own_entries = st.dictionaries(st.sampled_from(own_fields) | texts, values | own_auths, max_size=4) | values
sam_texts = st.from_regex(r"\A[a-z]{0,3}\$\{ ?[A-Z]{1,3}(, ?[a-z0-9.]{0,5})?\}?[a-z]{0,3}\Z")
sam_entries = right_params | wrong_params | st.dictionaries(texts, values | sam_texts, max_size=4) | values | sam_texts


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.dictionaries(texts, own_entries, max_size=3), st.dictionaries(texts, values, max_size=1))
async def test_no_entry_of_the_own_format_raises_anything_but_invalid_input(
    configs: dict[str, Any], beside: dict[str, Any]
) -> None:
    result = await parsed(json.dumps({"modelwire": 1, "model_configs": configs, **beside}, ensure_ascii=False))

    if result is not None:
        assert [entry.alias for entry in result.entries] == list(configs)
        assert all(entry.model is not None for entry in result.entries)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.dictionaries(texts, sam_entries, max_size=3), st.dictionaries(texts, values, max_size=2))
async def test_every_entry_of_a_sam_file_is_taken_or_skipped_for_a_reason(
    models: dict[str, Any], beside: dict[str, Any]
) -> None:
    document = {"shared_config": [*({name: value} for name, value in beside.items()), {"models": models}]}

    result = await parsed(json.dumps(document, ensure_ascii=False))

    assert result is not None
    assert [entry.alias for entry in result.entries] == list(models)
    assert all((entry.model is None) == bool(entry.reason) for entry in result.entries)
    assert result.ignored_sections == tuple(beside)
