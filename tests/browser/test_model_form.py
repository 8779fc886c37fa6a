"""The settings of a model in the console: a real browser, the real API, and a model endpoint on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser, Page, expect

from modelwire.cli.demo.endpoint import app_factory
from modelwire.resolvers import litellm_process
from modelwire.subscriber import DynamicModelProvider

from .accessibility import serious_problems
from .conftest import ADMIN_KEY, Visit, ask, assert_clean, create, serving, signed_in, update

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROVIDER_KEY = "sk-of-the-endpoint-0123456789abcdef"
AUTH = {"apiKey": {"apiKey": PROVIDER_KEY}}


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    litellm_process._process.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with serving(tmp_path_factory.mktemp("forms"), outbound_private_addresses=True) as site:
        yield site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endpoint() -> AsyncIterator[str]:
    """The base URL of an OpenAI-compatible endpoint that knows two models and one key."""
    app = app_factory(PROVIDER_KEY, ("house-a", "house-b"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
        run = asyncio.create_task(server.serve(sockets=[listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        server.should_exit = True
        await run


async def stored(site: str, alias: str) -> Any:
    query = """query ($alias: String!) { modelConfig(by: {alias: $alias}) {
      id version description provider model apiBase params sealedParams maxInputTokens
      auth {
        __typename
        ... on ApiKeyAuth { apiKey { hint reference } }
        ... on AwsIamAuth { regionName }
        ... on OAuth2ClientCredentialsAuth { caCert }
      } } }"""
    return (await ask(site, query, alias=alias))["modelConfig"]


async def saved(page: Page, alias: str, version: int) -> None:
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_text(f"“{alias}” was saved as version {version}.")).to_be_visible()


async def test_the_form_shows_what_the_provider_and_the_kind_of_auth_need(visit: Visit, site: str) -> None:
    page = (await signed_in(visit, site, "/models/new")).page
    await expect(page.get_by_text("Access key ID")).to_have_count(0)
    await page.get_by_label("Provider").select_option(label="OpenAI")
    await expect(page.get_by_label("Kind")).to_have_value("apiKey")
    await expect(page.get_by_label("API key")).to_be_visible()
    await page.get_by_label("Provider").select_option("bedrock")
    await expect(page.get_by_label("Kind")).to_have_value("awsIam")
    await expect(page.get_by_label("Secret access key")).to_be_visible()
    await expect(page.get_by_label("API key")).to_have_count(0)
    await page.get_by_label("Provider").select_option("azure")
    await expect(page.get_by_text("needs it: there is no address of its own")).to_be_visible()
    await page.get_by_label("Kind").select_option("oauth2ClientCredentials")
    await expect(page.get_by_label("Token URL")).to_be_visible()
    await page.get_by_label("Kind").select_option("none")
    await expect(page.get_by_label("Token URL")).to_have_count(0)
    assert_clean(visit, site)


async def test_a_model_is_made_with_the_keyboard_alone(visit: Visit, site: str) -> None:
    page = (await signed_in(visit, site)).page
    await page.get_by_role("link", name="New model").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="New model")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.type("by-keyboard")
    await page.keyboard.press("Tab")
    await page.keyboard.type("Nobody touched a mouse")
    await page.keyboard.press("Tab")
    await expect(page.get_by_label("Provider")).to_be_focused()
    await page.keyboard.type("Anthropic")
    await expect(page.get_by_label("Provider")).to_have_value("anthropic")
    await page.keyboard.press("Tab")
    await page.keyboard.type("claude-sonnet-4-5")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("row", name="by-keyboard")).to_be_visible()
    made = await stored(site, "by-keyboard")
    assert (made["provider"], made["model"]) == ("anthropic", "claude-sonnet-4-5")
    assert made["description"] == "Nobody touched a mouse"
    assert_clean(visit, site)


async def test_texts_of_several_lines_keep_them(visit: Visit, site: str) -> None:
    """A control of one line takes their breaks out, and PEM text is none without them."""
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
    auth = {"tokenUrl": "https://example.com/token", "clientId": "orders", "clientSecret": "s-0123456789abcdef"}
    id_ = await create(
        site,
        "several-lines",
        description="one\ntwo",
        params={"stop": "a\nb"},
        auth={"oauth2ClientCredentials": auth},
    )
    page = (await signed_in(visit, site, f"/models/{id_}")).page
    await page.get_by_label("Description").press("Control+End")
    await page.keyboard.type("!")
    await page.get_by_label("Value of stop").press("End")
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.type("!")
    await page.get_by_label("CA cert").fill(pem)
    await saved(page, "several-lines", 2)
    config = await stored(site, "several-lines")
    assert (config["description"], config["params"]) == ("one\ntwo!", {"stop": "a\nb!"})
    assert config["auth"]["caCert"] == pem
    assert_clean(visit, site)


async def test_secrets_are_kept_replaced_or_cleared(visit: Visit, site: str) -> None:
    params = {"temperature": 0.2, "extra_headers": {"X-Team": "orders"}}
    id_ = await create(site, "secrets", auth=AUTH, params=params)
    page = (await signed_in(visit, site, f"/models/{id_}")).page
    key = page.get_by_role("group", name="API key")
    await expect(key).to_contain_text("stored, ends in cdef")
    assert PROVIDER_KEY not in await page.content()

    await page.get_by_label("Description").fill("kept")
    await saved(page, "secrets", 2)
    assert (await stored(site, "secrets"))["auth"]["apiKey"]["hint"] == "cdef"

    await key.get_by_label("Replace").check()
    await key.get_by_label("New API key").fill("sk-another-0123456789abcdef-9876")
    await page.get_by_role("group", name="extra_headers").get_by_label("Clear").check()
    await saved(page, "secrets", 3)
    await expect(key).to_contain_text("stored, ends in 9876")
    config = await stored(site, "secrets")
    assert config["auth"]["apiKey"]["hint"] == "9876"
    assert (config["params"], config["sealedParams"]) == ({"temperature": 0.2}, [])

    await key.get_by_label("Clear").check()
    await saved(page, "secrets", 4)
    assert (await stored(site, "secrets"))["auth"] == {"__typename": "ApiKeyAuth", "apiKey": None}
    assert_clean(visit, site)


async def test_credentials_of_another_provider_are_asked_for_anew(visit: Visit, site: str) -> None:
    id_ = await create(site, "moved", auth=AUTH)
    page = (await signed_in(visit, site, f"/models/{id_}")).page
    await expect(page.get_by_role("group", name="API key")).to_be_visible()
    await page.get_by_label("Provider").select_option("anthropic")
    await expect(page.get_by_text("What is stored was for another provider and is dropped")).to_be_visible()
    await expect(page.get_by_role("group", name="API key")).to_have_count(0)
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_text("without the credentials that were stored")).to_be_visible()
    assert (await stored(site, "moved"))["auth"] == {"__typename": "ApiKeyAuth", "apiKey": None}


async def test_models_are_suggested_by_the_provider(visit: Visit, site: str, endpoint: str) -> None:
    id_ = await create(site, "suggested", auth=AUTH, apiBase=endpoint)
    page = (await signed_in(visit, site, f"/models/{id_}")).page
    await expect(page.get_by_text("2 models, as the provider lists them.")).to_be_visible()
    names = await page.locator("datalist option").evaluate_all("options => options.map(({value}) => value)")
    assert {"house-a", "house-b"} <= set(names)
    assert_clean(visit, site)


async def test_parameters_are_checked_against_those_of_the_model(visit: Visit, site: str) -> None:
    id_ = await create(site, "parameters", params={"temperature": 0.2})
    page = (await signed_in(visit, site, f"/models/{id_}")).page
    await page.get_by_role("button", name="Add a parameter").click()
    await page.get_by_label("Parameter", exact=True).nth(1).fill("tempreature")
    await page.get_by_label("Value of tempreature").fill("0.7")
    await expect(page.get_by_text("LiteLLM does not know that gpt-4o takes tempreature.")).to_be_visible()
    await expect(page.get_by_text("takes temperature.")).to_have_count(0)
    # What Modelwire sets itself is refused by the server, at its place.
    await page.get_by_label("Parameter", exact=True).nth(1).fill("api_key")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_label("Parameter", exact=True).nth(1)).to_have_attribute("aria-invalid", "true")
    await page.get_by_role("button", name="Remove api_key").click()
    await page.get_by_role("button", name="Add a parameter").click()
    await page.get_by_label("Parameter", exact=True).nth(1).fill("user")
    await page.get_by_label("Value of user").fill("orders desk")
    await saved(page, "parameters", 2)
    assert (await stored(site, "parameters"))["params"] == {"temperature": 0.2, "user": "orders desk"}
    assert_clean(visit, site)


async def test_settings_are_tried_before_they_are_saved(visit: Visit, site: str, endpoint: str) -> None:
    id_ = await create(site, "tried", auth=AUTH, apiBase=endpoint)
    page = (await signed_in(visit, site, f"/models/{id_}")).page
    await page.get_by_label("Model", exact=True).fill("house-a")
    await page.get_by_role("button", name="Test").click()
    result = page.get_by_role("status", name="Test")
    await expect(result).to_contain_text("The model answered.")
    await expect(result).to_contain_text("This is house-a.")
    key = page.get_by_role("group", name="API key")
    await key.get_by_label("Replace").check()
    await key.get_by_label("New API key").fill("sk-wrong")
    await page.get_by_role("button", name="Test").click()
    await expect(result).to_contain_text("The credentials were refused.")
    await expect(result).to_contain_text("AUTHENTICATION")
    assert (await stored(site, "tried"))["version"] == 1
    assert_clean(visit, site)


async def test_saving_over_a_newer_version_shows_both_and_lets_the_user_choose(visit: Visit, site: str) -> None:
    id_ = await create(site, "contested", description="at first")
    page = (await signed_in(visit, site, f"/models/{id_}")).page
    await page.get_by_label("Description").fill("mine")
    await page.get_by_label("Model", exact=True).fill("gpt-4o-mini")
    await update(site, id_, 1, description="theirs", maxInputTokens=5000)
    await expect(page.get_by_text("Version 2 was saved meanwhile")).to_be_visible()
    await page.get_by_role("button", name="Save", exact=True).click()

    dialog = page.get_by_role("dialog", name="Version 2 was saved meanwhile")
    description = dialog.get_by_role("group", name="Description")
    await expect(description).to_contain_text("mine")
    await expect(description).to_contain_text("theirs")
    # What the user did not change is taken from the newer version, unless they choose otherwise.
    await expect(dialog.get_by_role("group", name="Max input tokens").get_by_label("Version 2")).to_be_checked()
    await expect(dialog.get_by_role("group", name="Model").get_by_label("Mine")).to_be_checked()
    await description.get_by_label("Version 2").check()
    assert await serious_problems(page) == []
    await dialog.get_by_role("button", name="Save what is chosen").click()
    await expect(page.get_by_text("“contested” was saved as version 3.")).to_be_visible()
    config = await stored(site, "contested")
    assert (config["description"], config["model"], config["maxInputTokens"]) == ("theirs", "gpt-4o-mini", 5000)
    assert_clean(visit, site)


async def test_a_newer_version_is_shown_at_once_when_nothing_was_typed(visit: Visit, site: str) -> None:
    id_ = await create(site, "followed")
    page = (await signed_in(visit, site, f"/models/{id_}")).page
    await expect(page.get_by_label("Model", exact=True)).to_have_value("gpt-4o")
    await update(site, id_, 1, model="gpt-4o-mini")
    await expect(page.get_by_label("Model", exact=True)).to_have_value("gpt-4o-mini")
    await expect(page.get_by_text("Version 2 by")).to_be_visible()


async def test_deleting_lists_who_uses_a_model_and_asks_for_its_alias(visit: Visit, site: str) -> None:
    id_ = await create(site, "doomed", auth=AUTH)
    async with DynamicModelProvider(site, token=ADMIN_KEY, component="orders-agent") as provider:
        await provider.get_lite_llm_model("doomed").wait_ready(timeout_seconds=60)
        page = (await signed_in(visit, site)).page
        await expect(page.get_by_role("row", name="doomed")).to_contain_text("1 of 1 applied")
        await page.get_by_role("link", name="doomed").click()
        await page.get_by_role("button", name="Delete…").click()
        dialog = page.get_by_role("dialog", name="Delete “doomed”?")
        await expect(dialog).to_contain_text("orders-agent")
        delete = dialog.get_by_role("button", name="Delete")
        await expect(delete).to_be_disabled()
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
        await page.get_by_role("button", name="Delete…").click()
        await dialog.get_by_label("to confirm").fill("dooomed")
        await expect(delete).to_be_disabled()
        await dialog.get_by_label("to confirm").fill("doomed")
        assert await serious_problems(page) == []
        await delete.click()
        # It is in use, so it needs a second yes.
        await expect(dialog.get_by_role("alert")).to_be_visible()
        assert (await stored(site, "doomed"))["id"] == id_
        await dialog.get_by_role("button", name="Delete anyway").click()
        await expect(page.get_by_role("heading", name="Models")).to_be_visible()
    await expect(page.get_by_role("row", name="doomed")).to_have_count(0)
    assert await stored(site, "doomed") is None
    assert_clean(visit, site)


async def test_a_default_model_is_configured_and_the_warning_goes(visit: Visit, site: str) -> None:
    page = (await signed_in(visit, site)).page
    for alias in ("general", "planning"):
        await page.get_by_role("link", name=alias, exact=True).click()
        await expect(page.get_by_label("Alias")).not_to_be_editable()
        await expect(page.get_by_role("button", name="Delete…")).to_have_count(0)
        await page.get_by_label("Provider").select_option("openai")
        await page.get_by_label("Model", exact=True).fill("gpt-4o")
        await saved(page, alias, 2)
        await page.get_by_role("link", name="Models").first.click()
    await expect(page.get_by_role("row", name="planning")).to_contain_text("gpt-4o")
    await expect(page.get_by_text("not configured")).to_have_count(0)
    assert_clean(visit, site)


async def test_what_was_typed_outlives_the_session_and_the_page(visit: Visit, site: str) -> None:
    id_ = await create(site, "interrupted")
    page = (await signed_in(visit, site, f"/models/{id_}")).page
    await page.get_by_label("Description").fill("typed before")
    await page.get_by_role("link", name="History").click()
    await expect(page.get_by_text("gpt-4o").first).to_be_visible()
    await page.get_by_role("link", name="Settings").click()
    await expect(page.get_by_text("These are your changes from before.")).to_be_visible()
    await expect(page.get_by_label("Description")).to_have_value("typed before")

    # An open dialog lets nothing else be used, so the form to sign in has to be above it.
    await page.get_by_role("button", name="Delete…").click()
    await ask(site, "mutation { signOut(input: {everywhere: true}) { __typename } }")
    await expect(page.get_by_role("alert")).to_contain_text("You were signed out: ")
    await visit.sign_in(ADMIN_KEY)
    await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    await expect(page.get_by_label("Description")).to_have_value("typed before")
    assert page.url == f"{site}/#/models/{id_}"
    await saved(page, "interrupted", 2)
    assert (await stored(site, "interrupted"))["description"] == "typed before"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
async def test_the_form_is_accessible(browser: Browser, site: str, scheme: str, width: int) -> None:
    params = {"temperature": 0.2, "no_such_parameter": 1, "extra_headers": {"X-Team": "orders"}}
    id_ = await create(site, f"accessible-{scheme}", auth=AUTH, params=params)
    page = await browser.new_page(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": 844}
    )
    visit = await signed_in(Visit(page), site, f"/models/{id_}")
    await expect(page.get_by_text("LiteLLM does not know that gpt-4o takes no_such_parameter.")).to_be_visible()
    await page.get_by_role("group", name="API key").get_by_label("Replace").check()
    assert await serious_problems(page) == []
    # No page is wider than the screen.
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    assert_clean(visit, site)
    await page.close()
