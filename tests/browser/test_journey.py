"""What people do all day: write a campaign and fire it, watch it, stop it; and what each of them may do."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Locator, Page, Route, expect

from stentor.access.scopes import Scope
from stentor.audience.contract import Selection
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime.draft import Draft
from tests.browser.conftest import PATIENCE, PHONES, Visitors
from tests.integration.processes import LOOK
from tests.integration.runtime.rehearsal import AUDIENCE
from tests.integration.service.server import Server

MOST_TABS = 100
"""Presses of the Tab key within which everything on a page is reached."""
MAX_RATE = PHONES / 200
"""Pushes a second of a campaign that is still running when a test is done with it."""
LATE = 1.5
"""Seconds by which a script comes late, all others being there."""
ACCEPTED = re.compile(r"([\d,]+) accepted")
IN_VAIN = ("net::ERR", "Failed to load resource", "htmx:sse:error")
"""What is logged while nobody answers."""


async def tab_to(page: Page, what: Locator) -> None:
    """Press Tab until something has the focus."""
    await expect(what).to_be_visible()
    for _ in range(MOST_TABS):
        await page.keyboard.press("Tab")
        if await what.evaluate("each => each === document.activeElement"):
            return
    raise AssertionError(f"{what} is not reached by keyboard")


async def started(server: Server, title: str, max_rate: float | None = None) -> str:
    """The id of a campaign that was just started."""
    draft = Draft(Content(message=Message(title=title, ttl=3600)), Selection(source=AUDIENCE), max_rate=max_rate)
    made = await server.stentor.campaigns.create(draft)
    return (await server.stentor.campaigns.start(made.id)).id


async def test_an_editor_from_the_first_word_to_the_last_answer(visitors: Visitors) -> None:
    editor = await visitors.somebody(Scope.SEND, "ada")
    page = await editor.tab("/campaigns")
    await page.get_by_role("link", name=re.compile("New campaign|first campaign")).first.click()
    await page.get_by_label("Title", exact=True).first.fill("Doors open at eight")
    await page.get_by_label("Text", exact=True).first.fill("Come early, and bring a friend.")
    await page.get_by_label("Audience").select_option(AUDIENCE)
    await expect(page.locator("#preview")).to_contain_text("Come early, and bring a friend.")
    await editor.look(page)
    await editor.picture(page, "composer")
    await page.get_by_role("button", name="Check and send").click()
    await expect(page.locator("#count")).to_contain_text(f"{PHONES:,} recipients")
    await editor.look(page)
    await page.get_by_role("link", name="Change it").click()
    await expect(page.get_by_label("Title", exact=True).first).to_have_value("Doors open at eight")
    await page.go_back()

    await fire(page, "300")
    await expect(page.get_by_text("Held: nothing is sent yet.")).to_be_visible()
    await editor.look(page)
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_role("status").first).to_contain_text("Taken back: nothing was sent")
    await page.get_by_role("button", name="Check and send").click()
    await fire(page, "10")
    await page.wait_for_url(re.compile("/held$"))
    await page.go_back()  # the form that fired it is over
    await expect(page.get_by_role("button", name="Fire")).to_have_count(0)
    await editor.picture(page, "campaign", shows=re.compile(r"Time left\s*about"))
    await expect(page.locator("#live")).to_contain_text("completed")  # by itself, after the hold
    await expect(page.locator("#live")).to_contain_text(f"{PHONES:,} in the audience")
    assert 0 < await accepted(page) < PHONES
    await editor.look(page)

    await page.get_by_role("link", name="Who was not reached").click()
    await expect(page.get_by_role("heading", name="Who was not reached")).to_be_visible()
    await editor.look(page)
    await page.locator("tbody th a").first.click()
    await expect(page.get_by_role("main")).to_contain_text("Unregistered")
    await editor.look(page)
    await page.goto(f"{editor.url}/campaigns")
    await expect(page.get_by_role("row", name="Doors open at eight")).to_contain_text("completed")
    await editor.look(page)
    await editor.picture(page, "campaigns")


async def fire(page: Page, hold: str) -> None:
    await page.get_by_label("Yes, send").check()
    await page.get_by_label("I can still undo it for").select_option(hold)
    await page.get_by_role("button", name="Fire").click()


async def accepted(page: Page) -> int:
    """How many the page says were accepted."""
    found = ACCEPTED.search(await page.locator("#live").inner_text())
    return int(found[1].replace(",", "")) if found else 0


async def more_than(page: Page, count: int) -> None:
    """Wait until the page by itself says that more were accepted."""
    async with asyncio.timeout(2 * PATIENCE / 1000):  # roles that were just started may have a long way to go
        while await accepted(page) <= count:  # noqa: ASYNC110 - what happens in a browser sets no event
            await asyncio.sleep(LOOK)


async def test_pages_go_on_by_themselves_when_the_api_was_killed(server: Server, visitors: Visitors) -> None:
    campaign = await started(server, "The last tickets", MAX_RATE)
    editor = await visitors.somebody(Scope.SEND, "grace")
    tabs = [await editor.tab(f"/campaigns/{campaign}") for _ in range(2)]
    for page in tabs:
        await page.evaluate("window.kept = true")
        await more_than(page, 0)
    await editor.look(tabs[0])
    restarts = server.starts()
    server.kill_api()
    await server.started(restarts + 1)
    for page in tabs:
        await more_than(page, await accepted(page))
        await expect(page.locator(".offline")).to_be_hidden()
    editor.expect(*IN_VAIN)

    first, second = tabs
    await first.get_by_role("link", name="Cancel").click()
    await first.locator("main form").get_by_role("button").click()
    await expect(first.get_by_role("status").first).to_contain_text("stopped for good")
    await expect(second.locator("#live")).to_contain_text("cancelled")
    await expect(second.get_by_role("link", name="Pause")).to_have_count(0)
    assert await second.evaluate("window.kept")
    await editor.look(second)


@pytest.mark.parametrize("failing", ["refused", "unavailable"])
async def test_a_page_goes_on_though_its_first_connections_failed(
    server: Server, visitors: Visitors, failing: str
) -> None:
    campaign = await started(server, f"Only if {failing}", MAX_RATE)
    viewer = await visitors.somebody(Scope.VIEW)
    page = await viewer.context.new_page()
    is_back = False

    async def answer(route: Route) -> None:
        if is_back:
            await route.continue_()
        elif failing == "refused":
            await route.abort("connectionrefused")
        else:
            await route.fulfill(status=503, content_type="text/html", body="<h1>The database is away</h1>")

    await page.route("**/live", answer)
    await page.goto(f"{viewer.url}/campaigns/{campaign}")
    await expect(page.locator(".offline")).to_be_visible()
    await expect(page.locator("#live")).not_to_contain_text("The database is away")
    is_back = True
    await more_than(page, await accepted(page))
    await expect(page.locator(".offline")).to_be_hidden()
    await server.stentor.campaigns.cancel(campaign)
    viewer.expect(*IN_VAIN, "htmx:error")
    viewer.nothing_wrong()


async def test_a_page_goes_on_though_its_scripts_come_late(server: Server, visitors: Visitors) -> None:
    campaign = await started(server, "Only if late", MAX_RATE)
    viewer = await visitors.somebody(Scope.VIEW)
    page = await viewer.context.new_page()

    async def late(route: Route) -> None:
        await asyncio.sleep(LATE)
        await route.continue_()

    await page.route("**/hx-sse.min*.js*", late)
    await page.goto(f"{viewer.url}/campaigns/{campaign}")
    await more_than(page, await accepted(page))
    await server.stentor.campaigns.cancel(campaign)
    viewer.nothing_wrong()


FORMS_OF_ALL = {"/sign-out", "/account/password", "/account/sessions/end-others"}
"""What everybody may send, whatever the role."""


@pytest.mark.parametrize("role", list(Scope))
async def test_nobody_sees_a_button_that_leads_nowhere(server: Server, visitors: Visitors, role: Scope) -> None:
    campaign = await started(server, f"Seen by {role.value}")
    await server.stentor.roles.watch(campaign)  # a link to pause it leads nowhere once it has ended
    somebody = await visitors.somebody(role)
    page = await somebody.tab("/campaigns")
    paths = {"/campaigns", f"/campaigns/{campaign}", "/account", "/lanes"}
    paths |= {urlsplit(each).path for each in await links(page, "nav[aria-label=Pages] a")}
    seen: dict[str, str] = {}
    for path in sorted(paths):
        await page.goto(somebody.url + path)
        seen |= dict.fromkeys(await links(page, "a[href]"), path)
        if role is Scope.VIEW:
            forms = await page.eval_on_selector_all("form[method=post]", "all => all.map(each => each.action)")
            others = {urlsplit(each).path for each in forms} - FORMS_OF_ALL
            assert not [each for each in others if not each.startswith("/account/sessions/")], path
    answers = {link: (await somebody.context.request.get(link)).status for link in seen}
    assert {link: (status, seen[link]) for link, status in answers.items() if status >= 400} == {}
    assert len(answers) > len(paths)
    somebody.nothing_wrong()


async def links(page: Page, selector: str) -> list[str]:
    """Where links lead to on this site, without what is only a place in a page."""
    found: list[str] = await page.eval_on_selector_all(selector, "all => all.map(each => each.href.split('#')[0])")
    origin = await page.evaluate("location.origin")
    return [each for each in found if each.startswith(origin)]


async def test_a_draft_by_keyboard_alone(visitors: Visitors) -> None:
    writer = await visitors.somebody(Scope.WRITE)
    page = await writer.tab("/campaigns")
    await tab_to(page, page.get_by_role("link", name=re.compile("New campaign")).first)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="New campaign")).to_be_visible()
    await tab_to(page, page.get_by_label("Title", exact=True).first)
    await page.keyboard.type("By keyboard")
    await tab_to(page, page.get_by_label("Audience"))
    await page.keyboard.type(AUDIENCE)
    await tab_to(page, page.get_by_role("button", name="Save the draft").last)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status").first).to_have_text("The draft is saved.")


async def test_an_admin_looks_at_everything(visitors: Visitors) -> None:
    admin = await visitors.somebody(Scope.ADMIN)
    page = await admin.tab("/campaigns")
    for link in await links(page, "nav[aria-label=Pages] a"):
        await page.goto(link)
        await admin.look(page)
    await page.goto(f"{admin.url}/account")
    await admin.look(page)
