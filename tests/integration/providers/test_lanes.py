"""Lanes against the strict simulators: who gets what, whose fault a refusal is, and credentials that change."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from stentor.errors import CredentialError, InvalidConfiguration, InvalidMessage, PoolClosed
from stentor.http2 import frames
from stentor.http2.burst import Header
from stentor.http2.pool import PoolOptions
from stentor.http2.transport import Deadlines
from stentor.model import FcmOptions, Message
from stentor.outcome import Scope, Verdict
from stentor.planning.content import Content, Translation
from stentor.providers.apns.channel import ApnsApp
from stentor.providers.apns.lane import ApnsLane
from stentor.providers.apns.wire import push_ids
from stentor.providers.burst_lane import FIRST_WINDOW, LEAST_WINDOW
from stentor.providers.channels import open_lane
from stentor.providers.contract import MALFORMED_ADDRESS, NOWHERE, Answer
from stentor.providers.fcm.channel import FcmApp
from stentor.providers.fcm.lane import FcmLane
from stentor.providers.lane import CampaignContent, Expires, Flight, Lane, TimesAnswers
from stentor.simulators.apns import ApnsSimulator
from stentor.simulators.apns.credentials import mint_key
from stentor.simulators.apns.provider import ApnsProvider, ApnsSetup
from stentor.simulators.clock import MovableClock
from stentor.simulators.faults import Credential, Faults, Latency, Malformed
from stentor.simulators.fcm import FcmSimulator
from stentor.simulators.fcm.provider import FcmProvider
from stentor.simulators.tls import make_server_tls
from stentor.simulators.world import Judgement
from tests.integration.http2.test_pool import forever, server, tunnel

QUICK = PoolOptions(
    max_connections=2,
    patience=1.0,
    connects_per_second=20.0,
    timing=Deadlines(connect=5.0, answer=5.0, silence=0.5, ping=0.5),
)
PLAIN = Content(message=Message(title="Sale", body="Ends tonight"))
PERSONAL = Content(
    message=Message(title="Hello {{ name }}", body="Sale"), translations={"de": Translation(title="Hallo {{ name }}")}
)
TOPIC = "com.example.app"
HALF_HOUR = 1_800_000_000.0
"""Epoch seconds at which one begins: APNs tokens are dated back to it."""


def tokens(count: int, first: int = 0) -> list[bytes]:
    return [b"%064x" % number for number in range(first, first + count)]


def fcm_tokens(count: int) -> list[bytes]:
    return [b"phone%017d:APA91b%0134d" % (number, number) for number in range(count)]


def keys(count: int) -> list[bytes]:
    return [b"user-%d" % number for number in range(count)]


def campaign(content: Content, **other: Any) -> CampaignContent:
    return CampaignContent(**{"id": "c1", "content": content, "started_at": 0.0, "collapse_id": "c1", **other})


def apns_app(simulator: ApnsSimulator, **other: Any) -> ApnsApp:
    given = {
        "topic": TOPIC,
        "key_file": simulator.key_file,
        "key_id": simulator.key_id,
        "team_id": simulator.team_id,
        "url": simulator.url,
        "ca_file": simulator.ca_file,
    }
    return ApnsApp(**{name: value for name, value in {**given, **other}.items() if value is not None})


def apns_lane(simulator: ApnsSimulator, **other: Any) -> ApnsLane:
    return ApnsLane(apns_app(simulator, **other), "ios", simulator.clock, QUICK)


def fcm_lane(simulator: FcmSimulator, **other: Any) -> FcmLane:
    given = {
        "service_account_file": simulator.service_account_file,
        "url": simulator.url,
        "token_url": simulator.token_url,
        "ca_file": simulator.ca_file,
    }
    return FcmLane(FcmApp(**{**given, **other}), "android", simulator.clock, QUICK)


async def send(
    lane: Lane,
    content: Content,
    addresses: Sequence[bytes],
    languages: bytes | None = None,
    variables: Sequence[Mapping[str, Any]] | None = None,
) -> Flight:
    prepared = await lane.prepare(campaign(content))
    flight = await lane.begin(prepared, keys(len(addresses)), addresses, languages, variables)
    await flight.done()
    return flight


def reasons(flight: Flight) -> dict[int, str]:
    return {index: answer.reason for index, answer in flight.answers(0.0).items()}


async def refusal(lane: Lane) -> Answer:
    """What all of some recipients are refused with."""
    flight = await send(lane, PLAIN, tokens(5))
    found = flight.answers(0.0)
    assert len(found) == 5
    assert flight.accepted() == bytes(5)
    return found[4]


# -- who gets what ------------------------------------------------------------------------------------------------


async def test_a_plain_batch_over_apns() -> None:
    async with ApnsSimulator() as simulator:
        lane = apns_lane(simulator)
        assert lane.window() == FIRST_WINDOW
        assert lane.state.connections == 0
        prepared = await lane.prepare(campaign(PLAIN))
        assert prepared.collapses
        flight = await lane.begin(prepared, keys(300), tokens(300))
        await flight.done()
        assert flight.answers(0.0) == {}
        assert flight.accepted() == b"\x01" * 300
        assert lane.window() == LEAST_WINDOW
        assert lane.state.connections >= 1
        await lane.aclose()
        assert lane.state.connections == 0
    ledger = list(simulator.ledger)
    assert sorted(entry.address.encode() for entry in ledger) == tokens(300)
    assert {entry.dedup_id for entry in ledger} == {"c1"}
    expected = dict(zip(tokens(300), push_ids("c1", keys(300)), strict=True))
    assert all(expected[entry.address.encode()] == entry.message_id.encode() for entry in ledger)
    assert simulator.violations == []


async def test_a_plain_batch_over_fcm() -> None:
    async with FcmSimulator() as simulator:
        lane = fcm_lane(simulator)
        prepared = await lane.prepare(campaign(PLAIN))
        assert prepared.collapses
        flight = await lane.begin(prepared, keys(300), fcm_tokens(300))
        await flight.done()
        assert flight.answers(0.0) == {}
        assert flight.accepted() == b"\x01" * 300
        await lane.aclose()
    assert {entry.dedup_id for entry in simulator.ledger} == {"c1"}


PAGE = b"<!DOCTYPE html><title>Blocked</title>"


@pytest.mark.parametrize(("body", "verdict"), [(PAGE, Verdict.RECONNECT), (b"{}", Verdict.AMBIGUOUS)])
@pytest.mark.parametrize("channel", ["apns", "fcm"])
async def test_a_200_that_isnt_the_providers_is_no_acceptance(
    monkeypatch: pytest.MonkeyPatch, channel: str, body: bytes, verdict: Verdict
) -> None:
    provider = ApnsProvider if channel == "apns" else FcmProvider

    def by_a_filter(_provider: object, _form: str, answer: Judgement) -> Judgement:
        return answer._replace(headers=[(b":status", b"200"), (b"server", b"filter")], body=body)

    monkeypatch.setattr(provider, "malform", by_a_filter)
    faults = Faults(malformed=Malformed(share=0.5))
    async with AsyncExitStack() as stack:
        if channel == "apns":
            addresses = tokens(40)
            lane: ApnsLane | FcmLane = apns_lane(await stack.enter_async_context(ApnsSimulator(faults=faults)))
        else:
            addresses = fcm_tokens(40)
            lane = fcm_lane(await stack.enter_async_context(FcmSimulator(faults=faults)))
        stack.push_async_callback(lane.aclose)
        flight = await send(lane, PLAIN, addresses)
    found = flight.answers(0.0)
    assert {(each.verdict, each.reason) for each in found.values()} == {(verdict, "unreadable")}
    assert 0 < flight.accepted().count(1) == 40 - len(found) < 40


@pytest.mark.parametrize("channel", ["apns", "fcm"])
async def test_doctor_names_a_200_that_isnt_the_providers(monkeypatch: pytest.MonkeyPatch, channel: str) -> None:
    provider: Any = ApnsProvider if channel == "apns" else FcmProvider
    judge = provider.judge

    def by_a_filter(gateway: object, session: object, headers: list[Header], body: bytes) -> Judgement:
        if (b":path", b"/token") in headers:
            found: Judgement = judge(gateway, session, headers, body)
            return found
        return Judgement([(b":status", b"200"), (b"server", b"filter")], PAGE, "")

    monkeypatch.setattr(provider, "judge", by_a_filter)
    async with AsyncExitStack() as stack:
        if channel == "apns":
            lane: ApnsLane | FcmLane = apns_lane(await stack.enter_async_context(ApnsSimulator()))
        else:
            lane = fcm_lane(await stack.enter_async_context(FcmSimulator()))
        stack.push_async_callback(lane.aclose)
        (finding,) = await lane.introduce()
    assert finding.status.value == "problem"
    assert "isn't the provider" in finding.detail
    assert "proxy" in str(finding.remedy)


async def test_malformed_addresses_are_rejected_and_stop_nobody() -> None:
    async with ApnsSimulator() as simulator:
        lane = apns_lane(simulator)
        flight = await send(lane, PLAIN, [b"not hex", *tokens(2), b"", *tokens(1, 2)])
        nobody = await send(lane, PLAIN, [b"?", b""])
        await lane.aclose()
    assert reasons(flight) == {0: MALFORMED_ADDRESS, 3: NOWHERE.reason}
    assert flight.accepted() == bytes([0, 1, 1, 0, 1])
    assert reasons(nobody) == {0: MALFORMED_ADDRESS, 1: NOWHERE.reason}
    assert sorted(entry.address.encode() for entry in simulator.ledger) == tokens(3)


async def test_everybody_gets_it_in_their_language(monkeypatch: pytest.MonkeyPatch) -> None:
    content = Content(message=Message(title="Sale"), translations={"de": Translation(title="Angebot")})
    async with ApnsSimulator() as simulator:
        seen = bodies_by_token(simulator, monkeypatch)
        lane = apns_lane(simulator)
        flight = await send(lane, content, [*tokens(5), b"?"], bytes([0, 1, 0, 1, 1, 1]))
        await lane.aclose()
    assert reasons(flight) == {5: MALFORMED_ADDRESS}
    assert flight.accepted() == bytes([1, 1, 1, 1, 1, 0])
    titles = [seen[token]["aps"]["alert"]["title"] for token in tokens(5)]
    assert titles == ["Sale", "Angebot", "Sale", "Angebot", "Angebot"]


async def test_personalised_messages_reach_whom_they_name_and_a_gap_rejects_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variables: list[dict[str, Any]] = [{"name": f"n{number}"} for number in range(200)]
    variables[7], variables[8], variables[9] = {}, {"name": None}, {"name": "x" * 5000}
    async with ApnsSimulator() as simulator:
        seen = bodies_by_token(simulator, monkeypatch)
        lane = apns_lane(simulator)
        flight = await send(lane, PERSONAL, tokens(200), bytes([0, 1] * 100), variables)
        await lane.aclose()
    found = flight.answers(0.0)
    assert {index: (answer.verdict, answer.reason) for index, answer in found.items()} == {
        7: (Verdict.REJECT, "TemplateError"),
        8: (Verdict.REJECT, "TemplateError"),
        9: (Verdict.REJECT, "PayloadTooLarge"),
    }
    assert "`name`" in found[7].detail
    assert flight.accepted() == bytes(0 if index in found else 1 for index in range(200))
    for index, token in enumerate(tokens(200)):
        if index not in found:
            assert seen[token]["aps"]["alert"]["title"] == ("Hallo" if index % 2 else "Hello") + f" n{index}"


async def test_equal_values_of_different_types_are_different_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    content = Content(message=Message(title="{{ value }}"))
    async with FcmSimulator() as simulator:
        lane = fcm_lane(simulator)
        rendered: list[str | None] = []
        render = lane.render

        def spy(message: Message, campaign: CampaignContent) -> Any:
            rendered.append(message.title)
            return render(message, campaign)

        monkeypatch.setattr(lane, "render", spy)
        flight = await send(lane, content, fcm_tokens(4), None, [{"value": value} for value in (1, True, 1.0, 1)])
        await lane.aclose()
    assert flight.accepted() == b"\x01" * 4
    assert rendered[1:] == ["1", "True", "1.0"]  # the first is the outline


async def test_a_message_that_suits_nobody_is_refused_before_anything_is_sent() -> None:
    async with ApnsSimulator() as simulator:
        lane = apns_lane(simulator)
        with pytest.raises(InvalidMessage, match="bytes"):
            await lane.prepare(campaign(Content(message=Message(body="x" * 5000))))
        with pytest.raises(InvalidMessage, match="badge"):
            await lane.prepare(campaign(Content(message=Message(title="{{ name }}", badge=-1))))
        await lane.aclose()
    assert len(simulator.ledger) == 0


@pytest.mark.parametrize(
    ("message", "over_apns", "over_fcm"),
    [
        (Message(title="x"), True, True),
        (Message(silent=True, data={"a": "b"}), True, False),
        (Message(silent=True, data={"a": "b"}, collapse_key="k"), True, True),
        (Message(title="x", fcm=FcmOptions(android_v2={})), True, True),
        (Message(title="x", fcm=FcmOptions(android_v2={"background_sync": {}})), True, False),
    ],
)
async def test_what_a_second_push_replaces(message: Message, over_apns: bool, over_fcm: bool) -> None:
    async with ApnsSimulator() as apns, FcmSimulator() as fcm:
        for lane, collapses in ((apns_lane(apns), over_apns), (fcm_lane(fcm), over_fcm)):
            assert (await lane.prepare(campaign(Content(message=message)))).collapses == collapses
            await lane.aclose()


def bodies_by_token(simulator: ApnsSimulator, monkeypatch: pytest.MonkeyPatch) -> dict[bytes, Any]:
    seen: dict[bytes, Any] = {}
    judge = simulator.apns.judge

    def spy(session: Any, headers: Any, body: bytes) -> Any:
        seen[dict(headers)[b":path"].rpartition(b"/")[2]] = json.loads(body)
        return judge(session, headers, body)

    monkeypatch.setattr(simulator.apns, "judge", spy)
    return seen


# -- withdrawing ----------------------------------------------------------------------------------------------------


async def test_withdrawing_stops_the_wire() -> None:
    async with ApnsSimulator(
        ApnsSetup(max_streams=100), faults=Faults(latency=Latency(median_s=0.1, p99_s=0.11))
    ) as simulator:
        lane = apns_lane(simulator)
        prepared = await lane.prepare(campaign(PLAIN))
        flight = await lane.begin(prepared, keys(5000), tokens(5000))
        while not any(flight.accepted()):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)
        flight.withdraw("the campaign was paused")
        unsent = flight.answers(0.0)
        assert {answer.reason for answer in unsent.values()} == {"NotProcessed"}
        assert len(unsent) > 4000
        await flight.done()
        accepted = [token for token, yes in zip(tokens(5000), flight.accepted(), strict=True) if yes]
        assert len(accepted) + len(flight.answers(0.0)) == 5000
        await lane.aclose()
    assert sorted(entry.address.encode() for entry in simulator.ledger) == accepted


async def test_whoever_is_cancelled_withdraws() -> None:
    async with ApnsSimulator(faults=Faults(latency=Latency(median_s=0.2, p99_s=0.21))) as simulator:
        lane = apns_lane(simulator)
        prepared = await lane.prepare(campaign(PLAIN))
        flight = await lane.begin(prepared, keys(3000), tokens(3000))
        waiter = asyncio.create_task(flight.done())
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        assert len(flight.answers(0.0)) == 3000
        await lane.aclose()
        with pytest.raises(PoolClosed):
            await lane.begin(prepared, keys(1), tokens(1))
    assert len(simulator.ledger) == 0


# -- credentials ------------------------------------------------------------------------------------------------------


async def test_an_expired_apns_token_is_renewed_once_and_goes_over_other_connections() -> None:
    faults = Faults(credential=Credential(expire_at_s=1300.0))
    async with ApnsSimulator(faults=faults, clock=MovableClock(lambda: HALF_HOUR)) as simulator:
        lane = apns_lane(simulator)
        assert reasons(await send(lane, PLAIN, tokens(20))) == {}
        simulator.clock.advance(1500.0)
        flight = await send(lane, PLAIN, tokens(20, 20))
        assert {answer.verdict for answer in flight.answers(0.0).values()} == {Verdict.REFRESH}
        assert (await lane.refused(flight)).renewed
        again = await send(lane, PLAIN, tokens(20, 20))
        assert (await lane.refused(flight)).renewed, "its token was replaced already"
        last = await send(lane, PLAIN, tokens(20, 40))
        await lane.aclose()
    assert reasons(again) == reasons(last) == {}
    assert len(simulator.ledger) == 60
    assert last.authorization == again.authorization != flight.authorization  # type: ignore[attr-defined]


async def test_an_apns_connection_sees_one_token_only() -> None:
    """A token changes each half hour; a connection that was opened minutes before may not show another."""
    async with ApnsSimulator(clock=MovableClock(lambda: HALF_HOUR)) as simulator:
        lane = apns_lane(simulator)
        assert reasons(await send(lane, PLAIN, tokens(20))) == {}
        simulator.clock.advance(1500.0)
        for link in lane._pool._links if lane._pool else ():
            link.abort("the peer went away")
        assert reasons(await send(lane, PLAIN, tokens(20, 20))) == {}  # over a connection opened just now
        simulator.clock.advance(400.0)
        assert reasons(await send(lane, PLAIN, tokens(20, 40))) == {}
        await lane.aclose()
    assert simulator.summary()["rejected"] == {}
    assert len(simulator.ledger) == 60


async def test_an_expired_fcm_token_is_renewed_and_the_connections_stay() -> None:
    async with FcmSimulator(faults=Faults(credential=Credential(expire_at_s=60.0))) as simulator:
        lane = fcm_lane(simulator)
        assert reasons(await send(lane, PLAIN, fcm_tokens(20))) == {}
        simulator.clock.advance(70.0)
        flight = await send(lane, PLAIN, fcm_tokens(20))
        assert {answer.verdict for answer in flight.answers(0.0).values()} == {Verdict.REFRESH}
        assert (await lane.refused(flight)).renewed
        assert reasons(await send(lane, PLAIN, fcm_tokens(20))) == {}
        assert lane.state.connections == simulator.connections == 1
        await lane.aclose()


async def test_credentials_replaced_on_disk_are_taken_up(tmp_path: Path) -> None:
    async with ApnsSimulator() as simulator, ApnsSimulator() as stranger:
        key = tmp_path / "key.p8"
        shutil.copy(stranger.key_file, key)
        lane = apns_lane(simulator, key_file=key)
        answer = await refusal(lane)
        assert (answer.verdict, answer.reason, answer.scope) == (Verdict.STOP, "InvalidProviderToken", Scope.LANE)
        assert "key" in lane.meaning(answer.reason)
        assert not await lane.reload()
        key.write_text("half of a key")
        with pytest.raises(CredentialError, match=r"^apps\.ios\.key_file: "):
            await lane.reload()
        shutil.copy(simulator.key_file, key)
        assert await lane.reload()
        assert reasons(await send(lane, PLAIN, tokens(5))) == {}
        await lane.aclose()
    assert len(simulator.ledger) == 5


async def test_a_flight_of_the_old_credentials_refreshes_nothing(tmp_path: Path) -> None:
    async with FcmSimulator() as simulator:
        account = tmp_path / "account.json"
        shutil.copy(simulator.service_account_file, account)
        lane = fcm_lane(simulator, service_account_file=account)
        flight = await send(lane, PLAIN, fcm_tokens(1))
        account.write_text(account.read_text() + "\n")
        assert await lane.reload()
        assert (await lane.refused(flight)).renewed
        assert simulator.fcm.tokens.grants == 1
        assert reasons(await send(lane, PLAIN, fcm_tokens(1))) == {}
        await lane.aclose()


async def test_a_revoked_service_account_names_the_setting() -> None:
    async with FcmSimulator() as simulator, FcmSimulator() as stranger:
        lane = fcm_lane(simulator, service_account_file=stranger.service_account_file)
        prepared = await lane.prepare(campaign(PLAIN))
        with pytest.raises(CredentialError, match=r"^apps\.android: .*invalid_grant"):
            await lane.begin(prepared, keys(1), fcm_tokens(1))
        await lane.aclose()


async def test_a_project_that_is_not_the_accounts() -> None:
    async with FcmSimulator() as simulator:
        lane = fcm_lane(simulator, project="another-project")
        flight = await send(lane, PLAIN, fcm_tokens(3))
        await lane.aclose()
    assert {answer.verdict for answer in flight.answers(0.0).values()} == {Verdict.STOP}


async def test_an_authority_that_is_not_trusted_is_named(tmp_path: Path) -> None:
    other = make_server_tls(tmp_path, provider="other")
    async with ApnsSimulator() as simulator:
        lane = apns_lane(simulator, ca_file=other.ca_file)
        answer = await refusal(lane)
        await lane.aclose()
    assert (answer.verdict, answer.reason) == (Verdict.RECONNECT, "NotProcessed")
    assert "CA file" in answer.detail


@pytest.mark.parametrize("separate", [False, True])
async def test_by_certificate(tmp_path: Path, separate: bool) -> None:
    async with ApnsSimulator() as simulator:
        both = simulator.client_certificate(TOPIC)
        given: dict[str, Any] = {"certificate_file": both}
        if separate:
            pem = both.read_text()
            cut = pem.index("-----BEGIN PRIVATE") if "-----BEGIN PRIVATE" in pem else pem.index("-----BEGIN EC")
            end = pem.index("-----END", cut)
            end = pem.index("\n", end) + 1
            (tmp_path / "key.pem").write_text(pem[cut:end])
            (tmp_path / "certificate.pem").write_text(pem[:cut] + pem[end:])
            given = {"certificate_file": tmp_path / "certificate.pem", "certificate_key_file": tmp_path / "key.pem"}
        lane = apns_lane(simulator, key_file=None, key_id=None, team_id=None, **given)
        assert isinstance(lane, Expires)
        assert isinstance(lane, TimesAnswers)
        assert (lane.expires_at, sum(lane.answer_times.counts)) == (None, 0)
        flight = await send(lane, PLAIN, tokens(20))
        assert reasons(flight) == {}
        certificate = x509.load_pem_x509_certificate(both.read_bytes())
        assert lane.expires_at == certificate.not_valid_after_utc.timestamp()
        assert sum(lane.answer_times.counts) >= 1
        assert not (await lane.refused(flight)).renewed
        lane.hold()
        await lane.aclose()
    assert len(simulator.ledger) == 20


async def test_a_goodbye_over_the_credentials_stops_the_lane(tmp_path: Path) -> None:
    """APNs ends a connection that shows the wrong certificate with a GOAWAY, and answers nothing."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frames.settings([]))
        await reader.readexactly(len(frames.PREFACE) + 200)
        writer.write(frames.goaway(0, frames.NO_ERROR, b'{"reason":"BadCertificateEnvironment"}'))
        await forever(reader, writer)

    tls = make_server_tls(tmp_path, provider="apns")
    key = mint_key(tmp_path)
    async with server(refuse, tls.context) as port:
        app = ApnsApp(
            topic=TOPIC,
            key_file=key.path,
            key_id=key.key_id,
            team_id=key.team_id,
            url=f"https://127.0.0.1:{port}",
            ca_file=tls.ca_file,
        )
        lane = ApnsLane(app, "ios", time.time, QUICK)
        answer = await refusal(lane)
        prepared = await lane.prepare(campaign(PLAIN))
        flight = await lane.begin(prepared, keys(3), tokens(3))
        flight.withdraw("the campaign was paused")
        assert set(reasons(flight).values()) == {"NotProcessed"}, "this was us"
        await lane.aclose(0.0)
    assert (answer.verdict, answer.scope, answer.reason) == (Verdict.STOP, Scope.LANE, "BadCertificateEnvironment")


async def test_the_token_is_asked_for_by_the_proxy_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")  # what the file says counts
    heads: list[bytes] = []
    async with FcmSimulator() as simulator, server(lambda reader, writer: tunnel(reader, writer, heads), None) as port:
        lane = fcm_lane(simulator, proxy=f"http://herald:p%40ss@127.0.0.1:{port}")
        assert (await send(lane, PLAIN, fcm_tokens(3))).accepted() == b"\x01" * 3
        await lane.aclose()
    token_server, provider = heads[:2]
    assert token_server.startswith(b"CONNECT %b HTTP/1." % simulator.token_url.split("/")[2].encode())
    assert provider.startswith(b"CONNECT %b HTTP/1." % simulator.url.removeprefix("https://").encode())
    assert all(b"Proxy-Authorization: Basic aGVyYWxkOnBAc3M=\r\n" in head for head in heads)


async def test_the_token_server_may_be_one_that_only_the_system_trusts(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FcmSimulator() as simulator:
        monkeypatch.setenv("SSL_CERT_FILE", str(simulator.ca_file))  # the system's trust store, to OpenSSL
        lane = fcm_lane(simulator, ca_file=None)
        assert (await send(lane, PLAIN, fcm_tokens(3))).accepted() == b"\x01" * 3
        await lane.aclose()


async def test_default_credentials_are_used_and_taken_up_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with FcmSimulator() as simulator:
        account = tmp_path / "account.json"
        shutil.copy(simulator.service_account_file, account)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
        lane = fcm_lane(simulator, service_account_file=None)
        assert reasons(await send(lane, PLAIN, fcm_tokens(2))) == {}
        assert not await lane.reload()
        account.write_text(account.read_text() + "\n")
        assert await lane.reload()
        assert reasons(await send(lane, PLAIN, fcm_tokens(2))) == {}
        assert simulator.fcm.tokens.grants == 2
        await lane.aclose()


async def test_default_credentials_that_name_no_project_say_which_setting_helps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with FcmSimulator() as simulator:
        content = json.loads(simulator.service_account_file.read_bytes())
        account = tmp_path / "account.json"
        account.write_text(json.dumps({key: value for key, value in content.items() if key != "project_id"}))
        lane = fcm_lane(simulator, service_account_file=account)
        prepared = await lane.prepare(campaign(PLAIN))
        with pytest.raises(CredentialError, match=r"^apps\.android\.project: "):
            await lane.begin(prepared, keys(1), fcm_tokens(1))
        await lane.aclose()


async def test_a_flight_goes_on_while_its_credentials_are_replaced_and_closing_waits_for_it(tmp_path: Path) -> None:
    async with ApnsSimulator(faults=Faults(latency=Latency(median_s=0.3, p99_s=0.31))) as simulator:
        key = tmp_path / "key.p8"
        shutil.copy(simulator.key_file, key)
        lane = apns_lane(simulator, key_file=key)
        prepared = await lane.prepare(campaign(PLAIN))
        old = await lane.begin(prepared, keys(50), tokens(50))
        while not lane.state.open_streams:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)
        key.write_text(key.read_text() + "\n")
        assert await lane.reload()
        assert lane.state.open_streams, "of the old connections"
        new = await lane.begin(prepared, keys(50), tokens(50, 50))
        await lane.aclose()
        assert old.accepted() == new.accepted() == b"\x01" * 50
    assert len(simulator.ledger) == 100


# -- opening -----------------------------------------------------------------------------------------------------------


def broken(tmp_path: Path, channel: str, **given: Any) -> Lane:
    for name in ("absent.pem", "absent.json"):
        assert not (tmp_path / name).exists()
    (tmp_path / "wrong").write_text("nothing of the kind")
    files: dict[str, Any] = {
        name: tmp_path / value if isinstance(value, str) else value for name, value in given.items()
    }
    app: ApnsApp | FcmApp
    if channel == "fcm":
        app = FcmApp(**{"service_account_file": tmp_path / "absent.json", **files})
    elif "certificate_file" in given:
        app = ApnsApp(topic=TOPIC, **files)
    else:
        app = ApnsApp(**{"topic": TOPIC, "key_file": tmp_path / "a", "key_id": "A" * 10, "team_id": "B" * 10, **files})
    return open_lane("main", app, lambda: 0.0)


@pytest.mark.parametrize(
    ("channel", "given", "names"),
    [
        ("apns", {"key_file": "absent.p8"}, r"apps\.main\.key_file: .*absent\.p8"),
        ("apns", {"key_file": "wrong"}, r"apps\.main\.key_file: .*wrong"),
        ("apns", {"ca_file": "wrong"}, r"apps\.main\.ca_file: .*wrong"),
        ("apns", {"certificate_file": "absent.pem"}, r"apps\.main\.certificate_file: .*absent\.pem"),
        (
            "apns",
            {"certificate_file": "wrong", "certificate_password_file": "absent"},
            r"apps\.main\.certificate_password_file: .*absent",
        ),
        ("fcm", {}, r"apps\.main\.service_account_file: .*absent\.json"),
        ("fcm", {"service_account_file": "wrong"}, r"apps\.main\.service_account_file: .*wrong"),
        ("fcm", {"ca_file": "absent"}, r"apps\.main\.ca_file: .*absent"),
    ],
)
async def test_a_check_names_the_setting_at_fault(
    tmp_path: Path, channel: str, given: dict[str, str], names: str
) -> None:
    lane = broken(tmp_path, channel, **given)
    with pytest.raises((CredentialError, InvalidConfiguration), match=f"^{names}"):
        await lane.check()
    await lane.aclose()


async def test_opening_reads_nothing_and_names_the_lane(tmp_path: Path) -> None:
    ios, android = broken(tmp_path, "apns"), broken(tmp_path, "fcm")
    assert (ios.name, android.name) == ("apns/main", "fcm/main")
    assert (ios.ceiling, android.ceiling) == (float("inf"), 10_000)
    assert (ios.rate, ios.backlog(), android.rate, android.backlog()) == (None, 0, None, 0)
    assert ios.meaning("NobodyKnowsThis") == ""
    await ios.aclose()
    await android.aclose()


@pytest.mark.parametrize(
    ("channel", "rate", "ceiling"), [("apns", 500.0, 500.0), ("fcm", 500.0, 500.0), ("fcm", 50_000.0, 10_000.0)]
)
async def test_the_ceiling_is_the_providers_or_the_settings(
    tmp_path: Path, channel: str, rate: float, ceiling: float
) -> None:
    lane = broken(tmp_path, channel, rate=rate)
    assert (lane.rate, lane.ceiling) == (rate, ceiling)
    await lane.aclose()
