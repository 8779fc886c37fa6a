"""A new store is filled once, from a file or from the variables; any other is left as it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from modelwire.resolvers.errors import InvalidInput
from modelwire.resolvers.importing import MAX_BYTES
from modelwire.resolvers.seeding import seed
from modelwire.store import (
    DEFAULT_ALIASES,
    Keyring,
    ModelConfig,
    ModelConfigDraft,
    Selector,
    Store,
    migrate,
    open_store,
)

SAM = Path(__file__).parents[2] / "data" / "sam" / "shared_config.yaml"
CANARY = "canary-5f1d-a-value-long-enough"
VARIABLES = {
    "LLM_SERVICE_ENDPOINT": "https://llm.example.com/v1",
    "LLM_SERVICE_API_KEY": CANARY,
    "LLM_SERVICE_PLANNING_MODEL_NAME": "openai/gpt-4o",
    "LLM_SERVICE_GENERAL_MODEL_NAME": "anthropic/claude-sonnet-4-5",
}

Open = Callable[[], Awaitable[Store]]


@pytest.fixture
async def another(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens the same new database once more each time."""
    url = f"sqlite:///{tmp_path / 'modelwire.db'}"
    keyring, _ = Keyring.from_file(tmp_path / "keys")
    await asyncio.to_thread(migrate, url)
    async with AsyncExitStack() as stack:

        async def open_another() -> Store:
            store = await open_store(url, keyring)
            stack.push_async_callback(store.close)
            return store

        yield open_another


@pytest.fixture
async def store(another: Open) -> Store:
    return await another()


async def configs(store: Store) -> dict[str, ModelConfig]:
    return {config.alias: config for config in (await store.snapshot(Selector())).configs}


def file_of(folder: Path, content: str | bytes) -> Path:
    path = folder / "seed.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


async def test_nothing_given_leaves_the_placeholders(store: Store) -> None:
    assert not await seed(store, file=None, environment={})

    assert await store.revision() == 1
    found = await configs(store)
    assert tuple(found) == DEFAULT_ALIASES
    assert not any(config.configured for config in found.values())


async def test_the_variables_configure_both_default_aliases(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "modelwire")

    assert await seed(store, file=None, environment=VARIABLES)

    found = await configs(store)
    assert {alias: (config.provider, config.model, config.api_base) for alias, config in found.items()} == {
        "general": ("anthropic", "claude-sonnet-4-5", "https://llm.example.com/v1"),
        "planning": ("openai", "gpt-4o", "https://llm.example.com/v1"),
    }
    for config in found.values():
        assert config.updated_by == "system"
        assert (config.revision, config.version) == (2, 2)
        assert config.auth.hints == {"api_key": CANARY[-4:]}
        assert store.open_secrets(config).auth == {"api_key": CANARY}
    assert "the LLM_SERVICE_* variables gave 2 model configs to the new store" in caplog.text
    assert CANARY not in caplog.text


@pytest.mark.parametrize("alias", DEFAULT_ALIASES)
async def test_one_model_name_leaves_the_other_alias_a_placeholder(store: Store, alias: str) -> None:
    name = f"LLM_SERVICE_{alias.upper()}_MODEL_NAME"

    assert await seed(store, file=None, environment={name: "openai/gpt-4o"})

    found = await configs(store)
    assert {name for name, config in found.items() if config.configured} == {alias}
    assert found[alias].api_base is None


@pytest.mark.parametrize(
    "environment",
    [
        {"LLM_SERVICE_ENDPOINT": "https://h", "LLM_SERVICE_API_KEY": CANARY},
        {"LLM_SERVICE_GENERAL_MODEL_NAME": "", "LLM_SERVICE_PLANNING_MODEL_NAME": ""},
    ],
)
async def test_without_a_model_name_there_is_nothing_to_seed(store: Store, environment: Mapping[str, str]) -> None:
    assert not await seed(store, file=None, environment=environment)
    assert await store.revision() == 1


async def test_a_model_that_cannot_be_taken_is_said_and_the_other_is_seeded(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    environment = {
        "LLM_SERVICE_GENERAL_MODEL_NAME": "no-such-model",
        "LLM_SERVICE_PLANNING_MODEL_NAME": "openai/gpt-4o",
    }
    assert await seed(store, file=None, environment=environment)

    assert {alias: config.configured for alias, config in (await configs(store)).items()} == {
        "general": False,
        "planning": True,
    }
    assert "'general' was left out: LiteLLM cannot tell the provider of the model 'no-such-model'" in caplog.text


async def test_a_file_goes_before_the_variables_and_its_variables_are_looked_up(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "modelwire")
    environment = {**VARIABLES, "IMAGE_MODEL_NAME": "openai/dall-e-3", "IMAGE_SERVICE_ENDPOINT": "http://h"}

    assert await seed(store, file=SAM, environment=environment)

    found = await configs(store)
    assert sorted(found) == ["general", "image_gen", "oauth_planning", "planning"]
    assert (found["planning"].model, found["planning"].api_base) == ("gpt-4o", "https://llm.example.com/v1")
    assert found["planning"].auth.fields == {"api_key": "os.environ/LLM_SERVICE_API_KEY"}
    assert found["image_gen"].model == "dall-e-3"
    assert {config.revision for config in found.values()} == {2}
    assert "'multimodal' was left out: LiteLLM cannot tell the provider" in caplog.text
    assert CANARY not in caplog.text


async def test_a_file_of_each_other_format(another: Open, tmp_path: Path) -> None:
    file = file_of(
        tmp_path, f"model_list:\n- model_name: m\n  litellm_params: {{model: openai/x, api_key: {CANARY}}}\n"
    )
    store = await another()
    assert await seed(store, file=file, environment={})

    found = await configs(store)
    assert sorted(found) == ["general", "m", "planning"]
    assert store.open_secrets(found["m"]).auth == {"api_key": CANARY}


async def test_an_own_file_says_what_is_sealed_elsewhere(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = "modelwire: 1\nmodel_configs:\n  m:\n    provider: openai\n    model: x\n"
    content += "    auth: {type: api_key, sealed: [api_key]}\n"
    assert await seed(store, file=file_of(tmp_path, content), environment={})

    assert "'m': the file says that auth.apiKey is sealed here, and nothing is" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "it cannot be read: No such file or directory"),
        (b"", "the file is not a mapping of sections"),
        (b"\xff\xfe", "it is not a text in UTF-8"),
        (b"model_list: [", "line 1, column 14: while parsing a flow node"),
        (b"a: 1", "the file is of no format that can be imported"),
        (b"#" * (MAX_BYTES + 1), "it is larger than 1024 KiB"),
        (
            b"modelwire: 1\nmodel_configs:\n  a: {provider: openai}\n  b:\n    api_base: nowhere\n",
            "line 4: b: apiBase must be an absolute http or https URL",
        ),
    ],
)
async def test_a_file_that_cannot_be_used_is_refused_with_nothing_written(
    store: Store, tmp_path: Path, content: bytes | None, message: str
) -> None:
    file = tmp_path / "missing.yaml" if content is None else file_of(tmp_path, content)

    with pytest.raises(InvalidInput) as caught:
        await seed(store, file=file, environment=VARIABLES)

    assert caught.value.message.startswith(f"the seed file {file} cannot be used, and nothing was written: {message}")
    assert await store.revision() == 1


async def test_a_folder_is_no_file(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="it cannot be read: Is a directory"):
        await seed(store, file=tmp_path, environment={})


async def test_a_store_is_seeded_once(store: Store) -> None:
    assert await seed(store, file=None, environment=VARIABLES)
    before = await store.snapshot(Selector())

    changed = {**VARIABLES, "LLM_SERVICE_GENERAL_MODEL_NAME": "openai/other"}
    assert not await seed(store, file=None, environment=changed)
    assert not await seed(store, file=SAM, environment=changed)
    # A file that went away after the first start does not stop a server.
    assert not await seed(store, file=Path("gone.yaml"), environment=changed)

    assert await store.snapshot(Selector()) == before


async def test_a_store_whose_configs_were_all_deleted_is_not_seeded(store: Store) -> None:
    async with store.transaction(by="somebody") as transaction:
        config = await transaction.create(ModelConfigDraft(alias="m"))
    async with store.transaction(by="somebody") as transaction:
        await transaction.delete(config)

    assert not await seed(store, file=SAM, environment=VARIABLES)

    assert sorted(await configs(store)) == sorted(DEFAULT_ALIASES)
    assert await store.revision() == 3


async def test_an_unsuccessful_seed_is_tried_again(store: Store) -> None:
    with pytest.raises(InvalidInput):
        await seed(store, file=Path("gone.yaml"), environment={})
    assert not await seed(store, file=None, environment={"LLM_SERVICE_GENERAL_MODEL_NAME": "no-such-model"})

    assert await seed(store, file=None, environment=VARIABLES)


async def test_of_several_at_once_one_seeds(another: Open) -> None:
    stores = [await another() for _ in range(5)]

    seeded = await asyncio.gather(*(seed(store, file=SAM, environment={}) for store in stores))

    assert sorted(seeded) == [False] * 4 + [True]
    assert await stores[0].revision() == 2
    assert {config.version for config in (await configs(stores[0])).values()} == {1, 2}
