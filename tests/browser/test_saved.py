"""What people keep for the next time: a segment that is counted, a template in versions, a campaign made of both."""

from __future__ import annotations

import re

from playwright.async_api import expect

from stentor.access.scopes import Scope
from stentor.model import Message
from stentor.planning.content import Content
from tests.browser.conftest import PHONES, Visitors
from tests.integration.runtime.rehearsal import AUDIENCE
from tests.integration.service.server import Server


async def test_a_segment_and_a_template_are_kept_and_used(visitors: Visitors, server: Server) -> None:
    editor = await visitors.somebody(Scope.WRITE)
    page = await editor.tab("/segments/new")
    await page.get_by_label("Name").fill("everybody")
    await page.get_by_label("Who is in it").fill("id exists and\n  id is 4")
    await page.get_by_label("Count it in the audience").select_option(AUDIENCE)
    await page.get_by_role("button", name="Count").click()
    await expect(page.locator("#counted")).to_contain_text("line 2, column 6")
    await expect(page.locator("#counted pre")).to_have_text(re.compile(r"id is 4\s+\^"))
    await page.get_by_label("Who is in it").fill("id exists")
    await page.get_by_role("button", name="Count").click()
    await expect(page.locator("#counted")).to_contain_text(f"{PHONES:,} installations")
    await expect(page.locator("#counted tbody tr")).to_have_count(20)
    await editor.look(page)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status").first).to_contain_text("The segment is saved")
    await page.get_by_role("link", name="All segments").click()
    await editor.look(page)

    for title in ("Doors open at {{ hour }}", "Doors open at {{ hour }} sharp"):
        await server.stentor.templates.save("doors", Content(message=Message(title=title, ttl=3600)), by="ben")
    await page.goto(f"{editor.url}/templates")
    await page.get_by_role("link", name="doors", exact=True).click()
    await page.get_by_role("link", name="1", exact=True).click()
    await expect(page.get_by_role("main")).to_contain_text("What version 2 says otherwise")
    await editor.look(page)
    await page.get_by_role("link", name="Use in a campaign").click()
    await expect(page.get_by_label("Title", exact=True).first).to_have_value("Doors open at {{ hour }}")
    await page.get_by_label("Saved segment").select_option("everybody")
    await page.locator("#composer").get_by_text("Templates", exact=True).click()
    await page.get_by_role("button", name="Save as a template").click()
    await expect(page.locator("#template_name-about")).to_contain_text("version 2 of doors was saved")
    editor.expect("status of 422")
    await editor.look(page)
    await page.get_by_role("button", name="Save it as the next version").click()
    await expect(page.get_by_role("status").first).to_contain_text("Saved as the template doors, version 3")
    await expect(page.get_by_label("Saved segment")).to_have_value("everybody")
