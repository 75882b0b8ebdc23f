"""`docs/scale.md` lists the rights that a NATS user needs: all that Stentor does can be done with them, and without any
of them but one it can't.

The configuration is taken from the page as it stands there.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stentor.config import QueueConfig
from stentor.errors import InvalidConfiguration
from stentor.queue.bells import NatsBell
from stentor.queue.contract import PLAN, Lease, Task
from stentor.queue.jetstream import JetStreamQueue
from stentor.queue.nats import Nats
from stentor.queue.outboxes import JetStreamOutbox
from stentor.queue.streams import Streams
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.testing.nats import run_nats

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
BLOCK = re.compile(r"```\n(authorization \{.*?)\n```", re.DOTALL)
RIGHT = re.compile(r'^ +"([^"]+)",?\n', re.MULTILINE)
LANE = "apns/ios"
SPARED = "stentor.bell"
"""Who may not hear the bell looks by the clock."""


def documented() -> str:
    """The page's configuration, with a password."""
    found = BLOCK.findall(PAGE.read_text())
    assert len(found) == 1, "docs/scale.md has the rights in one block"
    block: str = found[0]
    assert block.count("PASSWORD") == 1
    return block.replace("PASSWORD", "secret")


RIGHTS = RIGHT.findall(documented())
"""Every subject that it names, in a line of its own."""


def without(right: str) -> str:
    config = re.sub(rf'^ +"{re.escape(right)}",?\n', "", documented(), flags=re.MULTILINE)
    assert config != documented()
    return config


@asynccontextmanager
async def connected(config: str, folder: Path) -> AsyncIterator[tuple[Nats, JetStreamQueue, JetStreamOutbox]]:
    """What a role has on a server with this configuration."""
    url = f"sqlite:///{folder / 'stentor.db'}"
    database = Database.open(url)
    with run_nats(config=config) as server:
        nats = Nats(QueueConfig(url=server.url_as("stentor", "secret"), name="stentor"))
        streams = Streams(nats, "stentor", 1)
        try:
            await migrate(database)
            yield nats, JetStreamQueue(nats, streams, database), JetStreamOutbox(nats, streams)
        finally:
            await nats.aclose()
            await database.aclose()


def task(number: int, lane: str = LANE) -> Task:
    return Task(id=f"c1/{lane}/{number}", lane=lane, campaign_id="c1", payload=b"payload")


async def taken(queue: JetStreamQueue, lane: str = LANE) -> Lease:
    """The next one, as soon as it is given out."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if leases := await queue.take(lane, 1, 30.0):
            return leases[0]
    raise AssertionError("nothing was given out")


async def everything(nats: Nats, queue: JetStreamQueue, outbox: JetStreamOutbox) -> None:
    """All that planners, senders, recorders and schedulers ask of NATS."""
    bell = NatsBell(nats, "stentor")
    await bell.wait()
    await bell.ring()
    await queue.settle(put=[task(1), task(2), task(1, PLAN)])
    await queue.depths([LANE, PLAN, "fcm/nobody"])
    await queue.settle(ack=[await taken(queue, PLAN)])
    first, second = await taken(queue), await taken(queue)
    await queue.extend([first, second], 30.0)
    await queue.remember(first, b"how far it is")
    await queue.release(second, 3600.0, b"why")
    await queue.settle(ack=[first])
    await queue.depths([LANE])
    await queue.withdraw("c1", 10, 30.0)
    again = await taken(queue)
    assert (again.id, again.notes) == (second.id, (b"why",))
    assert await queue.queued("c1") == {second.id}
    await outbox.send(again, [b"outcomes", b"more"])
    assert await outbox.about(again) == [b"outcomes", b"more"]
    assert await outbox.tasks("c1") == {again.id}
    told = await outbox.take(1, 30.0)
    await outbox.extend(told)
    await outbox.ack(told)
    (unreadable,) = await outbox.take(1, 30.0)
    await outbox.bury(unreadable, "it cannot be read")
    await queue.settle(bury=[(again, "it killed its senders")])


async def test_with_the_documented_rights_everything_can_be_done(tmp_path: Path) -> None:
    async with connected(documented(), tmp_path) as (nats, queue, outbox):
        await everything(nats, queue, outbox)
        depths = await queue.depths([LANE, PLAN])
        assert {lane: depth.ready + depth.delayed + depth.leased for lane, depth in depths.items()} == {
            LANE: 0,
            PLAN: 0,
        }


@pytest.mark.parametrize("right", [right for right in RIGHTS if right != SPARED])
async def test_none_of_them_is_too_many(right: str, tmp_path: Path) -> None:
    async with connected(without(right), tmp_path) as (nats, queue, outbox):
        with pytest.raises(InvalidConfiguration, match=r"docs/scale\.md"):
            await everything(nats, queue, outbox)


async def test_who_may_not_hear_the_bell_can_do_all_the_same(tmp_path: Path) -> None:
    async with connected(without(SPARED), tmp_path) as (nats, queue, outbox):
        await everything(nats, queue, outbox)


def test_the_page_names_each_right_on_a_line_of_its_own() -> None:
    assert len(RIGHTS) > 10
    assert documented().count('"') == 2 * len(RIGHTS) + 2  # the password, too, is in quotes
