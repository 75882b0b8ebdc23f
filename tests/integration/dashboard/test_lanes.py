"""The page of lanes and roles: what stands still, why, and what to do; and holding campaigns back."""

from __future__ import annotations

import re
import time

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.access.caller import local_caller
from stentor.access.log import ActionFilter
from stentor.access.scopes import Scope
from stentor.audience.contract import Selection
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime.draft import Draft
from stentor.runtime.role_signs import RoleState
from stentor.store import role_processes
from stentor.store.role_processes import ServedLane, ShownProcess
from stentor.store.tables import lanes
from tests.integration.dashboard.conftest import Browser
from tests.integration.dashboard.test_campaign_pages import text_of
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


async def show(browser: Browser, name: str, host: str, seconds: float = 0.0, **lanes: ServedLane) -> None:
    """Have a sender show itself, so many seconds ago."""
    process = ShownProcess(id=name, role="sender", host=host, pid=71, version="1.2.3")
    served = {lane.replace("_", "/"): each for lane, each in lanes.items()}

    async def change(connection: AsyncConnection) -> None:
        await role_processes.show(connection, process, 60.0, served, lambda: time.time() - seconds)

    await browser.stentor.lanes._database.write(change)


async def test_the_processes_that_run_and_one_that_was_killed(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.VIEW)
    empty = await browser.open("/lanes")
    assert "No process has shown itself." in empty.text
    await show(browser, "a", "host-<b>a</b>", apns_ios=ServedLane())
    await show(browser, "b", "host-b", 130.0, apns_ios=ServedLane())
    page = text_of(await browser.open("/lanes"))
    assert "<b>a</b>" not in (await browser.open("/lanes")).text
    assert "Sender on host-<b>a</b>" in page
    assert re.search(r"process 71: apns/ios .* Last sign \d+ s ago 1\.2\.3", page)
    assert "silent No sign for 2 min: it may have been killed, or cut off from the store." in page
    rows = re.findall(r"sender (apns/ios|fcm/android) nothing to do (\w+) Sends", page)
    assert rows == [("apns/ios", "1"), ("fcm/android", "none")], "one that is silent doesn't count"


async def test_how_quickly_a_lane_is_answered(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.VIEW)
    assert "Half of the answers" not in (await browser.open("/lanes")).text
    await show(browser, "a", "host-a", apns_ios=ServedLane(timed={60: 10}))
    await show(browser, "b", "host-b", apns_ios=ServedLane(timed={60: 80, 80: 10}), fcm_android=ServedLane())
    await show(browser, "c", "host-c", 130.0, apns_ios=ServedLane(timed={100: 1000}))
    page = text_of(await browser.open("/lanes"))
    assert page.count("Half of the answers within 32 ms 99 of 100 within 215 ms") == 1
    [ios, android] = sorted(await browser.stentor.lanes.all(), key=lambda each: each.lane)
    assert (ios.answer_times and ios.answer_times.timed, android.answer_times) == (100, None)


@pytest.mark.parametrize(
    ("days", "says"),
    [
        (400, "The credentials are valid until"),
        (20, "The credentials of the app ios end on"),
        (-1, "The credentials of the app ios ended on"),
    ],
)
async def test_credentials_that_end(browser: Browser, days: int, says: str) -> None:
    await browser.sign_in("ada", Scope.VIEW)
    assert "credentials" not in text_of(await browser.open("/lanes"))
    ends = time.time() + days * 86_400
    await show(browser, "a", "host-a", apns_ios=ServedLane(expires_at=ends + 1e9))
    await show(browser, "b", "host-b", apns_ios=ServedLane(expires_at=ends))
    page = text_of(await browser.open("/lanes"))
    assert page.count("credentials") == 1
    assert says in page
    [ios] = [each for each in await browser.stentor.lanes.all() if each.lane == "apns/ios"]
    assert ios.credentials_expire_at == ends


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
