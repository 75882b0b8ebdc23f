"""The list of campaigns, a campaign's live page, and what can be done there."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from html import unescape
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.access.caller import local_caller
from stentor.access.log import ActionFilter
from stentor.access.scopes import Scope
from stentor.api import streams
from stentor.audience.contract import Selection
from stentor.dashboard.assets import Assets
from stentor.dashboard.pages.campaign import LIVE
from stentor.dashboard.pages.campaigns import _encoder
from stentor.dashboard.standing import ENDINGS
from stentor.dashboard.templates import Templates
from stentor.model import Message
from stentor.outcome import Outcome
from stentor.planning.content import Content
from stentor.runtime import standstill
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from stentor.store import campaigns as rows
from stentor.store import role_processes
from stentor.store.campaigns import Campaign, new_id
from stentor.store.role_processes import ProcessSign, ServedLane, ShownProcess
from stentor.store.tables import batches, failures
from stentor.words import lasted
from tests.integration.dashboard.conftest import Browser
from tests.integration.runtime.rehearsal import AUDIENCE

PHONES = 40
HOSTILE = "<script>alert(1)</script>"


async def draft(stentor: Stentor, title: str = "News", **filters: list[str]) -> Campaign:
    content = Content(message=Message(title=title, ttl=3600))
    return await stentor.campaigns.create(Draft(content, Selection(source=AUDIENCE, filters={**filters})))


async def sent(stentor: Stentor, title: str = "News") -> Campaign:
    made = await draft(stentor, title)
    await stentor.campaigns.start(made.id)
    await stentor.roles.run(made.id)
    return await stentor.campaigns.get(made.id)


async def many(stentor: Stentor, number: int, state: CampaignState = CampaignState.COMPLETED, start: int = 0) -> None:
    """Campaigns that were never sent."""
    made = [
        Campaign(
            id=new_id(1_700_000_000 + each),
            title=f"Number {each}",
            state=state,
            audience=b'{"source": "users"}',
            collapse_id="x",
            created_at=1_700_000_000.0 + each,
            expected={"apns/ios": 1000},
        )
        for each in range(start, start + number)
    ]

    async def add(connection: AsyncConnection) -> None:
        for each in made:
            await rows.add(connection, each, b"{}")

    await stentor._resources.database.write(add)


def text_of(page: httpx.Response) -> str:
    """What a page says, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def sum_of(text: str) -> tuple[int, dict[str, int]]:
    """The line of a page: the audience, and its parts."""
    found = re.search(r"([\d,]+) in the audience = (.*? waiting)", text)
    assert found is not None, text
    parts = {name: int(count.replace(",", "")) for count, name in re.findall(r"([\d,]+) (\w+)", found[2])}
    return int(found[1].replace(",", "")), parts


async def actions_of(stentor: Stentor, campaign: str) -> list[tuple[str, str]]:
    found = await stentor.access.log.page(local_caller(), ActionFilter(object=campaign))
    return [(each.action, each.outcome) for each in found]


async def making_of(stentor: Stentor, shown: httpx.Response) -> tuple[str, str]:
    """What the log says of how the campaign of a page was made."""
    (row,) = await stentor.access.log.page(local_caller(), ActionFilter(object=shown.url.path.rpartition("/")[2]))
    return row.action, row.detail


async def test_an_empty_list_says_what_to_do(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    page = await browser.open("/campaigns")
    assert "Make the first campaign" in page.text
    assert 'href="/campaigns/new"' in page.text
    async with browser.another() as other:
        await other.sign_in("bo", Scope.VIEW)
        seen = await other.open("/campaigns")
    assert "/campaigns/new" not in seen.text
    assert "Somebody with the role write or more can make one." in seen.text


async def test_the_list_is_filtered_and_paged(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.VIEW)
    await many(browser.stentor, 60)
    await draft(browser.stentor, HOSTILE, platform=["ios"])
    page = await browser.open("/campaigns")
    assert HOSTILE not in page.text
    assert "&lt;script&gt;" in page.text
    assert "platform" not in page.text  # who may only view sees an audience's name alone
    older = re.search(r'rel="next" href="([^"]+)"', page.text)
    assert older is not None
    rest = await browser.client.get(unescape(older[1]))
    titles = re.findall(r"Number \d+", page.text + rest.text)
    assert titles == [f"Number {each}" for each in reversed(range(60))]
    assert "hx-sse:connect" not in rest.text
    drafts = await browser.open("/campaigns", state="draft")
    assert "&lt;script&gt;" in drafts.text
    assert "Number" not in drafts.text
    assert "No campaign is paused." in text_of(await browser.open("/campaigns", state="paused"))
    assert (await browser.open("/campaigns", state="nosuch")).status_code == 404
    assert (await browser.open("/campaigns", after="nonsense")).status_code == 400


async def test_the_line_of_a_finished_campaign_adds_up(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.VIEW)
    made = await sent(browser.stentor, HOSTILE)
    page = await browser.open(f"/campaigns/{made.id}")
    assert page.status_code == 200
    assert HOSTILE not in page.text
    audience, parts = sum_of(text_of(page))
    assert (audience, sum(parts.values())) == (PHONES, PHONES)
    assert list(parts) == ["accepted", "rejected", "expired", "cancelled", "ambiguous", "waiting"]
    assert "delivered" not in page.text.lower()
    assert "hx-sse:connect" not in page.text  # nothing of it changes any more
    assert "/pause" not in page.text
    report = await browser.stentor.outcomes.report(made.id)
    reasons = text_of(await browser.fragment(f"/campaigns/{made.id}/reasons"))
    for lane in report.reasons.values():
        for each in lane:
            assert each.reason in reasons
    told = await browser.open(f"/campaigns/{made.id}/report")
    assert json.loads(told.text)["accepted"] == report.total.accepted
    listed = text_of(await browser.open("/campaigns"))
    assert f"completed {AUDIENCE}" in listed


async def test_the_reasons_are_those_of_the_end_as_soon_as_it_has_come(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.VIEW)
    made = await draft(browser.stentor)
    assert "Nobody failed so far" in text_of(await browser.fragment(f"/campaigns/{made.id}/reasons"))
    await browser.stentor.campaigns.start(made.id)
    await browser.stentor.roles.run(made.id)
    assert "Nobody failed." in text_of(await browser.fragment(f"/campaigns/{made.id}/reasons"))


async def test_the_audit_is_a_button(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.VIEW)
    made = await sent(browser.stentor)
    page = await browser.open(f"/campaigns/{made.id}/audit")
    done = await browser.submit(page, f"/campaigns/{made.id}/audit")
    assert "every recipient is accounted for, once" in done.text


PATHS = "live actions answer-times reasons report audit start pause resume cancel retry undo edit"


@pytest.mark.parametrize("path", ["", *(f"/{each}" for each in PATHS.split())])
async def test_an_unknown_campaign_and_who_is_not_signed_in(browser: Browser, path: str) -> None:
    answer = await browser.client.get(f"/campaigns/nosuch{path}", follow_redirects=False)
    if path == "/live":
        assert answer.status_code == 401  # a script asks for it
    else:
        assert answer.headers["location"].startswith("/sign-in")
    await browser.sign_in("ada", Scope.SEND)
    assert (await browser.open(f"/campaigns/nosuch{path}")).status_code == 404


async def test_how_quickly_lanes_are_answered_is_shown_while_a_campaign_is_sent(browser: Browser) -> None:
    """It is the lane's, so that a campaign that is over, or goes over other lanes, shows nothing."""
    await browser.sign_in("ada", Scope.VIEW)
    stentor = browser.stentor
    sender = ShownProcess(id="a", role="sender", host="host-a", pid=71, version="1.2.3")
    lanes = {"apns/ios": ServedLane(timed={60: 1234}), "fcm/android": ServedLane(timed={70: 10})}

    async def show(connection: AsyncConnection) -> None:
        await role_processes.show(connection, sender, 60.0, lanes, time.time)

    await stentor._resources.database.write(show)
    await many(stentor, 1)
    await many(stentor, 1, CampaignState.RUNNING, start=1)
    shown = {}
    for each in await stentor.campaigns.newest():
        page = await browser.open(f"/campaigns/{each.id}")
        part = await browser.fragment(f"/campaigns/{each.id}/answer-times")
        assert ("How fast providers answer" in page.text) == ("How fast providers answer" in part.text)
        shown[each.state] = text_of(part)
    assert "apns/ios 32 ms 32 ms 1,234" in shown[CampaignState.RUNNING]
    assert "fcm/android" not in shown[CampaignState.RUNNING]
    assert "other campaigns that it sends count as well" in shown[CampaignState.RUNNING]
    assert shown[CampaignState.COMPLETED] == ""


async def test_all_who_watch_share_one_look_at_answer_times(browser: Browser) -> None:
    lanes = browser.stentor.lanes
    asked = 0
    processes = lanes.processes

    async def counted() -> list[ProcessSign]:
        nonlocal asked
        asked += 1
        return await processes()

    lanes.processes = counted  # type: ignore[method-assign]
    await asyncio.gather(*(lanes.answer_times() for _ in range(20)))
    assert asked == 1


@pytest.mark.parametrize("action", ["start", "pause", "resume", "cancel", "retry", "undo", "edit"])
async def test_who_may_not_send_sees_no_button_and_is_refused(browser: Browser, action: str) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    made = await draft(browser.stentor)
    page = await browser.open(f"/campaigns/{made.id}/audit")
    shown = await browser.open(f"/campaigns/{made.id}")
    assert f"/campaigns/{made.id}/{action}" not in shown.text
    assert (await browser.open(f"/campaigns/{made.id}/{action}")).status_code == 403
    assert (await browser.submit(page, f"/campaigns/{made.id}/{action}")).status_code == 403
    assert (await browser.stentor.campaigns.get(made.id)).state is CampaignState.DRAFT


async def test_a_campaign_is_started_paused_resumed_and_cancelled(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    made = await draft(browser.stentor)
    home = f"/campaigns/{made.id}"
    asked = await browser.open(f"{home}/start")
    assert f"{PHONES} recipients" in asked.text
    confirmation = re.search(r'name="confirmation" value="([^"]+)"', asked.text)
    assert confirmation is not None
    done = started = await browser.submit(asked, f"{home}/start", confirmation=confirmation[1], once="episode-12")
    assert "The campaign is started." in started.text
    assert {"pause", "cancel"} <= set(re.findall(rf'"{home}/(\w+)"', started.text))
    for action, said in (
        ("pause", "Sending stops within a second, and nothing is lost"),
        ("resume", "Nobody who already has an outcome is sent the message again"),
        ("cancel", f"About {PHONES} recipients will not get the message"),
    ):
        page = await browser.open(f"{home}/{action}")
        assert said in text_of(page)
        done = await browser.submit(page, f"{home}/{action}")
        assert done.url.path == home
    assert (await browser.stentor.campaigns.get(made.id)).state is CampaignState.CANCELLED
    again = await browser.submit(done, f"{home}/pause")
    assert again.status_code == 409
    assert await actions_of(browser.stentor, made.id) == [
        ("campaign.pause", "refused"),
        ("campaign.cancel", "done"),
        ("campaign.resume", "done"),
        ("campaign.pause", "done"),
        ("campaign.start", "done"),
    ]


async def test_a_paused_campaign_says_why_it_stands_still(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.VIEW)
    made = await draft(browser.stentor)
    await browser.stentor.campaigns.start(made.id)
    await browser.stentor.campaigns.pause(made.id)
    text = text_of(await browser.open(f"/campaigns/{made.id}"))
    assert "It is paused. Nothing is sent until somebody resumes it, and nothing is lost." in text
    assert sum_of(text) == (PHONES, {**dict.fromkeys(ENDINGS, 0), "waiting": PHONES})


async def test_only_the_draft_that_was_looked_at_is_started(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    made = await draft(browser.stentor)
    page = await browser.open(f"/campaigns/{made.id}/start")
    confirmation = re.search(r'name="confirmation" value="([^"]+)"', page.text)
    assert confirmation is not None
    other = Draft(Content(message=Message(title="Another")), Selection(source=AUDIENCE))
    await browser.stentor.campaigns.change(made.id, other)
    refused = await browser.submit(page, f"/campaigns/{made.id}/start", confirmation=confirmation[1])
    assert "is not the one that was previewed; nothing was started" in refused.text
    without = await browser.submit(page, f"/campaigns/{made.id}/start")
    assert without.status_code == 422
    assert (await browser.stentor.campaigns.get(made.id)).state is CampaignState.DRAFT


async def test_who_was_not_reached_is_sent_to_again(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    made = await draft(browser.stentor)
    await browser.stentor.campaigns.start(made.id)
    await browser.stentor.campaigns.cancel(made.id)
    page = await browser.open(f"/campaigns/{made.id}/retry")
    assert f"{PHONES} recipients" in text_of(page)
    done = await browser.submit(page, f"/campaigns/{made.id}/retry")
    assert "This new campaign is for those who were not reached." in done.text
    assert done.url.path != f"/campaigns/{made.id}"
    assert f'href="{done.url.path}/start"' in done.text
    assert await making_of(browser.stentor, done) == ("campaign.retry", f"of campaign {made.id}")


async def test_a_message_is_taken_back(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    made = await sent(browser.stentor)
    accepted = (await browser.stentor.outcomes.report(made.id)).total.accepted
    page = await browser.open(f"/campaigns/{made.id}/undo")
    assert f"This concerns {accepted} recipients whom it reached." in text_of(page)
    better = await browser.submit(page, f"/campaigns/{made.id}/undo/check", title="Sorry", body="That was a mistake")
    assert "they are replaced by the message below" in text_of(better)
    message = re.search(r'name="message" value="([^"]+)"', better.text)
    assert message is not None
    done = await browser.submit(better, f"/campaigns/{made.id}/undo", message=unescape(message[1]))
    assert "This new campaign takes the message back." in done.text
    content = await browser.stentor.campaigns.content(done.url.path.rpartition("/")[2])
    assert content.message.title == "Sorry"
    assert f"/campaigns/{made.id}" in done.text
    assert f'"{done.url.path}/undo"' not in done.text
    assert await making_of(browser.stentor, done) == ("campaign.undo", f"of campaign {made.id}")


async def test_a_message_is_edited(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    made = await sent(browser.stentor)
    home = f"/campaigns/{made.id}"
    page = await browser.open(f"{home}/edit")
    assert ">News</textarea>" in page.text
    wrong = await browser.submit(page, f"{home}/edit/check", message="{no json")
    assert (wrong.status_code, "this is not JSON" in wrong.text) == (422, True)
    unknown = await browser.submit(page, f"{home}/edit/check", message='{"titel": "News"}')
    assert (unknown.status_code, "titel" in unknown.text) == (422, True)
    checked = await browser.submit(page, f"{home}/edit/check", title="Better news", body="More of it")
    message = re.search(r'name="message" value="([^"]+)"', checked.text)
    assert message is not None
    assert json.loads(unescape(message[1])) == {"title": "Better news", "body": "More of it", "ttl": 3600}
    done = await browser.submit(checked, f"{home}/edit", message=unescape(message[1]))
    assert "This new campaign puts the new message in place." in done.text
    assert await making_of(browser.stentor, done) == ("campaign.edit", f"of campaign {made.id}")


async def messages(browser: Browser, path: str) -> AsyncIterator[tuple[str, str]]:
    """What a stream tells, by name; what is put into its place has none."""
    answer = await browser.client.get(path, headers={"HX-Request": "true"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    for block in answer.text.split("\n\n"):
        lines = [each.split(": ", 1) for each in block.splitlines() if ": " in each]
        data = "\n".join(value for name, value in lines if name == "data")
        if data:
            yield next((value for name, value in lines if name == "event"), ""), data


async def test_the_page_follows_a_campaign_to_its_end(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.VIEW)
    made = await draft(browser.stentor)
    await browser.stentor.campaigns.start(made.id)
    page = await browser.open(f"/campaigns/{made.id}")
    assert f'hx-sse:connect="/campaigns/{made.id}/live"' in page.text
    running = asyncio.create_task(browser.stentor.roles.run(made.id))
    told = [each async for each in messages(browser, f"/campaigns/{made.id}/live")]
    await running
    assert told[0][0] == ""
    assert told[-1] == ("end", "completed")
    assert ("state", "completed") in told
    for name, data in told:
        assert "hx-" not in data
        if not name:
            audience, parts = sum_of(" ".join(unescape(re.sub(r"<[^>]+>", " ", data)).split()))
            assert audience == sum(parts.values()) == PHONES
    last = [data for name, data in told if not name][-1]
    assert "Rate, on average" in last


async def test_buttons_follow_the_state(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    made = await draft(browser.stentor)
    await browser.stentor.campaigns.start(made.id)
    before = await browser.fragment(f"/campaigns/{made.id}/actions")
    await browser.stentor.campaigns.pause(made.id)
    after = await browser.fragment(f"/campaigns/{made.id}/actions")
    assert ("/pause" in before.text, "/resume" in before.text) == (True, False)
    assert ("/pause" in after.text, "/resume" in after.text) == (False, True)
    later = await draft(browser.stentor, "Later")
    await browser.stentor.campaigns.start(later.id, hold=300.0)
    held = await browser.fragment(f"/campaigns/{later.id}/actions")
    assert ("/held" in held.text, "/held" in before.text) == (True, False)
    assert f'action="/campaigns/{later.id}/unschedule"' in (await browser.open(f"/campaigns/{later.id}/held")).text


@pytest.mark.parametrize("path", ["/campaigns/events", "/campaigns/{id}/live"])
async def test_who_is_signed_out_sees_nothing_more(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Also on a page that was open before."""
    monkeypatch.setattr(streams, "HEARTBEAT", 0.01)
    monkeypatch.setattr(streams, "CHECKED_EVERY", 0.01)
    user = await browser.sign_in("ada", Scope.VIEW)
    made = await draft(browser.stentor)
    watching = asyncio.create_task(browser.open(path.format(id=made.id)))
    while not streams._watchers:  # noqa: ASYNC110 - the stream begins by itself
        await asyncio.sleep(0.01)
    assert not watching.done()
    await browser.stentor.access.sessions.end_all(local_caller(), user.id)
    await asyncio.wait_for(watching, 60)
    assert not streams._watchers


async def test_the_list_is_told_whenever_it_changes(browser: Browser) -> None:
    """Whole each time, rendered once for all who watch, and without what depends on the reader."""
    stentor = browser.stentor
    first = await draft(stentor, "First")
    encode = _encoder(Templates(Assets()))
    async with aclosing(stentor.list_events()) as one, aclosing(stentor.list_events()) as other:
        told, same = await anext(one), await anext(other)
        assert told is same
        assert encode(told) is encode(same)
        await draft(stentor, HOSTILE)
        later = encode(await anext(one)).decode()
    assert first.id in later
    assert "&lt;script&gt;" in later
    assert "hx-" not in later


async def test_what_stands_still_is_told_to_who_watches(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any process that sends: in the words of `campaign show`."""
    monkeypatch.setattr(standstill, "STILL", 0.0)
    made = await draft(browser.stentor)
    await browser.stentor.campaigns.start(made.id)
    live, text = LIVE.of(made.id, Templates(Assets())), ""
    async with aclosing(browser.stentor.events(made.id)) as events:
        async for event in events:
            text = live.encoded(event).decode()
            if "takes the work that is ready" in text:
                break
    assert "The audience isn&#39;t read. No planner takes the work that is ready." in text
    assert f"`stentor campaign resume {made.id}`" in text


@contextmanager
def statements(stentor: Stentor) -> Iterator[list[tuple[str, Any]]]:
    """What the store is asked meanwhile."""
    found: list[tuple[str, Any]] = []

    def note(_c: object, _x: object, statement: str, parameters: Any, *_: object) -> None:
        found.append((statement, parameters))

    engine = sa.Engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


async def test_reasons_are_not_counted_one_by_one(browser: Browser) -> None:
    """Reasons and the retry page group no failures, however many there are, and say where counting stopped."""
    await browser.sign_in("ada", Scope.SEND)
    made = await sent(browser.stentor)
    await browser.stentor._resources.database.write(lambda connection: fail(connection, made.id, 10_010))
    for path in ("reasons", "retry"):
        with statements(browser.stentor) as asked:
            page = await browser.open(f"/campaigns/{made.id}/{path}")
        assert page.status_code == 200
        of_failures = [each for each, _ in asked if "stentor_failures" in each]
        assert of_failures
        assert not [each for each in of_failures if "GROUP BY" in each]
        assert all("LIMIT" in each for each in of_failures)
        assert text_of(page).count("more than 10,000") >= 2  # the two reasons
        assert "The app was removed." in text_of(page)
    reasons = await browser.open(f"/campaigns/{made.id}/reasons")
    assert f"/campaigns/{made.id}/failures?lane=apns%2Fios&amp;reason=Unregistered&amp;outcome=rejected" in reasons.text
    assert "More than 20,000 addresses are dead" in text_of(reasons)
    retry = text_of(await browser.open(f"/campaigns/{made.id}/retry"))
    assert "More than 20,000 recipients have a dead address, and are left out." in retry
    assert "it is for fewer than" in retry


async def test_who_was_left_out_by_a_rule_is_told_apart(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    made = await sent(browser.stentor)
    before = (await browser.stentor.outcomes.report(made.id)).to_retry()
    kinds = ("Skipped", "NoAnswer")
    await browser.stentor._resources.database.write(lambda connection: fail(connection, made.id, 3, kinds))
    assert "3 of them were left out by a rule. Nothing is wrong with them." in text_of(
        await browser.open(f"/campaigns/{made.id}/reasons")
    )
    retry = text_of(await browser.open(f"/campaigns/{made.id}/retry"))
    assert f"it is for {before + 3} recipients: {before + 3} failed with an address that may still work" in retry
    assert "3 recipients were left out by a rule, and stay out unless you choose them." in retry


async def fail(
    connection: AsyncConnection, campaign: str, each: int, kinds: Sequence[str] = ("Unregistered", "BadDeviceToken")
) -> None:
    """Failures of two kinds in one batch, whose sums have them all."""
    batch = (await connection.execute(sa.select(batches.c.id).where(batches.c.campaign_id == campaign))).first()
    assert batch is not None
    lane, ended = "apns/ios", {"outcome": Outcome.REJECTED.value, "status": 410, "detail": "", "tries": 1, "at": 1.0}
    rows_of = [
        {"batch_id": batch.id, "position": 1_000 + each * of + n, "campaign_id": campaign, "lane": lane}
        | {"installation": f"{reason}-{n}", "reason": reason, "dead": reason in ("Unregistered", "BadDeviceToken")}
        | ended
        for of, reason in enumerate(kinds)
        for n in range(each)
    ]
    await connection.execute(sa.insert(failures), rows_of)
    more = {"size": batches.c.size + 2 * each, "rejected": batches.c.rejected + 2 * each}
    await connection.execute(sa.update(batches).where(batches.c.id == batch.id).values(lane=lane, **more))


async def test_how_long_it_took_is_there_after_the_end(browser: Browser) -> None:
    """Whoever opens the page later sees the same as who watched to the end."""
    await browser.sign_in("ada", Scope.VIEW)
    made = await sent(browser.stentor)
    text = text_of(await browser.open(f"/campaigns/{made.id}"))
    report = await browser.stentor.outcomes.report(made.id)
    assert f"Took {lasted(report.seconds)} Rate, on average {report.rate:,.0f}/s" in text


async def test_the_chart_says_its_times_to_the_second(browser: Browser) -> None:
    made = await draft(browser.stentor)
    live, progress = LIVE.of(made.id, Templates(Assets())), await browser.stentor.outcomes.progress(made.id)
    html = ""
    for second in range(4):
        html = live.render(replace(progress, at=1_700_000_000.0 + second))
    assert '<time datetime="2023-11-14T22:13:20+00:00" class="clock">22:13:20 UTC</time>' in html
    assert '<time datetime="2023-11-14T22:13:23+00:00" class="clock">22:13:23 UTC</time>' in html


async def test_the_list_sums_a_campaign_that_is_over_once(browser: Browser) -> None:
    """One that goes on is summed anew each time."""
    await browser.sign_in("ada", Scope.VIEW)
    over = await sent(browser.stentor, "Over")
    first = text_of(await browser.open("/campaigns"))
    with statements(browser.stentor) as asked:
        again = text_of(await browser.open("/campaigns"))
    assert (again == first, [each for each, _ in asked if "stentor_batches" in each]) == (True, [])
    going = await draft(browser.stentor, "Going")
    await browser.stentor.campaigns.start(going.id)
    for _ in range(2):
        with statements(browser.stentor) as asked:
            await browser.open("/campaigns")
        [parameters] = [each for statement, each in asked if "sum(stentor_batches" in statement]
        assert going.id in parameters
        assert over.id not in parameters


async def test_no_page_asks_what_grows_with_recipients(browser: Browser) -> None:
    """Of a campaign's recipients the pages read the counts of its batches, by an index, and no recipient or failure;
    and each asks as often whether there are few campaigns or many."""
    await browser.sign_in("ada", Scope.ADMIN)
    made = await sent(browser.stentor)
    counted: dict[str, set[int]] = {}
    plans: set[str] = set()
    await browser.open("/campaigns")  # reads the key of the cursors, once a process
    for number in (0, 200):
        await many(browser.stentor, number)
        for path in ("/campaigns", f"/campaigns/{made.id}"):
            await browser.open(path)  # sums of campaigns that are over are asked for once a process
            with statements(browser.stentor) as asked:
                assert (await browser.open(path)).status_code == 200
            counted.setdefault(path, set()).add(len([each for each, _ in asked if each.startswith("SELECT")]))
            for statement, _ in asked:
                assert "stentor_failures" not in statement
                assert ".recipients" not in statement
                assert ".outcomes" not in statement
            for statement, parameters in asked:
                if statement.startswith("SELECT") and "stentor_" in statement:
                    plans |= set(await explained(browser.stentor, statement, parameters))
    assert {path: len(each) for path, each in counted.items()} == dict.fromkeys(counted, 1)
    for plan in plans:
        scanned = plan.startswith("SCAN")
        assert not (scanned and any(name in plan for name in ("batches", "campaigns", "tasks"))), plan


async def explained(stentor: Stentor, statement: str, parameters: Any) -> list[str]:
    async def ask(connection: AsyncConnection) -> list[str]:
        rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", tuple(parameters))
        return [str(row._mapping["detail"]) for row in rows]

    return await stentor._resources.database.ask(ask)


async def test_looking_only_at_the_head_of_a_stream_ends_at_once(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.VIEW)
    made = await draft(browser.stentor)
    for path in ("/campaigns/events", f"/campaigns/{made.id}/live"):
        head = await asyncio.wait_for(browser.client.head(path), 60)
        assert head.headers["content-type"].startswith("text/event-stream")


async def test_a_second_click_makes_no_second_draft(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    gone = await draft(browser.stentor)
    await browser.stentor.campaigns.start(gone.id)
    await browser.stentor.campaigns.cancel(gone.id)
    made = await sent(browser.stentor)
    for campaign, action in ((gone, "retry"), (made, "undo")):
        path = f"/campaigns/{campaign.id}/{action}"
        page = await browser.open(path)
        reserved = re.search(r'name="id" value="([^"]+)"', page.text)
        assert reserved is not None
        once, twice = [await browser.submit(page, path, id=reserved[1], message="") for _ in range(2)]
        assert once.url.path == twice.url.path == f"/campaigns/{reserved[1]}"
        other = await browser.submit(page, path, id="not-an-id")
        assert other.url.path not in (once.url.path, path)
    path = f"/campaigns/{made.id}/edit"
    checked = await browser.submit(await browser.open(path), f"{path}/check", title="Better")
    reserved = re.search(r'name="id" value="([^"]+)"', checked.text)
    assert reserved is not None
    for _ in range(2):
        done = await browser.submit(checked, path, id=reserved[1], message='{"title": "Better"}')
        assert done.url.path == f"/campaigns/{reserved[1]}"


async def test_what_starts_a_campaign_has_one_name(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    made = await draft(browser.stentor)
    buttons = await browser.fragment(f"/campaigns/{made.id}/actions")
    assert re.search(rf'href="/campaigns/{made.id}/start">.*?</svg>\s*Fire\s*</a>', buttons.text, re.DOTALL), (
        buttons.text
    )
    asked = await browser.open(f"/campaigns/{made.id}/start")
    assert '<button class="primary" type="submit">Fire</button>' in asked.text
    assert f"Fire “{made.title}”?" in text_of(asked)
    assert "It is a draft at the moment." in text_of(asked)
