"""Each knob of the faults does what it says, over real sockets."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from stentor.http2 import frames as f
from stentor.simulators.apns import ApnsSimulator
from stentor.simulators.faults import Faults, Trigger, parse_faults
from tests.integration.simulators.wire_client import apns_client, connected, device, provider_token, real_time


def faults(**sections: Any) -> Faults:
    return parse_faults(sections)


def scripted(**act: Any) -> Faults:
    return Faults(script=(Trigger(**act),))


def accepted(apns: ApnsSimulator) -> set[int]:
    """The numbers of the devices in the ledger."""
    return {int(address, 16) for address in apns.ledger.addresses()}


async def test_latency_keeps_answers_waiting() -> None:
    async with (
        ApnsSimulator(faults=faults(latency={"median_s": 0.05, "p99_s": 0.05})) as apns,
        apns_client(apns) as client,
    ):
        began = real_time()
        ids = client.start(range(20))
        assert apns.ledger.answered <= 1
        await client.wire.until(lambda: all(map(client.wire.is_done, ids)))
        assert real_time() - began >= 0.05
        assert apns.ledger.answered == 21


async def test_the_stream_limit_drops_and_comes_back() -> None:
    knobs = faults(stream_limit={"normal": 50, "drop_every": 3, "drop_to": 2, "drop_for_s": 0.02})
    async with ApnsSimulator(faults=knobs) as apns, apns_client(apns) as client:
        await client.push(1)
        await client.push(2)
        await client.wire.until(lambda: client.wire.limits == [1, 50, 2, 50])
        assert apns.summary()["injected"] == {"limit_drop": 1}


@pytest.mark.parametrize(("over", "reaction"), [("goaway", "goaway"), ("refuse", "reset")])
async def test_too_many_streams_get_the_chosen_answer(over: str, reaction: str) -> None:
    async with (
        ApnsSimulator(faults=faults(stream_limit={"over": over})) as apns,
        apns_client(apns, warm=False) as client,
    ):
        client.wire.h2.remote_settings.update({3: 100})  # h2 itself would never send too many
        client.wire.h2.remote_settings.acknowledge()
        client.start(range(2))
        await client.wire.until(lambda: client.wire.goaways or client.wire.resets)
        if reaction == "goaway":
            assert client.wire.goaways[0][1:] == (7, b"Maximum active streams violated for this endpoint.")
        else:
            assert client.wire.resets == {3: f.REFUSED_STREAM}
        assert apns.violations


async def test_a_graceful_goaway_answers_all_it_has() -> None:
    async with (
        ApnsSimulator(faults=scripted(after=3, do="goaway", form="graceful")) as apns,
        apns_client(apns) as client,
    ):
        ids = client.start(range(10))
        await client.wire.until(lambda: client.wire.closed)
        last, code, _ = client.wire.goaways[0]
        assert code == f.NO_ERROR
        assert accepted(apns) == {0xFEED, *(n for n, i in enumerate(ids) if i <= last)}
        assert all(client.wire.is_done(i) for i in ids if i <= last)


async def test_a_goaway_with_a_lower_last_id_leaves_the_rest_unprocessed() -> None:
    async with ApnsSimulator(faults=scripted(after=4, do="goaway", form="lower")) as apns, apns_client(apns) as client:
        ids = client.start(range(30))
        await client.wire.until(lambda: client.wire.closed)
        last, _, _ = client.wire.goaways[0]
        assert last == ids[2]
        assert accepted(apns) == {0xFEED, 0, 1, 2}
        assert [i for i in ids if client.wire.is_done(i)] == ids[:3]


@pytest.mark.parametrize(
    ("form", "code", "text"),
    [
        ("json", f.NO_ERROR, b'{"reason":"Shutdown"}'),
        ("text", f.REFUSED_STREAM, b"Maximum active streams violated for this endpoint."),
    ],
)
async def test_goaway_debug_data(form: str, code: int, text: bytes) -> None:
    async with ApnsSimulator(faults=scripted(after=2, do="goaway", form=form)) as apns, apns_client(apns) as client:
        await client.push(1)
        await client.wire.until(lambda: client.wire.goaways)
        assert client.wire.goaways[0][1:] == (code, text)


async def test_goaway_zero_greets_the_next_connection() -> None:
    async with ApnsSimulator(faults=scripted(after=2, do="goaway", form="zero")) as apns:
        async with apns_client(apns) as client:
            await client.push(1)
            await client.wire.until(lambda: client.wire.closed)
        async with connected(apns) as wire:
            await wire.until(lambda: wire.goaways)
            assert wire.goaways[0][0] == 0
            await wire.until(lambda: wire.closed)
        async with apns_client(apns) as client:
            assert (await client.push(2)).status == 200


async def test_goaway_every_takes_its_forms_in_turn() -> None:
    knobs = faults(goaway={"every": 2, "forms": ["json", "text"]})
    seen = []
    async with ApnsSimulator(faults=knobs) as apns:
        for _ in range(3):
            async with apns_client(apns) as client:
                await client.push(1)
                await client.wire.until(lambda: client.wire.closed)
                seen.append(client.wire.goaways[0][2])
    assert seen[0] == seen[2] == b'{"reason":"Shutdown"}'
    assert seen[1].startswith(b"Maximum")


async def test_goaway_then_hang_never_answers_what_it_took() -> None:
    async with ApnsSimulator(faults=scripted(after=2, do="goaway", then="hang")) as apns, apns_client(apns) as client:
        (stream_id,) = client.start(range(1))
        await client.wire.until(lambda: client.wire.goaways)
        client.wire.h2.ping(b"are you?")
        client.wire.flush()
        assert accepted(apns) == {0xFEED, 0}
        assert not apns.ledger[1].answered
        assert not client.wire.is_done(stream_id)
        assert not client.wire.closed


async def test_goaway_then_close_cuts_off() -> None:
    async with ApnsSimulator(faults=scripted(after=2, do="goaway", then="close")) as apns, apns_client(apns) as client:
        ids = client.start(range(3))
        await client.wire.until(lambda: client.wire.closed)
        assert not any(map(client.wire.is_done, ids))
        assert accepted(apns) == {0xFEED, 0}


async def test_a_refused_stream_is_not_in_the_ledger() -> None:
    async with ApnsSimulator(faults=scripted(after=2, do="reset_refused")) as apns, apns_client(apns) as client:
        ids = client.start(range(2))
        await client.wire.until(lambda: client.wire.resets and client.wire.is_done(ids[1]))
        assert client.wire.resets == {ids[0]: f.REFUSED_STREAM}
        assert accepted(apns) == {0xFEED, 1}


async def test_resets_come_in_their_shares_and_some_were_accepted() -> None:
    knobs = faults(reset={"refused": 0.1, "internal": 0.2, "cancel": 0.2})
    async with ApnsSimulator(seed=5) as apns, apns_client(apns) as client:
        apns.faults = knobs
        ids = client.start(range(400))
        await client.wire.until(lambda: all(i in client.wire.resets or client.wire.is_done(i) for i in ids))
        by_code = {code: {i for i, c in client.wire.resets.items() if c == code} for code in (2, 7, 8)}
        assert 20 < len(by_code[f.REFUSED_STREAM]) < 60
        assert 50 < len(by_code[f.INTERNAL_ERROR]) < 110
        assert 50 < len(by_code[f.CANCEL]) < 110
        taken = {ids[n] for n in accepted(apns) - {0xFEED}}
        assert not taken & by_code[f.REFUSED_STREAM]
        doubtful = by_code[f.INTERNAL_ERROR] | by_code[f.CANCEL]
        assert 0 < len(taken & doubtful) < len(doubtful)
        assert apns.ledger.answered == len(apns.ledger) - len(taken & doubtful)


async def test_tcp_drops_after_accepting() -> None:
    async with ApnsSimulator(faults=faults(drop={"after_accept_every": 3})) as apns, apns_client(apns) as client:
        ids = client.start(range(5))
        await client.wire.until(lambda: client.wire.closed)
        assert accepted(apns) == {0xFEED, 0, 1}
        assert not apns.ledger[2].answered
        assert not client.wire.is_done(ids[1])
        assert not client.wire.goaways


@pytest.mark.parametrize("knobs", [faults(drop={"before_body_every": 4}), scripted(after=3, do="drop_before_body")])
async def test_tcp_drops_between_headers_and_body(knobs: Faults) -> None:
    async with ApnsSimulator(faults=knobs) as apns, apns_client(apns) as client:
        assert (await client.push(0)).status == 200
        assert (await client.push(1)).status == 200
        client.start(range(2, 5))
        await client.wire.until(lambda: client.wire.closed)
        assert accepted(apns) == {0xFEED, 0, 1}


async def test_tcp_drops_during_tls() -> None:
    async with ApnsSimulator(faults=faults(drop={"during_tls_every": 2})) as apns:
        async with apns_client(apns):
            with pytest.raises(OSError):  # noqa: PT011 - reset or end of file, as the kernel has it
                async with connected(apns):
                    pass
        assert apns.summary()["injected"] == {"drop_during_tls": 1}


async def test_windows_are_held_back_for_a_time() -> None:
    async with ApnsSimulator(faults=faults(slow_reader={"hold_windows_s": 1.0})) as apns, apns_client(apns) as client:
        wire = client.wire
        before = wire.h2.outbound_flow_control_window
        await client.push(1)
        assert wire.h2.outbound_flow_control_window <= before
        await wire.until(lambda: wire.h2.outbound_flow_control_window == f.DEFAULT_WINDOW)


async def test_tiny_windows() -> None:
    knobs = faults(slow_reader={"initial_window": 10})
    async with ApnsSimulator(faults=knobs) as apns, connected(apns) as wire:
        assert wire.h2.remote_settings.initial_window_size == 10


async def test_a_slow_reader_takes_its_time() -> None:
    knobs = faults(slow_reader={"bytes_per_s": 20_000})
    async with ApnsSimulator(faults=knobs) as apns, apns_client(apns) as client:
        began = real_time()
        for number in range(4):
            await client.push(number)
        assert real_time() - began > 400 / 20_000


async def test_a_storm_of_429_passes() -> None:
    knobs = faults(storm={"at_s": 10, "for_s": 30, "every_s": 100, "retry_after": ["7"]})
    async with ApnsSimulator(faults=knobs) as apns, apns_client(apns) as client:
        assert (await client.push(1)).status == 200
        apns.clock.advance(15)
        reply = await client.push(1)
        assert (reply.status, reply.reason, reply.headers["retry-after"]) == (429, "TooManyRequests", "7")
        apns.clock.advance(40)
        assert (await client.push(1)).status == 200
        apns.clock.advance(60)
        assert (await client.push(1)).status == 429


async def test_a_storm_can_spare_some_tokens_always() -> None:
    knobs = faults(storm={"for_s": 1_000, "share": 0.5, "scope": "token"})
    async with ApnsSimulator(faults=knobs, seed=3) as apns, apns_client(apns) as client:
        first = [(await client.push(number)).status for number in range(30)]
        again = [(await client.push(number)).status for number in range(30)]
        assert first == again
        assert 0 < first.count(429) < 30
        assert "retry-after" not in (await client.push(first.index(429))).headers


@pytest.mark.parametrize(("status", "reason"), [(503, "ServiceUnavailable"), (500, "InternalServerError")])
async def test_unavailable_with_every_form_of_retry_after(status: int, reason: str) -> None:
    knobs = faults(unavailable={"for_s": 60, "status": status, "retry_after": ["0", "120", "date:30", "86400"]})
    async with ApnsSimulator(faults=knobs) as apns, apns_client(apns, warm=False) as client:
        replies = [await client.push(number) for number in range(40)]
        assert {(reply.status, reply.reason) for reply in replies} == {(status, reason)}
        values = {reply.headers["retry-after"] for reply in replies}
        assert {"0", "120", "86400"} < values
        assert any(value.endswith("GMT") for value in values)


async def test_a_credential_expires_early_once() -> None:
    async with ApnsSimulator(faults=faults(credential={"expire_at_s": 180})) as apns, apns_client(apns) as client:
        assert (await client.push(1)).status == 200
        apns.clock.advance(200)
        assert (await client.push(1)).reason == "ExpiredProviderToken"
        client.token = provider_token(apns)
        assert (await client.push(1)).status == 200


async def test_a_credential_is_revoked() -> None:
    async with ApnsSimulator(faults=faults(credential={"revoke_at_s": 10})) as apns, apns_client(apns) as client:
        apns.clock.advance(20)
        assert (await client.push(1)).reason == "InvalidProviderToken"


@pytest.mark.parametrize(("skew", "reason"), [(3_700, "ExpiredProviderToken"), (-3_700, "InvalidProviderToken")])
async def test_a_wrong_clock_judges_credentials(skew: int, reason: str) -> None:
    knobs = faults(credential={"clock_skew_s": skew})
    async with ApnsSimulator(faults=knobs) as apns, apns_client(apns, warm=False) as client:
        assert (await client.push(1)).reason == reason


async def test_devices_have_the_same_fate_in_every_run() -> None:
    shares = {"unregistered": 0.2, "reregistered": 0.3, "malformed": 0.1, "wrong_app": 0.1, "throttled": 0.1}
    runs = []
    for _ in range(2):
        knobs = faults(devices=shares, error_budget={"points": 0})
        async with ApnsSimulator(faults=knobs, seed=11) as apns, apns_client(apns) as client:
            replies = [await client.push(number) for number in range(200)]
            runs.append([(reply.status, reply.reason) for reply in replies])
            assert accepted(apns) - {0xFEED} <= {n for n in range(200) if replies[n].status == 200}
    assert runs[0] == runs[1]
    counts = {reason: sum(1 for _, r in runs[0] if r == reason) for reason in {r for _, r in runs[0]}}
    assert 25 < counts["Unregistered"] < 60
    assert {"BadDeviceToken", "DeviceTokenNotForTopic", "TooManyRequests", ""} < set(counts)


async def test_a_throttled_device_is_free_again_later() -> None:
    knobs = faults(devices={"throttled": 1.0, "throttled_for_s": 60})
    async with ApnsSimulator(faults=knobs) as apns, apns_client(apns, warm=False) as client:
        assert (await client.push(1)).reason == "TooManyRequests"
        apns.clock.advance(61)
        assert (await client.push(1)).status == 200


@pytest.mark.parametrize(
    ("form", "status", "body", "taken"),
    [
        ("html502", 502, b"<html>", False),
        ("empty", 500, b"", False),
        ("truncated", 400, b'{"reason":"BadDeviceTo', False),
        ("unknown_reason", 400, b'{"reason":"NeverHeardOfThis"}', False),
        ("missing_id", 200, b"", True),
    ],
)
async def test_malformed_answers(form: str, status: int, body: bytes, taken: bool) -> None:
    knobs = scripted(after=2, do="malformed", malformed=form)
    async with ApnsSimulator(faults=knobs) as apns, apns_client(apns) as client:
        reply = await client.push(1)
        assert reply.status == status
        assert reply.body.startswith(body)
        assert ("apns-id" in reply.headers) == (form not in ("missing_id", "html502"))
        assert (1 in accepted(apns)) == taken


async def test_malformed_answers_by_share() -> None:
    knobs = faults(malformed={"share": 0.5, "forms": ["unknown_reason"]})
    async with ApnsSimulator(faults=knobs) as apns, apns_client(apns, warm=False) as client:
        reasons = [(await client.push(number)).reason for number in range(60)]
        assert 10 < reasons.count("NeverHeardOfThis") < 50


async def test_only_so_many_connections_are_let_in() -> None:
    async with ApnsSimulator(faults=faults(connect={"max_open": 1})) as apns, apns_client(apns):
        with pytest.raises(OSError):  # noqa: PT011 - reset, or refused
            async with connected(apns):
                pass
        assert apns.summary()["turned_away"] == 1


async def test_only_so_many_connections_a_second() -> None:
    async with ApnsSimulator(faults=faults(connect={"max_per_s": 2})) as apns:
        outcomes = await asyncio.gather(*(_try(apns) for _ in range(6)))
        assert outcomes.count(True) == 2
        assert apns.summary()["turned_away"] == 4


async def _try(apns: ApnsSimulator) -> bool:
    try:
        async with connected(apns):
            return True
    except OSError:
        return False


async def test_the_handshake_can_be_slow() -> None:
    async with ApnsSimulator(faults=faults(connect={"handshake_delay_s": 0.05})) as apns:
        began = real_time()
        async with connected(apns):
            assert real_time() - began >= 0.05


async def test_errors_use_up_a_connections_credit() -> None:
    knobs = faults(devices={"malformed": 1.0}, error_budget={"points": 10, "bad_device_token": 5, "grace": 10})
    async with ApnsSimulator(faults=knobs) as apns, apns_client(apns) as client:  # the first error is the warm-up's
        await client.push(1)
        await client.wire.until(lambda: client.wire.limits[-1] == 1)
        await client.push(2)
        await client.push(3)
        await client.wire.until(lambda: client.wire.closed)
        assert client.wire.goaways[0][1:] == (f.NO_ERROR, b'{"reason":"BadDeviceToken"}')


async def test_gone_devices_cost_nothing() -> None:
    knobs = faults(devices={"unregistered": 1.0}, error_budget={"points": 1, "grace": 1})
    async with ApnsSimulator(faults=knobs) as apns, apns_client(apns) as client:
        for number in range(10):
            assert (await client.push(number)).status == 410
        assert client.wire.limits[-1] == 1_000


async def test_hang_and_hold_can_be_scripted() -> None:
    async with ApnsSimulator() as apns, apns_client(apns) as client:
        apns.faults = replace(apns.faults, script=(Trigger(after=1, do="hold_windows"), Trigger(after=2, do="hang")))
        assert (await client.push(1)).status == 200
        (hung,) = client.start(range(2, 3))
        async with apns_client(apns) as other:  # by the time this is served, the request before has been too
            assert (await other.push(9)).status == 200
        assert not client.wire.is_done(hung)
        assert 2 in {int(device_id, 16) for device_id in apns.ledger.addresses()}
        assert device(2) in apns.ledger.addresses()
