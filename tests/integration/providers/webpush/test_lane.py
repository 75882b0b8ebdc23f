"""The Web Push lane against the strict simulator: what browsers can read, and whom a service's trouble concerns."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from stentor.errors import CredentialError, HostForbidden, InvalidMessage, PoolClosed
from stentor.http2.pool import PoolOptions
from stentor.http2.transport import Deadlines, Endpoint, permitted_addresses, tls_context
from stentor.model import Message, WebPushOptions
from stentor.outcome import Scope, Verdict
from stentor.planning.content import Content, Translation
from stentor.providers.burst_lane import FIRST_WINDOW, LEAST_WINDOW
from stentor.providers.channels import open_lane
from stentor.providers.contract import Answer
from stentor.providers.hosts import is_public
from stentor.providers.lane import CampaignContent, Flight
from stentor.providers.webpush.channel import WebPushApp
from stentor.providers.webpush.lane import WebPushLane
from stentor.providers.webpush.vapid import generate_key, private_pem
from stentor.simulators.faults import parse_faults
from stentor.simulators.webpush import SUBJECT, Ailment, WebPushSimulator
from stentor.simulators.webpush.provider import WebPushSetup

QUICK = PoolOptions(
    max_connections=2,
    patience=0.5,
    connects_per_second=20.0,
    timing=Deadlines(connect=2.0, answer=2.0, silence=0.5, ping=0.5),
)
PLAIN = Content(message=Message(title="Sale", body="Ends tonight", webpush=WebPushOptions(url="/sale")))


@pytest.fixture
async def web() -> AsyncIterator[WebPushSimulator]:
    async with WebPushSimulator() as simulator:
        yield simulator


def lane_to(web: WebPushSimulator, **other: Any) -> WebPushLane:
    given = {
        "private_key_file": web.private_key_file,
        "subject": SUBJECT,
        "ca_file": web.ca_file,
        "allow_private_endpoints": True,
    }
    return WebPushLane(WebPushApp(**{**given, **other}), "web", web.clock, QUICK)


def browsers(web: WebPushSimulator, count: int) -> list[bytes]:
    return [each.encode() for each in web.subscriptions(count)]


def changed(address: bytes, **other: Any) -> bytes:
    return json.dumps({**json.loads(address), **other}).encode()


async def send(
    lane: WebPushLane,
    web: WebPushSimulator,
    addresses: Sequence[bytes],
    content: Content = PLAIN,
    languages: bytes | None = None,
    variables: Sequence[Mapping[str, Any]] | None = None,
) -> Flight:
    campaign = CampaignContent(id="c1", content=content, started_at=web.clock(), collapse_id="c1")
    prepared = await lane.prepare(campaign)
    keys = [b"user-%d" % number for number in range(len(addresses))]
    flight = await lane.begin(prepared, keys, addresses, languages, variables)
    await flight.done()
    return flight


async def answers(web: WebPushSimulator, addresses: Sequence[bytes], **settings: Any) -> dict[int, Answer]:
    """What a new lane is told of these."""
    lane = lane_to(web, **settings)
    try:
        return (await send(lane, web, addresses)).answers(web.clock())
    finally:
        await lane.aclose(0.0)


def reasons(found: Mapping[int, Answer]) -> dict[int, str]:
    return {index: answer.reason for index, answer in found.items()}


# -- who gets what ------------------------------------------------------------------------------------------------


async def test_every_service_gets_what_its_browsers_can_read(web: WebPushSimulator) -> None:
    lane = lane_to(web)
    assert lane.window() == FIRST_WINDOW
    flight = await send(lane, web, browsers(web, 300))
    assert flight.answers(0.0) == {}
    assert flight.accepted() == b"\x01" * 300
    assert lane.window() == LEAST_WINDOW
    assert lane.backlog() == 0
    assert lane.state.connections >= 3
    await lane.aclose()
    assert lane.state.connections == 0
    assert sorted(web.ledger.addresses()) == sorted(web.subscriptions(300))
    wanted = {"title": "Sale", "body": "Ends tonight", "url": "/sale", "tag": "c1"}
    for service in web.services.values():
        delivered = service.deliver()
        assert len(delivered) == 100
        assert all(json.loads(each.payload) == wanted for each in delivered)
        assert {(each.ttl, each.topic) for each in delivered} == {(28 * 86_400, "c1")}
    assert web.violations == []


async def test_the_message_of_each_is_known_where_it_can_be_deleted(web: WebPushSimulator) -> None:
    lane = lane_to(web, deletes_at=["127.0.0.1"])
    flight = await send(lane, web, [*browsers(web, 3), b"?"])
    await lane.aclose()
    found = flight.receipts()
    assert [found[index].id for index in range(3)] == [
        f"{origin}/m/{dialect}-1" for dialect, origin in web.origins.items()
    ]
    assert 3 not in found


async def test_who_gets_it_again_has_it_once(web: WebPushSimulator) -> None:
    lane = lane_to(web)
    prepared = await lane.prepare(CampaignContent(id="c1", content=PLAIN, started_at=web.clock(), collapse_id="c1"))
    assert prepared.collapses
    for _ in range(2):
        await send(lane, web, browsers(web, 30))
    await lane.aclose()
    assert [(len(each.deliver()), each.store.replaced) for each in web.services.values()] == [(10, 10)] * 3
    assert web.ledger.duplicates == 30


async def test_languages_and_names(web: WebPushSimulator) -> None:
    content = Content(
        message=Message(title="Hello {{ name }}"), translations={"de": Translation(title="Hallo {{ name }}")}
    )
    lane = lane_to(web)
    variables: list[dict[str, Any]] = [{"name": "A"}, {"name": "B"}, {}, {"name": "x" * 5000}]
    flight = await send(lane, web, browsers(web, 4), content, bytes([0, 1, 0, 0]), variables)
    await lane.aclose()
    assert reasons(flight.answers(0.0)) == {2: "TemplateError", 3: "PayloadTooLarge"}
    assert flight.accepted() == bytes([1, 1, 0, 0])
    titles = [json.loads(each.payload)["title"] for service in web.services.values() for each in service.deliver()]
    assert sorted(titles) == ["Hallo B", "Hello A"]


async def test_the_lifetime_is_what_is_left_of_it(web: WebPushSimulator) -> None:
    lane = lane_to(web)
    content = Content(message=Message(title="Sale", ttl=3600))
    campaign = CampaignContent(id="c1", content=content, started_at=web.clock() - 600, collapse_id="c1")
    flight = await lane.begin(await lane.prepare(campaign), [b"a"], browsers(web, 1))
    await flight.done()
    await lane.aclose()
    (message,) = web.services["mozilla"].deliver()
    assert 2990 <= message.ttl <= 3000


async def test_a_message_that_is_too_large_is_refused_before_it_is_sent(web: WebPushSimulator) -> None:
    lane = lane_to(web)
    with pytest.raises(InvalidMessage, match=r"is 4,\d+ bytes, 3,993 are allowed"):
        await send(lane, web, browsers(web, 1), Content(message=Message(title="x" * 4000)))
    flight = await send(
        lane, web, browsers(web, 3), Content(message=Message(webpush=WebPushOptions(raw_payload=b"x" * 3993)))
    )
    await lane.aclose()
    assert flight.accepted() == b"\x01" * 3


# -- who is refused -----------------------------------------------------------------------------------------------


async def test_malformed_subscriptions_stop_nobody(web: WebPushSimulator) -> None:
    good = browsers(web, 4)
    keys = json.loads(good[0])["keys"]
    off_the_curve = keys["p256dh"][:-4] + "AAAA"
    found = await answers(
        web,
        [
            good[0],
            b"not JSON",
            changed(good[1], endpoint="http://127.0.0.1/x"),
            changed(good[2], keys={"p256dh": keys["p256dh"]}),
            changed(good[2], keys={**keys, "p256dh": off_the_curve}),
            b"",
            good[3],
        ],
    )
    assert reasons(found) == {1: "MalformedAddress", 2: "MalformedAddress", 3: "MalformedAddress"} | {
        4: "MalformedAddress",
        5: "NoAddress",
    }
    assert {each.verdict for each in found.values()} == {Verdict.REJECT}
    assert "curve" in found[4].detail
    assert len(web.ledger) == 2


async def test_dead_subscriptions_are_dropped_in_every_dialect(web: WebPushSimulator) -> None:
    web.faults = parse_faults({"devices": {"unregistered": 1.0}})
    found = await answers(web, browsers(web, 60))
    assert {each.verdict for each in found.values()} == {Verdict.DROP}
    said = {(each.status, each.reason) for each in found.values()}
    assert said == {(410, "errno103"), (410, "errno106"), (404, "NotFound"), (410, "Gone"), (410, "Unregistered")}


async def test_subscriptions_of_another_key(web: WebPushSimulator, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(private_pem(generate_key()))
    found = await answers(web, browsers(web, 3), private_key_file=other)
    assert reasons(found) == {0: "errno109", 1: "VapidMismatch", 2: "VapidPkHashMismatch"}
    assert found[1].stop_if_all
    assert found[2].stop_if_all
    assert len(web.ledger) == 0


async def test_a_token_that_is_refused_concerns_its_service_alone_and_is_made_anew(web: WebPushSimulator) -> None:
    lane = lane_to(web)
    web.services["apple"].ails = Ailment(403, (), b'{"reason":"BadJwtToken"}')
    flight = await send(lane, web, browsers(web, 3))
    (index, refusal), *others = flight.answers(web.clock()).items()
    assert (index, refusal.verdict, refusal.scope, others) == (2, Verdict.STOP, Scope.PLATFORM, [])
    web.services["apple"].ails = None
    web.clock.advance(13 * 3600)  # the tokens would have expired
    assert (await send(lane, web, browsers(web, 3))).accepted() == b"\x01" * 3
    await lane.aclose()


async def test_one_sick_service_does_not_stop_the_others(web: WebPushSimulator) -> None:
    web.services["fcm"].ails = Ailment(503, ((b"retry-after", b"120"),))
    lane = lane_to(web)
    flight = await send(lane, web, browsers(web, 300))
    await lane.aclose()
    found = flight.answers(web.clock())
    assert sorted(found) == list(range(1, 300, 3))
    assert {(a.verdict, a.scope, a.retry_after, a.asked) for a in found.values()} == {
        (Verdict.RETRY, Scope.ADDRESS, 120.0, True)
    }
    assert flight.accepted() == bytes([1, 0, 1]) * 100


async def test_a_service_that_cannot_be_reached_rests(web: WebPushSimulator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    dead = changed(browsers(web, 1)[0], endpoint=f"https://127.0.0.1:{port}/x")
    lane = lane_to(web)
    first = await send(lane, web, [dead, *browsers(web, 3)])
    second = await send(lane, web, [dead, *browsers(web, 3)])
    await lane.aclose(0.0)
    assert reasons(first.answers(0.0)) == {0: "NotProcessed"}
    waits = second.answers(0.0)[0]
    assert (waits.verdict, waits.reason) == (Verdict.WAIT, "OriginResting")
    assert 0 < (waits.retry_after or 0.0) <= 5.0
    assert first.accepted() == second.accepted() == bytes([0, 1, 1, 1])


async def test_retry_after_of_a_storm(web: WebPushSimulator) -> None:
    web.faults = parse_faults({"storm": {"for_s": 60.0, "retry_after": ["7"]}})
    found = await answers(web, browsers(web, 3))
    assert reasons(found) == {0: "errno201", 1: "TooManyRequests", 2: "TooManyRequests"}
    assert {(each.verdict, each.retry_after) for each in found.values()} == {(Verdict.RETRY, 7.0)}


async def test_redirects_are_not_followed(web: WebPushSimulator) -> None:
    apple = web.services["apple"]
    web.services["mozilla"].ails = Ailment(307, ((b"location", f"{apple.origin}/redirected".encode()),))
    found = await answers(web, browsers(web, 1))
    assert (found[0].verdict, found[0].reason, found[0].status) == (Verdict.REJECT, "Redirect", 307)
    assert apple.redirected == 0


# -- where it may go ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://169.254.169.254/latest/meta-data",
        "https://2130706433/x",
        "https://fcm.googleapis.com:8443/x",
    ],
)
async def test_private_endpoints_are_never_connected_to(web: WebPushSimulator, endpoint: str) -> None:
    address = changed(browsers(web, 1)[0], endpoint=endpoint)
    found = await answers(web, [address], allow_private_endpoints=False)
    assert reasons(found) == {0: "ForbiddenEndpoint"}
    assert found[0].verdict is Verdict.REJECT
    assert web.world.tally.connections == 0


async def test_a_name_that_leads_elsewhere_at_the_connection_is_not_followed(
    web: WebPushSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS that says something public when it is asked first, and our own address when it matters."""
    loop = asyncio.get_running_loop()
    told = ["93.184.216.34"]

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        address = told.pop() if told else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    endpoint = Endpoint(host="push.example.com", tls=tls_context(), permits=is_public)
    monkeypatch.setattr(type(loop), "getaddrinfo", lambda _, *args, **named: resolve(*args, **named), raising=False)
    assert await permitted_addresses(endpoint) == ["93.184.216.34"]
    with pytest.raises(HostForbidden, match="must not be connected to"):
        await permitted_addresses(endpoint)


def windows() -> WebPushSimulator:
    return WebPushSimulator(WebPushSetup(dialects=("windows",)))


@pytest.mark.parametrize("ttl", [0, 60])
async def test_windows_takes_a_message_that_is_not_to_be_kept_as_well_as_others(ttl: int) -> None:
    async with windows() as web:
        lane = lane_to(web)
        flight = await send(lane, web, browsers(web, 3), Content(message=Message(title="Now", ttl=ttl)))
        await lane.aclose()
    assert flight.accepted() == b"\x01" * 3


async def test_what_windows_says_in_a_header_is_told() -> None:
    async with windows() as web:
        gone = [changed(each, endpoint=json.loads(each)["endpoint"] + "x") for each in browsers(web, 3)]
        found = await answers(web, gone)
    assert {each.detail for each in found.values()} == {"Channel URL is invalid."}
    assert len(found) == 3


async def test_a_host_that_does_not_exist_waits(web: WebPushSimulator) -> None:
    address = changed(browsers(web, 1)[0], endpoint="https://gone.push.apple.com/x")
    found = await answers(web, [address], allow_private_endpoints=False)
    assert (found[0].verdict, found[0].reason, found[0].retry_after) == (Verdict.WAIT, "UnknownHost", 60.0)


async def test_a_name_that_nobody_can_own_is_dead_at_once(web: WebPushSimulator) -> None:
    hosts = ("permanently-removed.invalid", "push.test", "localhost")
    gone = [changed(each, endpoint=f"https://{host}/x") for each, host in zip(browsers(web, 3), hosts, strict=True)]
    found = await answers(web, gone, allow_private_endpoints=False)
    assert {(each.verdict, each.reason) for each in found.values()} == {(Verdict.DROP, "ReservedHost")}
    assert len(found) == 3


async def test_only_the_hosts_that_are_allowed(web: WebPushSimulator) -> None:
    found = await answers(web, browsers(web, 3), allowed_hosts="push.example.com")
    assert set(reasons(found).values()) == {"ForbiddenEndpoint"}
    assert await answers(web, browsers(web, 3), allowed_hosts=("127.0.0.1", "*.example.com")) == {}


async def test_all_of_it_can_go_to_one_place_instead(web: WebPushSimulator) -> None:
    """A rehearsal with the real subscriptions, which reaches nobody."""
    mozilla = browsers(web, 1)[0]
    path = json.loads(mozilla)["endpoint"].removeprefix(web.url)
    elsewhere = changed(mozilla, endpoint=f"https://push.example.com{path}")
    assert await answers(web, [elsewhere], url=web.url, allow_private_endpoints=False) == {}
    assert len(web.ledger) == 1


# -- credentials, and the end -------------------------------------------------------------------------------------


async def test_a_key_that_cannot_be_used_names_the_setting(web: WebPushSimulator, tmp_path: Path) -> None:
    wrong = tmp_path / "vapid.pem"
    for content in (b"nothing", web.ca_file.read_bytes()):
        wrong.write_bytes(content)
        with pytest.raises(CredentialError, match=r"apps\.web\.private_key_file: .*stentor keys vapid"):
            await lane_to(web, private_key_file=wrong).check()


async def test_a_key_that_changes_is_read_again(web: WebPushSimulator, tmp_path: Path) -> None:
    file = tmp_path / "vapid.pem"
    file.write_bytes(private_pem(generate_key()))
    lane = lane_to(web, private_key_file=file)
    await lane.check()
    assert not await lane.reload()
    assert (await send(lane, web, browsers(web, 3))).accepted() == bytes(3)
    file.write_bytes(web.private_key_file.read_bytes())
    assert await lane.reload()
    assert (await send(lane, web, browsers(web, 3))).accepted() == b"\x01" * 3
    await lane.aclose()


async def test_a_closed_lane_takes_nothing(web: WebPushSimulator) -> None:
    lane = open_lane("web", lane_to(web)._app, web.clock)
    await lane.aclose()
    with pytest.raises(PoolClosed):
        await lane.check()


async def test_a_flight_that_is_withdrawn_settles_who_was_not_sent(web: WebPushSimulator) -> None:
    web.faults = parse_faults({"latency": {"median_s": 30.0}})
    lane = lane_to(web)
    prepared = await lane.prepare(CampaignContent(id="c1", content=PLAIN, started_at=web.clock(), collapse_id="c1"))
    flight = await lane.begin(prepared, [b"k"] * 900, browsers(web, 900))
    flight.withdraw("enough")
    assert {answer.reason for answer in flight.answers(0.0).values()} == {"NotProcessed"}
    await lane.aclose(0.0)


async def test_the_simulators_secrets_are_its_owners_alone(web: WebPushSimulator) -> None:
    assert stat.S_IMODE(web.private_key_file.stat().st_mode) == 0o600
