"""The provider of configs that are written with a model and without one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from modelwire.resolvers import inference, litellm_process, litellm_registry
from modelwire.resolvers.litellm_registry import InferredModel


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    litellm_process._process.close()


@pytest.fixture
def without_litellm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail what asks LiteLLM."""

    async def asked(model: str, api_base: str | None) -> None:
        raise AssertionError(f"LiteLLM was asked about {model} at {api_base}")

    monkeypatch.setattr(litellm_registry, "infer", asked)


class TestByLiteLLM:
    @pytest.mark.parametrize(
        ("given", "provider"),
        [
            ({"model": "claude-sonnet-4-5"}, "anthropic"),
            ({"model": "veniceai/some-model"}, "veniceai"),
            ({"model": "llama-new", "apiBase": "https://api.groq.com/openai/v1"}, "groq"),
        ],
    )
    async def test_create(self, client: Any, given: dict[str, Any], provider: str) -> None:
        config = await client.create("mine", **given)
        assert (config["provider"], config["model"], config["configured"]) == (provider, given["model"], True)
        assert config["litellmModel"] == f"{provider}/{given['model'].removeprefix(f'{provider}/')}"

    async def test_update_of_a_placeholder(self, client: Any) -> None:
        general = await client.find(alias="general")
        checked = await client.update(general, model="gpt-4o", validateOnly=True)
        assert checked == {"__typename": "UpdateModelConfigPayload", "modelConfig": None, "droppedCredentials": False}
        updated = (await client.update(general, model="gpt-4o"))["modelConfig"]
        assert (updated["provider"], updated["model"], updated["version"]) == ("openai", "gpt-4o", 2)

    async def test_the_stored_address_tells_as_well(self, client: Any) -> None:
        config = await client.create("mine", apiBase="https://api.groq.com/openai/v1")
        assert (await client.update(config, model="llama-new"))["modelConfig"]["provider"] == "groq"
        other = await client.create("other", apiBase="https://api.groq.com/openai/v1")
        assert (await client.update(other, model="llama-new", apiBase=None))["__typename"] == "InvalidInput"

    @pytest.mark.parametrize("validate_only", [False, True])
    @pytest.mark.parametrize(
        "given", [{"model": "no-such-model"}, {"model": "no-such-model", "apiBase": "os.environ/MY_API_BASE"}]
    )
    async def test_when_it_cannot_tell(self, client: Any, given: dict[str, Any], validate_only: bool) -> None:
        before = await client.everything()
        general = await client.find(alias="general")
        for refused in (
            await client.mutate("create", alias="mine", validateOnly=validate_only, **given),
            await client.update(general, validateOnly=validate_only, **given),
        ):
            assert (refused["__typename"], refused["path"]) == ("InvalidInput", ["input", "provider"])
            assert "give provider" in refused["message"]
        assert await client.everything() == before


@pytest.mark.usefixtures("without_litellm")
class TestWithoutLiteLLM:
    async def test_a_common_prefix_tells(self, client: Any) -> None:
        config = await client.create("mine", model="gemini/gemini-2.5-flash")
        assert (config["provider"], config["model"]) == ("gemini", "gemini/gemini-2.5-flash")
        assert config["litellmModel"] == "gemini/gemini-2.5-flash"
        # The model stays as it is written, so that writing it again is no change.
        again = await client.update(config, model="gemini/gemini-2.5-flash")
        assert again["modelConfig"] == config

    async def test_a_provider_that_is_given_stays(self, client: Any) -> None:
        config = await client.create("mine", provider="openai", model="gemini/gemini-2.5-flash")
        assert config["provider"] == "openai"
        updated = (await client.update(config, provider="azure", model="claude-sonnet-4-5"))["modelConfig"]
        assert updated["provider"] == "azure"

    async def test_a_provider_that_is_stored_stays(self, client: Any) -> None:
        config = await client.create("mine", provider="openai")
        assert (await client.update(config, model="claude-sonnet-4-5"))["modelConfig"]["provider"] == "openai"

    async def test_null_is_none(self, client: Any) -> None:
        config = await client.create("mine", provider=None, model="gemini/a")
        assert (config["provider"], config["model"], config["configured"]) == (None, "gemini/a", False)
        updated = (await client.update(config, provider=None, model="gemini/b"))["modelConfig"]
        assert (updated["provider"], updated["model"]) == (None, "gemini/b")

    async def test_without_a_model_there_is_nothing_to_tell_it_by(self, client: Any) -> None:
        config = await client.create("mine", provider=None, model="gemini/a")
        assert (await client.update(config, description="d"))["modelConfig"]["provider"] is None
        assert (await client.create("other", model=None))["provider"] is None

    async def test_nobody_asks_for_what_they_may_not_write(self, client: Any, client_with: Any) -> None:
        general = await client.find(alias="general")
        theirs = client_with(aliases=("mine",))
        assert (await theirs.update(general, model="gpt-4o"))["__typename"] == "NotFound"
        with client.refused("FORBIDDEN"):
            await theirs.mutate("create", alias="ours", model="gpt-4o")
        stale = {**general, "version": 7}
        assert (await client.update(stale, model="gpt-4o"))["__typename"] == "VersionConflict"


class TestWaiting:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
        """Set when LiteLLM is asked, which answers when `answer` is set."""
        asked, self.answer = asyncio.Event(), asyncio.Event()

        async def infer_provider(model: str, api_base: str | None) -> InferredModel:
            assert (model, api_base) == ("gpt-4o", None)
            asked.set()
            await self.answer.wait()
            return InferredModel("openai", model)

        monkeypatch.setattr(inference, "infer_provider", infer_provider)
        return asked

    async def test_it_holds_up_no_other_writer(self, client: Any, asked: asyncio.Event) -> None:
        creating = asyncio.create_task(client.create("mine", model="gpt-4o"))
        async with asyncio.timeout(120):
            await asked.wait()
            await client.create("other", provider="openai")
        assert await client.find(alias="mine") is None
        self.answer.set()
        assert (await creating)["provider"] == "openai"

    async def test_what_others_wrote_meanwhile_is_a_conflict(self, client: Any, asked: asyncio.Event) -> None:
        general = await client.find(alias="general")
        updating = asyncio.create_task(client.update(general, model="gpt-4o"))
        async with asyncio.timeout(120):
            await asked.wait()
        await client.update(general, description="theirs")
        before = await client.everything()
        self.answer.set()
        assert (await updating)["__typename"] == "VersionConflict"
        assert await client.everything() == before


async def test_when_litellm_cannot_be_asked(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    litellm_process._process.close()
    monkeypatch.setattr(litellm_process, "_COMMAND", (sys.executable, "-c", "import no_such_module"))
    before = await client.everything()
    with client.refused("UNAVAILABLE", match="or give the provider"):
        await client.mutate("create", alias="mine", model="gpt-4o")
    assert await client.everything() == before
