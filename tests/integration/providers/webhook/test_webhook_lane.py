"""The webhook lane against its simulator, and against receivers that are none of ours."""

from __future__ import annotations

import socket
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from stentor.errors import CredentialError, CredentialUnavailable
from stentor.model import Message, WebhookOptions
from stentor.outcome import Scope, Verdict
from stentor.planning.content import Content
from stentor.providers.channels import open_lane
from stentor.providers.lane import CampaignContent, Flight, Introduces, Lane
from stentor.providers.webhook.channel import WebhookApp
from stentor.providers.webhook.lane import PublicResolver, WebhookLane
from stentor.simulators.faults import Devices, Drop, Faults, Malformed, Storm
from stentor.simulators.tls import make_server_tls
from stentor.simulators.webhook import WebhookSetup, WebhookSimulator

PLAIN = Content(message=Message(title="Sale", body="Ends tonight"))
PERSONAL = Content(message=Message(title="Hello {{ name }}", webhook=WebhookOptions(payload={"x": "{{ name }}"})))


def lane_to(simulator: WebhookSimulator, **other: Any) -> WebhookLane:
    given = {"target": simulator.target, "secret_file": simulator.secret_file, "ca_file": simulator.ca_file}
    lane = open_lane("gateway", WebhookApp(**{**given, **other}), simulator.clock)
    assert isinstance(lane, WebhookLane)
    return lane


def names(count: int) -> list[bytes]:
    return [b"+49 30 %05d" % number for number in range(count)]


async def send(
    lane: Lane, addresses: Sequence[bytes], content: Content = PLAIN, variables: Sequence[Any] | None = None
) -> Flight:
    campaign = CampaignContent(id="c1", content=content, started_at=0.0, collapse_id="c1")
    prepared = await lane.prepare(campaign)
    recipients = [b"user-%d" % number for number in range(len(addresses))]
    flight = await lane.begin(prepared, recipients, addresses, None, variables)
    await flight.done()
    return flight


def verdicts(flight: Flight) -> set[tuple[Verdict, str]]:
    return {(answer.verdict, answer.reason) for answer in flight.answers(0.0).values()}


async def test_a_gateway_takes_what_is_signed() -> None:
    async with WebhookSimulator() as simulator:
        lane = lane_to(simulator)
        await lane.check()
        flight = await send(lane, names(50))
        assert flight.accepted() == b"\x01" * 50
        assert flight.answers(0.0) == {}
        assert sorted(simulator.ledger.addresses()) == sorted(each.decode() for each in names(50))
        assert {taken.id for taken in flight.receipts().values()} == {f"m{number}" for number in range(1, 51)}
        assert (simulator.gateway.shown, simulator.ledger.duplicates) == (50, 0)
        await send(lane, names(50))
        assert (simulator.gateway.shown, simulator.ledger.duplicates) == (50, 50), "the same ids, shown once"
        assert simulator.violations == []
        await lane.aclose()


async def test_templates_are_filled_for_each() -> None:
    async with WebhookSimulator() as simulator:
        lane = lane_to(simulator)
        flight = await send(lane, names(3), PERSONAL, [{"name": "Ada"}, {}, {"name": "Bob"}])
        assert verdicts(flight) == {(Verdict.REJECT, "TemplateError")}
        assert {(event["data"]["title"], event["x"]) for event in simulator.gateway.bodies} == {
            ("Hello Ada", "Ada"),
            ("Hello Bob", "Bob"),
        }
        await lane.aclose()


async def test_dead_addresses_and_storms() -> None:
    async with WebhookSimulator(seed=3, faults=Faults(devices=Devices(unregistered=0.2))) as simulator:
        lane = lane_to(simulator)
        flight = await send(lane, names(100))
        assert verdicts(flight) == {(Verdict.DROP, "Gone")}
        assert 5 < len(flight.answers(0.0)) < 40
        simulator.faults = Faults(storm=Storm(for_s=1e6, retry_after=("9",)))
        found = (await send(lane, names(3))).answers(0.0)
        assert {(each.reason, each.retry_after, each.asked, each.scope) for each in found.values()} == {
            ("TooManyRequests", 9.0, True, Scope.LANE)
        }
        await lane.aclose()


async def test_what_is_lost_on_the_way_is_sent_again_and_shown_once() -> None:
    faults = Faults(drop=Drop(after_accept_every=7), malformed=Malformed(share=0.1))
    async with WebhookSimulator(seed=5, faults=faults) as simulator:
        lane = lane_to(simulator)
        campaign = CampaignContent(id="c1", content=PLAIN, started_at=0.0, collapse_id="c1")
        prepared = await lane.prepare(campaign)
        assert prepared.collapses
        waiting = list(range(60))
        for _ in range(10):
            recipients = [b"user-%d" % number for number in waiting]
            flight = await lane.begin(prepared, recipients, [names(60)[number] for number in waiting])
            await flight.done()
            assert {verdict for verdict, _ in verdicts(flight)} <= {Verdict.AMBIGUOUS, Verdict.RETRY}
            waiting = [number for number, taken in zip(waiting, flight.accepted(), strict=True) if not taken]
            if not waiting:
                break
        assert waiting == []
        assert simulator.gateway.shown == 60
        assert simulator.ledger.duplicates > 0
        await lane.aclose()


async def test_a_secret_that_is_changed(tmp_path: Path) -> None:
    file = tmp_path / "secret.txt"
    strange = "whsec_" + b64encode(bytes(32)).decode()
    file.write_text(strange)
    async with WebhookSimulator() as simulator:
        lane = lane_to(simulator, secret_file=file)
        found = await send(lane, names(2))
        assert verdicts(found) == {(Verdict.STOP, "Unauthorized")}
        assert {each.scope for each in found.answers(0.0).values()} == {Scope.LANE}
        file.write_text(f"{strange}\n{simulator.secret_file.read_text()}")
        assert await lane.reload()
        assert (await send(lane, names(2))).accepted() == b"\x01\x01"
        file.write_text("hunter2")
        with pytest.raises(CredentialError, match=r"apps\.gateway\.secret_file: .*secret\.txt holds") as error:
            await lane.reload()
        assert "hunter2" not in str(error.value)
        await lane.aclose()


async def test_it_tells_whether_the_gateway_answers() -> None:
    async with WebhookSimulator() as simulator:
        lane = lane_to(simulator)
        assert isinstance(lane, Introduces)
        assert await lane.introduce() == f"127.0.0.1:{simulator.port} answers (405 to HEAD); its messages are not tried"
        assert len(simulator.ledger) == 0
    with pytest.raises(CredentialUnavailable, match="no connection to 127"):
        await lane.introduce()
    await lane.aclose()
    own = lane_to(simulator, target="address")
    assert "none is asked" in await own.introduce()
    await own.aclose()


# -- recipients that have URLs of their own ---------------------------------------------------------------------------


async def test_recipients_of_their_own_in_a_rehearsal() -> None:
    """`url` leads all of them to the simulator, with their paths."""
    async with WebhookSimulator(WebhookSetup(any_path=True)) as simulator:
        lane = lane_to(simulator, target="address", url=simulator.url)
        addresses = [b"https://one.example/a?b=c", b"https://two.example:444", b"no url", b"http://three.example/"]
        flight = await send(lane, addresses)
        assert flight.accepted() == b"\x01\x01\0\0"
        assert verdicts(flight) == {(Verdict.REJECT, "MalformedAddress")}
        assert sorted(simulator.ledger.addresses()) == [each.decode() for each in addresses[:2]]
        await lane.aclose()


async def test_one_receiver_that_refuses_harms_nobody_else() -> None:
    async with WebhookSimulator(WebhookSetup(path="/good")) as simulator:
        lane = lane_to(simulator, target="address", allow_private=True)
        good, strange = f"{simulator.url}/good".encode(), f"{simulator.url}/nowhere".encode()
        flight = await send(lane, [good, strange, good])
        answer = flight.answers(0.0)[1]
        assert (answer.verdict, answer.reason, answer.scope) == (Verdict.REJECT, "NotFound", Scope.ADDRESS)
        assert flight.accepted() == b"\x01\0\x01"
        await lane.aclose()


async def test_a_receiver_that_cannot_be_reached_waits_and_is_nobody_elses_fault() -> None:
    async with WebhookSimulator(WebhookSetup(path="/good")) as simulator:
        lane = lane_to(simulator, target="address", allow_private=True)
        with socket.socket() as held:  # bound, and nobody listens
            held.bind(("127.0.0.1", 0))
            gone = f"https://127.0.0.1:{held.getsockname()[1]}/".encode()
            flight = await send(lane, [gone, f"{simulator.url}/good".encode(), gone])
        assert flight.accepted() == b"\0\x01\0"
        found = {index: (each.verdict, each.reason, each.retry_after) for index, each in flight.answers(0.0).items()}
        assert found == dict.fromkeys((0, 2), (Verdict.WAIT, "Unreachable", 60.0))
        await lane.aclose()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "10.0.0.1", "[::ffff:127.0.0.1]", "169.254.1.1"])
async def test_private_addresses_are_not_posted_to(host: str) -> None:
    async with WebhookSimulator(WebhookSetup(any_path=True)) as simulator:
        lane = lane_to(simulator, target="address")
        flight = await send(lane, [f"https://{host}:{simulator.port}/x".encode()])
        assert verdicts(flight) == {(Verdict.REJECT, "ForbiddenHost")}
        assert "allow_private" in flight.answers(0.0)[0].detail
        assert simulator.world.tally.connections == 0
        await lane.aclose()


async def test_the_resolver_gives_public_addresses_alone() -> None:
    resolver = PublicResolver()
    found = await resolver.resolve("1.1.1.1", 443)
    assert [each["host"] for each in found] == ["1.1.1.1"]
    with pytest.raises(OSError, match="private network"):
        await resolver.resolve("localhost", 443)
    await resolver.close()


# -- a receiver by the reference library ------------------------------------------------------------------------------


@asynccontextmanager
async def receiver(folder: Path, secret: str, seen: list[Any]) -> AsyncIterator[WebhookApp]:
    async def handle(request: web.BaseRequest) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen.append(Webhook(secret).verify(await request.read(), headers))
        return web.Response(text="<html>thanks</html>", content_type="text/html")

    tls = make_server_tls(folder, provider="receiver", alpn=("http/1.1",))
    runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=0.01)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.context).start()
        file = folder / "secret.txt"
        file.write_text(f"whsec_{b64encode(bytes(24)).decode()}\n{secret}")
        target = f"https://127.0.0.1:{runner.addresses[0][1]}/hook?key=1"
        yield WebhookApp(target=target, secret_file=file, ca_file=tls.ca_file)
    finally:
        await runner.cleanup()


async def test_the_reference_library_verifies_what_is_sent(tmp_path: Path) -> None:
    """Its own clock is the system's, so the lane's is, too."""
    seen: list[Any] = []
    async with receiver(tmp_path, "whsec_" + b64encode(b"s" * 32).decode(), seen) as app:
        lane = open_lane("gateway", app, time.time)
        flight = await send(lane, names(5))
        assert flight.accepted() == b"\x01" * 5, "an HTML page with a 200 is a yes"
        assert flight.receipts() == {}
        assert sorted(event["data"]["address"] for event in seen) == [each.decode() for each in names(5)]
        await lane.aclose()
