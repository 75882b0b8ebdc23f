"""Signing in and out, and the first admin: what a browser gets, without one."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from stentor.access.caller import local_caller
from stentor.access.scopes import Scope
from stentor.dashboard.pages import ALL
from stentor.dashboard.site import policy
from tests.integration.dashboard.conftest import PASSWORD, Browser


async def test_the_first_admin(browser: Browser) -> None:
    """Somebody opens the link, sets a password, and signs in; the link is over then."""
    link = await browser.stentor.access.users.first_link()
    assert link is not None
    path = urlsplit(link.url).path
    page = await browser.open(path)
    assert "You become the first admin" in page.text
    different = await browser.submit(page, path, name="ada", password=PASSWORD, again="another thing entirely")
    assert (different.status_code, "The two passwords differ" in different.text) == (422, True)
    assert 'value="ada"' in different.text
    made = await browser.submit(different, path, name="ada", password=PASSWORD, again=PASSWORD)
    assert "The password is set. Sign in with it." in made.text
    assert (await browser.open(path)).status_code == 404
    arrived = await browser.submit(made, "/sign-in", name="ada", password=PASSWORD)
    assert "Sign out" in arrived.text
    [user] = await browser.stentor.access.users.page(local_caller())
    assert (user.name, user.role) == ("ada", Scope.ADMIN)


async def test_signing_in_and_out(browser: Browser) -> None:
    await browser.add_user("ada", Scope.VIEW)
    asked = await browser.open("/campaigns?state=running")
    assert asked.url.path == "/sign-in"
    assert parse_qs(urlsplit(str(asked.url)).query) == {"back": ["/campaigns?state=running"]}
    wrong = await browser.submit(asked, "/sign-in", name="ada", password="not this one", back="/campaigns")
    assert (wrong.status_code, "The name or the password is wrong" in wrong.text) == (403, True)
    assert "not this one" not in wrong.text
    back = await browser.submit(wrong, "/sign-in", name="ada", password=PASSWORD, back="/campaigns?state=running")
    assert str(back.url).endswith("/campaigns?state=running")
    out = await browser.submit(back, "/sign-out")
    assert "You are signed out." in out.text
    assert (await browser.open("/campaigns")).url.path == "/sign-in"


@pytest.mark.parametrize("back", ["https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example", "x"])
async def test_nobody_is_sent_elsewhere(browser: Browser, back: str) -> None:
    await browser.add_user("ada", Scope.VIEW)
    page = await browser.open("/sign-in")
    answer = await browser.submit(page, "/sign-in", follow=False, name="ada", password=PASSWORD, back=back)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_a_form_counts_only_with_its_token(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    page = await browser.open("/campaigns")
    for token in ("", "x" * 64, browser.token(page)[:-4] + "AAAA"):
        answer = await browser.post("/sign-out", csrf=token)
        assert (answer.status_code, "too old" in answer.text) == (403, True)
    async with browser.another() as other:  # another session's token is good for that session alone
        await other.sign_in("bob", Scope.ADMIN)
        theirs = other.token(await other.open("/campaigns"))
    assert (await browser.post("/sign-out", csrf=theirs)).status_code == 403
    assert (await browser.open("/campaigns")).url.path == "/campaigns"


async def test_what_every_page_says_to_the_browser(browser: Browser) -> None:
    answer = await browser.open("/sign-in")
    nonce = re.findall(r'<script nonce="([^"]+)"', answer.text)
    assert len(set(nonce)) == 1
    assert answer.headers["content-security-policy"] == policy(nonce[0])
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert (answer.headers["cache-control"], answer.headers["x-frame-options"]) == ("no-store", "DENY")
    assert "strict-transport-security" not in answer.headers
    [cookie] = answer.headers.get_list("set-cookie")
    assert ("HttpOnly" in cookie, "SameSite=lax" in cookie, "Secure" in cookie) == (True, True, False)
    assert (await browser.open("/sign-in")).text.count(nonce[0]) == 0
    assert (await browser.open("/nowhere")).status_code == 404
    assert "<h1>There is nothing here</h1>" in (await browser.open("/nowhere")).text


@pytest.mark.parametrize("config", ['public_url = "https://push.example.com"'], indirect=True)
async def test_cookies_over_https(browser: Browser) -> None:
    [cookie] = (await browser.open("/sign-in")).headers.get_list("set-cookie")
    assert cookie.startswith("__Host-stentor_browser=")
    assert "Secure" in cookie


PATHS = ("/sign-in", "/campaigns", "/nowhere", "/assets/nothing.css", "/v1/me", "/v1/openapi.json", "/v1/nowhere")


@pytest.mark.parametrize("config", ['public_url = "https://push.example.com"'], indirect=True)
@pytest.mark.parametrize("path", PATHS)
async def test_whatever_is_opened_in_a_browser_stays_harmless(browser: Browser, path: str) -> None:
    """Pages, answers of the API, assets, and what isn't there: over https alone, in no frame, for no other site."""
    answer = await browser.client.get(path, headers={"Origin": "https://elsewhere.example"})
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    kind = answer.headers["content-type"]
    assert kind.partition(";")[0] in ("text/html", "text/plain", "application/json", "application/problem+json")
    assert kind.startswith("application/") or kind.endswith("charset=utf-8")


async def test_a_session_is_no_key_to_the_api(browser: Browser) -> None:
    """So no other site can have a browser call it."""
    await browser.sign_in("ada", Scope.ADMIN)
    assert (await browser.open("/v1/campaigns")).status_code == 401
    assert (await browser.client.post("/v1/campaigns?start=true", json={})).status_code == 401


def test_no_two_pages_share_an_address() -> None:
    """One of them would never be seen."""
    addresses = [(each.method, each.path) for each in ALL]
    assert [each for each in set(addresses) if addresses.count(each) > 1] == []


async def test_to_look_changes_nothing(browser: Browser) -> None:
    """What changes something is a form with its token: each page that only shows something is opened by GET."""
    assert [each.path for each in ALL if each.method == "GET" and each.action is not None] == []
    await browser.sign_in("ada", Scope.ADMIN)
    assert (await browser.open("/sign-out")).status_code == 405
    assert (await browser.open("/campaigns")).url.path == "/campaigns"


async def test_all_that_pages_load_comes_from_here_and_is_kept(browser: Browser) -> None:
    page = await browser.open("/sign-in")
    loaded = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page.text)
    assert len(loaded) == 6
    assert not re.findall(r'(?:src|href)="(?!/|#)', page.text)
    whole = len(page.content)
    for each in loaded:
        answer: httpx.Response = await browser.open(each)
        assert "immutable" in answer.headers["cache-control"]
        whole += len(answer.content)
    assert whole < 200_000
    assert (await browser.open("/assets/stentor.0.css")).status_code == 404
