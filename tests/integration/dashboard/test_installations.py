"""Installations of the registry on pages: looked up, listed, changed, deleted, and a person erased."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import quote

import pytest

from stentor.access.caller import local_caller
from stentor.access.log import ActionFilter
from stentor.access.scopes import Scope
from stentor.dashboard.pages import installations as page_of
from stentor.errors import UnknownInstallation
from stentor.runtime.stentor import Stentor
from tests.integration.dashboard.conftest import Browser

TOKEN = "ab" * 32
HOSTILE = '<script>alert("1")</script>'
STRANGE = "a/b c&d=ü 🦉"


async def put(stentor: Stentor, id_: str, **more: object) -> None:
    await stentor.installations.put({"id": id_, "channel": "apns", "app": "ios", "address": TOKEN, **more})


async def logged(stentor: Stentor, action: str) -> list[tuple[str, str]]:
    """What was done and to what, the newest first."""
    rows = await stentor.access.log.page(local_caller(), ActionFilter(action=action))
    return [(each.object, each.outcome) for each in rows]


async def test_one_is_looked_up(browser: Browser) -> None:
    await put(browser.stentor, STRANGE, language="de", attributes={"name": HOSTILE, "visits": 12})
    await browser.sign_in("willy", Scope.WRITE)
    page = await browser.open("/installations", id=f" {STRANGE} ")
    assert page.status_code == 200
    assert f"<h1>{STRANGE.replace('&', '&amp;')}</h1>" in page.text
    assert TOKEN[:8] in page.text
    assert TOKEN not in page.text
    assert HOSTILE not in page.text
    assert "visits = 12" in page.text
    assert "Erase this person" not in page.text
    unknown = await browser.open("/installations", id=HOSTILE)
    assert (unknown.status_code, "There is no such installation" in unknown.text) == (404, True)
    assert HOSTILE not in unknown.text


async def test_who_may_only_view_sees_no_attributes_and_no_forms(browser: Browser) -> None:
    await put(browser.stentor, "4711", attributes={"name": "Zoë"})
    await browser.sign_in("vera", Scope.VIEW)
    page = await browser.open("/installations/4711")
    assert (page.status_code, "Zoë" in page.text, "/edit" in page.text) == (200, False, False)
    assert "Add installations" not in (await browser.open("/installations")).text
    for what in ("edit", "delete", "erase"):
        assert (await browser.open(f"/installations/4711/{what}")).status_code == 403
        assert (await browser.post(f"/installations/4711/{what}")).status_code == 403
    assert (await browser.stentor.installations.get("4711")).attributes == {"name": "Zoë"}


async def test_the_list_goes_on(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_of, "ON_A_PAGE", 2)
    for each in ("1", "2", "3"):
        await put(browser.stentor, each)
    await put(browser.stentor, HOSTILE)
    await browser.stentor.installations.put({"id": "w", "channel": "webhook", "address": "https://example.com/1"})
    await browser.sign_in("vera", Scope.VIEW)
    page = await browser.open("/installations", on="apns/ios", dead="false")
    found: list[str] = []
    while True:
        assert HOSTILE not in page.text
        assert TOKEN not in page.text
        found += re.findall(r'<th scope="row"><a [^>]+>([^<]+)</a>', page.text)
        if not (following := re.findall(r'href="([^"]+cursor=[^"]+)"', page.text)):
            break
        changed = await browser.open(unescape(following[0]).replace("dead=false", "dead=true"))
        assert (changed.status_code, "went on in a list with other filters" in changed.text) == (400, True)
        page = await browser.open(unescape(following[0]))
    assert sorted(map(unescape, found)) == ["1", "2", "3", HOSTILE]
    assert "No installation matches" in (await browser.open("/installations", dead="true")).text
    assert (await browser.open("/installations", dead="perhaps")).status_code == 422


async def test_one_is_added_and_changed(browser: Browser) -> None:
    await browser.sign_in("willy", Scope.WRITE)
    form = await browser.open("/installations", add=STRANGE)
    path = f"/installations/{quote(STRANGE, safe='')}/edit"
    wrong = await browser.submit(form, path, on="apns/ios", address="nonsense", attributes="plan = pro")
    assert (wrong.status_code, "nonsense" in wrong.text, "plan = pro" in wrong.text) == (422, False, True)
    assert 'aria-invalid="true"' in wrong.text
    bad = await browser.submit(form, path, on="apns/ios", address=TOKEN, attributes="plan pro")
    assert (bad.status_code, "line 1: write a name" in bad.text, TOKEN in bad.text) == (422, True, False)
    with pytest.raises(UnknownInstallation):
        await browser.stentor.installations.get(STRANGE)
    said = {"address": TOKEN, "language": "de", "attributes": 'plan = pro\r\n"a=b" = [1]\r\nn = "7"'}
    added = await browser.submit(wrong, path, on="apns/ios", **said)
    assert "The installation is in the registry now." in added.text
    found = await browser.stentor.installations.get(STRANGE, address=True)
    assert (found.address, found.app, found.language) == (TOKEN, "ios", "de")
    assert found.attributes == {"plan": "pro", "a=b": [1], "n": "7"}
    form = await browser.open(path)
    kept = unescape(re.findall(r"(?s)<textarea[^>]*>\n(.*?)</textarea>", form.text)[0])
    same = await browser.submit(form, path, on="apns/ios", attributes=kept)
    assert "nothing is changed" in same.text
    changed = await browser.submit(form, path, on="apns/ios", language="fr", attributes="plan = free")
    assert "The installation is changed." in changed.text
    found = await browser.stentor.installations.get(STRANGE, address=True)
    assert (found.address, found.language, found.attributes) == (TOKEN, "fr", {"plan": "free"})
    outcomes = await logged(browser.stentor, "installation.put")
    assert outcomes == [(STRANGE, "done")] * 3 + [(STRANGE, "refused")] * 2


async def test_one_is_deleted(browser: Browser) -> None:
    await put(browser.stentor, STRANGE)
    await browser.sign_in("willy", Scope.WRITE)
    path = f"/installations/{quote(STRANGE, safe='')}/delete"
    asked = await browser.open(path)
    assert "An admin can erase the person" in asked.text
    gone = await browser.submit(asked, path)
    assert "no longer in the registry" in gone.text
    assert (await browser.submit(asked, path)).status_code == 404
    assert await logged(browser.stentor, "installation.delete") == [(STRANGE, "refused"), (STRANGE, "done")]


async def test_a_person_is_erased(browser: Browser) -> None:
    """The page says what it reaches, the answer what it reached; the log names nobody."""
    await put(browser.stentor, STRANGE, attributes={"name": "Zoë"})
    async with browser.another() as other:
        await other.sign_in("willy", Scope.WRITE)
        path = f"/installations/{quote(STRANGE, safe='')}/erase"
        form = await other.open("/installations")
        assert (await other.submit(form, path)).status_code == 403
    await browser.sign_in("ada", Scope.ADMIN)
    asked = await browser.open(path)
    assert "a placeholder stays in its place" in asked.text
    assert TOKEN not in asked.text
    done = await browser.submit(asked, path)
    assert "Everything about it is gone" in done.text
    assert "<dd>it was there</dd>" in done.text
    assert "<dd>0, in 0 campaigns</dd>" in done.text
    with pytest.raises(UnknownInstallation):
        await browser.stentor.installations.get(STRANGE)
    assert await logged(browser.stentor, "installation.erase") == [("", "done")]
    again = await browser.open(path)
    assert "It is not in the registry." in again.text


@pytest.mark.parametrize("path", ["", "/4711", "/4711/edit", "/4711/delete", "/4711/erase"])
async def test_nobody_sees_them_who_is_not_signed_in(browser: Browser, path: str) -> None:
    assert (await browser.open(f"/installations{path}")).url.path == "/sign-in"
