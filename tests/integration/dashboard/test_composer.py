"""The composer: a draft written, checked, tested, fired and taken back in a browser without eyes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from stentor.access.caller import local_caller
from stentor.access.log import ActionFilter
from stentor.access.scopes import Scope
from stentor.audience.contract import Selection
from stentor.dashboard import counting
from stentor.dashboard.counting import Counts
from stentor.model import ApnsOptions, Message
from stentor.planning.content import Content, Translation, to_file
from stentor.planning.contract import ANYTIME, Timing
from stentor.runtime.draft import Draft
from stentor.states import CampaignState
from stentor.store.campaigns import Campaign
from stentor.store.caring import CareSettings
from tests.integration.dashboard.conftest import Browser
from tests.integration.runtime.rehearsal import AUDIENCE

NASTY = "<script>alert(1)</script>"
RICH = Draft(
    Content(
        message=Message(
            title="News", body="Two\nlines", data={"screen": "s"}, apns=ApnsOptions(payload={"aps": {"x": [1, None]}})
        ),
        translations={"de": Translation(title="Neues", data={"screen": "de"})},
    ),
    Selection(source=AUDIENCE, filters={"platform": ["ios"]}, segment="language = de", only=["1", "2"]),
    title="Autumn",
    max_rate=50.0,
    timing=Timing(
        local_at="2030-01-31 18:00:30",
        past_share=0.05,
        no_zone="+02:00",
        quiet_hours="22:00-08:00",
        quiet_then="expire",
        spread=5400.0,
        canary=0.015,
        hold=True,
    ),
    care=CareSettings(category="news", caps=("1 a day", "3 in 24h of news")),
)


class _Fields(HTMLParser):
    """What a browser would send of the form `composer`, if nobody changed anything."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, str]] = []
        self._text: list[str] | None = None
        self._select = ""
        self._options: list[tuple[str, bool]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = given.get("id") == "composer"
        if not self._inside and given.get("form") != "composer":
            return
        if tag == "input":
            self.found.append((given["name"], given.get("value", "")))
        elif tag == "textarea":
            self.found.append((given["name"], ""))
            self._text = []
        elif tag == "select":
            self._select, self._options = given["name"], []
        elif tag == "option":
            self._options.append((given.get("value", "\0"), "selected" in given))
            self._text = [] if "value" not in given else None

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        text = "".join(self._text or [])
        if tag == "textarea" and self._text is not None:
            self.found[-1] = (self.found[-1][0], text.removeprefix("\n").replace("\n", "\r\n"))
            self._text = None
        elif tag == "option" and self._text is not None:
            self._options[-1] = (text, self._options[-1][1])
            self._text = None
        elif tag == "select" and self._options:
            chosen = next((value for value, selected in self._options if selected), self._options[0][0])
            self.found.append((self._select, chosen))
            self._options = []


async def save(
    browser: Browser, page: httpx.Response, do: str = "save", *, follow: bool = True, path: str = "", **changed: str
) -> httpx.Response:
    """Send the composer's form, with some fields filled in otherwise; `m__title` is `m.title`.

    Args:
        path: where the button sends it, if not to where the form does.
    """
    reader = _Fields()
    reader.feed(page.text)
    names = {name.replace("__", "."): value for name, value in changed.items()}
    sent: dict[str, list[str]] = {}
    for name, value in reader.found:
        sent.setdefault(name, []).append(value)
    sent |= {name: [value] for name, value in names.items()}
    own = re.search(r'<form id="composer" method="post" action="([^"]+)"', page.text)
    assert own is not None, page.text
    return await browser.post(path or own[1], follow=follow, **{**sent, "do": do})


async def made(browser: Browser, draft: Draft = RICH) -> Campaign:
    return await browser.stentor.campaigns.create(draft, count=False)


async def counted(browser: Browser, campaign: str) -> httpx.Response:
    """The check of a draft as soon as it is there, as the page asks for it again and again."""
    while "Counting" in (found := await browser.fragment(f"/campaigns/{campaign}/check/count")).text:
        pass
    return found


async def stored(browser: Browser, campaign: str) -> Draft:
    return await browser.stentor.campaigns.draft(campaign)


async def newest(browser: Browser) -> Campaign:
    return (await browser.stentor.campaigns.newest())[0]


async def test_a_draft_is_written_and_saved(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    page = await browser.open("/campaigns/new")
    more = await save(browser, page, "add-language", m__title="Hello", m__body="a\r\nb", language="de")
    saved = await save(
        browser,
        more,
        t__de__title="Hallo",
        source=AUDIENCE,
        filter="platform = ios",
        title="First",
        max_rate="20",
        category="News",
        caps="1 per day",
        segment="language==de or language not exists",
    )
    assert "The draft is saved." in saved.text
    campaign = await newest(browser)
    assert str(saved.url).endswith(f"/campaigns/{campaign.id}/compose?said=draft-saved")
    draft = await stored(browser, campaign.id)
    tree = {"title": "Hello", "body": "a\nb", "translations": {"de": {"title": "Hallo"}}}
    assert (to_file(draft.content), draft.title, draft.max_rate) == (tree, "First", 20.0)
    assert draft.care == CareSettings(category="news", caps=("1 a day",))
    assert draft.selection == Selection(
        source=AUDIENCE, filters={"platform": ["ios"]}, segment="language = de or language not exists"
    )
    assert campaign.expected == {}, "saving counts nobody"
    again = await save(browser, more, title="First")  # the back button, and a second click
    assert len(await browser.stentor.campaigns.newest()) == 1
    assert again.status_code in (200, 409, 422)
    done = [each.action for each in await browser.stentor.access.log.page(local_caller())]
    assert "campaign.create" in done


async def test_opening_and_saving_loses_nothing(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    campaign = await made(browser)
    before = await stored(browser, campaign.id)
    page = await browser.open(f"/campaigns/{campaign.id}/compose")
    assert (await save(browser, page)).status_code == 200
    assert await stored(browser, campaign.id) == before
    as_json = await save(browser, page, "as-json")
    assert "&#34;aps&#34;" in as_json.text
    assert (await save(browser, as_json)).status_code == 200  # what was saved meanwhile says the same
    assert await stored(browser, campaign.id) == before


async def test_two_who_rename_a_draft_clash_as_well(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    campaign = await made(browser)
    first = await browser.open(f"/campaigns/{campaign.id}/compose")
    second = await browser.open(f"/campaigns/{campaign.id}/compose")
    await save(browser, first, title="Winter")
    assert (await save(browser, second, title="Spring")).status_code == 409
    assert (await stored(browser, campaign.id)).title == "Winter"


async def test_of_two_tabs_the_second_is_asked(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    campaign = await made(browser)
    first = await browser.open(f"/campaigns/{campaign.id}/compose")
    second = await browser.open(f"/campaigns/{campaign.id}/compose")
    await save(browser, first, m__title="From the first")
    clash = await save(browser, second, m__title=f"From the second {NASTY}")
    assert clash.status_code == 409
    for text in ("Somebody else saved this draft meanwhile", "From the first", "From the second &lt;script"):
        assert text in clash.text
    assert NASTY not in clash.text
    assert (await stored(browser, campaign.id)).content.message.title == "From the first"
    fields = _Fields()
    fields.feed(clash.text.replace('<form class="do" method="post" action="/campaigns', '<form id="composer" x="'))
    kept: dict[str, list[str]] = {}
    for name, value in fields.found:
        kept.setdefault(name, []).append(value)
    fields_kept: dict[str, Any] = dict(kept)
    over = await browser.post(f"/campaigns/{campaign.id}/compose", **fields_kept)
    assert "The draft is saved." in over.text
    assert (await stored(browser, campaign.id)).content.message.title == f"From the second {NASTY}"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"m__title": "{{ oops"}, "broken template"),
        ({"m__ttl": "soon"}, "ttl"),
        ({"filter": "plan >= 3"}, "a filter asks only for values"),
        ({"segment": "plan is pro"}, "column 6: expected a comparison"),
        ({"segment": "pros"}, "there is no segment &#39;pros&#39;"),
        ({"words": "soon"}, "is not a time"),
        ({"max_rate": "0"}, "above 0"),
        ({"pause_above": "0"}, "must be a percentage above 0"),
        ({"caps": "1 a day, 0 a week"}, "leave the cap out"),
        ({"exclude": "staff"}, "there is no exclusion list"),
        ({"source": ""}, "choose whom it is for"),
        ({"timing__quiet_from": ""}, "are not quiet hours; write e.g. 22:00-08:00"),
        ({"timing__no_zone": "zone", "timing__stand_in": ""}, "write a time zone such as Europe/Berlin below"),
        ({"timing__stand_in": "Asia"}, "is not a time zone"),
        ({"timing__spread": "soon"}, "is not a duration; write e.g. 90m or 2h"),
        ({"timing__canary": "half"}, "must be a number of percent, such as 1"),
        ({"timing__canary": "100"}, "must be a share above 0 and below 1"),
        ({"timing__local_at": "2070-01-01T18:00"}, "is more than 10 years away; check the date"),
    ],
)
async def test_what_is_wrong_is_told_and_what_was_typed_stays(
    browser: Browser, changed: Mapping[str, Any], told: str
) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    campaign = await made(browser)
    page = await browser.open(f"/campaigns/{campaign.id}/compose")
    answer = await save(browser, page, **{"m__subtitle": "kept as typed", **changed})
    assert (answer.status_code, told in answer.text) == (422, True)
    assert "kept as typed" in answer.text
    assert (await browser.stentor.campaigns.get(campaign.id)).revision == 0


async def test_the_preview_is_what_lanes_render(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    page = await browser.open("/campaigns/new")
    path = "/campaigns/preview"
    token = browser.token(page)

    async def preview(**fields: str) -> str:
        answer = await browser.client.post(path, data={"csrf": token, **fields}, headers={"HX-Request": "true"})
        assert answer.status_code == 200, answer.text
        return answer.text

    text = await preview(**{"m.title": NASTY, "m.image": "https://example.com/a.png"})
    assert NASTY not in text
    for part in ("iPhone", "Android", "&lt;script&gt;", "of 4,096 bytes", "https://example.com/a.png"):
        assert part in text
    assert "<img" not in text
    broken = await preview(**{"m.title": "{{ oops"})
    assert 'data-field="m.title"' in broken
    named = await preview(**{"m.title": "Hi {{ platform }}", "source": AUDIENCE, "sample": "1"})
    assert re.search(r"Hi (ios|android)", named)
    nobody = await preview(**{"m.title": "Hi {{ platform }}", "source": AUDIENCE, "sample": "nobody"})
    assert "has no installation nobody" in nobody


async def test_fire_is_held_and_taken_back(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    campaign = await made(browser, replace(RICH, selection=Selection(source=AUDIENCE)))
    page = await browser.open(f"/campaigns/{campaign.id}/compose")
    checked = await save(browser, page, "check")
    assert f'hx-get="/campaigns/{campaign.id}/check/count"' in checked.text
    found = await counted(browser, campaign.id)
    assert "40 <span>recipients" in found.text
    fields = dict(re.findall(r'name="(confirmation|csrf)" value="([^"]+)"', found.text))
    unsure = await browser.post(f"/campaigns/{campaign.id}/fire", **fields, hold="10")
    assert (unsure.status_code, "tick the box first" in unsure.text) == (409, True)
    held = await browser.post(f"/campaigns/{campaign.id}/fire", **fields, sure="yes", hold="30")
    assert held.url.path == f"/campaigns/{campaign.id}/held"
    assert "Undo" in held.text
    now = await browser.stentor.campaigns.get(campaign.id)
    assert (now.state, now.held_until) == (CampaignState.SCHEDULED, now.starts_at)
    twice = await browser.post(f"/campaigns/{campaign.id}/fire", **fields, sure="yes", hold="30")
    assert twice.url.path == f"/campaigns/{campaign.id}/held"
    back = await browser.submit(held, f"/campaigns/{campaign.id}/unschedule")
    assert "Taken back: nothing was sent. This is a draft again, with the time" in back.text
    assert (await browser.stentor.campaigns.get(campaign.id)).state is CampaignState.DRAFT
    actions = [each.action for each in await browser.stentor.access.log.page(local_caller())]
    assert {"campaign.start", "campaign.unschedule"} <= set(actions)


async def test_what_changed_after_the_check_is_not_fired(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    campaign = await made(browser, replace(RICH, selection=Selection(source=AUDIENCE)))
    found = await counted(browser, campaign.id)
    fields = dict(re.findall(r'name="(confirmation|csrf)" value="([^"]+)"', found.text))
    other = replace(RICH, selection=Selection(source=AUDIENCE, filters={"platform": ["ios"]}))
    await browser.stentor.campaigns.change(campaign.id, other)
    answer = await browser.post(f"/campaigns/{campaign.id}/fire", **fields, sure="yes")
    assert answer.status_code == 409
    assert "The message or the audience is not the one that was previewed; nothing was started." in answer.text
    assert f'hx-get="/campaigns/{campaign.id}/check/count"' in answer.text, "it is checked again"
    assert (await browser.stentor.campaigns.get(campaign.id)).state is CampaignState.DRAFT


async def test_an_audience_that_cannot_be_read_is_told_of(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    lacking = replace(RICH, content=Content(message=Message(title="Hi {{ nickname }}")))
    campaign = await made(browser, lacking)
    found = await counted(browser, campaign.id)
    assert "has no column or attribute &#39;nickname&#39;" in found.text
    assert "Fire" not in found.text


async def test_a_test_is_sent_and_its_outcome_shown(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    campaign = await made(browser)
    page = await browser.open(f"/campaigns/{campaign.id}/check")
    wrong = await browser.submit(page, f"/campaigns/{campaign.id}/test", ids="nobody-here")
    assert (wrong.status_code, "has no installation nobody-here" in wrong.text) == (422, True)
    (reserved,) = re.findall(r'name="id" value="([^"]+)"', page.text)
    form = {"ids": "1\r\n2", "id": reserved}
    sent, again = await asyncio.gather(
        *(browser.submit(page, f"/campaigns/{campaign.id}/test", **form) for _ in range(2))
    )
    test_id = sent.url.params["test"]
    assert again.url.params["test"] == test_id == reserved, "a double click sends one test"
    assert len(await browser.stentor.campaigns.newest()) == 2
    log = await browser.stentor.access.log.page(local_caller(), ActionFilter(object=test_id))
    assert {(each.action, each.detail) for each in log} == {("campaign.test", f"of campaign {campaign.id}")}
    assert "The test is on its way" in sent.text
    await browser.stentor.roles.run(test_id)
    shown = await browser.fragment(f"/campaigns/{campaign.id}/check/test", test=test_id)
    assert "What became of the test" in shown.text
    assert shown.text.count("accepted</span>") == 2
    assert "delivered" not in shown.text
    other = await browser.fragment(f"/campaigns/{campaign.id}/check/test", test=campaign.id)
    assert "outcome" not in other.text.lower(), "no campaign is listed here"


async def test_each_role_may_do_what_it_may(browser: Browser) -> None:
    campaign = await made(browser)
    paths = [f"/campaigns/{campaign.id}/{page}" for page in ("compose", "check", "discard", "check/count")]
    for path in ("/campaigns/new", *paths):
        assert (await browser.open(path)).url.path == "/sign-in"
    await browser.sign_in("bob", Scope.VIEW)
    for path in ("/campaigns/new", *paths):
        assert (await browser.open(path)).status_code == 403
    async with browser.another() as writer:
        await writer.sign_in("eve", Scope.WRITE)
        page = await writer.open(f"/campaigns/{campaign.id}/check")
        assert "40 <span>recipients" not in page.text
        assert "Fire" not in (await counted(writer, campaign.id)).text
        for what in ("fire", "test", "unschedule"):
            assert (await writer.submit(page, f"/campaigns/{campaign.id}/{what}", ids="1")).status_code == 403


async def test_what_is_not_there(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    for page in ("compose", "check", "discard", "held"):
        assert (await browser.open(f"/campaigns/nobody/{page}")).status_code == 404


async def test_a_draft_is_deleted_after_a_question(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    campaign = await made(browser)
    asked = await browser.open(f"/campaigns/{campaign.id}/discard")
    gone = await browser.submit(asked, f"/campaigns/{campaign.id}/discard", revision="0")
    assert "The draft is deleted." in gone.text
    assert await browser.stentor.campaigns.newest() == []


async def test_a_session_counts_a_draft_once_at_a_time() -> None:
    counts: Counts[int] = Counts()
    begun: list[str] = []
    go_on = asyncio.Event()

    async def slow() -> int:
        begun.append("slow")
        await go_on.wait()
        return 1

    async def quick() -> int:
        return 2

    first = await asyncio.gather(*(counts.ask("s", "a", 0, slow) for _ in range(3)))
    assert (begun, all(isinstance(each, float) for each in first)) == (["slow"], True)
    assert await counts.ask("s", "b", 0, quick) == 2
    assert await counts.ask("t", "a", 0, quick) == 2, "another session's count is its own"
    waits = asyncio.ensure_future(counts.ask("s", "a", 0, slow))
    await asyncio.sleep(0)
    assert await counts.ask("s", "a", 1, quick) == 2, "a changed draft's count takes the place of what was asked before"
    assert isinstance(await waits, float), "whoever still waits for the old one asks again"
    assert not counts._by_session


async def test_of_two_tabs_neither_ends_the_other_s_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "WAIT", 0.0)
    counts: Counts[str] = Counts()
    go_on = asyncio.Event()

    async def slow(draft: str) -> str:
        await go_on.wait()
        return draft

    async def ask(draft: str) -> str | float:
        return await counts.ask("s", draft, 0, lambda: slow(draft))

    for draft in ("a", "b", "a", "b"):
        assert isinstance(await ask(draft), float)
    begun = {draft: each.task for draft, each in counts._by_session["s"].items()}
    assert all(not task.cancelled() and not task.cancelling() for task in begun.values())
    go_on.set()
    await asyncio.gather(*begun.values())
    assert [await ask(draft) for draft in ("a", "b")] == ["a", "b"]
    go_on.clear()
    for number in range(counting.MOST + 1):
        await ask(str(number))
    assert "0" not in counts._by_session["s"], "memory is bounded, however many drafts are asked for"
    for each in counts._by_session["s"].values():
        each.task.cancel()


async def test_what_cannot_be_read_is_told_and_is_no_mistake_of_ours(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    campaign = await made(browser)
    page = await browser.open(f"/campaigns/{campaign.id}/compose")
    deep = '{"data":' + "[" * 100_000 + "]" * 100_000 + "}"
    unreadable: list[dict[str, Any]] = [{"m__ttl": "9" * 5000}, {"base": deep}]
    for changed in unreadable:
        assert (await save(browser, page, **changed)).status_code == 422


async def test_a_large_campaign_that_is_called_a_test_is_not_listed_as_one(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    campaign = await made(browser)
    large = await browser.stentor.campaigns.create(
        replace(RICH, selection=Selection(source=AUDIENCE), title="All of them (test)"), count=False
    )
    shown = await browser.fragment(f"/campaigns/{campaign.id}/check/test", test=large.id)
    assert (shown.status_code, "The test is on its way" in shown.text) == (200, False)


async def told(browser: Browser) -> list[tuple[str, str, str]]:
    """What the log of who did what says of campaigns, the oldest first."""
    found = await browser.stentor.access.log.page(local_caller())
    return [(each.action, each.object, each.outcome) for each in reversed(found) if each.action.startswith("campaign.")]


async def test_the_log_names_what_was_made_and_nothing_that_was_not_done(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    page = await browser.open("/campaigns/new")
    more = await save(browser, page, "add-row", m__title="Hello", source=AUDIENCE)
    assert await told(browser) == [], "one more row changes no campaign"
    await save(browser, more)
    campaign = await newest(browser)
    seen = [("campaign.create", campaign.id, "done")]
    assert await told(browser) == seen
    await browser.stentor.campaigns.start(campaign.id)
    checked = await browser.open("/account")
    await browser.submit(checked, f"/campaigns/{campaign.id}/fire", sure="yes", confirmation="x")
    late = await browser.submit(checked, f"/campaigns/{campaign.id}/unschedule")
    assert "Too late" in late.text
    seen += [("campaign.start", campaign.id, "refused"), ("campaign.unschedule", campaign.id, "refused")]
    assert await told(browser) == seen


async def test_a_draft_that_nobody_counted_is_counted_before_its_start(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    campaign = await made(browser, replace(RICH, selection=Selection(source=AUDIENCE)))
    asked = await browser.open(f"/campaigns/{campaign.id}/start")
    assert asked.url.path == f"/campaigns/{campaign.id}/check", "it would say: to 0 recipients"
    await counted(browser, campaign.id)
    again = await browser.open(f"/campaigns/{campaign.id}/start")
    assert "The message goes to 40 recipients" in again.text


async def test_when_each_person_gets_it(browser: Browser) -> None:
    """Written, shown before the start by time zone, and not started while it says too little."""
    await browser.sign_in("ada", Scope.SEND)
    campaign = await made(browser, replace(RICH, selection=Selection(source=AUDIENCE), timing=ANYTIME))
    page = await browser.open(f"/campaigns/{campaign.id}/compose")
    said: dict[str, Any] = {
        "timing__local_at": "2030-01-31T18:00",
        "timing__quiet_from": "22:00",
        "timing__quiet_to": "08:00",
    }
    page = await save(browser, page, **said)
    assert (await stored(browser, campaign.id)).timing == Timing(local_at="2030-01-31T18:00", quiet_hours="22:00-08:00")
    told = await browser.open(f"/campaigns/{campaign.id}/check")
    assert "at 2030-01-31 18:00 on each recipient&#39;s clock; quiet hours 22:00-08:00" in told.text
    check = await counted(browser, campaign.id)
    assert "it cannot be started so: 40 recipients have no time zone that is known" in check.text
    confirmation = re.search(r'name="confirmation" value="([^"]+)"', check.text)
    assert confirmation is not None
    fired = await browser.submit(check, f"/campaigns/{campaign.id}/fire", confirmation=confirmation[1], sure="yes")
    assert fired.status_code == 409
    assert "40 recipients have no time zone that is known; say what happens to them" in fired.text
    rules: dict[str, Any] = {"timing__no_zone": "zone", "timing__stand_in": "Europe/Berlin", "timing__past": "tomorrow"}
    await save(browser, page, **rules, timing__spread="2h", timing__canary="1,5 %")
    assert (await stored(browser, campaign.id)).timing == Timing(
        local_at="2030-01-31T18:00",
        past="tomorrow",
        quiet_hours="22:00-08:00",
        no_zone="Europe/Berlin",
        spread=7200.0,
        canary=0.015,
    )
    check = await counted(browser, campaign.id)
    assert "31 Jan 2030, 17:00 UTC" in check.text
    shown = await browser.open(f"/campaigns/{campaign.id}")
    assert "1.5 % first, the others wait to be released" in shown.text
    plain = await save(
        browser,
        await browser.open(f"/campaigns/{campaign.id}/compose"),
        timing__local_at="",
        timing__quiet_from="",
        timing__quiet_to="",
        timing__spread="",
        timing__canary="",
    )
    assert plain.status_code == 200
    assert (await stored(browser, campaign.id)).timing == ANYTIME, "rules that have no effect are dropped"
