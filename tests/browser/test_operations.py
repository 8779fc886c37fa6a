"""The console's pages for operators in a real browser: components, rollouts, histories, keys and the audit log."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from modelwire.subscriber import DynamicModelProvider

from .accessibility import serious_problems
from .conftest import ADMIN_KEY, Visit, ask, assert_clean, create, serving, signed_in, update

pytestmark = pytest.mark.asyncio(loop_scope="module")

READY_SECONDS = 60.0

CREATE_KEY = """
mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) { ... on CreateApiKeyPayload { secret } } }
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with serving(tmp_path_factory.mktemp("operations")) as site:
        yield site


@asynccontextmanager
async def component(site: str, name: str, alias: str) -> AsyncIterator[DynamicModelProvider]:
    """A real component that runs the alias' model."""
    async with DynamicModelProvider(site, token=ADMIN_KEY, component=name, labels={"zone": "eu-1"}) as provider:
        await provider.get_lite_llm_model(alias).wait_ready(timeout_seconds=READY_SECONDS)
        yield provider


async def test_components_come_and_go_while_one_looks(visit: Visit, site: str) -> None:
    await create(site, "seen")
    await signed_in(visit, site, "/components")
    await expect(visit.page.get_by_role("heading", name="Components")).to_be_visible()
    async with component(site, "seen-agent", "seen"):
        row = visit.page.get_by_role("row", name="seen-agent")
        await expect(row.get_by_role("img", name="connected")).to_be_visible()
        for text in ("zone=eu-1", "seen", "v1", "applied"):
            await expect(row).to_contain_text(text)
        await visit.page.get_by_label("Search components").fill("no such")
        await expect(visit.page.get_by_role("heading", name="No component matches")).to_be_visible()
        await visit.page.get_by_label("Search components").fill("EU-1")
        await expect(row).to_be_visible()
    await expect(row.get_by_role("img", name="away")).to_be_visible()
    await visit.page.get_by_label("Connected only").check()
    await expect(row).to_have_count(0)
    assert_clean(visit, site)


async def test_a_rollout_shows_who_runs_what_and_who_refused_why(visit: Visit, site: str) -> None:
    config_id = await create(site, "rolled")
    async with component(site, "rolled-a", "rolled"), component(site, "rolled-b", "rolled"):
        await signed_in(visit, site, f"/models/{config_id}/rollout")
        await expect(visit.page.get_by_text("2 of 2 applied")).to_be_visible()
        await expect(visit.page.get_by_role("img", name="2 components applied it: half within")).to_be_visible()
        await update(site, config_id, 1, auth={"apiKey": {"apiKey": "os.environ/NOT_SET_HERE_API_KEY"}})
        await expect(visit.page.get_by_text("0 of 2 applied, 2 refused")).to_be_visible()
        row = visit.page.get_by_role("row", name="rolled-a")
        for text in ("refused", "missing_secret", "NOT_SET_HERE_API_KEY", "v1"):
            await expect(row).to_contain_text(text)
        await expect(visit.page.get_by_role("heading", name="Version 2")).to_be_visible()
    assert_clean(visit, site)


async def test_versions_are_compared_and_rolled_back_to(visit: Visit, site: str) -> None:
    config_id = await create(site, "versioned")
    await update(site, config_id, 1, model="gpt-4.1", auth={"apiKey": {"apiKey": "sk-history-canary"}})
    await update(site, config_id, 2, description="talks")
    await signed_in(visit, site, f"/models/{config_id}/history")
    await visit.page.get_by_role("button", name="Compare version 1").click()
    comparison = visit.page.get_by_role("region", name="Comparison")
    for text in ("Version 1 and version 3", "gpt-4o", "gpt-4.1", "talks", "a secret, which was changed"):
        await expect(comparison).to_contain_text(text)
    await visit.page.get_by_role("button", name="Compare version 2").click()
    await expect(comparison).to_contain_text("Version 1 and version 2")
    await expect(comparison).not_to_contain_text("talks")
    await visit.page.get_by_role("button", name="Roll back to version 1").click()
    dialog = visit.page.get_by_role("dialog", name="Roll “versioned” back to version 1?")
    await expect(dialog).to_contain_text("gpt-4o")
    await dialog.get_by_role("button", name="Roll back").click()
    await expect(visit.page.get_by_role("heading", name="Version 4", exact=True)).to_be_visible()
    await expect(visit.page.get_by_role("log")).to_contain_text("as it was at version 1, as version 4")
    assert "canary" not in await visit.page.content()
    assert_clean(visit, site)


async def test_a_change_made_elsewhere_joins_the_history(visit: Visit, site: str) -> None:
    config_id = await create(site, "growing")
    await signed_in(visit, site, f"/models/{config_id}/history")
    await expect(visit.page.get_by_role("heading", name="Version 1")).to_be_visible()
    await update(site, config_id, 1, description="new")
    await expect(visit.page.get_by_role("heading", name="Version 2")).to_be_visible()


async def test_a_key_is_shown_once_and_revoked(visit: Visit, site: str) -> None:
    await signed_in(visit, site, "/keys")
    await visit.page.get_by_role("button", name="New key").click()
    # Nothing but the keyboard from here on: the dialog takes the focus, and Enter in a field creates.
    await visit.page.keyboard.press("Tab")
    await visit.page.get_by_label("Name").press_sequentially("console-made")
    await visit.page.get_by_label("Aliases").fill("general, orders-*")
    await visit.page.keyboard.press("Enter")
    secret = await visit.page.get_by_label("API key", exact=True).inner_text()
    assert re.fullmatch(r"mw_[a-z0-9]{10}_[0-9a-f]{64}", secret)
    await visit.page.keyboard.press("Escape")
    await expect(visit.page.get_by_label("API key", exact=True)).to_be_visible()
    await visit.page.get_by_role("button", name="I have it").click()
    assert secret not in await visit.page.content()
    row = visit.page.get_by_role("row", name="console-made")
    await expect(row).to_contain_text("general, orders-*")

    async def viewer() -> int:
        async with httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {secret}"}) as client:
            return (await client.post(f"{site}/graphql", json={"query": "{ viewer { name } }"})).status_code

    assert await viewer() == 200
    await row.get_by_role("button", name="Revoke").click()
    await visit.page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    await expect(row).to_contain_text("revoked")
    assert await viewer() == 401
    assert_clean(visit, site)


async def test_the_last_administrator_key_is_asked_about_twice(visit: Visit, site: str) -> None:
    await signed_in(visit, site, "/keys")
    await visit.page.get_by_role("row", name="administrator").get_by_role("button", name="Revoke").click()
    dialog = visit.page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Revoke").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("this is the last key")
    await expect(dialog.get_by_role("button", name="Revoke the last one all the same")).to_be_visible()
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(visit.page.get_by_role("row", name="administrator").get_by_role("button")).to_be_visible()


async def test_a_key_without_a_name_is_refused_at_its_field(visit: Visit, site: str) -> None:
    await signed_in(visit, site, "/keys")
    await visit.page.get_by_role("button", name="New key").click()
    await visit.page.get_by_role("button", name="Create key").click()
    name = visit.page.get_by_label("Name")
    await expect(name).to_have_attribute("aria-invalid", "true")
    await expect(visit.page.locator(".field-error")).to_have_count(1)


async def test_the_audit_log_says_who_did_what(visit: Visit, site: str) -> None:
    await create(site, "audited")
    await signed_in(visit, site, "/audit")
    row = visit.page.get_by_role("row", name="alias audited")
    await expect(row).to_contain_text("model_config.create")
    await expect(row).to_contain_text("api_key:browser001")
    await create(site, "audited-later")
    await visit.page.get_by_role("button", name="Refresh").click()
    await expect(visit.page.get_by_role("row", name="alias audited-later")).to_be_visible()
    assert_clean(visit, site)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
async def test_the_pages_are_accessible(browser: Browser, site: str, scheme: str, width: int) -> None:
    config_id = await create(site, f"accessible-{scheme}")
    await update(site, config_id, 1, model="gpt-4.1")
    page = await browser.new_page(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": 844}
    )
    visit = Visit(page)
    # As long as names may be, and nothing in them to break them at.
    name = f"accessible-{scheme}-".ljust(100, "N")
    await ask(site, CREATE_KEY, input={"name": name, "scopes": ["model_config:read"]})
    async with component(site, name, f"accessible-{scheme}"):
        await signed_in(visit, site)
        for path, text in (
            ("/components", f"accessible-{scheme}"),
            ("/keys", "administrator"),
            ("/audit", "model_config.create"),
            (f"/models/{config_id}/history", "Version 1"),
            (f"/models/{config_id}/rollout", "1 of 1 applied"),
        ):
            await page.goto(f"{site}/#{path}")
            await expect(page.get_by_text(text, exact=False).first).to_be_visible()
            assert await serious_problems(page) == []
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
    assert_clean(visit, site)
    await page.close()


async def test_a_page_without_its_scope_is_not_offered(visit: Visit, site: str) -> None:
    made = await ask(site, CREATE_KEY, input={"name": "reader", "scopes": ["model_config:read"]})
    await visit.page.goto(f"{site}/#key={made['createApiKey']['secret']}")
    navigation = visit.page.get_by_role("navigation", name="Pages")
    await expect(navigation.get_by_role("link", name="Models")).to_be_visible()
    for name in ("Components", "Keys", "Audit"):
        await expect(navigation.get_by_role("link", name=name)).to_have_count(0)
