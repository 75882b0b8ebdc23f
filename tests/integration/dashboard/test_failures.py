"""Who was not reached and why: the list, its filters and pages, its files, and one recipient explained."""

from __future__ import annotations

import asyncio
import gzip
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from stentor.access.caller import local_caller
from stentor.access.log import ActionFilter
from stentor.access.scopes import Scope
from stentor.api.meter import ApiMeter
from stentor.audience.contract import Selection
from stentor.config import REGISTRY, Config
from stentor.dashboard.pages import failures as page_of
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.service.app import application
from tests.integration.dashboard.conftest import HOST, Browser
from tests.integration.runtime.rehearsal import AUDIENCE, change

HOSTILE = '<script>alert("1")</script>'
STRANGE = "a/b c&d=ü 🦉"
DEAD = (3, 4, 5)


async def campaign(stentor: Stentor, folder: Path, *, title: str = "News") -> str:
    """One that some of the phones cannot be reached by. Returns: its id."""
    change(folder, f"UPDATE devices SET token = 'x' || id WHERE id IN {DEAD}")
    made = await stentor.campaigns.create(Draft(Content(message=Message(title=title)), Selection(source=AUDIENCE)))
    await stentor.campaigns.start(made.id)
    await stentor.roles.run(made.id)
    return made.id


async def of_registry(stentor: Stentor, *ids: str) -> str:
    """A campaign to installations that have no lane, and to one that has. Returns: its id."""
    for each in ids:
        address = f"https://example.com/{len(each)}"
        await stentor.installations.put({"id": each, "channel": "webhook", "address": address})
    reached = {"id": "reached", "channel": "apns", "app": "ios", "address": "ab" * 32}
    await stentor.installations.put(reached)
    made = await stentor.campaigns.create(Draft(Content(message=Message(title=HOSTILE)), Selection(source=REGISTRY)))
    await stentor.campaigns.start(made.id)
    await stentor.roles.run(made.id)
    return made.id


def hrefs(page: httpx.Response, text: str) -> list[str]:
    """Where links of a page go whose addresses hold a text."""
    return [href for each in re.findall(r'href="([^"]+)"', page.text) if text in (href := unescape(each))]


async def test_the_list_says_why(browser: Browser, tmp_path: Path) -> None:
    sent = await campaign(browser.stentor, tmp_path)
    await browser.sign_in("vera", Scope.VIEW)
    page = await browser.open(f"/campaigns/{sent}/failures")
    report = await browser.stentor.outcomes.report(sent)
    assert page.status_code == 200
    assert f"<dt>Not reached</dt><dd>{report.total.failed}</dd>" in page.text
    for lane, reasons in report.reasons.items():
        for each in reasons:
            query = {"lane": lane, "reason": each.reason, "outcome": each.outcome.name.lower()}
            [link] = set(hrefs(page, urlencode(query)))
            listed = await browser.open(link)
            assert f"{each.count} that match" in listed.text
            assert len(set(hrefs(listed, "explain?installation="))) == each.count
    assert "With addresses" not in page.text
    assert "There is nothing here" not in page.text


async def test_pages_of_the_list(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_of, "ON_A_PAGE", 1)
    sent = await campaign(browser.stentor, tmp_path)
    await browser.sign_in("vera", Scope.VIEW)
    found: list[str] = []
    page = await browser.open(f"/campaigns/{sent}/failures", outcome="rejected", dead="")
    while True:
        found += hrefs(page, "explain?installation=")
        if not (following := hrefs(page, "cursor=")):
            break
        page = await browser.open(following[0])
    everybody = [row.installation async for row in browser.stentor.outcomes.failures(sent)]
    assert [each.rpartition("=")[2] for each in found] == everybody
    assert len(everybody) > 1
    # a page that goes on with other filters says so, and begins anew
    first = await browser.open(f"/campaigns/{sent}/failures")
    cursor = hrefs(first, "cursor=")[0].rpartition("cursor=")[2]
    changed = await browser.open(f"/campaigns/{sent}/failures?outcome=rejected&cursor={cursor}")
    assert (changed.status_code, "went on in a list with other filters" in changed.text) == (400, True)
    assert hrefs(changed, "explain?installation=") == found[:1]
    nonsense = await browser.open(f"/campaigns/{sent}/failures?cursor=nonsense")
    assert (nonsense.status_code, hrefs(nonsense, "explain?installation=")) == (400, found[:1])


@pytest.mark.parametrize(
    "query", [{}, {"dead": "true"}, {"dead": "false"}, {"outcome": "rejected", "lane": "apns/ios"}, {"reason": "None"}]
)
async def test_files_are_the_apis(browser: Browser, config: Config, tmp_path: Path, query: dict[str, str]) -> None:
    sent = await campaign(browser.stentor, tmp_path)
    key = (await browser.stentor.access.keys.create(local_caller(), "k", Scope.WRITE)).text
    await browser.sign_in("willy", Scope.WRITE)
    app = application(browser.stentor, config, ApiMeter(), asyncio.Event())
    transport = httpx.ASGITransport(app=app)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url=HOST, headers=headers) as client:
        for kind in ("csv", "jsonl"):
            for more in ({}, {"addresses": "true"}):
                asked = {**query, **more, "format": kind}
                theirs = await client.get(f"/v1/campaigns/{sent}/failures/export", params=asked)
                ours = await browser.open(f"/campaigns/{sent}/failures/export", **asked)
                assert (ours.status_code, ours.content) == (200, theirs.content)
                assert ours.headers["content-disposition"] == theirs.headers["content-disposition"]
                assert ours.headers["content-type"] == theirs.headers["content-type"]


async def test_a_file_is_compressed_and_addresses_need_a_role(browser: Browser, tmp_path: Path) -> None:
    sent = await campaign(browser.stentor, tmp_path)
    path = f"/campaigns/{sent}/failures/export"
    await browser.sign_in("vera", Scope.VIEW)
    request = browser.client.build_request("GET", path, headers={"Accept-Encoding": "gzip"})
    answer = await browser.client.send(request, stream=True)
    raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    report = await browser.stentor.outcomes.report(sent)
    assert len(gzip.decompress(raw).splitlines()) == report.total.failed + 1
    assert (await browser.open(path, addresses="true")).status_code == 403
    rows = await browser.stentor.access.log.page(local_caller(), ActionFilter(object=sent))
    told = [(each.action, each.caller_name, each.detail) for each in rows]
    assert told == [("failures.export", "vera", "")], "who downloads a list of people is on record"
    page = await browser.open(f"/campaigns/{sent}/failures", addresses="true")
    assert (page.status_code, "x3" in page.text) == (200, False)


async def test_what_can_be_filtered(browser: Browser, tmp_path: Path) -> None:
    sent = await campaign(browser.stentor, tmp_path)
    await browser.sign_in("vera", Scope.VIEW)
    path = f"/campaigns/{sent}/failures"
    nobody = await browser.open(path, reason=HOSTILE)
    assert "Nobody matches these filters" in nobody.text
    assert HOSTILE not in nobody.text
    for wrong in ({"dead": "perhaps"}, {"outcome": "accepted"}):
        answer = await browser.open(path, **wrong)
        assert (answer.status_code, next(iter(wrong)) in answer.text) == (422, True)
        assert (await browser.open(f"{path}/export", **wrong)).status_code == 422
    assert (await browser.open(f"{path}/export", format="pdf")).status_code == 422
    for unknown in ("nosuch", "<script>"):
        for page in ("failures", "failures/export", "explain?installation=3"):
            answer = await browser.open(f"/campaigns/{unknown}/{page}")
            assert (answer.status_code, "<script>" in answer.text) == (404, False)


async def test_a_campaign_in_which_nobody_failed(browser: Browser) -> None:
    made = await browser.stentor.campaigns.create(
        Draft(Content(message=Message(title="News")), Selection(source=AUDIENCE))
    )
    await browser.sign_in("vera", Scope.VIEW)
    page = await browser.open(f"/campaigns/{made.id}/failures")
    assert "Nobody has failed so far" in page.text


async def test_one_recipient_is_explained(browser: Browser, tmp_path: Path) -> None:
    sent = await campaign(browser.stentor, tmp_path)
    await browser.sign_in("vera", Scope.VIEW)
    path = f"/campaigns/{sent}/explain"
    failed = await browser.open(path, installation="3")
    told = await browser.stentor.outcomes.explain(sent, "3")
    text = unescape(failed.text)
    places = [text.index(each.text) for each in told.events]
    assert places == sorted(places)
    assert '<span class="badge rejected">rejected</span>' in failed.text
    asked = await browser.open(path, id="  1 ")
    assert (asked.url.params["installation"], "The provider accepted it" in asked.text) == ("1", True)
    unknown = await browser.open(path, installation=HOSTILE)
    assert (unknown.status_code, "it wasn't in it" in unescape(unknown.text)) == (200, True)
    assert HOSTILE not in unknown.text
    assert (await browser.open(path)).url.path == f"/campaigns/{sent}/failures"


async def test_ids_of_every_kind(browser: Browser) -> None:
    """Whatever an id holds, its link leads to it, and nothing of it runs."""
    ids = (STRANGE, HOSTILE, "..", "100%2F")
    sent = await of_registry(browser.stentor, *ids)
    await browser.sign_in("ada", Scope.ADMIN)
    page = await browser.open(f"/campaigns/{sent}/failures")
    assert HOSTILE not in page.text
    found = hrefs(page, "explain?installation=")
    known = [row.installation async for row in browser.stentor.outcomes.failures(sent)]
    assert set(known) >= set(ids)
    for link, installation in zip(found, known, strict=True):
        explained = await browser.open(link)
        assert "and put into batch" in explained.text
        assert HOSTILE not in explained.text
        assert explained.url.params["installation"] == installation


@pytest.mark.parametrize("path", ["failures", "failures/export", "explain?installation=1"])
async def test_nobody_sees_it_who_is_not_signed_in(browser: Browser, path: str) -> None:
    assert (await browser.open(f"/campaigns/x/{path}")).url.path == "/sign-in"


async def test_a_message_to_a_few(browser: Browser) -> None:
    stentor: Any = browser.stentor
    sent = await stentor.messages.send(
        Content(message=Message(title=HOSTILE)), ["1", "nosuch", HOSTILE], audience=AUDIENCE
    )
    await browser.sign_in("vera", Scope.VIEW)
    page = await browser.open(f"/messages/{sent.campaign.id}")
    assert page.status_code == 200
    assert "NotInAudience" in page.text
    assert "<dt>Rejected</dt><dd>2</dd>" in page.text
    assert HOSTILE not in page.text
    explained = await browser.open(hrefs(page, "explain?installation=nosuch")[0])
    assert "named as a recipient of the message" in explained.text
    assert f"/messages/{sent.campaign.id}" in explained.text
    assert (await browser.open("/messages/nosuch")).status_code == 404
