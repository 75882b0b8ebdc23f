"""Whom campaigns leave alone, from end to end: counted before the start, told after it, and never written to again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stentor.audience.contract import Selection
from stentor.config import Config, load
from stentor.errors import InvalidConfiguration, InvalidInput, Unconfirmed, UnknownExclusionList
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime.confirmation import Expectation
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from stentor.store.caring import CareSettings
from stentor.store.database import Database
from tests.integration.recording.rows import NOW, Rows
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, rehearse

PHONES = 40
NEWS = Content(message=Message(title="News", ttl=3600))
DAY = 86_400.0


@pytest.fixture
async def stentor(tmp_path: Path, facts: Facts) -> AsyncIterator[Stentor]:
    async with Stentor(rehearse(tmp_path, facts, PHONES, more='[care]\ncaps = ["1 in 24h"]\n')) as found:
        yield found


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[Stentor]:
    """For what needs no audience."""
    url = f"sqlite:///{tmp_path / 'stentor.db'}"
    config = Config.model_validate({"store": {"url": url, "keep_days": 3}, "care": {"caps": ["1 a day"]}})
    async with Stentor(config) as found:
        yield found


def draft(content: Content = NEWS, **care: Any) -> Draft:
    return Draft(content, Selection(source=AUDIENCE), care=CareSettings(**care))


async def test_whom_rules_leave_out_is_counted_told_and_explained(stentor: Stentor) -> None:
    assert await stentor.care.opt_out(["1", "2"], "News") == 2
    assert await stentor.care.opt_out(["3", "nobody"]) == 2
    assert await stentor.care.exclude("staff", ["3", "4"]) == 2
    asked = draft(category="news", exclude=("staff",))
    preview = await stentor.campaigns.prepare(asked)
    assert (preview.recipients, preview.left_out) == (PHONES, {"Excluded": 1, "OptedOut": 3})
    assert preview.left_out_exact
    made = await stentor.campaigns.send(asked)
    report = await stentor.roles.run(made.id)
    assert (report.total.accepted, report.left_out) == (PHONES - 4, 4)
    explained = await stentor.outcomes.explain(made.id, "1")
    assert explained.failure is not None
    assert (explained.failure.reason, explained.failure.detail) == ("OptedOut", "said no to news")
    assert (await stentor.outcomes.audit(made.id)).exact

    again = await stentor.campaigns.send(draft(not_reached_by=(made.title,)))
    assert again.care.not_reached_by == (made.id,), "a campaign may be named by its title"
    report = await stentor.roles.run(again.id)
    assert report.total.accepted == 3, "those who said no to news alone, and one who is on a list that isn't named"

    third = draft()
    assert (await stentor.campaigns.prepare(third)).left_out == {"Capped": PHONES - 1, "OptedOut": 1}
    report = await stentor.roles.run((await stentor.campaigns.send(third)).id)
    assert (report.total.accepted, report.left_out) == (0, PHONES)

    test = await stentor.campaigns.test(made.id, ["3", "5"])
    assert (await stentor.roles.run(test.id)).total.accepted == 1, "a test has no cap, and a no to all holds for it"
    undo = await stentor.campaigns.undo(made.id)
    await stentor.campaigns.start(undo.id)
    assert (await stentor.roles.run(undo.id)).total.accepted == PHONES - 4, "what takes back has no cap"


async def test_a_retry_is_the_same_message_for_the_same_category(stentor: Stentor) -> None:
    await stentor.care.opt_out(["1"], "news")
    made = await stentor.campaigns.send(draft(category="news"))
    await stentor.roles.run(made.id)
    retry = await stentor.campaigns.retry(made.id, reasons=["OptedOut"])
    assert (retry.care, retry.same_as) == (made.care, made.id)
    await stentor.campaigns.start(retry.id)
    report = await stentor.roles.run(retry.id)
    assert report.left_out == 1, "the no holds, whatever is tried again"
    assert (await stentor.campaigns.retry(retry.id, reasons=["OptedOut"])).same_as == made.id


async def test_a_confirmation_is_for_those_who_are_left_alone_as_well(stentor: Stentor) -> None:
    preview = await stentor.campaigns.prepare(draft(category="news"))
    expect = Expectation(confirmation=preview.confirmation)
    with pytest.raises(Unconfirmed):
        await stentor.campaigns.send(draft(), expect=expect)
    made = await stentor.campaigns.create(draft(category="News"))
    assert await stentor.campaigns.confirmation(made.id) == preview.confirmation
    await stentor.campaigns.change(made.id, draft(category="offers"))
    with pytest.raises(Unconfirmed):
        await stentor.campaigns.start(made.id, expect=expect)
    assert (await stentor.campaigns.draft(made.id)).care.category == "offers"


@pytest.mark.parametrize(
    ("care", "why"),
    [
        ({"category": "all"}, "category: 'all' stands for all categories"),
        ({"category": "no good"}, "category: 'no good' cannot be the name of a category"),
        ({"caps": ("0 a day",)}, "caps: '0 a day' would send nothing to anybody; leave the cap out"),
        ({"caps": ("1 a week",)}, "caps: `1 a week` looks back further than campaigns are kept"),
        ({"exclude": ("stuff",)}, "exclude: there is no exclusion list 'stuff'; did you mean staff?"),
        ({"not_reached_by": ("c1",)}, "not_reached_by: there is no campaign of the id or title 'c1'"),
    ],
)
async def test_what_cannot_be_meant_is_refused(empty: Stentor, care: dict[str, Any], why: str) -> None:
    await empty.care.exclude("Staff", ["1"])
    with pytest.raises(InvalidInput) as refused:
        await empty.campaigns.create(draft(**care), count=False)
    assert str(refused.value).startswith(why)
    assert await empty.campaigns.newest() == []


async def test_opt_outs_are_set_listed_and_taken_back(empty: Stentor) -> None:
    care = empty.care
    assert await care.opt_out(["a", "b", "b", " c "], "news") == 3
    assert await care.opt_out(["a", "c"], "news") == 0
    assert [each.category for each in await care.set_opt_outs("a", ["offers", "ALL"])] == ["all", "offers"]
    page = await care.opt_outs(limit=2)
    assert [(each.installation, each.category) for each in page] == [("a", "all"), ("a", "offers")]
    rest = await care.opt_outs(after=("a", "offers"))
    assert [(each.installation, each.category) for each in rest] == [("b", "news"), ("c", "news")]
    assert [each.installation for each in await care.opt_outs("all")] == ["a"]
    assert await care.opt_in(["a", "b"], "news") == 1
    assert await care.opt_in(["a", "c", "nobody"]) == 3
    assert list(await care.opt_outs()) == []
    assert list(await care.set_opt_outs("d", [])) == []
    for wrong in ("", "x" * 1001, "nul\0"):
        with pytest.raises(InvalidInput, match="cannot be the id of an installation"):
            await care.opt_out(["fine", wrong])


async def test_lists_are_made_filled_shown_and_deleted(empty: Stentor) -> None:
    care = empty.care
    assert await care.exclude("Staff", ["b", "a"]) == 2
    assert await care.exclude("staff", ["b", "c"]) == 1
    assert list(await care.excluded("staff", limit=2)) == ["a", "b"]
    assert list(await care.excluded("staff", after="b")) == ["c"]
    assert await care.readmit("staff", ["a", "z"]) == 1
    await care.exclude("press", [])
    assert [(each.name, each.installations) for each in await care.exclusion_lists()] == [("press", 0), ("staff", 2)]
    await care.delete_exclusion_list("staff")
    for refused in (care.excluded("staff"), care.readmit("staff", ["a"]), care.delete_exclusion_list("staff")):
        with pytest.raises(UnknownExclusionList, match="there is no exclusion list 'staff'"):
            await refused
    with pytest.raises(InvalidInput, match="cannot be the name of a list"):
        await care.exclude("no good", ["a"])


async def test_what_a_cap_still_counts_is_not_pruned(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'stentor.db'}"
    config = Config.model_validate({"store": {"url": url}, "care": {"caps": ["1 a week"]}})
    async with Stentor(config, lambda: NOW) as stentor:
        database = Database.open(url)
        rows = Rows(database)
        for name, days in (("old", 8), ("new", 6), ("named", 20)):
            await rows.campaign(name, state=CampaignState.COMPLETED, planned=True, finished_at=NOW - days * DAY)
        await stentor.campaigns.create(draft(not_reached_by=("named",)), count=False)
        found = await stentor.campaigns.prunable(DAY)
        await database.aclose()
    assert list(found.campaigns) == ["old"]


def test_a_cap_does_not_look_back_further_than_campaigns_are_kept() -> None:
    settings = {"store": {"keep_days": 5}, "care": {"caps": ["1 a week"]}}
    with pytest.raises(ValueError, match=r"care\.caps: `1 a week` looks back further than `store\.keep_days` = 5"):
        Config.model_validate(settings)


def test_the_settings_name_what_is_wrong_with_a_cap(tmp_path: Path) -> None:
    file = tmp_path / "stentor.toml"
    file.write_text('[care]\ncaps = ["0 a day"]\n')
    with pytest.raises(InvalidConfiguration, match="would send nothing to anybody; leave the cap out"):
        load(file, {})
    caps = load(file, {"STENTOR_CARE__CAPS": "1 per day, 3 in 24h of news"}).care.caps
    assert caps == ("1 a day", "3 in 24h of news")
