"""The console's models in a real browser, against the real API."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from modelwire.subscriber import DynamicModelProvider

from .accessibility import serious_problems
from .conftest import ADMIN_KEY, PREFIX, Visit, assert_clean, create, serving, signed_in, update

# One browser and one server for all tests of this module; each has a profile and models of its own.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with serving(tmp_path_factory.mktemp("models")) as site:
        yield site


@pytest.mark.parametrize("prefix", ["", PREFIX])
async def test_the_link_of_the_first_start_opens_the_models(visit: Visit, site: str, prefix: str) -> None:
    await signed_in(visit, site + prefix)
    assert visit.page.url == f"{site}{prefix}/#/models"
    assert not [address for address in visit.addresses if ADMIN_KEY in address]
    assert_clean(visit, site)


async def test_a_change_made_elsewhere_appears_and_is_marked(visit: Visit, site: str) -> None:
    await signed_in(visit, site)
    await create(site, "made-elsewhere")
    row = visit.page.get_by_role("row", name="made-elsewhere")
    await expect(row).to_be_visible()
    await expect(row).to_contain_class("changed")
    await expect(row).to_contain_text("gpt-4o")
    await expect(visit.page.get_by_role("status").filter(has_text="made-elsewhere is at version 1")).to_have_count(1)
    await expect(visit.page.get_by_role("row", name="planning")).not_to_contain_class("changed")
    assert_clean(visit, site)


async def test_the_table_is_searched_and_sorted(visit: Visit, site: str) -> None:
    for alias in ("sorted-a", "sorted-b"):
        await create(site, alias)
    await signed_in(visit, site)
    aliases = visit.page.locator("tbody td:first-child a")
    await visit.page.get_by_label("Search models").fill("SORTED")
    await expect(aliases).to_have_text(["sorted-a", "sorted-b"])
    await visit.page.get_by_role("button", name="Alias").click()
    await expect(aliases).to_have_text(["sorted-b", "sorted-a"])
    await expect(visit.page.get_by_role("columnheader", name="Alias")).to_have_attribute("aria-sort", "descending")
    await visit.page.get_by_label("Search models").fill("no such model")
    await expect(visit.page.get_by_role("heading", name="No model matches")).to_be_visible()


async def test_it_is_warned_until_the_default_models_are_configured(visit: Visit, site: str) -> None:
    await signed_in(visit, site)
    await expect(visit.page.get_by_text("The default models are not configured.")).to_be_visible()
    await expect(visit.page.get_by_role("row", name="general")).to_contain_text("not configured")


async def test_the_rollout_shows_who_runs_a_version(visit: Visit, site: str) -> None:
    key = {"apiKey": {"apiKey": "sk-rollout"}}
    id_ = await create(site, "rolled-out", auth=key)
    await signed_in(visit, site)
    row = visit.page.get_by_role("row", name="rolled-out")
    await expect(row).to_contain_text("Not in use")
    async with DynamicModelProvider(site, token=ADMIN_KEY, component="orders-agent") as provider:
        model = provider.get_lite_llm_model("rolled-out")
        await model.wait_ready(timeout_seconds=60)
        await expect(row).to_contain_text("1 of 1 applied")
        await update(site, id_, 1, auth={"apiKey": {"apiKey": "os.environ/MODELWIRE_NOT_ALLOWED"}})
        await expect(row).to_contain_text("0 of 1 applied, 1 refused")
    await expect(row).to_contain_text("0 of 1 applied, 1 offline")
    assert_clean(visit, site)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
async def test_the_models_are_accessible(browser: Browser, site: str, scheme: str, width: int) -> None:
    page = await browser.new_page(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": 844}
    )
    visit = Visit(page)
    await page.goto(site)
    await expect(page.get_by_label("API key")).to_be_visible()
    assert await serious_problems(page) == []
    await signed_in(visit, site)
    assert await serious_problems(page) == []
    # No page is wider than the screen.
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    dark = "matchMedia('(prefers-color-scheme: dark)').matches"
    assert await page.evaluate(dark) == (scheme == "dark")
    brightness = "Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"
    assert (await page.evaluate(brightness) < 100) == (scheme == "dark")
    await page.get_by_role("button", name=re.compile("Use the .* theme")).click()
    assert (await page.evaluate(brightness) < 100) == (scheme == "light")
    assert_clean(visit, site)
    await page.close()
