"""Transactional messages: to whom they go, before whom, what becomes of them, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Selection
from stentor.config import Config, QueueConfig
from stentor.errors import (
    AlreadySent,
    InvalidAudience,
    InvalidInput,
    InvalidMessage,
    InvalidState,
    QueueUnavailable,
    UnknownCampaign,
)
from stentor.model import Message
from stentor.outcome import Outcome
from stentor.own_reasons import NOT_IN_AUDIENCE
from stentor.planning.content import Content, Translation
from stentor.planning.healing import Healer
from stentor.queue.contract import Change
from stentor.recording.losses import Losses
from stentor.recording.messages import WAITING, MessageOutcome
from stentor.runtime.child import Role
from stentor.runtime.draft import Draft
from stentor.runtime.messages import MOST_RECIPIENTS
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignKind, CampaignState
from stentor.store.tables import campaigns, tasks
from stentor.testing import roles
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, rehearse

CODE = Content(message=Message(title="Your code is 4711", ttl=600))
USERS = Selection(source=AUDIENCE)
IOS, ANDROID = "apns/ios", "fcm/android"
PHONE, OTHER_PHONE = "a1" * 32, "b2" * 32
WITHIN = 60.0
"""Seconds in which what is sent has its outcome, however slow the machine is."""


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    return roles.context()


@pytest.fixture
def config(tmp_path: Path, facts: Facts) -> Config:
    return rehearse(tmp_path, facts)


@pytest.fixture
async def stentor(config: Config) -> AsyncIterator[Stentor]:
    async with Stentor(config) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql", "jetstream"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, facts: Facts) -> Config:
    """Settings with each kind of store and queue."""
    if request.param == "sqlite":
        return rehearse(tmp_path, facts)
    config = rehearse(tmp_path, facts, store=request.getfixturevalue("postgres"))
    if request.param == "postgresql":
        return config
    queue = QueueConfig(url=request.getfixturevalue("nats_url"), name=request.getfixturevalue("queue_name"))
    return config.model_copy(update={"queue": queue})


@asynccontextmanager
async def at_work(config: Config, processes: ForkServerContext, *wanted: Role) -> AsyncIterator[None]:
    """These roles, and a recorder where the queue needs one; stopped at the end."""
    everybody = [*wanted]
    if config.queue.url is not None:
        everybody.append("recorder")
    started = [roles.start_role(processes, role, config) for role in everybody]
    try:
        yield
        assert {await role.stop() for role in started} == {0}
    finally:
        for role in started:
            await role.end()


async def settled(stentor: Stentor, message_id: str) -> MessageOutcome:
    """When everybody has an outcome, and the message its end."""
    async with asyncio.timeout(WITHIN):
        while True:
            outcome = await stentor.messages.settled(message_id, WITHIN)
            if outcome.campaign.state is CampaignState.COMPLETED:
                return outcome
            await asyncio.sleep(0.05)


def told(outcome: MessageOutcome) -> list[tuple[str, str | None, str, str]]:
    return [(each.installation, each.lane, each.outcome, each.reason) for each in outcome.recipients]


# -- to whom they go ---------------------------------------------------------------------------------------------------


async def test_it_goes_to_installations_and_its_outcome_is_looked_up(
    engine: Config, processes: ForkServerContext
) -> None:
    async with Stentor(engine) as stentor, at_work(engine, processes, "sender"):
        sent = await stentor.messages.send(CODE, ["2", "nobody", "1", "2"], audience=AUDIENCE)
        assert [each.installation for each in sent.recipients] == ["2", "nobody", "1"]
        outcome = await settled(stentor, sent.id)
        assert told(outcome) == [
            ("2", ANDROID, "accepted", ""),
            ("nobody", None, "rejected", NOT_IN_AUDIENCE),
            ("1", IOS, "accepted", ""),
        ]
        audit = await stentor.outcomes.audit(sent.id)
        assert audit.exact, audit.checks
        found = await stentor.outcomes.explain(sent.id, "1")
        assert found.outcome is Outcome.ACCEPTED
        assert await stentor.campaigns.newest() == []
        (listed,) = await stentor.messages.newest()
        assert (listed.id, listed.kind, listed.title) == (sent.id, CampaignKind.MESSAGE, "Your code is 4711")
        assert listed.expires_at == listed.created_at + 600
        with pytest.raises(UnknownCampaign, match="no campaign"):
            await stentor.campaigns.find("code")


async def test_it_goes_to_addresses_of_which_none_is_shown(engine: Config, processes: ForkServerContext) -> None:
    async with Stentor(engine) as stentor, at_work(engine, processes, "sender"):
        sent = await stentor.messages.send(CODE, lane=IOS, addresses=[PHONE, "no token", f" {PHONE} ", OTHER_PHONE])
        outcome = await settled(stentor, sent.id)
        assert told(outcome) == [
            ("address-1", IOS, "accepted", ""),
            ("address-2", IOS, "rejected", "MalformedAddress"),
            ("address-3", IOS, "accepted", ""),
        ]
        assert outcome.recipients[1].dead is False
        assert (await stentor.outcomes.audit(sent.id)).exact
        shown = [repr(outcome), repr(await stentor.outcomes.explain(sent.id, "address-1"))]
        assert not any(address in text for address in (PHONE, OTHER_PHONE, "no token") for text in shown)


async def test_each_gets_it_in_its_language(stentor: Stentor) -> None:
    content = Content(message=Message(title="Hello"), translations={"de": Translation(title="Hallo")})
    await stentor.messages.send(content, ["1", "3"], audience=AUDIENCE)  # en, de
    await stentor.messages.send(content, lane=IOS, addresses=[PHONE], language="de-AT")
    leases = await stentor._resources.backend.queue.take(IOS, 10, 30.0)
    batches = [msgspec.msgpack.decode(lease.payload) for lease in leases]
    assert sorted((batch["recipients"], batch["languages"]) for batch in batches) == [
        ([b"1", b"3"], b"\x00\x01"),
        ([b"address-1"], b"\x01"),
    ]


async def test_where_nobody_can_be_sent_to_it_is_over_at_once(stentor: Stentor) -> None:
    sent = await stentor.messages.send(CODE, ["nobody"], audience=AUDIENCE)
    assert (sent.campaign.state, sent.settled) == (CampaignState.COMPLETED, True)
    assert told(sent) == [("nobody", None, "rejected", NOT_IN_AUDIENCE)]
    assert (await stentor.outcomes.audit(sent.id)).exact


# -- before whom -------------------------------------------------------------------------------------------------------


async def test_a_paused_campaign_holds_it_up_as_little_as_a_slow_one(
    stentor: Stentor, config: Config, processes: ForkServerContext
) -> None:
    async with at_work(config, processes, "planner", "sender"):
        paused = await stentor.campaigns.send(Draft(CODE, USERS))
        await stentor.campaigns.pause(paused.id)
        slow = await stentor.campaigns.send(Draft(CODE, USERS, max_rate=0.5))
        sent = await stentor.messages.send(CODE, ["1", "2"], audience=AUDIENCE)
        outcome = await settled(stentor, sent.id)
        assert {each.outcome for each in outcome.recipients} == {"accepted"}
        assert (await stentor.outcomes.progress(slow.id)).total.pending > 0
        assert (await stentor.campaigns.get(paused.id)).state is CampaignState.PAUSED


# -- once --------------------------------------------------------------------------------------------------------------


async def test_a_key_sends_one_message(engine: Config) -> None:
    async with Stentor(engine) as stentor:
        calls = (stentor.messages.send(CODE, lane=IOS, addresses=[PHONE], once="login-7") for _ in range(4))
        found = await asyncio.gather(*calls, return_exceptions=True)
        (sent,) = [each for each in found if isinstance(each, MessageOutcome)]
        others = [each for each in found if each is not sent]
        assert all(isinstance(each, AlreadySent) and each.campaign_id == sent.id for each in others)
        with pytest.raises(AlreadySent):
            await stentor.campaigns.send(Draft(CODE, USERS), once="login-7")
        assert [each.id for each in await stentor.messages.newest()] == [sent.id]
        assert (await stentor._resources.backend.queue.depths([IOS]))[IOS].total == 1


async def test_what_cannot_be_queued_is_not_sent_and_leaves_its_key_free(
    nats_url: str, queue_name: str, tmp_path: Path, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = rehearse(tmp_path, facts)
    config = config.model_copy(update={"queue": QueueConfig(url=nats_url, name=queue_name)})
    async with Stentor(config) as stentor:

        async def away(change: Change | None = None, **_settled: Any) -> None:
            raise QueueUnavailable

        with monkeypatch.context() as patched:
            patched.setattr(stentor._resources.backend.queue, "settle", away)
            with pytest.raises(QueueUnavailable):
                await stentor.messages.send(CODE, lane=IOS, addresses=[PHONE], once="k")
        (stopped,) = await stentor.messages.newest()
        assert stopped.state is CampaignState.CANCELLING
        sent = await stentor.messages.send(CODE, lane=IOS, addresses=[PHONE], once="k")
        assert sent.campaign.state is CampaignState.RUNNING


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({}, InvalidInput, "1 to 100 recipients, not 0"),
        ({"to": [str(number) for number in range(MOST_RECIPIENTS + 1)]}, InvalidInput, "not 101"),
        ({"to": ["1"], "lane": IOS, "addresses": [PHONE]}, InvalidInput, "not both"),
        ({"addresses": [PHONE]}, InvalidInput, "need a lane"),
        ({"lane": "apns/ipad", "addresses": [PHONE]}, InvalidInput, "the nearest is apns/ios"),
        ({"to": ["1"], "audience": "user"}, InvalidAudience, "no audience 'user'"),
        ({"to": [""]}, InvalidInput, "empty"),
        ({"to": ["1"], "once": ""}, InvalidInput, "once"),
    ],
)
async def test_what_cannot_be_meant_is_refused_and_leaves_nothing(
    stentor: Stentor, asked: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        await stentor.messages.send(CODE, **{"audience": AUDIENCE, **asked})
    assert await stentor.messages.newest() == []


async def test_a_message_that_a_provider_would_refuse_is_refused(stentor: Stentor) -> None:
    with pytest.raises(InvalidMessage):
        await stentor.messages.send(Content(message=Message(title="x" * 5000)), lane=IOS, addresses=[PHONE])
    assert await stentor.messages.newest() == []


async def test_nothing_is_sent_while_the_queue_is_drained(stentor: Stentor) -> None:
    assert (await stentor.queue.drain()).empty
    with pytest.raises(InvalidState, match="drained"):
        await stentor.messages.send(CODE, lane=IOS, addresses=[PHONE], once="k")
    await stentor.queue.end_drain()
    await stentor.messages.send(CODE, lane=IOS, addresses=[PHONE], once="k")


async def test_a_campaign_is_no_message(stentor: Stentor) -> None:
    campaign = await stentor.campaigns.create(Draft(CODE, USERS))
    with pytest.raises(UnknownCampaign, match="is a campaign, not a message"):
        await stentor.messages.get(campaign.id)
    with pytest.raises(UnknownCampaign):
        await stentor.messages.get("nothing")


# -- what campaigns can, too -------------------------------------------------------------------------------------------


async def test_a_message_is_cancelled_retried_and_pruned_as_campaigns_are(stentor: Stentor) -> None:
    sent = await stentor.messages.send(CODE, lane=IOS, addresses=[PHONE, OTHER_PHONE])
    assert [each.outcome for each in sent.recipients] == [WAITING, WAITING]
    assert (await stentor.campaigns.cancel(sent.id)).state is CampaignState.CANCELLED
    assert [each.outcome for each in (await stentor.messages.get(sent.id)).recipients] == ["cancelled", "cancelled"]
    again = await stentor.campaigns.retry(sent.id)
    assert (again.kind, again.expected) == (CampaignKind.CAMPAIGN, {IOS: 2})
    assert PHONE not in again.audience.decode()


async def test_what_it_sent_is_taken_back(stentor: Stentor, config: Config, processes: ForkServerContext) -> None:
    async with at_work(config, processes, "planner", "sender"):
        sent = await stentor.messages.send(CODE, lane=IOS, addresses=[PHONE, OTHER_PHONE])
        await settled(stentor, sent.id)
        undo = await stentor.campaigns.undo(sent.id)
        await stentor.campaigns.start(undo.id)
        async with asyncio.timeout(WITHIN):
            report = await stentor.roles.watch(undo.id)
        assert report.total.accepted == 2


async def test_a_message_that_the_queue_lost_is_put_again_before_campaigns(stentor: Stentor) -> None:
    """As the healer puts it, with the address that was stored with the message."""
    sent = await stentor.messages.send(CODE, lane=IOS, addresses=[PHONE])
    resources = stentor._resources

    async def lose(connection: AsyncConnection) -> None:
        await connection.execute(sa.delete(tasks))

    await resources.database.write(lose)
    losses = Losses(resources.database, resources.backend.queue, None)
    healer = Healer(resources.database, resources.backend.queue, resources.sources, losses, lost_after=0.0)
    assert [await healer.look(), await healer.look()] == [0, 1]
    (lease,) = await resources.backend.queue.take(IOS, 1, 30.0, urgent=True)
    assert lease.campaign_id == sent.id
    assert PHONE.encode() in lease.payload


async def test_the_addresses_are_stored_apart_from_what_is_shown(stentor: Stentor) -> None:
    await stentor.messages.send(CODE, lane=IOS, addresses=[PHONE])
    (row,) = await stentor._resources.database.rows(sa.select(campaigns))
    assert PHONE.encode() in row.addresses
    assert all(PHONE not in str(value) for name, value in row._mapping.items() if name != "addresses")
