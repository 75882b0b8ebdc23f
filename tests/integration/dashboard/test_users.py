"""The pages of users: added with a role, given a link, changed, disabled; and who may do that."""

from __future__ import annotations

import asyncio
import re
from html import unescape

import pytest

from stentor.access.caller import local_caller
from stentor.access.log import ActionFilter
from stentor.access.scopes import Scope
from stentor.dashboard.pages import users
from tests.integration.dashboard.conftest import HOST, PASSWORD, Browser

LINK = re.compile(r'id="once"[^>]* value="([^"]+)"')
ONCE = re.compile(r'name="once" value="([^"]+)"')


async def actions(browser: Browser, about: str | None = None) -> list[str]:
    rows = await browser.stentor.access.log.page(local_caller(), ActionFilter(object=about))
    return [f"{each.action} by {each.caller_name}" for each in rows]


async def test_a_user_is_added_and_sets_a_password_by_the_link(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    page = await browser.open("/users")
    made = await browser.submit(page, "/users", name="grace", role="send")
    found = LINK.search(made.text)
    assert found is not None, made.text
    link = unescape(found[1])
    assert link.startswith(f"{HOST}/link/")
    assert "grace is added" in made.text
    listed = await browser.open("/users")
    assert link.rpartition("/")[2] not in listed.text
    assert "no password yet" in listed.text
    async with browser.another() as other:
        form = await other.open(link)
        done = await other.submit(form, link, password=PASSWORD, again=PASSWORD)
        assert "Sign in with it" in done.text
        inside = await other.submit(done, "/sign-in", name="grace", password=PASSWORD)
        assert "Your role: send" in inside.text
    assert {"user.add by ada", "user.link by ada"} <= set(await actions(browser))


async def test_a_second_click_adds_no_second_user_and_makes_no_second_link(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    page = await browser.open("/users")
    form = {"name": "grace", "role": "send", "once": ONCE.findall(page.text)[0]}
    answers = await asyncio.gather(*(browser.submit(page, "/users", **form) for _ in range(2)))
    assert len({found[1] for answer in answers if (found := LINK.search(answer.text))}) == 1
    grace = await browser.stentor.access.users.find(local_caller(), "grace")
    path = f"/users/{grace.id}"
    page = await browser.open(path)
    once = ONCE.findall(page.text)[0]
    answers = await asyncio.gather(*(browser.submit(page, f"{path}/link", once=once) for _ in range(2)))
    assert len({found[1] for answer in answers if (found := LINK.search(answer.text))}) == 1
    done = await browser.stentor.access.log.page(local_caller(), ActionFilter(object=grace.id))
    assert [each.action for each in done] == ["user.link", "user.link", "user.add"]


@pytest.mark.parametrize(
    ("name", "role", "status", "said"),
    [
        ("no spaces", "view", 422, "must be 1 to 100 letters"),
        ("", "view", 422, "must be 1 to 100 letters"),
        ("grace", "root", 422, "is not a scope"),
        ("ADA", "view", 409, "there is a user"),
    ],
)
async def test_what_cannot_be_added_is_said_at_the_field(
    browser: Browser, name: str, role: str, status: int, said: str
) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    answer = await browser.submit(await browser.open("/users"), "/users", name=name, role=role)
    assert answer.status_code == status
    assert said in unescape(answer.text)
    assert f'value="{name}"' in answer.text
    assert [each.name for each in await browser.stentor.access.users.page(local_caller())] == ["ada"]


async def test_a_role_counts_at_once_and_the_last_admin_stays(browser: Browser) -> None:
    ada = await browser.sign_in("ada", Scope.ADMIN)
    async with browser.another() as other:
        grace = await other.sign_in("grace", Scope.VIEW)
        page = await browser.open(f"/users/{grace.id}")
        changed = await browser.submit(page, f"/users/{grace.id}/role", role="write")
        assert "The role is changed" in changed.text
        assert "Your role: write" in (await other.open("/campaigns")).text
    own = await browser.open(f"/users/{ada.id}")
    refused = await browser.submit(own, f"/users/{ada.id}/role", role="view")
    assert (refused.status_code, "ada is the last admin" in refused.text) == (409, True)
    refused = await browser.submit(own, f"/users/{ada.id}/disable")
    assert (refused.status_code, "ada is the last admin" in refused.text) == (409, True)
    wrong = await browser.submit(own, f"/users/{grace.id}/role", role="root")
    assert (wrong.status_code, "is not a scope" in wrong.text) == (409, True)


async def test_disabling_is_confirmed_and_signs_out(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    async with browser.another() as other:
        grace = await other.sign_in("grace", Scope.SEND)
        asked = await browser.open(f"/users/{grace.id}/disable")
        assert "1 browser in which this user is signed in: signed out at once" in asked.text
        assert (await other.open("/campaigns")).url.path == "/campaigns"
        done = await browser.submit(asked, f"/users/{grace.id}/disable")
        assert "This user can&#39;t sign in any more" in done.text
        assert (await other.open("/campaigns")).url.path == "/sign-in"
        refused = await browser.submit(done, f"/users/{grace.id}/link")
        assert (refused.status_code, "is disabled" in refused.text) == (409, True)
        again = await browser.submit(done, f"/users/{grace.id}/enable")
        assert "This user may sign in again." in again.text
    assert {"user.disable by ada", "user.enable by ada"} <= set(await actions(browser, grace.id))


async def test_a_user_is_signed_out_everywhere(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    async with browser.another() as other:
        grace = await other.sign_in("grace", Scope.SEND)
        page = await browser.open(f"/users/{grace.id}")
        assert "1 browser" in page.text
        done = await browser.submit(page, f"/users/{grace.id}/sign-out")
        assert "This user is signed out everywhere." in done.text
        assert (await other.open("/campaigns")).url.path == "/sign-in"


async def test_the_list_goes_on(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "SHOWN", 2)
    for name in ("bob", "cy", "Dora", "eve"):
        await browser.stentor.access.users.add(local_caller(), name, Scope.VIEW)
    await browser.sign_in("ada", Scope.ADMIN)
    seen: list[str] = []
    path: str | None = "/users"
    while path:
        page = await browser.open(path)
        seen += re.findall(r'<a href="/users/[a-z0-9]{16}">(\w+)</a>', page.text)
        more = re.search(r'href="(/users\?after=[^"]+)"', page.text)
        path = more and unescape(more[1])
    assert seen == ["ada", "bob", "cy", "Dora", "eve"]


async def test_only_admins_see_users(browser: Browser) -> None:
    user = await browser.sign_in("grace", Scope.SEND)
    page = await browser.open("/campaigns")
    assert 'href="/users"' not in page.text
    for path in ("/users", f"/users/{user.id}", f"/users/{user.id}/disable"):
        assert (await browser.open(path)).status_code == 403
    for path in ("/users", *(f"/users/{user.id}/{verb}" for verb in ("role", "link", "sign-out", "disable", "enable"))):
        assert (await browser.submit(page, path, name="eve", role="admin")).status_code == 403
    async with browser.another() as nobody:
        assert (await nobody.open("/users")).url.path == "/sign-in"


async def test_an_unknown_user_is_a_page_that_says_so(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    page = await browser.open("/users/nobody-here")
    assert (page.status_code, "<h1>There is nothing here</h1>" in page.text) == (404, True)
    listed = await browser.open("/users")
    for verb in ("role", "link", "sign-out", "disable", "enable"):
        assert (await browser.submit(listed, f"/users/nobody-here/{verb}", role="view")).status_code == 404
