"""The page of lanes and roles: what stands still, why, and what to do; and holding campaigns back."""

from __future__ import annotations

import re

from sqlalchemy import insert

from stentor.access.caller import local_caller
from stentor.access.log import ActionFilter
from stentor.access.scopes import Scope
from stentor.audience.contract import Selection
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime.draft import Draft
from stentor.runtime.role_signs import RoleState
from stentor.store.tables import lanes
from tests.integration.dashboard.conftest import Browser
from tests.integration.runtime.rehearsal import AUDIENCE


async def stop_lane(browser: Browser, lane: str) -> None:
    row = {"problem": "the key was <b>revoked</b>", "remedy": "make a new key", "since": 1e9, "until": None}
    database = browser.stentor.lanes._database
    await database.write(lambda connection: connection.execute(insert(lanes).values(lane=lane, **row)))


async def test_a_lane_that_stands_still_says_why_and_what_to_do(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.VIEW)
    calm = await browser.open("/lanes")
    found = [each.lane for each in await browser.stentor.lanes.all()]
    assert all(lane in calm.text for lane in found)
    assert "stands still</span>" not in calm.text
    await stop_lane(browser, found[0])
    page = await browser.open("/lanes")
    assert page.text.count("stands still</span>") == 1
    assert "The key was &lt;b&gt;revoked&lt;/b&gt;" in page.text
    assert "What to do: make a new key" in page.text
    assert "<b>revoked" not in page.text


async def test_apps_are_shown_without_secrets(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.VIEW)
    page = await browser.open("/lanes")
    for app in browser.stentor.lanes.apps():
        assert app.name in page.text
    assert "key_id" in page.text
    assert "PRIVATE KEY" not in page.text
    assert not re.search(r"/[\w.-]+\.p8", page.text), "a file's name, without where it is"


async def test_work_that_nobody_takes(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.VIEW)
    planner = (await browser.stentor.lanes.roles())[0]
    assert (planner.role, planner.state, planner.problem) == ("planner", RoleState.IDLE, None)
    await browser.stentor.campaigns.send(Draft(Content(message=Message(title="Hello")), Selection(source=AUDIENCE)))
    signs = browser.stentor.lanes._signs
    now = signs._clock()
    signs._clock = lambda: now
    assert (await signs.look())[0].state is RoleState.WAITED_FOR
    assert (await signs.look())[0].problem is None, "it may be taken at any moment"
    signs._clock = lambda: now + 10
    planner = (await signs.look())[0]
    assert planner.problem is not None
    page = await browser.open("/lanes")
    assert "No planner takes the work that is ready" in page.text
    assert "check whether `stentor serve` is running" in page.text


async def test_campaigns_are_held_back_by_admins(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.ADMIN)
    asked = await browser.open("/lanes/drain")
    assert "0 campaigns are under way" in asked.text
    assert not await browser.stentor.queue.draining()
    held = await browser.submit(asked, "/lanes/drain")
    assert "No campaign starts from now on." in held.text
    assert "The queue can be moved or replaced now." in held.text
    assert await browser.stentor.queue.draining()
    ended = await browser.submit(held, "/lanes/drain/end")
    assert "Campaigns may start again." in ended.text
    assert not await browser.stentor.queue.draining()
    for action in ("queue.drain", "queue.end_drain"):
        [row] = await browser.stentor.access.log.page(local_caller(), ActionFilter(action=action))
        assert (row.caller_name, row.outcome) == ("ada", "done")


async def test_who_may_only_send_holds_nothing_back(browser: Browser) -> None:
    await browser.sign_in("grace", Scope.SEND)
    page = await browser.open("/lanes")
    assert "/lanes/drain" not in page.text
    assert (await browser.open("/lanes/drain")).status_code == 403
    for path in ("/lanes/drain", "/lanes/drain/end"):
        assert (await browser.submit(page, path)).status_code == 403
    async with browser.another() as nobody:
        assert (await nobody.open("/lanes")).url.path == "/sign-in"
