"""The wire under every fault of the simulators' menu: nothing unaccounted for, and nothing called what it isn't.

For each fault, thousands of pushes go through a real pool to a strict simulator. Its ledger is the truth: what we call
"not processed" must not be in it, what is in it must not be called unsent, and nothing may be in it twice, for the
pool sends again only what is certainly safe.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stentor.http2.burst import Burst, Fate, Results
from stentor.http2.pool import Pool, PoolOptions
from stentor.http2.transport import Deadlines, Endpoint, tls_context
from stentor.model import Message
from stentor.providers.apns import wire as apns_wire
from stentor.providers.apns.credentials import ApnsTokenSource
from stentor.providers.fcm import wire as fcm_wire
from stentor.providers.fcm.credentials import FcmTokenSource
from stentor.simulators.apns import ApnsSimulator
from stentor.simulators.faults import (
    Connect,
    Credential,
    Devices,
    Drop,
    ErrorBudget,
    Faults,
    GoAway,
    Latency,
    Malformed,
    Reset,
    SlowReader,
    Storm,
    StreamLimit,
    Trigger,
    Unavailable,
    load_faults,
)
from stentor.simulators.fcm import FcmSimulator
from stentor.simulators.simulator import Simulator

BATCH = 500
BATCHES = 4
QUICK = PoolOptions(
    max_connections=4,
    patience=5.0,
    connects_per_second=20.0,
    timing=Deadlines(connect=2.0, answer=2.0, silence=0.5, ping=0.5),
)
PATIENT = PoolOptions(
    max_connections=4,
    patience=30.0,
    connects_per_second=20.0,
    timing=Deadlines(connect=20.0, answer=20.0, silence=10.0, ping=20.0),
)
"""For faults that leave nobody without an answer. Client and simulator share one loop, so on a busy machine both stand
still for longer than the other options wait."""
TOKENS = [b"%064x" % number for number in range(BATCH * BATCHES)]
FCM_TOKENS = [b"device%016d:APA91b%040d" % (number, number) for number in range(BATCH * BATCHES)]

FAULTS = {
    "none": Faults(),
    "latency": Faults(latency=Latency(median_s=0.06, p99_s=0.3)),
    "answers later than we wait": Faults(latency=Latency(tail_share=0.01, tail_min_s=15.0, tail_max_s=30.0)),
    "stream limit drops": Faults(stream_limit=StreamLimit(drop_every=300, drop_to=1, drop_for_s=0.2)),
    "stream limit refuses": Faults(stream_limit=StreamLimit(over="refuse", drop_every=200, drop_for_s=0.1)),
    **{
        f"GOAWAY {form}, then {then}": Faults(goaway=GoAway(every=400, forms=(form,), then=(then,)))
        for form in ("graceful", "lower", "json", "text", "zero")
        for then in ("answer", "close")
    },
    "GOAWAY, then hang": Faults(script=(Trigger(after=700, do="goaway", form="lower", then="hang"),)),
    "resets": Faults(reset=Reset(refused=0.02, internal=0.01, cancel=0.01)),
    "cut after accepting": Faults(drop=Drop(after_accept_every=450)),
    "cut before the body": Faults(drop=Drop(before_body_every=450)),
    "cut during TLS": Faults(drop=Drop(during_tls_every=2), goaway=GoAway(every=500)),
    "hangs": Faults(script=(Trigger(after=600, do="hang"),)),
    "holds its windows": Faults(slow_reader=SlowReader(hold_windows_s=0.5)),
    "tiny windows": Faults(slow_reader=SlowReader(initial_window=64)),
    "reads slowly": Faults(slow_reader=SlowReader(bytes_per_s=400_000)),
    "storm": Faults(storm=Storm(for_s=600.0, share=0.5, scope="global", retry_after=("1",))),
    "storm by device": Faults(storm=Storm(for_s=600.0, share=0.5, scope="token")),
    "unavailable": Faults(
        unavailable=Unavailable(for_s=600.0, share=0.5, retry_after=("0", "86400", "Wed, 21 Oct 2026 07:28:00 GMT"))
    ),
    "expired credential": Faults(credential=Credential(expire_at_s=60.0)),
    "revoked credential": Faults(credential=Credential(revoke_at_s=60.0)),
    "wrong clock": Faults(credential=Credential(clock_skew_s=600.0)),
    "dead devices": Faults(
        devices=Devices(unregistered=0.02, reregistered=0.01, malformed=0.002, wrong_app=0.001, throttled=0.01)
    ),
    "error budget": Faults(devices=Devices(malformed=0.3), error_budget=ErrorBudget(points=50, grace=20)),
    "malformed answers": Faults(malformed=Malformed(share=0.05)),
    "the whole menu": load_faults("menu"),
    "connection churn": Faults(
        connect=Connect(max_open=2, max_per_s=3, handshake_delay_s=0.1), goaway=GoAway(every=500)
    ),
}


@asynccontextmanager
async def apns(faults: Faults, tokens: list[bytes] = TOKENS) -> AsyncIterator[tuple[Simulator, list[Burst]]]:
    async with ApnsSimulator(faults=faults, seed=1) as simulator:
        source = ApnsTokenSource.from_file(
            simulator.key_file, key_id=simulator.key_id, team_id=simulator.team_id, clock=time.time
        )
        rendered = apns_wire.render(Message(title="Sale", body="x" * 80), topic="com.example.app", started_at=0.0)
        template = apns_wire.template(
            rendered, authority="api.push.apple.com", authorization=await source.authorization()
        )
        yield (
            simulator,
            [
                apns_wire.encode(template, rendered, part, apns_wire.push_ids("c1", part)).burst
                for part in (tokens[start : start + BATCH] for start in range(0, len(tokens), BATCH))
            ],
        )


@asynccontextmanager
async def fcm(faults: Faults, tokens: list[bytes] = FCM_TOKENS) -> AsyncIterator[tuple[Simulator, list[Burst]]]:
    async with FcmSimulator(faults=faults, seed=1) as simulator:
        source = FcmTokenSource.from_file(simulator.service_account_file, clock=time.time, ca_file=simulator.ca_file)
        authorization = await source.authorization()
        rendered = fcm_wire.render(Message(title="Sale", body="Ends tonight"), started_at=0.0)
        template = fcm_wire.template(
            project=simulator.project, authority="fcm.googleapis.com", authorization=authorization
        )
        yield (
            simulator,
            [
                fcm_wire.encode(template, rendered, tokens[start : start + BATCH], 0.0).burst
                for start in range(0, len(tokens), BATCH)
            ],
        )


async def send_all(
    simulator: Simulator, ca_file: Path, bursts: list[Burst], options: PoolOptions = QUICK
) -> list[Results]:
    endpoint = Endpoint(host="127.0.0.1", port=simulator.port, tls=tls_context(ca_file=ca_file))
    async with Pool(endpoint, options) as pool:
        first = await pool.send(bursts[0])
        simulator.clock.advance(120.0)  # past the minute at which credentials expire or are revoked
        return [first, *[await pool.send(burst) for burst in bursts[1:]]]


def check(simulator: Simulator, addresses: list[bytes], results: list[Results]) -> dict[Fate, int]:
    ledger = [entry.address for entry in simulator.ledger]
    accepted = set(ledger)
    assert len(ledger) == len(accepted), "sent twice"
    fates = [Fate(fate) for result in results for fate in result.fates]
    statuses = [status for result in results for status in result.statuses]
    assert len(fates) == len(addresses)
    assert Fate.PENDING not in fates
    for address, fate, status in zip(addresses, fates, statuses, strict=True):
        in_ledger = address.decode() in accepted
        if fate is Fate.NOT_PROCESSED:
            assert not in_ledger, "called not processed, but the provider has it"
        elif fate is Fate.RESPONSE and status == 200:
            assert in_ledger, "called accepted, but the provider never had it"
        elif in_ledger:
            assert fate is Fate.AMBIGUOUS or status in (200, 502), f"the provider has it, but it is called {status}"
    assert simulator.violations == []
    return {fate: fates.count(fate) for fate in Fate}


MAY_BE_LOST = ("later", "hang", "cut", "resets", "close", "menu")
"""In the names of the faults after which some requests are honestly ambiguous; after all others each is answered."""
COUNTED = ("GOAWAY", "resets", "cut", "hangs", "limit", "malformed answers", "churn")
"""In the names of the faults that the simulator counts as injected."""
REFUSING = ("storm", "unavailable", "credential", "dead", "budget")
"""In the names of the faults that show as refusals."""
CASES = [
    (provider, name)
    for provider in ("apns", "fcm")
    for name in FAULTS
    if (provider, name) != ("fcm", "wrong clock")  # no token is to be had under such a clock at all
]


@pytest.mark.parametrize(("provider", "name"), CASES)
async def test_nothing_is_unaccounted_for(provider: str, name: str) -> None:
    make = apns if provider == "apns" else fcm
    async with make(FAULTS[name]) as (simulator, bursts):
        loses = any(word in name for word in MAY_BE_LOST)
        results = await send_all(simulator, simulator.ca_file, bursts, QUICK if loses else PATIENT)
        counts = check(simulator, TOKENS if provider == "apns" else FCM_TOKENS, results)
    summary = simulator.summary()
    if any(word in name for word in COUNTED):
        assert summary["injected"], "the fault never happened"
    if any(word in name for word in REFUSING):
        assert summary["rejected"], "the fault never happened"
    if loses:
        assert counts[Fate.RESPONSE] > len(TOKENS) // 2, counts
    else:
        assert counts[Fate.RESPONSE] == len(TOKENS), counts
