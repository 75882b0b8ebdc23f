"""The page of who did what: filtered, and a page at a time."""

from __future__ import annotations

import re
from html import unescape

import pytest

from stentor.access.caller import Caller, local_caller
from stentor.access.scopes import Scope
from stentor.dashboard.pages import log
from tests.integration.dashboard.conftest import Browser

SHOP = Caller("shop-key", "<script>shop", "key", Scope.SEND)


async def write(browser: Browser) -> None:
    actions = browser.stentor.access.log
    for number in range(5):
        await actions.record(SHOP, "campaign.start", f"campaign-{number}")
    await actions.record(local_caller(), "key.revoke", "shop-key")
    await actions.record(SHOP, "campaign.start", "campaign-9", outcome="refused", detail="it is <b>over</b>")


def shown(text: str) -> list[str]:
    return re.findall(r'href="/log\?object=([\w-]+)"', text)


async def test_the_newest_is_first_and_rows_are_escaped(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    await write(browser)
    page = await browser.open("/log")
    assert shown(page.text)[:3] == ["campaign-9", "shop-key", "campaign-4"]
    assert "&lt;script&gt;shop" in page.text
    assert "it is &lt;b&gt;over&lt;/b&gt;" in page.text
    assert "<script>shop" not in page.text


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"outcome": "refused"}, ["campaign-9"]),
        ({"action": "key.revoke"}, ["shop-key"]),
        ({"caller_id": "shop-key", "outcome": "done"}, [f"campaign-{number}" for number in (4, 3, 2, 1, 0)]),
        ({"object": "campaign-2", "days": "7"}, ["campaign-2"]),
        ({"object": "nothing"}, []),
    ],
)
async def test_filters(browser: Browser, wanted: dict[str, str], found: list[str]) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    await write(browser)
    page = await browser.open("/log", **wanted)
    assert shown(page.text) == found
    assert ("Nothing like that was done." in page.text) == (not found)
    assert "Show all" in page.text


async def test_older_rows_keep_the_filter(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "SHOWN", 2)
    await browser.sign_in("ada", Scope.ADMIN)
    await write(browser)
    seen: list[str] = []
    page = await browser.open("/log", action="campaign.start", outcome="done")
    while True:
        seen += shown(page.text)
        older = re.search(r'href="([^"]+)">Older', page.text)
        if older is None:
            break
        page = await browser.open(unescape(older[1]))
        assert "To the newest" in page.text
    assert seen == [f"campaign-{number}" for number in (4, 3, 2, 1, 0)]


async def test_odd_filters_find_nothing(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    for odd in ({"days": "x"}, {"days": "-1"}, {"after": "x" * 3000}, {"object": "\0"}, {"action": "%_'"}):
        assert (await browser.open("/log", **odd)).status_code == 200


async def test_only_admins_see_the_log(browser: Browser) -> None:
    await browser.sign_in("grace", Scope.SEND)
    assert (await browser.open("/log")).status_code == 403
    assert 'href="/log"' not in (await browser.open("/campaigns")).text
