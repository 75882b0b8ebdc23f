"""The pages of series: made of a campaign, shown with their runs, paused, deleted; and who may do that."""

from __future__ import annotations

import re
from typing import Any

import pytest

from stentor.access.scopes import Scope
from stentor.audience.contract import Selection
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime.draft import Draft
from stentor.runtime.series import SeriesDraft
from stentor.store import series as rows
from stentor.store.campaigns import Campaign
from stentor.store.series import RunState, Series, SeriesRun, run_id
from tests.integration.dashboard.conftest import Browser
from tests.integration.runtime.rehearsal import AUDIENCE

DRAFT = Draft(Content(message=Message(title="News <script>")), Selection(source=AUDIENCE, segment="language = de"))
_ID = re.compile(r'name="id" value="([0-9a-z]{16})"')


async def campaign(browser: Browser) -> Campaign:
    return await browser.stentor.campaigns.create(DRAFT, count=False)


async def series(browser: Browser, name: str = "Daily <script>") -> Series:
    new = SeriesDraft(name=name, draft=DRAFT, cron="0 18 * * *", zone="Europe/Berlin")
    return await browser.stentor.series.add(new, count=False)


async def run(browser: Browser, of: Series, due: float, state: RunState, reason: str | None = None) -> None:
    became = SeriesRun(series_id=of.id, due=due, campaign_id=run_id(of.id, due), state=state, reason=reason, at=due)
    database = browser.stentor._resources.database
    await database.write(lambda connection: rows.record(connection, became))


async def test_a_series_is_made_of_a_campaign_after_its_times_were_shown(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    found = await browser.stentor.campaigns.create(
        Draft(Content(message=Message(title="News")), Selection(source=AUDIENCE), max_rate=5, pause_above=0.2)
    )
    path = f"/campaigns/{found.id}/repeat"
    assert path in (await browser.open(f"/campaigns/{found.id}")).text
    page = await browser.open(path)
    fields: dict[str, Any] = {
        "name": "Daily",
        "cron": "0 18 * * mon",
        "zone": "Europe/Berlin",
        "missed": "one",
        "id": _ID.findall(page.text)[0],
    }
    shown = await browser.submit(page, path, do="times", **fields)
    assert "At 18:00 on Monday. The next runs are due:" in shown.text
    assert len(re.findall(r"<li>Mon \d{4}-\d\d-\d\d 18:00 CES?T</li>", shown.text)) == 5
    assert await browser.stentor.series.list() == []
    other = {**fields, "cron": "0 9 * * tue", "shown": "0 18 * * mon Europe/Berlin"}
    changed = await browser.submit(shown, path, do="save", **other)
    assert "At 09:00 on Tuesday. The next runs are due:" in changed.text
    assert await browser.stentor.series.list() == [], "its times were not shown yet"
    fields["shown"] = "0 18 * * mon Europe/Berlin"
    assert f'name="shown" value="{fields["shown"]}"' in shown.text
    for _ in range(2):  # a double click
        saved = await browser.submit(shown, path, do="save", **fields)
        assert "The series is saved." in saved.text
    (made,) = await browser.stentor.series.list()
    assert (made.name, made.cron, made.zone, made.missed.value) == ("Daily", "0 18 * * mon", "Europe/Berlin", "one")
    draft = (await browser.stentor.series.draft(made.id)).draft
    assert (draft.content.message.title, draft.max_rate, draft.pause_above) == ("News", 5, 0.2)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"cron": "daily"}, "has 1 field instead of 5"),
        ({"zone": "Berlin"}, "there is no time zone"),
        ({"name": " "}, "must have 1 to 100 characters"),
        ({"missed": "all"}, "choose one of those"),
        ({"name": "Taken"}, "there is a series &#39;Taken&#39; already"),
    ],
)
async def test_what_cannot_be_a_series_is_told_at_its_field(
    browser: Browser, changed: dict[str, str], told: str
) -> None:
    await browser.sign_in("ada", Scope.SEND)
    await series(browser, "Taken")
    path = f"/campaigns/{(await campaign(browser)).id}/repeat"
    fields: dict[str, Any] = {"name": "Daily", "cron": "0 18 * * *", "zone": "UTC", "missed": "skip", **changed}
    fields["shown"] = f"{fields['cron']} {fields['zone']}"
    answer = await browser.submit(await browser.open(path), path, do="save", **fields)
    assert answer.status_code == 422
    assert told in answer.text
    assert len(await browser.stentor.series.list()) == 1


async def test_a_series_is_shown_with_its_runs(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.VIEW)
    assert "There is no series yet." in (await browser.open("/series")).text
    made = await series(browser)
    path = f"/series/{made.id}"
    assert "It has had no run yet." in (await browser.open(path)).text
    await run(browser, made, 1_800_000_000.0, RunState.STARTED)
    await run(browser, made, 1_800_086_400.0, RunState.FAILED, "no <script> there")
    page = (await browser.open(path)).text
    assert "At 18:00 every day, by the clocks of Europe/Berlin" in page
    assert f'href="/campaigns/{run_id(made.id, 1_800_000_000.0)}"' in page
    assert "no &lt;script&gt; there" in page
    listed = (await browser.open("/series")).text
    assert ">failed<" in listed
    for each in (page, listed):
        assert "Daily &lt;script&gt;" in each
        assert "Daily <script>" not in each
        assert "language = de" not in each, "who may only view sees no condition"
    assert (await browser.open("/series/unknown")).status_code == 404
    assert (await browser.open(path, before="soon")).status_code == 200


async def test_a_series_is_paused_resumed_and_deleted(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.SEND)
    made = await series(browser, "Daily")
    path = f"/series/{made.id}"
    paused = await browser.submit(await browser.open(path), f"{path}/pause")
    assert "The series is paused." in paused.text
    assert (await browser.stentor.series.get(made.id)).paused
    resumed = await browser.submit(paused, f"{path}/resume")
    assert "The series goes on with its next run." in resumed.text
    ask = await browser.open(f"{path}/delete")
    assert "Delete “Daily”?" in ask.text
    gone = await browser.submit(ask, f"{path}/delete")
    assert "The series is deleted." in gone.text
    assert await browser.stentor.series.list() == []


async def test_who_may_not_send_changes_no_series(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    made = await series(browser)
    path = f"/series/{made.id}"
    page = await browser.open(path)
    assert f"{path}/pause" not in page.text
    assert (await browser.open(f"{path}/delete")).status_code == 403
    account = await browser.open("/account")
    for each in (f"{path}/pause", f"{path}/resume", f"{path}/delete", f"/campaigns/{made.id}/repeat"):
        assert (await browser.submit(account, each)).status_code == 403
    assert not (await browser.stentor.series.get(made.id)).paused
