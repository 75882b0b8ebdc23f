"""The pools of push services: how many there are, when they close, and what one that is out of reach costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from stentor.errors import HostForbidden, PoolClosed
from stentor.http2.burst import Burst, Fate, Results
from stentor.http2.pool import Pool, PoolOptions
from stentor.http2.transport import Endpoint
from stentor.outcome import Verdict
from stentor.providers.contract import Answer
from stentor.providers.webpush import origins as module
from stentor.providers.webpush.endpoints import Origin, parse_authority
from stentor.providers.webpush.origins import FIRST_REST, LONGEST_REST, LOOK_UPS, Origins, PoolOf
from stentor.providers.webpush.wire import template
from stentor.simulators.faults import parse_faults
from stentor.simulators.webpush import WebPushSimulator

QUICK = PoolOptions(max_connections=1, patience=0.5, connects_per_second=20.0)


@pytest.fixture
async def web() -> AsyncIterator[WebPushSimulator]:
    async with WebPushSimulator() as simulator:
        yield simulator


@pytest.fixture
async def pools(web: WebPushSimulator) -> AsyncIterator[Origins]:
    found = Origins(PoolOf(tls=web.client_context(), proxy=None, options=QUICK, trusted=True))
    yield found
    await found.aclose(0.0)


def services(web: WebPushSimulator) -> list[Origin]:
    return [parse_authority(url.removeprefix("https://")) for url in web.origins.values()]


def burst(origin: Origin) -> Burst:
    return Burst(template((), origin=origin, authorization=b"x", ttl=0), ([b"/"],), [b"x"])


async def test_a_pool_is_kept(web: WebPushSimulator, pools: Origins) -> None:
    first = await pools.open(services(web))
    assert await pools.open(services(web)) == first
    assert all(isinstance(each, Pool) for each in first.values())
    assert len(pools.pools()) == 3


async def test_those_without_work_are_closed(
    web: WebPushSimulator, pools: Origins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE", 0.0)
    (pool,) = (await pools.open(services(web)[:1])).values()
    assert isinstance(pool, Pool)
    await pool.send(burst(services(web)[0]))
    pools._sweep()
    assert pools.pools() == []
    await asyncio.gather(*pools._closing)
    with pytest.raises(PoolClosed):
        pool.start(burst(services(web)[0]))


async def test_no_more_than_so_many_at_once(
    web: WebPushSimulator, pools: Origins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    web.faults = parse_faults({"latency": {"median_s": 30.0}})
    one, two, three = services(web)
    found = await pools.open([one, two, three])
    told = found[three]
    assert isinstance(told, Answer)
    assert (told.verdict, told.reason, told.retry_after) == (Verdict.WAIT, "TooManyOrigins", 1.0)
    busy = found[one]
    assert isinstance(busy, Pool)
    busy.start(burst(one))
    again = await pools.open([three])
    assert isinstance(again[three], Pool), "the idle one made room"
    assert (await pools.open([one]))[one] is busy


async def test_strangers_names_are_resolved_a_few_at_a_time(
    web: WebPushSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def resolve(endpoint: Endpoint) -> list[str]:
        asked.append(endpoint.host)
        if endpoint.host == "inside.example":
            raise HostForbidden
        raise OSError

    monkeypatch.setattr(module, "permitted_addresses", resolve)
    pools = Origins(PoolOf(tls=web.client_context(), proxy=None, options=QUICK, trusted=False))
    hosts = ["inside.example", *(f"{number}.example" for number in range(19))]
    found = await pools.open([Origin(host, 443) for host in hosts])
    said = [each.reason for each in found.values() if isinstance(each, Answer)]
    assert sorted(said) == ["ForbiddenEndpoint"] + ["TooManyOrigins"] * 4 + ["UnknownHost"] * 15
    assert asked == hosts[:LOOK_UPS]
    found = await pools.open([Origin(host, 443) for host in hosts])
    assert asked == hosts, "the rest is looked up now, and none twice"
    assert not any(isinstance(each, Pool) for each in found.values())
    await pools.aclose()


async def test_one_out_of_reach_rests_longer_each_time(web: WebPushSimulator, pools: Origins) -> None:
    (origin, *_) = services(web)
    failed = Results(2)
    failed.fates[:] = bytes([Fate.NOT_PROCESSED] * 2)
    failed.reasons[0] = "no route"
    for rest in (FIRST_REST, FIRST_REST * 2, FIRST_REST * 4):
        pools.note(origin, failed)
        found = (await pools.open([origin]))[origin]
        assert isinstance(found, Answer)
        assert (found.verdict, found.reason, found.retry_after, found.detail) == (
            Verdict.WAIT,
            "OriginResting",
            rest,
            "no route",
        )
    for _ in range(20):
        pools.note(origin, failed)
    found = (await pools.open([origin]))[origin]
    assert isinstance(found, Answer)
    assert found.retry_after == LONGEST_REST
    answered = Results(1)
    answered.fates[0] = Fate.RESPONSE
    pools.note(origin, answered)
    assert isinstance((await pools.open([origin]))[origin], Pool)


async def test_one_that_answers_nothing_rests_too_and_is_then_tried_with_one_batch(
    web: WebPushSimulator, pools: Origins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_REST", 0.0)
    (origin, *_) = services(web)
    silent = Results(2)
    silent.fates[:] = bytes([Fate.AMBIGUOUS, Fate.NOT_PROCESSED])
    pools.note(origin, silent)
    assert isinstance((await pools.open([origin]))[origin], Pool)
    others = (await pools.open([origin]))[origin]
    assert isinstance(others, Answer)
    assert others.reason == "OriginResting"
    silent.fates[0] = Fate.RESPONSE
    pools.note(origin, silent)
    for _ in range(2):
        assert isinstance((await pools.open([origin]))[origin], Pool)


async def test_strangers_troubles_are_forgotten(pools: Origins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 3)
    failed = Results(1)
    failed.fates[0] = Fate.NOT_PROCESSED
    for number in range(10):
        pools.note(Origin(f"{number}.example", 443), failed)
    assert repr(pools) == "<Origins 0 open, 3 in trouble>"


async def test_none_after_the_end(web: WebPushSimulator) -> None:
    pools = Origins(PoolOf(tls=web.client_context(), proxy=None, options=QUICK, trusted=True))
    await pools.aclose()
    with pytest.raises(PoolClosed):
        await pools.open(services(web))
