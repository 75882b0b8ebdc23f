"""Reports of whole campaigns, from the processes that send them and from schedulers; and `Stentor.reports`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stentor.audience.contract import Selection
from stentor.config import ApiConfig, Config, QueueConfig, ReportsConfig, ReportTarget
from stentor.errors import InvalidConfiguration, UnknownReport
from stentor.model import Message
from stentor.planning.content import Content
from stentor.reporting import outbox
from stentor.reporting.outbox import DeliveryStatus
from stentor.reporting.reporter import Reporter
from stentor.runtime import roles
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState
from tests.integration.reporting.receivers import HttpReceiver, http_receiver
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, rehearse

SOON = 60.0
"""Seconds for which something is waited for that must happen."""
CONTENT = Content(message=Message(title="Hello"))
WHOM = Selection(source=AUDIENCE)


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as found:
        yield found


@pytest.fixture(params=["sql", "jetstream"])
def queue(request: pytest.FixtureRequest) -> QueueConfig:
    if request.param == "sql":
        return QueueConfig()
    return QueueConfig(url=request.getfixturevalue("nats_url"), name=request.getfixturevalue("queue_name"))


def told(config: Config, receiver: HttpReceiver | None) -> Config:
    """The settings, with a target."""
    port = 1 if receiver is None else receiver.port
    target = ReportTarget(url=f"json://127.0.0.1:{port}/hook")
    reports = ReportsConfig(targets={"team": target})
    return config.model_copy(update={"reports": reports, "api": ApiConfig(public_url="https://push.example.com")})


async def until_told(receiver: HttpReceiver, number: int) -> None:
    async with asyncio.timeout(SOON):
        while len(receiver.got) < number:  # noqa: ASYNC110 - what another process does sets no event
            await asyncio.sleep(0.05)


async def test_a_campaign_that_is_sent_from_here_is_reported_before_it_returns(
    tmp_path: Path, facts: Facts, receiver: HttpReceiver, queue: QueueConfig
) -> None:
    """Without a scheduler, and with one that is stopped as soon as the campaign has ended."""
    config = told(rehearse(tmp_path, facts), receiver).model_copy(update={"queue": queue})
    async with Stentor(config) as stentor:
        campaign = await stentor.campaigns.send(Draft(CONTENT, WHOM))
        report = await stentor.roles.run(campaign.id)
        assert report.campaign.state is CampaignState.COMPLETED
        (got,) = receiver.got
        assert got.json["title"] == "“Hello” was sent: 40 of 40 accepted"
        assert f"Details: https://push.example.com/campaigns/{campaign.id}" in got.json["message"]
        (found,) = await stentor.reports.deliveries(campaign_id=campaign.id)
        assert (found.event_id, found.target, found.status) == (f"completed/{campaign.id}", "team", DeliveryStatus.SENT)


async def test_what_could_not_be_told_then_is_told_by_the_next_process(
    tmp_path: Path, facts: Facts, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.5)
    monkeypatch.setattr(roles, "REPORT_WITHIN", 2.0)
    config = rehearse(tmp_path, facts)
    async with Stentor(told(config, None)) as stentor:
        campaign = await stentor.campaigns.send(Draft(CONTENT, WHOM))
        report = await stentor.roles.run(campaign.id)
        assert report.campaign.state is CampaignState.COMPLETED, "nothing of a campaign waits for a report"
        (found,) = await stentor.reports.deliveries()
        assert found.status is DeliveryStatus.WAITING
        assert found.answer
    async with Stentor(told(config, receiver)) as stentor:
        async with stentor.roles.at_work():
            await until_told(receiver, 1)
        (found,) = await stentor.reports.deliveries()
        assert found.status is DeliveryStatus.SENT


async def test_a_scheduler_reports_what_others_send(tmp_path: Path, facts: Facts, receiver: HttpReceiver) -> None:
    stop = asyncio.Event()
    async with Stentor(told(rehearse(tmp_path, facts), receiver)) as stentor:
        serving = asyncio.create_task(stentor.roles.serve(stop, senders=1))
        try:
            campaign = await stentor.campaigns.send(Draft(CONTENT, WHOM))
            await until_told(receiver, 1)
        finally:
            stop.set()
            await serving
        assert receiver.got[0].json["title"] == "“Hello” was sent: 40 of 40 accepted"
        (found,) = await stentor.reports.deliveries()
        assert (found.event_id, found.status) == (f"completed/{campaign.id}", DeliveryStatus.SENT)


async def test_a_target_is_tested_and_a_report_replayed(tmp_path: Path, facts: Facts, receiver: HttpReceiver) -> None:
    async with Stentor(told(rehearse(tmp_path, facts), receiver)) as stentor:
        (target,) = stentor.reports.targets()
        assert (target.name, target.kind) == ("team", "json")
        answers = await stentor.reports.test()
        assert answers["team"].sent
        assert receiver.got.pop().json["title"].startswith("Test: ")
        assert await stentor.reports.deliveries() == []
        campaign = await stentor.campaigns.send(Draft(CONTENT, WHOM))
        await stentor.roles.run(campaign.id)
        (again,) = await stentor.reports.replay(campaign.id)
        assert (again.status, again.tries) == (DeliveryStatus.SENT, 1)
        first, second = receiver.got
        assert first.json == second.json
        assert f"https://push.example.com/campaigns/{campaign.id}" in first.json["message"]
        receiver.status = 500
        (again,) = await stentor.reports.replay(f"completed/{campaign.id}", "team")
        assert (again.status, again.tries) == (DeliveryStatus.WAITING, 1)
        with pytest.raises(UnknownReport, match="there is no report 'nothing'"):
            await stentor.reports.replay("nothing")
        with pytest.raises(InvalidConfiguration, match="there is no target 'tema' for reports; there are team"):
            await stentor.reports.test("tema")


async def test_without_a_target_there_is_nothing_to_test(tmp_path: Path, facts: Facts) -> None:
    async with Stentor(rehearse(tmp_path, facts)) as stentor:
        with pytest.raises(InvalidConfiguration, match=r"add one under \[reports\.targets\.NAME\]"):
            await stentor.reports.test()


async def test_who_is_interrupted_waits_for_no_report(
    tmp_path: Path, facts: Facts, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[float] = []

    async def finish(self: Reporter, within: float) -> None:
        finished.append(within)

    monkeypatch.setattr(Reporter, "finish", finish)
    async with Stentor(told(rehearse(tmp_path, facts), receiver)) as stentor:
        with pytest.raises(asyncio.CancelledError):
            async with stentor.roles.at_work():
                raise asyncio.CancelledError
        assert finished == []
        async with stentor.roles.at_work():
            pass
        assert finished == [roles.REPORT_WITHIN]
