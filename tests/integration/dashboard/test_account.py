"""One's own account: the role, the password, and where one is signed in."""

from __future__ import annotations

import pytest

from stentor.access.caller import local_caller
from stentor.access.scopes import Scope
from tests.integration.dashboard.conftest import PASSWORD, Browser

OTHER = "two herons by the weir"


async def test_the_role_is_explained(browser: Browser) -> None:
    await browser.sign_in("grace", Scope.VIEW)
    page = await browser.open("/account")
    assert page.text.count("This is your role.") == 1
    assert "<strong>view</strong>" in page.text


async def test_one_changes_ones_password(browser: Browser) -> None:
    await browser.add_user("ada", Scope.VIEW)
    page = await browser.open("/sign-in")
    await browser.submit(page, "/sign-in", name="ada", password=PASSWORD)
    page = await browser.open("/account")
    changed = await browser.submit(page, "/account/password", old=PASSWORD, password=OTHER, again=OTHER)
    assert changed.url.path == "/sign-in"
    assert "The password is set. Sign in with it." in changed.text
    refused = await browser.submit(changed, "/sign-in", name="ada", password=PASSWORD)
    assert refused.status_code == 403
    assert "Sign out" in (await browser.submit(refused, "/sign-in", name="ada", password=OTHER)).text


@pytest.mark.parametrize(
    ("old", "new", "again", "status", "said"),
    [
        ("wrong", OTHER, OTHER, 403, "the old password is wrong"),
        (PASSWORD, OTHER, "another", 422, "The two passwords differ"),
        (PASSWORD, "short", "short", 422, "is shorter than 15 characters"),
    ],
)
async def test_a_password_that_is_refused_is_said_at_the_field(
    browser: Browser, old: str, new: str, again: str, status: int, said: str
) -> None:
    await browser.sign_in("ada", Scope.VIEW)
    [user] = await browser.stentor.access.users.page(local_caller())
    page = await browser.open("/account")
    answer = await browser.submit(page, "/account/password", old=old, password=new, again=again)
    assert (answer.status_code, said in answer.text) == (status, True)
    assert not {f'value="{each}"' for each in (old, new, again)} & set(answer.text.split())
    assert (await browser.open("/account")).url.path == "/account", "still signed in"
    assert (await browser.stentor.access.users.get(user.id)).password_at is None


async def test_one_ends_ones_sessions(browser: Browser) -> None:
    ada = await browser.sign_in("ada", Scope.VIEW)
    sessions = browser.stentor.access.sessions
    others = [await sessions.begin(ada) for _ in range(3)]
    page = await browser.open("/account")
    assert page.text.count("Sign out there") == 3
    assert page.text.count("this browser") == 1
    assert not any(each.token in page.text for each in others)
    ended = await browser.submit(page, f"/account/sessions/{others[0].session.id}/end")
    assert "That browser is signed out." in ended.text
    assert [await sessions.find(each.token) is None for each in others] == [True, False, False]
    ended = await browser.submit(page, "/account/sessions/end-others")
    assert "All your other browsers are signed out." in ended.text
    assert [await sessions.find(each.token) for each in others] == [None] * 3


async def test_nobody_ends_somebody_elses_session(browser: Browser) -> None:
    async with browser.another() as other:
        await other.sign_in("grace", Scope.VIEW)
        await browser.sign_in("ada", Scope.ADMIN)
        [theirs] = await other.stentor.access.sessions.of_user(
            local_caller(), (await other.stentor.access.users.find(local_caller(), "grace")).id
        )
        page = await browser.open("/account")
        await browser.submit(page, f"/account/sessions/{theirs.id}/end")
        assert (await other.open("/account")).url.path == "/account"
