"""Signing in at an OpenID provider, through the pages: there and back, refused, too late, and with it away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from stentor.access.caller import local_caller
from stentor.access.oidc import TICKET_LASTS
from stentor.access.scopes import Scope
from stentor.config import Config
from tests.integration.access.openid import CLIENT, REDIRECT, SECRET, OpenIdProvider, run_provider
from tests.integration.dashboard.conftest import Browser
from tests.integration.runtime.rehearsal import Facts, rehearse

PUBLIC = REDIRECT.removesuffix("/sign-in/callback")


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[OpenIdProvider]:
    folder = tmp_path / "provider"
    folder.mkdir()
    async with run_provider(folder, "ES256") as found:
        yield found


@pytest.fixture
def config(tmp_path: Path, facts: Facts, provider: OpenIdProvider) -> Config:
    """A dashboard that people reach over https, and whose users sign in at the provider."""
    secret = tmp_path / "oidc-secret.txt"
    secret.write_text(SECRET, "utf-8")
    more = f"""
[api]
public_url = "{PUBLIC}"

[access.oidc]
issuer = "{provider.issuer}"
client_id = "{CLIENT}"
client_secret_file = "{secret}"
ca_file = "{provider.ca_file}"
roles = {{ push-editors = "send", push-admins = "admin" }}
"""
    return rehearse(tmp_path, facts, more=more)


@pytest.fixture
async def browser(browser: Browser) -> Browser:
    browser.client.base_url = httpx.URL(PUBLIC)
    return browser


async def go(browser: Browser, back: str = "") -> str:
    """Choose to sign in at the provider. Returns: where the browser is sent to."""
    page = await browser.open("/sign-in", **({"back": back} if back else {}))
    assert 'href="/sign-in/provider?back=' in page.text
    sent = await browser.client.get("/sign-in/provider", params={"back": back}, follow_redirects=False)
    assert sent.status_code == 303
    return sent.headers["location"]


async def come_back(browser: Browser, answer: dict[str, str]) -> httpx.Response:
    return await browser.open("/sign-in/callback", **answer)


async def test_somebody_signs_in_and_gets_to_where_they_wanted(browser: Browser, provider: OpenIdProvider) -> None:
    there = await go(browser, "/lanes")
    arrived = await browser.client.get("/sign-in/callback", params=provider.authorize(there), follow_redirects=False)
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/lanes")
    cookies = arrived.headers.get_list("set-cookie")
    [session] = [each for each in cookies if each.startswith("__Host-stentor_session=")]
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(session.split("; "))
    [journey] = [each for each in cookies if each.startswith("__Host-stentor_journey=")]
    assert "Max-Age=0" in journey
    page = await browser.open("/account")
    assert f"You sign in at {provider.issuer}" in page.text
    assert "<strong>send</strong>" in page.text
    [user] = await browser.stentor.access.users.page(local_caller())
    assert (user.name, user.role, user.issuer) == ("grace", Scope.SEND, provider.issuer)


async def test_somebody_without_a_role_is_told_so(browser: Browser, provider: OpenIdProvider) -> None:
    provider.claims["groups"] = ["cooks"]
    page = await come_back(browser, provider.authorize(await go(browser)))
    assert (page.status_code, "gives you no role here" in page.text) == (403, True)
    assert (await browser.open("/lanes")).url.path == "/sign-in"


async def test_the_provider_refuses(browser: Browser, provider: OpenIdProvider) -> None:
    state = provider.authorize(await go(browser))["state"]
    page = await come_back(browser, {"error": "access_denied", "state": state})
    assert (page.status_code, "<h1>Sign in</h1>" in page.text, 'role="alert"' in page.text) == (403, True, True)


async def test_an_answer_of_another_browser_signs_nobody_in(browser: Browser, provider: OpenIdProvider) -> None:
    answer = provider.authorize(await go(browser))
    async with browser.another() as other:
        other.client.base_url = httpx.URL(PUBLIC)
        page = await come_back(other, answer)
        assert page.status_code == 403
        assert (await other.open("/lanes")).url.path == "/sign-in"


async def test_whoever_takes_too_long_begins_again(
    browser: Browser, provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = provider.authorize(await go(browser))
    oidc = browser.stentor.access.oidc
    clock = oidc._clock
    monkeypatch.setattr(oidc, "_clock", lambda: clock() + TICKET_LASTS + 1)
    page = await come_back(browser, answer)
    assert (page.status_code, 'role="alert"' in page.text) == (403, True)
    assert (await browser.open("/lanes")).url.path == "/sign-in"


async def test_a_provider_that_is_away_leaves_the_password(browser: Browser, provider: OpenIdProvider) -> None:
    answer = provider.authorize(await go(browser))
    provider.answer = web.Response(status=503)
    page = await come_back(browser, answer)
    assert (page.status_code, 'name="password"' in page.text) == (503, True)
    assert SECRET not in page.text


async def test_a_provider_that_says_it_is_another_one_is_not_gone_to(
    browser: Browser, provider: OpenIdProvider
) -> None:
    provider.metadata = {"issuer": "https://elsewhere.example"}
    page = await browser.open("/sign-in/provider")
    assert (page.status_code, 'role="alert"' in page.text, 'name="password"' in page.text) == (503, True, True)


@pytest.mark.parametrize("back", ["https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example"])
async def test_nobody_is_sent_elsewhere(browser: Browser, provider: OpenIdProvider, back: str) -> None:
    answer = provider.authorize(await go(browser, back))
    arrived = await browser.client.get("/sign-in/callback", params=answer, follow_redirects=False)
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/")
