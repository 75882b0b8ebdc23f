"""Pages of saved segments: an editor that counts, and the way to the composer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stentor.access.caller import local_caller
from stentor.access.log import ActionFilter
from stentor.access.scopes import Scope
from stentor.audience.contract import Selection
from stentor.audience.sql import SqlAudience
from tests.integration.dashboard.conftest import Browser
from tests.integration.dashboard.test_composer import NASTY, save, stored
from tests.integration.runtime.rehearsal import AUDIENCE, change


@pytest.fixture(autouse=True)
def languages(browser: Browser, tmp_path: Path) -> None:
    """Of 40 phones every fourth speaks German."""
    change(tmp_path, "UPDATE devices SET language = 'en'")
    change(tmp_path, "UPDATE devices SET language = 'de' WHERE id % 4 = 0")


async def test_a_segment_is_written_counted_saved_changed_and_deleted(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    assert "There is no saved segment yet." in (await browser.open("/segments")).text
    page = await browser.open("/segments/new")
    form: Any = {"name": "german", "segment": "language==de", "source": AUDIENCE}
    counted = await browser.submit(page, "/segments/new", **form, do="count")
    assert ">10 <span>installations</span>" in counted.text
    assert "language = de" in counted.text
    assert 'value="german"' in counted.text, "what was filled in stays"
    done = await browser.submit(page, "/segments/new", **form, do="save")
    assert "The segment is saved." in done.text
    assert "language = de" in (await browser.open("/segments")).text
    wrong = await browser.submit(page, "/segments/new", name="x", segment="plan is pro", source=AUDIENCE, do="save")
    assert (wrong.status_code, wrong.text.count("plan is pro\n     ^")) == (422, 1)
    taken = await browser.submit(page, "/segments/new", **form, do="save")
    assert (taken.status_code, "there is a segment of this name already" in taken.text) == (422, True)
    changed: Any = {"segment": "language = en", "seen": "language = de", "do": "save"}
    assert "language = en" in (await browser.submit(done, "/segments/german", **changed)).text
    told = await browser.submit(done, "/segments/german", **changed)
    assert (told.status_code, "It is now: language = en." in told.text) == (409, True)
    question = await browser.open("/segments/german/delete")
    assert "The segment is deleted." in (await browser.submit(question, "/segments/german/delete")).text
    assert (await browser.open("/segments/german")).status_code == 404
    rows = await browser.stentor.access.log.page(local_caller(), ActionFilter(object="german"), limit=9)
    outcomes = [row.outcome for row in rows if row.action == "segment.save"]
    assert outcomes == ["refused", "done", "refused", "done"]
    assert rows[0].action == "segment.delete"


async def test_the_count_is_a_part_of_the_page(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    page = await browser.open("/segments/new")

    async def count(segment: str, source: str = AUDIENCE) -> str:
        answer = await browser.submit(page, "/segments/count", segment=segment, source=source)
        assert "<html" not in answer.text
        return answer.text

    exact = await count("language = de")
    assert "10 <span>" in exact
    assert "about" not in exact
    assert "fcm/android" in exact
    assert "token" not in exact
    wrong = await count("language = de and\n  plan is pro")
    assert "  plan is pro\n       ^" in wrong
    assert "line 2, column 8: expected a comparison" in wrong
    assert "no column or attribute &#39;langage&#39;" in await count("langage = de")
    assert "Choose the audience" in await count("language = de", "")
    assert NASTY not in await count(f'language = "{NASTY}"')

    async def late(self: SqlAudience) -> dict[str, int]:
        raise TimeoutError

    monkeypatch.setattr(SqlAudience, "count", late)
    assert "about 10 <span>" in await count("language = de")


async def test_addresses_cannot_be_asked_for(browser: Browser) -> None:
    """So that no sample shows one."""
    await browser.sign_in("ada", Scope.WRITE)
    page = await browser.open("/segments/new")
    for column in ("push_token", "token", "address"):
        form: Any = {"segment": f"{column} exists", "source": AUDIENCE, "do": "count"}
        told = await browser.submit(page, "/segments/new", **form)
        assert f"no column or attribute &#39;{column}&#39;" in told.text


async def test_who_may_only_view_sees_no_segment(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.VIEW)
    await browser.stentor.segments.save("german", "language = de")
    for path in ("/segments", "/segments/new", "/segments/german", "/segments/german/delete"):
        assert (await browser.open(path)).status_code == 403
    assert "/segments" not in (await browser.open("/campaigns")).text


async def test_a_saved_segment_is_chosen_in_the_composer(browser: Browser) -> None:
    await browser.sign_in("ada", Scope.WRITE)
    await browser.stentor.segments.save("german", "language = de")
    page = await browser.open("/campaigns/new", segment="german")
    done = await save(browser, page, m__title="News", source=AUDIENCE)
    (campaign,) = await browser.stentor.campaigns.newest()
    german = Selection(source=AUDIENCE, segment="language = de", segment_name="german")
    assert (await stored(browser, campaign.id)).selection == german
    await browser.stentor.segments.delete("german")
    await save(browser, done, m__title="Other")
    assert (await stored(browser, campaign.id)).selection == german, "which it was made with"
    both = await save(browser, await browser.open(f"/campaigns/{campaign.id}/compose"), segment="language = en")
    assert (both.status_code, "not both" in both.text) == (422, True)
    await save(browser, both, segment="language = en", saved_segment="")
    assert (await stored(browser, campaign.id)).selection == Selection(source=AUDIENCE, segment="language = en")
