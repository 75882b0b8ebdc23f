"""An undo of pushes to browsers: deleted where they still lie, replaced elsewhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from stentor.batch import beside
from stentor.errors import PoolClosed
from stentor.model import Action
from stentor.outcome import Verdict
from stentor.planning.content import Content
from stentor.planning.retraction import retraction
from stentor.providers.contract import Answer
from stentor.providers.lane import CampaignContent, Flight
from stentor.providers.webpush.lane import WebPushLane
from stentor.simulators.webpush import Ailment, WebPushSimulator
from tests.integration.providers.webpush.test_lane import PLAIN, browsers, lane_to, send

RETRACTION = retraction(PLAIN, "c1")


@pytest.fixture
async def web() -> AsyncIterator[WebPushSimulator]:
    async with WebPushSimulator() as simulator:
        yield simulator


@pytest.fixture
async def lane(web: WebPushSimulator) -> AsyncIterator[WebPushLane]:
    made = lane_to(web, deletes_at=["127.0.0.1"])
    yield made
    await made.aclose(0.0)


async def sent(web: WebPushSimulator, lane: WebPushLane, count: int) -> list[bytes]:
    """The addresses of an undo of what so many browsers were sent."""
    addresses = browsers(web, count)
    receipts = (await send(lane, web, addresses)).receipts()
    return [beside(receipts[index].id.encode(), address) for index, address in enumerate(addresses)]


async def begin(
    web: WebPushSimulator, lane: WebPushLane, addresses: Sequence[bytes], content: Content = RETRACTION
) -> Flight:
    campaign = CampaignContent(id="c2", content=content, started_at=web.clock(), collapse_id="c1")
    return await lane.begin(await lane.prepare(campaign), [b"r"] * len(addresses), addresses)


async def undo(web: WebPushSimulator, lane: WebPushLane, addresses: Sequence[bytes], **other: Any) -> Flight:
    flight = await begin(web, lane, addresses, **other)
    await flight.done()
    return flight


def waits(web: WebPushSimulator) -> dict[str, list[Any]]:
    """What each service's browsers are about to get."""
    return {name: [json.loads(each.payload) for each in service.deliver()] for name, service in web.services.items()}


async def test_what_lies_at_mozilla_is_deleted_and_the_others_is_replaced(
    web: WebPushSimulator, lane: WebPushLane
) -> None:
    addresses = await sent(web, lane, 30)
    flight = await undo(web, lane, addresses)
    assert flight.answers(0.0) == {}
    assert flight.accepted() == b"\1" * 30
    assert web.world.tally.deleted == 10
    found = waits(web)
    assert found.pop("mozilla") == []
    assert [[each["stentor"] for each in bodies] for bodies in found.values()] == [[{"retract": "c1"}] * 10] * 2
    assert web.violations == []


async def test_what_mozilla_has_delivered_is_replaced(web: WebPushSimulator, lane: WebPushLane) -> None:
    addresses = await sent(web, lane, 30)
    waits(web)
    flight = await undo(web, lane, [*addresses, b"?", b""])
    assert [(index, answer.reason) for index, answer in sorted(flight.answers(0.0).items())] == [
        (30, "MalformedAddress"),
        (31, "NoAddress"),
    ]
    assert flight.accepted() == b"\1" * 30 + b"\0\0"
    assert web.world.tally.deleted == 0
    assert {name: len(bodies) for name, bodies in waits(web).items()} == {"mozilla": 10, "fcm": 10, "apple": 10}
    assert len(flight.receipts()) == 30
    again = await undo(web, lane, addresses)
    assert again.accepted() == b"\1" * 30


async def test_who_has_gone_from_the_audience_is_deleted_or_told_of(web: WebPushSimulator, lane: WebPushLane) -> None:
    addresses = await sent(web, lane, 9)
    gone = [beside(address.partition(b"\n")[0], b"") for address in addresses]
    flight = await undo(web, lane, gone)
    mask = flight.accepted()
    assert mask.count(1) == web.world.tally.deleted == 3
    assert {answer.reason for answer in flight.answers(0.0).values()} == {"NoAddress"}
    assert len(flight.answers(0.0)) == 6


async def test_an_edit_deletes_nothing(web: WebPushSimulator, lane: WebPushLane) -> None:
    addresses = await sent(web, lane, 6)
    flight = await undo(web, lane, addresses, content=Content(message=PLAIN.message, action=Action.EDIT))
    assert flight.accepted() == b"\1" * 6
    assert web.world.tally.deleted == 0


async def test_a_receipt_from_elsewhere_is_not_asked_for(web: WebPushSimulator) -> None:
    lane = lane_to(web)  # it knows of no service that deletes
    flight = await send(lane, web, browsers(web, 6))
    assert flight.receipts() == {}
    address = beside(f"{web.origins['mozilla']}/m/mozilla-1".encode(), browsers(web, 1)[0])
    found = await undo(web, lane, [address])
    assert found.accepted() == b"\1"
    assert web.world.tally.deleted == 0
    await lane.aclose(0.0)


async def test_a_service_in_trouble_keeps_its_own_for_later(web: WebPushSimulator, lane: WebPushLane) -> None:
    addresses = await sent(web, lane, 6)
    web.services["mozilla"].ails = Ailment(503)
    flight = await undo(web, lane, addresses)
    found = flight.answers(web.clock())
    assert {answer.verdict for answer in found.values()} == {Verdict.RETRY}
    assert len(found) == 2
    assert flight.accepted().count(1) == 4


async def test_what_is_withdrawn_is_taken_back_later(web: WebPushSimulator, lane: WebPushLane) -> None:
    addresses = await sent(web, lane, 30)
    waits(web)
    flight = await begin(web, lane, addresses)
    flight.withdraw("the campaign was paused or cancelled")
    await flight.done()
    left: dict[int, Answer] = flight.answers(0.0)
    assert {answer.verdict for answer in left.values()} <= {Verdict.RECONNECT, Verdict.AMBIGUOUS}
    assert len(left) + flight.accepted().count(1) == 30
    assert set(range(0, 30, 3)) <= left.keys()  # none of Mozilla's was replaced
    assert (await undo(web, lane, addresses)).accepted() == b"\1" * 30


async def test_what_cannot_be_replaced_just_now_is_later(web: WebPushSimulator, lane: WebPushLane) -> None:
    addresses = await sent(web, lane, 3)
    waits(web)
    flight = await begin(web, lane, addresses)

    async def closed(*_: object) -> Flight:
        raise PoolClosed

    lane._push = closed  # type: ignore[assignment,method-assign]
    with pytest.raises(PoolClosed):
        await flight.done()
    assert flight.answers(0.0)[0].verdict is Verdict.RECONNECT
