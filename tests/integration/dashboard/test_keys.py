"""The pages of API keys: made, shown once, rolled, revoked; and who may do that."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from typing import Any

import httpx
import pytest

from stentor.access.caller import local_caller
from stentor.access.log import ActionFilter
from stentor.access.scopes import Scope
from stentor.api.meter import ApiMeter
from stentor.config import Config
from stentor.dashboard.pages import keys
from stentor.service.app import application
from tests.integration.dashboard.conftest import Browser

KEY = re.compile(r"stentor_live_[0-9A-Za-z]{49}")


async def holder(browser: Browser, text: str) -> str | None:
    caller = await browser.stentor.access.keys.authenticate(text)
    return None if caller is None else caller.name


async def test_a_key_is_shown_once(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    page = await browser.open("/keys")
    made = await browser.submit(page, "/keys", name="shop <script>", scope="send", expires="90")
    [text] = set(KEY.findall(made.text))
    caller = await browser.stentor.access.keys.authenticate(text)
    assert caller is not None
    assert (caller.name, caller.scope) == ("shop <script>", Scope.SEND)
    [key] = await browser.stentor.access.keys.page(local_caller())
    assert key.expires_at is not None
    assert key.expires_at - key.created_at == pytest.approx(90 * 86_400, abs=60)
    for path in ("/keys", f"/keys/{key.id}", f"/keys/{key.id}/revoke", "/log"):
        later = await browser.open(path)
        assert not KEY.search(later.text)
        assert "shop <script>" not in later.text
    assert "shop &lt;script&gt;" in (await browser.open("/keys")).text


async def test_a_key_that_never_ends(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    await browser.submit(await browser.open("/keys"), "/keys", name="tv", scope="view", expires="")
    [key] = await browser.stentor.access.keys.page(local_caller())
    assert key.expires_at is None
    assert "for ever" in (await browser.open("/keys")).text


async def test_a_key_is_rolled_with_an_overlap(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    issued = await browser.stentor.access.keys.create(local_caller(), "shop", Scope.SEND)
    path = f"/keys/{issued.key.id}"
    rolled = await browser.submit(await browser.open(path), f"{path}/roll", overlap="604800")
    [text] = set(KEY.findall(rolled.text))
    assert text != issued.text
    assert [await holder(browser, each) for each in (issued.text, text)] == ["shop", "shop"]
    assert "Old text" in (await browser.open(path)).text
    at_once = await browser.submit(await browser.open(path), f"{path}/roll", overlap="0")
    [newest] = set(KEY.findall(at_once.text))
    assert [await holder(browser, each) for each in (issued.text, text, newest)] == [None, None, "shop"]
    odd = await browser.submit(await browser.open(path), f"{path}/roll", overlap="-5")
    assert (odd.status_code, KEY.search(odd.text)) == (409, None)


ONCE = re.compile(r'name="once" value="([^"]+)"')


async def clicked_twice(browser: Browser, page: httpx.Response, path: str, **fields: Any) -> list[httpx.Response]:
    """Both answers to a form that is sent by a double click."""
    (once,) = ONCE.findall(page.text)
    return await asyncio.gather(*(browser.submit(page, path, once=once, **fields) for _ in range(2)))


async def test_a_second_click_makes_no_second_key(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    page = await browser.open("/keys")
    answers = await clicked_twice(browser, page, "/keys", name="shop", scope="send", expires="90")
    [key] = await browser.stentor.access.keys.page(local_caller())
    [text] = {each for answer in answers for each in KEY.findall(answer.text)}
    assert [bool(KEY.search(answer.text)) for answer in answers] == [True, True], "the second is what is seen"
    assert await holder(browser, text) == "shop"
    path = f"/keys/{key.id}"
    answers = await clicked_twice(browser, await browser.open(path), f"{path}/roll", overlap="0")
    [newest] = {each for answer in answers for each in KEY.findall(answer.text)}
    assert [await holder(browser, each) for each in (text, newest)] == [None, "shop"]
    done = await browser.stentor.access.log.page(local_caller(), ActionFilter(object=key.id))
    assert [each.action for each in done] == ["key.roll", "key.create"]


async def test_another_process_knows_that_a_form_was_sent(browser: Browser, config: Config) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    page = await browser.open("/keys")
    form = {"name": "shop", "scope": "send", "expires": "90", "once": ONCE.findall(page.text)[0]}
    await browser.submit(page, "/keys", **form)
    app = application(browser.stentor, config, ApiMeter(), asyncio.Event())
    other = Browser(browser.stentor, httpx.ASGITransport(app=app, raise_app_exceptions=True))
    async with other.client:
        other.client.cookies = browser.client.cookies
        answer = await other.submit(page, "/keys", **form)
    assert "This form was sent before, and its key is made." in unescape(answer.text)
    assert not KEY.search(answer.text)
    assert len(await browser.stentor.access.keys.page(local_caller())) == 1


async def test_a_form_that_was_refused_may_be_sent_again(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    page = await browser.open("/keys")
    form = {"scope": "send", "expires": "90", "once": ONCE.findall(page.text)[0]}
    assert (await browser.submit(page, "/keys", name="", **form)).status_code == 422
    assert KEY.search((await browser.submit(page, "/keys", name="shop", **form)).text)


async def test_revoking_is_confirmed(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    issued = await browser.stentor.access.keys.create(local_caller(), "shop", Scope.SEND)
    path = f"/keys/{issued.key.id}"
    asked = await browser.open(f"{path}/revoke")
    assert "refused within 5 seconds" in asked.text
    assert await holder(browser, issued.text) == "shop"
    done = await browser.submit(asked, f"{path}/revoke")
    assert "The key is revoked." in done.text
    assert f"{path}/roll" not in done.text
    assert await holder(browser, issued.text) is None
    refused = await browser.submit(done, f"{path}/roll", overlap="0")
    assert (refused.status_code, "is revoked or has expired" in refused.text) == (409, True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "", "scope": "view", "expires": "90"}, "name"),
        ({"name": "shop", "scope": "root", "expires": "90"}, "is not a scope"),
        ({"name": "shop", "scope": "view", "expires": "soon"}, "choose one of those that are offered"),
    ],
)
async def test_what_cannot_be_made_is_said_at_the_field(browser: Browser, given: dict[str, Any], said: str) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    answer = await browser.submit(await browser.open("/keys"), "/keys", **given)
    assert (answer.status_code, said in unescape(answer.text), 'class="error"' in answer.text) == (422, True, True)
    assert await browser.stentor.access.keys.page(local_caller()) == []


async def test_the_list_goes_on(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "SHOWN", 2)
    for number in range(5):
        await browser.stentor.access.keys.create(local_caller(), f"key-{number}", Scope.VIEW)
    await browser.sign_in("ada", Scope.ADMIN)
    seen: list[str] = []
    path: str | None = "/keys"
    while path:
        page = await browser.open(path)
        seen += re.findall(r">(key-\d)</a>", page.text)
        more = re.search(r'href="(/keys\?after=[^"]+)"', page.text)
        path = more and unescape(more[1])
    assert sorted(seen) == [f"key-{number}" for number in range(5)]


async def test_only_admins_see_keys(browser: Browser) -> None:
    await browser.sign_in("grace", Scope.SEND)
    issued = await browser.stentor.access.keys.create(local_caller(), "shop", Scope.SEND)
    path = f"/keys/{issued.key.id}"
    page = await browser.open("/campaigns")
    assert 'href="/keys"' not in page.text
    for each in ("/keys", path, f"{path}/revoke"):
        assert (await browser.open(each)).status_code == 403
    for each in ("/keys", f"{path}/roll", f"{path}/revoke"):
        answer = await browser.submit(page, each, name="x", scope="admin", expires="", overlap="0")
        assert answer.status_code == 403
    assert await holder(browser, issued.text) == "shop"


async def test_an_unknown_key_is_a_page_that_says_so(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    page = await browser.open("/keys/nothing-here")
    assert (page.status_code, "<h1>There is nothing here</h1>" in page.text) == (404, True)
