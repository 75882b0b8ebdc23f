"""What is logged of campaigns as their states change in the store, whoever changes them."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from sqlalchemy import delete, update

from stentor.recording.chronicle import MARGIN, RECENT, Chronicle
from stentor.states import CampaignState
from stentor.store.tables import batches, campaigns, tasks
from tests.integration.recording.rows import NOW, Rows

pytestmark = pytest.mark.usefixtures("_heard")


@pytest.fixture
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stentor.recording.chronicle")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [f"{record.levelname} {record.getMessage()}" for record in caplog.records]
    caplog.clear()
    return lines


async def move(rows: Rows, state: CampaignState, name: str = "c1", problem: str | None = None) -> None:
    finished_at = NOW if state in (CampaignState.COMPLETED, CampaignState.CANCELLED, CampaignState.FAILED) else None
    values = {"state": state.value, "problem": problem, "finished_at": finished_at}
    await rows.change(update(campaigns).where(campaigns.c.id == name).values(values))


async def test_a_campaign_from_its_start_to_its_end_each_once(rows: Rows, caplog: pytest.LogCaptureFixture) -> None:
    chronicle = Chronicle(rows.database, lambda: NOW)
    await chronicle.look()
    await rows.campaign(state=CampaignState.SCHEDULED)
    for state in (CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.RUNNING):
        await chronicle.look()
        await move(rows, state)
    await chronicle.look()
    assert said(caplog) == [
        "INFO campaign c1 is scheduled",
        "INFO campaign c1 starts",
        "INFO campaign c1 is paused",
        "INFO campaign c1 goes on",
    ]
    await rows.batch(1, "aaarxm")
    await move(rows, CampaignState.COMPLETED)
    for _ in range(3):
        await chronicle.look()
    (record,) = caplog.records
    assert record.getMessage() == "campaign c1 is completed: 6 read, 3 accepted, 1 rejected, 1 expired, 1 ambiguous"
    facts = vars(record)
    assert (facts["campaign"], facts["title"], facts["state"]) == ("c1", "Spring sale", "completed")
    assert facts["counts"] == {"read": 6, "accepted": 3, "rejected": 1, "expired": 1, "ambiguous": 1}


@pytest.mark.parametrize(
    ("state", "facts", "told"),
    [
        (CampaignState.COMPLETED, {}, ["starts", "is completed: 0 read, 0 accepted"]),
        (CampaignState.CANCELLED, {}, ["starts", "is cancelled: 0 read, 0 accepted"]),
        (CampaignState.FAILED, {}, ["starts", "is failed: 0 read, 0 accepted"]),
        (CampaignState.CANCELLED, {"starts_at": NOW + 60}, ["is cancelled: 0 read, 0 accepted"]),  # before its time
        (CampaignState.CANCELLED, {"expires_at": None}, ["is cancelled: 0 read, 0 accepted"]),  # a draft
    ],
)
async def test_one_that_began_and_ended_between_two_looks_is_told_from_its_start(
    rows: Rows, caplog: pytest.LogCaptureFixture, state: CampaignState, facts: dict[str, Any], told: list[str]
) -> None:
    chronicle = Chronicle(rows.database, lambda: NOW)
    await chronicle.look()
    await rows.campaign(state=state, finished_at=NOW, **facts)
    for _ in range(2):
        await chronicle.look()
    assert said(caplog) == [f"INFO campaign c1 {each}" for each in told]


async def test_one_that_was_paused_before_it_was_seen_has_started(rows: Rows, caplog: pytest.LogCaptureFixture) -> None:
    chronicle = Chronicle(rows.database, lambda: NOW)
    await rows.campaign(state=CampaignState.SCHEDULED)
    await chronicle.look()
    await move(rows, CampaignState.PAUSED)
    await chronicle.look()
    await move(rows, CampaignState.COMPLETED)
    await chronicle.look()
    assert said(caplog) == [
        "INFO campaign c1 is scheduled",
        "INFO campaign c1 starts",
        "INFO campaign c1 is paused",
        "INFO campaign c1 is completed: 0 read, 0 accepted",
    ]


async def test_one_that_waits_for_its_last_outcomes_starts_once(rows: Rows, caplog: pytest.LogCaptureFixture) -> None:
    chronicle = Chronicle(rows.database, lambda: NOW)
    await chronicle.look()
    await rows.campaign(state=CampaignState.CANCELLED, finished_at=NOW)
    await rows.batch(1, "ap")
    for _ in range(2):
        await chronicle.look()
    assert said(caplog) == ["INFO campaign c1 starts"]


async def test_a_new_chronicle_tells_of_what_is_under_way_and_not_of_what_has_ended(
    rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    await rows.campaign("c1")
    await rows.campaign("c2", state=CampaignState.COMPLETED, finished_at=NOW - RECENT - 1)
    await rows.campaign("c3", state=CampaignState.COMPLETED, finished_at=NOW - MARGIN - 1)
    await rows.campaign("c4", state=CampaignState.DRAFT)
    chronicle = Chronicle(rows.database, lambda: NOW)
    for _ in range(2):
        await chronicle.look()
    assert said(caplog) == ["INFO campaign c1 is running"]


async def test_what_ended_before_the_first_look_is_told_of_once(rows: Rows, caplog: pytest.LogCaptureFixture) -> None:
    """In `stentor serve` the scheduler is the last to start."""
    await rows.campaign(state=CampaignState.COMPLETED, finished_at=NOW - 1)
    chronicle = Chronicle(rows.database, lambda: NOW)
    for _ in range(2):
        await chronicle.look()
    assert said(caplog) == ["INFO campaign c1 is completed: 0 read, 0 accepted"]


async def test_what_began_just_before_the_first_look_starts(rows: Rows, caplog: pytest.LogCaptureFixture) -> None:
    await rows.campaign("c1", starts_at=NOW - 3)
    await rows.campaign("c2", starts_at=NOW - 3, state=CampaignState.COMPLETED, finished_at=NOW - 1)
    chronicle = Chronicle(rows.database, lambda: NOW)
    for _ in range(2):
        await chronicle.look()
    assert sorted(said(caplog)) == [
        "INFO campaign c1 starts",
        "INFO campaign c2 is completed: 0 read, 0 accepted",
        "INFO campaign c2 starts",
    ]


async def test_an_end_is_told_when_everybody_has_an_outcome(rows: Rows, caplog: pytest.LogCaptureFixture) -> None:
    chronicle = Chronicle(rows.database, lambda: NOW)
    await rows.campaign()
    await rows.batch(1, "app")
    await chronicle.look()
    await move(rows, CampaignState.FAILED, problem="the message is too large")
    await chronicle.look()
    assert said(caplog) == ["INFO campaign c1 is running"]
    await rows.change(delete(batches))
    await rows.change(delete(tasks))
    await chronicle.look()
    assert said(caplog) == ["ERROR campaign c1 is failed: 0 read, 0 accepted (the message is too large)"]


async def test_a_pause_that_nobody_asked_for_is_a_warning(rows: Rows, caplog: pytest.LogCaptureFixture) -> None:
    chronicle = Chronicle(rows.database, lambda: NOW)
    await rows.campaign()
    await chronicle.look()
    await move(rows, CampaignState.PAUSED, problem="5 planners died")
    await chronicle.look()
    assert said(caplog)[1:] == ["WARNING campaign c1 is paused (5 planners died)"]
