"""The audit finds every way in which a store can contradict itself, each planted here, and nothing in a sound one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import pytest
from sqlalchemy import delete, update

from stentor.account import Waiting
from stentor.errors import UnknownCampaign
from stentor.outcome import Outcome
from stentor.queue.contract import PLAN
from stentor.recording import audit as audit_module
from stentor.recording.audit import Audit, audit
from stentor.states import CampaignState
from stentor.store.tables import batches, campaigns, chains, failures, tasks
from tests.integration.recording.rows import NOW, Rows

FIRST = "c1/apns/ios/0.0.7.1"


async def recount(rows: Rows, campaign: str = "c1") -> Audit:
    async with rows.database.read() as connection:
        return await audit(connection, campaign, NOW)


async def sound(rows: Rows) -> None:
    """A campaign in the middle, with all there can be, beside another one."""
    await rows.campaign(read=13)
    await rows.batch(1, "aarxcm")
    await rows.batch(2, "ppap", waiting=[Waiting(1, 1, NOW + 9, "TooManyRequests")])
    await rows.batch(1, "ppp", lane="fcm/android", task="leased", keys=[b"f1", b"f2", b"f3"])
    await rows.task("c1/plan/0.1", lane=PLAN)
    await rows.campaign("c10", read=3)
    await rows.batch(1, "arr", campaign="c10")


async def test_a_sound_campaign_is_exact(rows: Rows) -> None:
    await sound(rows)
    for campaign in ("c1", "c10"):
        found = await recount(rows, campaign)
        assert found.exact, found.checks
    found = await recount(rows)
    assert {check.name for check in found.checks} == set(NAMES)
    told = {check.name: check.detail for check in found.checks}
    assert told["columns"].startswith("13 recipients in 3 batches")
    assert "6 pending, 3 accepted, 1 rejected, 1 expired, 1 cancelled, 1 ambiguous" in told["counts"]


async def test_an_empty_campaign_is_exact(rows: Rows) -> None:
    await rows.campaign(state=CampaignState.DRAFT)
    assert (await recount(rows)).exact


async def test_a_campaign_that_is_not_there(rows: Rows) -> None:
    with pytest.raises(UnknownCampaign):
        await recount(rows)


async def test_pages_join_without_a_gap(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "PAGE", 1)
    await sound(rows)
    found = await recount(rows)
    assert found.exact, found.checks


def set_first(**values: object) -> Callable[[Rows], Awaitable[None]]:
    return lambda rows: rows.change(update(batches).where(batches.c.id == FIRST).values(**values))


def set_failure(**values: object) -> Callable[[Rows], Awaitable[None]]:
    chosen = (failures.c.batch_id == FIRST, failures.c.position == 2)
    return lambda rows: rows.change(update(failures).where(*chosen).values(**values))


async def unexplained(rows: Rows) -> None:
    await rows.change(delete(failures).where(failures.c.batch_id == FIRST, failures.c.position == 3))


async def explained_twice(rows: Rows) -> None:
    keys = [b"k1-%d" % position for position in range(6)]
    await rows.insert(failures, rows.failure(FIRST, 0, Outcome.REJECTED, keys))


async def stray(rows: Rows) -> None:
    keys = [b"k1-%d" % position for position in range(6)]
    await rows.insert(failures, rows.failure(FIRST, 6, Outcome.REJECTED, [*keys, b"k1-6"]))


async def of_another_campaign(rows: Rows) -> None:
    await rows.change(update(failures).where(failures.c.batch_id.startswith("c10/")).values(campaign_id="c1"))


async def waiting_for_nothing(rows: Rows) -> None:
    column = msgspec.msgpack.encode([Waiting(2, 1, NOW, "ServiceUnavailable")])
    await rows.change(update(batches).where(batches.c.id == "c1/apns/ios/0.0.7.2").values(waiting=column))


async def read_more(rows: Rows) -> None:
    await rows.change(update(chains).where(chains.c.campaign_id == "c1").values(read=14))


async def twice(rows: Rows) -> None:
    await rows.change(update(chains).where(chains.c.campaign_id == "c1").values(read=14))
    await rows.batch(3, "a", keys=[b"f2"])


async def not_queued(rows: Rows) -> None:
    await rows.change(delete(tasks).where(tasks.c.id == "c1/apns/ios/0.0.7.2"))


async def queued_for_nothing(rows: Rows) -> None:
    await rows.task(FIRST)


async def queued_without_a_batch(rows: Rows) -> None:
    await rows.task("c1/apns/ios/0.0.7.77")


def state(value: CampaignState, *, planned: bool) -> Callable[[Rows], Awaitable[None]]:
    chosen = update(campaigns).where(campaigns.c.id == "c1")
    return lambda rows: rows.change(chosen.values(state=value.value, planned=planned))


def keys(*names: bytes) -> bytes:
    return msgspec.msgpack.encode(names)


NAMES = ("columns", "counts", "failures", "waiting", "read", "once", "queue", "state")
WRONG = {
    "a key is missing": (set_first(recipients=keys(b"k1-0")), "columns", "has 1 key and 6 outcomes"),
    "a key too many": (set_first(recipients=keys(*[b"%d" % n for n in range(7)])), "columns", "has 7 keys"),
    "an outcome is missing": (set_first(outcomes=bytes([1, 1, 2, 3, 4])), "columns", "5 outcomes"),
    "no outcomes": (set_first(outcomes=None), "counts", "said to have 0 pending, and has 6"),
    "an unknown outcome": (set_first(outcomes=bytes([1, 9, 2, 3, 4, 5])), "columns", "unknown outcomes"),
    "unreadable keys": (set_first(recipients=b"\xc1"), "columns", "cannot be read"),
    "another size": (set_first(size=7), "columns", "said to have 7 recipients"),
    "a wrong count": (set_first(accepted=3), "counts", "said to have 3 accepted, and has 2"),
    "a changed outcome": (
        set_first(outcomes=bytes([1, 2, 2, 3, 4, 5])),
        "counts",
        "said to have 2 accepted, and has 1 (and 1 more)",
    ),
    "no failure": (
        unexplained,
        "failures",
        "recipient 3 of batch c1/apns/ios/0.0.7.1 is expired, and nothing says why",
    ),
    "a failure too many": (explained_twice, "failures", "is accepted, and its failure says rejected"),
    "a failure of nobody": (stray, "failures", "recipient 6 of batch c1/apns/ios/0.0.7.1, which has no such recipient"),
    "a failure of others": (of_another_campaign, "failures", "2 failures of none of its batches"),
    "a failure's outcome": (set_failure(outcome=int(Outcome.EXPIRED)), "failures", "says expired"),
    "a failure's name": (set_failure(installation="k1-5"), "failures", "names another installation"),
    "an idle wait": (waiting_for_nothing, "waiting", "recipient 2 of batch c1/apns/ios/0.0.7.2 waits"),
    "read, not planned": (read_more, "read", "the planner read 14 and the batches hold 13"),
    "twice": (twice, "once", "installation f2 is there 2 times"),
    "lost": (not_queued, "queue", "batch c1/apns/ios/0.0.7.2 has pending recipients and isn't queued"),
    "idle": (queued_for_nothing, "queue", "batch c1/apns/ios/0.0.7.1 is queued and has nobody pending"),
    "unknown": (queued_without_a_batch, "queue", "0.0.7.77 is queued and has nobody pending"),
    "completed too early": (state(CampaignState.COMPLETED, planned=True), "state", "6 are pending"),
    "cancelled too early": (state(CampaignState.CANCELLED, planned=True), "state", "6 are pending"),
}


@pytest.mark.parametrize(("spoil", "name", "words"), WRONG.values(), ids=WRONG.keys())
async def test_what_is_wrong_is_found(
    rows: Rows, spoil: Callable[[Rows], Awaitable[None]], name: str, words: str
) -> None:
    await sound(rows)
    await spoil(rows)
    found = await recount(rows)
    assert not found.exact
    checks = {check.name: check for check in found.checks}
    assert not checks[name].ok
    assert words in checks[name].detail


async def test_completed_without_the_end_of_the_audience(rows: Rows) -> None:
    await rows.campaign(read=1, state=CampaignState.COMPLETED)
    await rows.batch(1, "a")
    assert [check.name for check in (await recount(rows)).checks if not check.ok] == ["state"]


async def test_many_contradictions_are_one_sentence(rows: Rows) -> None:
    await rows.campaign(read=300)
    await rows.batch(1, "r" * 300, explained=False)
    (check,) = [check for check in (await recount(rows)).checks if not check.ok]
    assert check.detail.endswith("nothing says why (and 299 more)")


async def test_keys_that_share_a_hash_are_not_taken_for_one(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "hash", len, raising=False)
    await rows.campaign(read=4)
    await rows.batch(1, "aa", keys=[b"one", b"two"])
    await rows.batch(2, "aa", keys=[b"six", b"three"])
    assert (await recount(rows)).exact
