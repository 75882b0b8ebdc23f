"""One push service or webhook receiver that is connected and silent among busy ones: it is named, the others go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web as http

from stentor.clock import steady
from stentor.http2.pool import PoolOptions
from stentor.http2.transport import Deadlines
from stentor.providers.lane import HostState
from stentor.providers.webhook.channel import WebhookApp
from stentor.providers.webhook.lane import WebhookLane
from stentor.providers.webpush import origins
from stentor.providers.webpush.channel import WebPushApp
from stentor.providers.webpush.lane import WebPushLane
from stentor.sending import silence, silent_hosts
from stentor.sending.gate import Pass
from stentor.sending.sender import LaneSender
from stentor.simulators.tls import make_server_tls
from stentor.simulators.webpush import SUBJECT, WebPushSimulator
from stentor.states import CampaignState
from tests.integration.sending.doubles import LANE, LaneDouble, Works, quicken, until, works

ALL = b"\1"
QUICK = PoolOptions(
    max_connections=1, connects_per_second=20.0, timing=Deadlines(connect=5.0, answer=2.0, silence=20.0, ping=20.0)
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)
    monkeypatch.setattr(silent_hosts, "SILENT", 0.8)
    monkeypatch.setattr(silent_hosts, "REWORDED", 0.0)
    monkeypatch.setattr(origins, "FIRST_REST", 0.2)
    monkeypatch.setattr(origins, "LONGEST_REST", 0.2)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Works]:
    async with works(tmp_path, stop_within=0.2) as made:
        yield made


def send_by(stage: Works, lane: Any) -> LaneSender:
    """Have the stage's sender send by a real lane."""
    lane.name = LANE
    stage.sender = LaneSender(lane, stage.queue, stage.recorder, stage.desk, stage.settings, stage.clock)
    return stage.sender


async def moving(stage: Works, reached: Callable[[], Awaitable[bool]]) -> None:
    """Until something is reached, while the clock moves on."""
    async with asyncio.timeout(60):
        while not await reached():
            stage.clock.move(0.1)
            await asyncio.sleep(0.01)


async def test_a_silent_push_service_is_named_and_its_browsers_alone_wait(
    stage: Works, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with WebPushSimulator() as web:
        real, silent = web.world.latency, {"mozilla"}

        def latency(address: str) -> float:
            return 3600.0 if any(f"/{each}-" in address for each in silent) else real(address)

        monkeypatch.setattr(web.world, "latency", latency)
        app = WebPushApp(
            channel="webpush",
            private_key_file=web.private_key_file,
            subject=SUBJECT,
            ca_file=web.ca_file,
            allow_private_endpoints=True,
        )
        sender = send_by(stage, WebPushLane(app, "web", web.clock, QUICK))
        browsers = [each.encode() for each in web.subscriptions(60)]
        first = await stage.put(1, addresses=browsers[:30])
        host = web.origins["mozilla"].removeprefix("https://")
        waiting = bytes(0 if b"/mozilla-" in each else 1 for each in browsers[:30])
        async with stage.at_work():
            problem = await stage.until_told()
            assert problem.what.startswith(f"the push service {host} is connected and has answered nothing since ")
            assert problem.what.endswith(" UTC (10 recipients or more wait); all others go on")
            assert (problem.waiting, problem.pause) == (10, None)
            assert sender.notice == f"{problem.what}; {problem.remedy}"
            assert (sender.silent_hosts, sender.stands_still) == (1, False)
            assert sender.gate.look(steady()) is Pass.OPEN

            async def others_have_it() -> bool:
                return await stage.outcomes(second) == waiting

            second = await stage.put(2, addresses=browsers[30:])
            await moving(stage, others_have_it)  # it rests by now, or is tried again: it is silent all the same
            assert sender.notice is not None
            assert host in sender.notice
            silent.clear()
            await stage.drained()
            await until(lambda: sender.notice is None and stage.desk.reports[-1] is None)
            assert sender.silent_hosts == 0
    assert [await stage.outcomes(name) for name in (first, second)] == [ALL * 30] * 2
    said = [record.getMessage() for record in caplog.records if "the lane" in record.getMessage()]
    assert said[0].startswith(f"the lane {LANE} waits: the push service {host} is connected")
    assert said[-1] == f"the lane {LANE} sends again"
    told = " ".join([*said, *(each or "" for each in stage.told)])
    assert "/mozilla-" not in told, "an endpoint is a secret"


async def test_silent_receivers_are_named_and_the_others_get_their_messages(stage: Works, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    awake, taken = asyncio.Event(), []

    async def answer(request: http.BaseRequest) -> http.Response:
        await request.read()
        taken.append(request.path)
        return http.Response()

    async def be_silent(request: http.BaseRequest) -> http.Response:
        await awake.wait()
        return await answer(request)

    tls = make_server_tls(tmp_path, provider="receiver", alpn=("http/1.1",))
    ports, runners = [], []
    for handler in (answer, be_silent, be_silent):
        runner = http.ServerRunner(http.Server(handler, access_log=None), shutdown_timeout=0.01)
        runners.append(runner)
        await runner.setup()
        site = http.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.context)
        await site.start()
        ports.append(runner.addresses[0][1])
    good, bad, worse = ports
    app = WebhookApp(channel="webhook", target="address", secret_file=secret, ca_file=tls.ca_file, allow_private=True)
    sender = send_by(stage, WebhookLane(app, "crm", stage.clock))
    urls = [
        b"https://127.0.0.1:%d/token-%d" % (port, number)
        for number, port in enumerate([bad, worse, worse, *[good] * 17])
    ]
    name = await stage.put(1, len(urls), addresses=urls)
    try:
        async with stage.at_work():
            await until(lambda: sender.silent_hosts == 2 and sender.notice is not None)
            assert sender.notice is not None
            assert sender.notice.startswith(
                f"2 receivers answer nothing: 127.0.0.1:{worse} is connected and has answered"
            )
            assert f", 127.0.0.1:{bad} is connected" in sender.notice
            assert "token" not in sender.notice
            assert not sender.stands_still
            await until(lambda: len(taken) == 17)
            awake.set()
            await stage.drained()
            await until(lambda: sender.notice is None and sender.silent_hosts == 0)
    finally:
        awake.set()
        for runner in runners:
            await runner.cleanup()
    assert await stage.outcomes(name) == ALL * 20


class ManyHosts(LaneDouble):
    """A lane that waits for these."""

    many_hosts = True
    kind_of_host = "push service"
    waits_for: Sequence[HostState] = (HostState(name="a.example", waiting=30, answered=0),)

    def hosts(self) -> Sequence[HostState]:
        return self.waits_for


async def test_if_all_hosts_are_silent_they_are_named_and_the_lane_stands_still(
    stage: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENT", 0.2)
    lane = ManyHosts()
    lane.holds = True
    stage.begin_again(lane)
    await stage.put(1)
    async with stage.at_work():
        named = "a.example is connected and has answered nothing"
        await until(lambda: stage.sender.stands_still and named in (stage.sender.notice or ""))
        await until(lambda: stage.desk.reports[-1] is not None and stage.desk.reports[-1].waiting is None)
        lane.flights[0].answer(29)
        await until(lambda: not stage.sender.stands_still)
        lane.flights[0].answer()
        await stage.drained()


async def test_nobody_waits_for_a_host_once_no_campaign_is_sent(stage: Works) -> None:
    stage.begin_again(ManyHosts())
    await stage.campaign()
    async with stage.at_work():
        await until(lambda: stage.sender.silent_hosts == 1 and any(stage.desk.reports))
        stage.desk.states["c1"] = CampaignState.CANCELLED
        await until(lambda: stage.sender.silent_hosts == 0 and stage.desk.reports[-1] is None)
