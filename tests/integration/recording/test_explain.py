"""What became of one recipient, told from real databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, update

from stentor.account import Waiting
from stentor.errors import UnknownCampaign
from stentor.outcome import Outcome
from stentor.recording import explain as explain_module
from stentor.recording.explain import Explanation, explain
from stentor.states import CampaignState
from stentor.store.tables import campaigns, chains, failures, tasks
from tests.integration.recording.rows import NOW, Rows


async def tell(rows: Rows, installation: str) -> Explanation:
    async with rows.database.read() as connection:
        return await explain(connection, "c1", installation, NOW)


def story(told: Explanation) -> str:
    return "\n".join(event.text for event in told.events)


async def test_from_the_audience_to_the_refusal(rows: Rows) -> None:
    await rows.campaign()
    name = await rows.batch(12, "arx")
    told = await tell(rows, "k12-1")
    assert told.place is not None
    assert (told.place.batch_id, told.place.lane, told.place.position, told.place.size) == (name, "apns/ios", 1, 3)
    assert (told.place.chain, told.place.step, told.place.number) == ("0.0", "7", "12")
    assert told.outcome is Outcome.REJECTED
    assert told.failure is not None
    assert told.failure.reason == "Unregistered"
    assert [event.at for event in told.events] == [NOW - 100, NOW - 90, NOW - 80, NOW - 20]
    assert told.events[-1].text == (
        "It ended as rejected, for Unregistered (HTTP 410), after 2 tries. The address is dead for good."
    )
    assert "chain 0.0, step 7" in story(told)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [("a", "The provider accepted it"), ("c", "cancelled before it was sent"), ("m", "ended as ambiguous")],
)
async def test_other_endings(rows: Rows, outcome: str, words: str) -> None:
    await rows.campaign()
    await rows.batch(1, f"a{outcome}")
    assert words in (await tell(rows, "k1-1")).events[-1].text


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        ({"reason": "MalformedAddress", "tries": 1}, "for MalformedAddress. It was never sent."),
        ({"reason": "MalformedAddress", "tries": 2}, "for MalformedAddress, after 1 try."),
        ({"reason": "NoLane", "tries": 0}, "for NoLane. It was never sent."),
        ({"reason": "Unregistered", "status": 410, "tries": 1}, "for Unregistered (HTTP 410), after 1 try."),
        ({"reason": "Lifetime", "tries": 0, "outcome": Outcome.EXPIRED}, "for Lifetime. It was never sent."),
        ({"reason": "Gone", "tries": 0, "outcome": Outcome.AMBIGUOUS}, "for Gone."),
    ],
)
async def test_tries_are_told_of_who_was_sent_to(rows: Rows, failure: dict[str, Any], text: str) -> None:
    await rows.campaign()
    name = await rows.batch(1, "r", explained=False)
    row = {"status": 0, "dead": False, "outcome": Outcome.REJECTED, **failure}
    await rows.insert(failures, rows.failure(name, 0, keys=[b"k1-0"], **row))
    told = (await tell(rows, "k1-0")).events[-1].text
    assert told.endswith(f" {text}")


async def test_an_ending_that_nothing_explains(rows: Rows) -> None:
    await rows.campaign()
    await rows.batch(1, "r", explained=False)
    assert "nothing says why" in story(await tell(rows, "k1-0"))


async def test_one_that_is_to_be_tried_again(rows: Rows) -> None:
    await rows.campaign()
    waiting = Waiting(1, 3, NOW + 60, "ServiceUnavailable", ambiguous=True)
    await rows.batch(1, "ap", waiting=[waiting])
    told = await tell(rows, "k1-1")
    assert (told.outcome, told.waiting) == (Outcome.PENDING, waiting)
    assert "After 3 tries it wasn't accepted: ServiceUnavailable. One of them was never answered." in story(told)
    assert NOW + 60 in [event.at for event in told.events]


async def test_where_a_pending_one_is(rows: Rows) -> None:
    await rows.campaign()
    name = await rows.batch(1, "p", task="leased")
    assert "A sender of lane apns/ios has its batch just now." in story(await tell(rows, "k1-0"))
    await rows.change(update(tasks).values(lease=None, ready_at=NOW + 30))
    assert "waits in the queue of lane apns/ios; it will be ready" in story(await tell(rows, "k1-0"))
    await rows.change(update(tasks).values(lease="gone", ready_at=NOW - 1))
    assert "it is ready at this time" in story(await tell(rows, "k1-0"))
    await rows.change(delete(tasks))
    assert "which is a defect" in story(await tell(rows, "k1-0"))
    await rows.bury(name, "its columns have different lengths")
    assert "put aside, as it could not be processed: its columns have different lengths" in story(
        await tell(rows, "k1-0")
    )


async def test_why_a_pending_one_does_not_move(rows: Rows) -> None:
    await rows.campaign()
    await rows.batch(1, "p")
    await rows.problem("apns/ios", "The key was revoked.", "make a new one")
    assert "Lane apns/ios doesn't send. The key was revoked. Make a new one." in story(await tell(rows, "k1-0"))
    for state, words in (
        (CampaignState.PAUSED, "is paused: nothing is sent until it is resumed"),
        (CampaignState.CANCELLING, "is cancelling: it will be settled as cancelled"),
    ):
        await rows.change(update(campaigns).values(state=state.value))
        assert words in story(await tell(rows, "k1-0"))


async def test_who_is_not_in_it(rows: Rows) -> None:
    await rows.campaign(read=1)
    await rows.batch(1, "a", keys=[b"17"])
    told = await tell(rows, "7")
    assert (told.place, told.outcome) == (None, None)
    assert "isn't among the 1 installation read so far" in story(told)
    await rows.change(update(campaigns).values(planned=True))
    assert "was read to its end (1 installation), and it wasn't in it" in story(await tell(rows, "7"))
    await rows.change(update(campaigns).values(planned=False, state=CampaignState.FAILED.value))
    assert "ended after 1 installation had been read" in story(await tell(rows, "7"))
    stopped = update(campaigns).values(planned=True, state=CampaignState.CANCELLED.value)
    await rows.change(stopped)
    await rows.change(update(chains).values(done=True, next=b"what was left"))
    told = await tell(rows, "7")
    assert not told.campaign.planned
    assert "it was not sent to. `stentor campaign retry c1` reads the rest" in story(told)


async def test_it_is_found_in_any_batch_by_its_whole_key(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain_module, "PAGE", 2)
    await rows.campaign()
    for number in range(5):
        await rows.batch(number, "aa", keys=[b"key-%d-long" % number, b"key-%d" % number])
    for number in range(5):
        told = await tell(rows, f"key-{number}")
        assert told.place is not None
        assert (told.place.number, told.place.position) == (str(number), 1)


async def test_a_failure_of_another_installation_is_not_taken_for_its_own(rows: Rows) -> None:
    await rows.campaign()
    await rows.batch(1, "ar")
    await rows.change(update(failures).values(installation="k1-0"))
    assert (await tell(rows, "k1-0")).outcome is Outcome.ACCEPTED


async def test_before_the_start(rows: Rows) -> None:
    await rows.campaign(starts_at=NOW + 5, state=CampaignState.SCHEDULED)
    assert "The campaign starts." in story(await tell(rows, "k1-0"))


async def test_a_campaign_that_is_not_there(rows: Rows) -> None:
    with pytest.raises(UnknownCampaign):
        await tell(rows, "k1-0")
