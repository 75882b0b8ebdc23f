"""Connections that were idle: proven by a PING, or replaced, before anything is written on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stentor.http2 import frames, policy
from stentor.http2.burst import Burst, Fate
from stentor.http2.pool import Pool, PoolOptions
from stentor.http2.transport import Deadlines, Endpoint, tls_context
from stentor.providers import http_lane
from stentor.simulators.fast import FastSimulator
from stentor.simulators.faults import Faults
from stentor.simulators.simulator import Simulator
from stentor.testing.proxy import Proxy
from tests.integration.http2.test_faults import apns
from tests.integration.http2.test_pool import burst

TIMING = Deadlines(connect=5.0, answer=5.0, idle=0.2, proof=0.5)
OPTIONS = PoolOptions(max_connections=4, connects_per_second=20.0, timing=TIMING)
ONE = replace(OPTIONS, max_connections=1)


def authority(simulator: FastSimulator) -> Path:
    return Path(simulator.facts()["ca_file"])


@asynccontextmanager
async def network(options: PoolOptions) -> AsyncIterator[tuple[Simulator, list[Burst], Proxy, Pool]]:
    """A provider, and a pool that reaches it through a network."""
    async with apns(Faults()) as (simulator, bursts), Proxy("127.0.0.1", simulator.port) as proxy:
        endpoint = Endpoint(host="127.0.0.1", port=proxy.port, tls=tls_context(ca_file=simulator.ca_file))
        async with Pool(endpoint, options) as pool:
            await pool.send(bursts[0])
            yield simulator, bursts, proxy, pool
            await proxy.cut()


async def idle(pool: Pool) -> None:
    """Until all of the pool's connections are idle for longer than they are trusted."""
    last = max(link.heard for link in pool._links)
    await asyncio.sleep(last + 1.1 * TIMING.idle - asyncio.get_running_loop().time())


def test_no_lane_trusts_a_connection_for_longer_than_a_minute() -> None:
    """A NAT or firewall may forget it then. The tests below make less of it."""
    assert PoolOptions().timing.idle <= 60.0
    assert http_lane.KEEP_ALIVE <= 60.0


async def test_what_the_network_forgot_is_replaced_and_nothing_is_lost() -> None:
    async with network(ONE) as (simulator, bursts, proxy, pool):
        forgotten = list(pool._links)
        proxy.forget()
        await idle(pool)
        for each in bursts[1:]:
            results = await pool.send(each)
            assert list(results.statuses) == [200] * len(each)
        assert all(link.closed.done() for link in forgotten)
        assert len(simulator.ledger) == sum(len(each) for each in bursts)


async def test_what_is_alive_is_kept() -> None:
    async with network(ONE) as (simulator, bursts, _, pool):
        kept = list(pool._links)
        for each in bursts[1:]:
            await idle(pool)
            results = await pool.send(each)
            assert list(results.statuses) == [200] * len(each)
        assert pool._links == kept
        assert [link.connection.pings_answered for link in kept] == [len(bursts) - 1]
        assert simulator.violations == []


async def test_what_was_heard_lately_is_not_asked() -> None:
    trusting = replace(ONE, timing=replace(TIMING, idle=60.0))
    async with network(trusting) as (_, bursts, _, pool):
        await pool.send(bursts[1])
        assert [link.connection.pings_answered for link in pool._links] == [0] * len(pool._links)


async def test_of_many_connections_only_as_many_are_asked_as_are_needed() -> None:
    """Providers close connections over PINGs that no request follows."""
    async with FastSimulator("fcm", latency=0.05) as simulator:  # 100 streams a connection
        endpoint = Endpoint(host="127.0.0.1", port=simulator.port, tls=tls_context(ca_file=authority(simulator)))
        async with Pool(endpoint, OPTIONS) as pool:
            while len(pool._links) < 4:
                await pool.send(burst(2000))
            await idle(pool)
            await pool.send(burst(10))
            assert sorted(link.connection.pings_answered for link in pool._links) == [0, 0, 0, 1]
            await idle(pool)
            results = await pool.send(burst(250))
            assert list(results.statuses) == [200] * 250
            assert sum(link.connection.pings_answered for link in pool._links) == 4


async def test_when_one_of_many_is_found_dead_the_others_are_not_tried_one_by_one() -> None:
    async with FastSimulator("fcm", latency=0.05) as simulator, Proxy("127.0.0.1", simulator.port) as proxy:
        endpoint = Endpoint(host="127.0.0.1", port=proxy.port, tls=tls_context(ca_file=authority(simulator)))
        async with Pool(endpoint, OPTIONS) as pool:
            while len(pool._links) < 4:
                await pool.send(burst(2000))
            forgotten = list(pool._links)
            proxy.forget()
            await idle(pool)
            results = await pool.send(burst(10))
            assert list(results.statuses) == [200] * 10
            assert all(link.closed.done() for link in forgotten)
            assert sum(link.asked for link in forgotten) == 1
            assert pool._failures == 0, "being idle is no failure to connect"
            await proxy.cut()


async def test_a_connection_whose_peer_is_silent_with_answers_due_takes_nothing_more() -> None:
    stalling = replace(ONE, timing=replace(TIMING, answer=3.0, silence=0.3, ping=1.0))
    async with network(stalling) as (_, bursts, proxy, pool):
        (silent,) = pool._links
        proxy.forget()
        first = pool.start(bursts[1])
        while not silent.asked:  # noqa: ASYNC110 - the pool looks ten times a second, and tells nobody
            await asyncio.sleep(0.01)
        results = await pool.send(bursts[2])
        assert list(results.statuses) == [200] * len(bursts[2])
        fates = (await first.done()).fates  # what had no room in the window yet goes elsewhere
        assert set(fates) <= {Fate.AMBIGUOUS, Fate.RESPONSE}


async def test_a_machine_that_slept_trusts_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's clock stands still while the machine sleeps, and the network forgets."""
    slept = [0.0]
    monkeypatch.setattr(policy.Sleep, "_total", staticmethod(lambda: slept[0]))
    async with network(replace(ONE, timing=replace(TIMING, idle=60.0))) as (_, bursts, proxy, pool):
        proxy.forget()
        slept[0] = 3600.0
        results = await pool.send(bursts[1])
        assert list(results.statuses) == [200] * len(bursts[1])


async def test_a_peer_that_speaks_of_itself_is_heard() -> None:
    """A PING of the peer's proves the connection as well as an answer does."""
    async with network(ONE) as (_, bursts, _, pool):
        await idle(pool)
        (link,) = pool._links
        assert link.doubt(asyncio.get_running_loop().time())
        link.data_received(frames.ping(b"theirs!!"))
        assert not link.unproven
        results = await pool.send(bursts[1])
        assert list(results.statuses) == [200] * len(bursts[1])
        assert link.connection.pings_answered == 0
