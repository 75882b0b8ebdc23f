"""A campaign pauses by itself when too much fails on a lane: what counts, from when on, and what is said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.outcome import Outcome
from stentor.recording.failure_share import FailureWatch, LaneTally, decode_tallies, encode_tallies, tallies
from stentor.states import CampaignState
from stentor.store import campaigns
from stentor.store.campaigns import Campaign
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.store.tables import batches, failures

NOW = 1_800_000_000.0
IOS, ANDROID = "apns/ios", "fcm/android"
THROTTLED = ("TooManyRequests", Outcome.REJECTED, False)
GONE = ("Unregistered", Outcome.REJECTED, True)
SKIPPED = ("Skipped", Outcome.REJECTED, False)
LATE = ("Lifetime", Outcome.EXPIRED, False)
UNSURE = ("NoAnswer", Outcome.AMBIGUOUS, False)
Failures = Mapping[tuple[str, Outcome, bool], int]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    found = Database.open(database_url, connections=4)
    await migrate(found)
    yield found
    await found.aclose()


async def campaign(database: Database, campaign_id: str = "c1", *, pause_above: float | None = 0.2) -> None:
    made = Campaign(
        id=campaign_id,
        title="News",
        state=CampaignState.RUNNING,
        audience=b'{"source":"users"}',
        collapse_id=campaign_id,
        created_at=NOW,
        starts_at=NOW,
        pause_above=pause_above,
    )
    await database.write(lambda connection: campaigns.add(connection, made, b"content"))


async def batch(
    database: Database, accepted: int, failed: Failures, *, lane: str = IOS, campaign_id: str = "c1", cancelled: int = 0
) -> None:
    """One more batch of a campaign, with its outcomes."""
    number = len(await database.rows(batches.select()))
    batch_id = f"{campaign_id}/{number}"
    by_outcome = {
        outcome: sum(many for (_, each, _), many in failed.items() if each is outcome)
        for outcome in (Outcome.REJECTED, Outcome.EXPIRED, Outcome.AMBIGUOUS)
    }
    row = {
        "id": batch_id,
        "campaign_id": campaign_id,
        "lane": lane,
        "size": accepted + sum(failed.values()) + cancelled + 5,
        "pending": 5,
        "accepted": accepted,
        "rejected": by_outcome[Outcome.REJECTED],
        "expired": by_outcome[Outcome.EXPIRED],
        "ambiguous": by_outcome[Outcome.AMBIGUOUS],
        "cancelled": cancelled,
        "planned_at": NOW,
        "recipients": b"\x90",
    }
    rows = [
        {
            "batch_id": batch_id,
            "campaign_id": campaign_id,
            "lane": lane,
            "installation": "x",
            "outcome": int(outcome),
            "reason": reason,
            "status": 0,
            "detail": "",
            "dead": dead,
            "tries": 1,
            "at": NOW,
        }
        for (reason, outcome, dead), many in failed.items()
        for _ in range(many)
    ]
    placed = [each | {"position": position} for position, each in enumerate(rows)]

    async def add(connection: object) -> None:
        assert hasattr(connection, "execute")
        await connection.execute(batches.insert().values(**row))
        if placed:
            await connection.execute(failures.insert(), placed)

    await database.write(add)


async def state(database: Database, campaign_id: str = "c1") -> tuple[CampaignState, str | None]:
    found = await database.ask(lambda connection: campaigns.get(connection, campaign_id))
    return found.state, found.problem


async def test_a_campaign_pauses_and_says_why(database: Database) -> None:
    await campaign(database)
    watch = FailureWatch(database, 100, lambda: NOW + 9)
    await batch(database, 160, {THROTTLED: 30, LATE: 6, UNSURE: 4})
    assert await watch.look() == [], "20 % is not above 20 %"
    await batch(database, 0, {THROTTLED: 1})
    assert await watch.look() == ["c1"]
    paused, problem = await state(database)
    assert paused is CampaignState.PAUSED
    assert problem == (
        "apns/ios: 41 of 201 outcomes are failures (20.4 %), more than the 20 % above which it pauses; most often"
        " TooManyRequests (31 times): Too many pushes to this device"
    )
    assert await watch.look() == []
    found = await database.ask(lambda connection: campaigns.get(connection, "c1"))
    assert found.paused_at == NOW + 9


@pytest.mark.parametrize(
    ("accepted", "failed", "pauses"),
    [
        (0, {THROTTLED: 99}, False),  # too few to judge
        (0, {THROTTLED: 100}, True),
        (100, {GONE: 400}, False),  # dead addresses say nothing of the campaign
        (100, {GONE: 300, THROTTLED: 100}, False),
        (100, {GONE: 200, THROTTLED: 100}, True),
        (80, {SKIPPED: 1000, THROTTLED: 20}, False),  # who was left out was not tried
        (79, {SKIPPED: 1000, THROTTLED: 21}, True),
        (50, {SKIPPED: 1000, THROTTLED: 49}, False),
        (79, {LATE: 21}, True),
        (79, {UNSURE: 21}, True),
    ],
)
async def test_what_counts_as_a_failure(database: Database, accepted: int, failed: Failures, *, pauses: bool) -> None:
    await campaign(database)
    await batch(database, accepted, failed)
    assert await FailureWatch(database, 100).look() == (["c1"] if pauses else [])


async def test_each_lane_is_judged_by_itself(database: Database) -> None:
    await campaign(database)
    await batch(database, 10_000, {})
    await batch(database, 0, {THROTTLED: 500}, lane="")  # on no lane: nobody could send to them
    assert await FailureWatch(database, 100).look() == []
    await batch(database, 60, {UNSURE: 40}, lane=ANDROID, cancelled=1000)
    assert await FailureWatch(database, 100).look() == ["c1"]
    assert ((await state(database))[1] or "").startswith("fcm/android: 40 of 100 outcomes are failures (40.0 %)")


async def test_only_campaigns_that_are_sent_and_name_a_share_are_paused(database: Database) -> None:
    for campaign_id, above in (("c1", None), ("c2", 1.0), ("c3", 0.5), ("c4", 0.01)):
        await campaign(database, campaign_id, pause_above=above)
        await batch(database, 40, {THROTTLED: 60}, campaign_id=campaign_id)
    await database.write(lambda connection: campaigns.move(connection, "c4", CampaignState.CANCELLING))
    assert await FailureWatch(database, 100).look() == ["c3"]


async def test_a_campaign_that_was_resumed_is_judged_by_what_came_after(database: Database) -> None:
    await campaign(database)
    watch = FailureWatch(database, 100)
    await batch(database, 50, {THROTTLED: 50, GONE: 10, SKIPPED: 10})
    assert await watch.look() == ["c1"]
    then = encode_tallies(await database.ask(lambda connection: tallies(connection, "c1")))
    assert decode_tallies(then) == {IOS: LaneTally(120, 70, 10, 10)}
    await database.write(lambda connection: campaigns.move(connection, "c1", CampaignState.RUNNING, pause_from=then))
    assert await watch.look() == []
    await batch(database, 80, {THROTTLED: 19, GONE: 30, SKIPPED: 30})
    assert await watch.look() == []
    await batch(database, 0, {THROTTLED: 30})
    assert await watch.look() == ["c1"]
    said = "apns/ios: 49 of 159 outcomes since it was resumed are failures (30.8 %)"
    assert ((await state(database))[1] or "").startswith(said)


counts = st.integers(0, 1000)


@given(accepted=counts, failed=counts, left_out=counts, dead=counts, above=st.floats(0.001, 1))
def test_what_is_not_suspected_at_the_first_look_would_not_pause(
    accepted: int, failed: int, left_out: int, dead: int, above: float
) -> None:
    """The first look takes all that ended badly for failures, as that costs nothing to know."""
    found = LaneTally(accepted + failed + left_out + dead, failed + left_out + dead, left_out, dead)
    assert (found.counted, found.failed) == (accepted + failed + dead, failed)
    if found.failed > above * found.counted:
        assert found.ended_badly > above * found.outcomes
