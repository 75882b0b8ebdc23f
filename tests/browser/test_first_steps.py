"""What somebody meets first: the link of the first admin, signing in, an empty list, and a page that isn't there."""

from __future__ import annotations

from playwright.async_api import expect

from stentor.access.scopes import Scope
from tests.browser.conftest import Visitors
from tests.integration.service.server import Server

PASSWORD = "an owl reads at noon"


async def test_the_first_admin_by_keyboard_alone(new_server: Server, visitors: Visitors) -> None:
    link = await new_server.stentor.access.users.first_link()
    assert link is not None
    ada = await visitors.anybody(new_server.url)
    page = await ada.tab(link.url)
    await ada.look(page)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    for text in ("ada", PASSWORD, PASSWORD):
        await page.keyboard.press("Tab")
        await page.keyboard.type(text)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text("The password is set. Sign in with it.")
    await ada.look(page)
    await page.get_by_label("Name").focus()
    await page.keyboard.type("ada")
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Campaigns")).to_be_visible()
    await ada.look(page)


async def test_a_wrong_password_says_so(visitors: Visitors) -> None:
    somebody = await visitors.anybody()
    page = await somebody.tab("/campaigns")
    await page.get_by_label("Name").fill("nobody")
    await page.get_by_label("Password").fill("this is not the one")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("The name or the password is wrong")
    somebody.expect("403 (Forbidden)")
    await somebody.look(page)


async def test_after_signing_out_the_back_button_shows_nothing(visitors: Visitors) -> None:
    viewer = await visitors.somebody(Scope.VIEW)
    page = await viewer.tab("/campaigns")
    await page.locator("summary").click()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("status")).to_have_text("You are signed out.")
    await page.go_back()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_a_page_that_is_not_there(visitors: Visitors) -> None:
    viewer = await visitors.somebody(Scope.VIEW)
    page = await viewer.tab("/nowhere")
    await expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    viewer.expect("404 (Not Found)")
    await viewer.look(page)


async def test_passwords_are_hidden_and_can_be_pasted(visitors: Visitors) -> None:
    somebody = await visitors.anybody()
    await somebody.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await somebody.tab("/sign-in")
    field = page.get_by_label("Password")
    await expect(field).to_have_attribute("type", "password")
    await expect(field).to_have_attribute("autocomplete", "current-password")
    await page.get_by_label("Name").fill(PASSWORD)
    await page.keyboard.press("ControlOrMeta+A")
    await page.keyboard.press("ControlOrMeta+C")
    await field.focus()
    await page.keyboard.press("ControlOrMeta+V")
    await expect(field).to_have_value(PASSWORD)
