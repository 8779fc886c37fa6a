"""What axe-core finds on a page."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Page

AXE = Path(__file__).parents[2] / "console" / "node_modules" / "axe-core" / "axe.min.js"

RUN = """async () => (await axe.run()).violations
  .filter(({impact}) => impact === "serious" || impact === "critical")
  .map(({id, help, nodes}) => `${id}: ${help}: ${nodes.map(({html, failureSummary}) => html + failureSummary)}`)"""


async def serious_problems(page: Page) -> list[str]:
    """The serious and critical issues on a page as it is now. The policy lets no page load axe, so it is evaluated."""
    await page.evaluate(AXE.read_text(encoding="utf-8") + "; undefined")
    problems: list[str] = await page.evaluate(RUN)
    return problems
