"""The queue on NATS JetStream, for many machines: a work-queue stream, and a durable pull consumer a lane.

A lease is the consumer's ack wait; a release is a NAK with a delay, and leaves a note in a bucket: how often the task
had been delivered until then, and what its holder knew (`notes.py`). That is the fence, too: one that lost its lease
unaware leaves no note any more. Rules: nothing counts that the server hasn't confirmed; a lease's end
is told by the steady clock of whoever holds it, so clocks of machines are never compared; a dead letter is in a stream
of its own and in the store.

What differs from a queue on the store's database (the suite names the tests): what is put is there before the store's
change is committed; a lease that ended is lost even if nobody else took the task; a task that is done cannot be put
again within `streams.DUPLICATES` seconds; nobody can take the tasks of one campaign alone; whoever asked for urgent
tasks in the last half second, and is told when there are more, is given none unless it asks for them alone.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Final

from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import APIError, NotFoundError
from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.clock import steady
from stentor.errors import LeaseLost, QueueUnavailable
from stentor.queue.bells import NatsBell
from stentor.queue.contract import PLAN, Change, Depth, Lease, Task
from stentor.queue.nats import Nats, StreamGone, together
from stentor.queue.notes import FLYING, NAK, WAITING, Holding, Note, Notes
from stentor.queue.pulling import Pulled, Puller
from stentor.queue.streams import URGENT, Address, Streams, consumer_name
from stentor.queue.subjects import number_of_subjects, subjects_of
from stentor.store.database import Database
from stentor.store.letters import DeadLetter, latest_letters
from stentor.store.tables import dead_letters
from stentor.store.text import storable

ACK, IN_PROGRESS = b"+ACK", b"+WPI"
NOT_STORED = 10077
"""Error code: a message could not be stored, as there is one of its subject, for instance."""
PATIENCE = 5.0
"""Seconds for which what is to be settled is tried again while NATS is away."""
LONGEST_REASON = 1000
"""Characters of a dead letter's reason that its headers have; the store has all of it."""
LOOK = 0.25
"""Seconds between two looks for urgent tasks of which nobody was told: those that are to be tried again."""
AGAIN = "Stentor-Again"
"""The header of a task that was put again, as it had been lost."""


class JetStreamQueue:
    """`queue.contract.Queue` on JetStream; the store's changes are made by `database`."""

    def __init__(
        self, nats: Nats, streams: Streams, database: Database, clock: Callable[[], float] = time.time
    ) -> None:
        self._nats: Final = nats
        self._streams: Final = streams
        self._database: Final = database
        self._clock: Final = clock
        self._pullers: dict[tuple[str, bool], Puller] = {}  # by lane, and whether it is of urgent tasks
        self._asked_for_urgent: dict[str, float] = {}  # when, by lane
        self._bell: Final = NatsBell(nats, streams.name, URGENT.encode(), LOOK)
        self._notes: Final = Notes(nats, streams)
        self._held: dict[str, Holding] = {}  # by lease token

    def __repr__(self) -> str:
        return f"<JetStreamQueue on {self._nats.name}>"

    @property
    def held(self) -> int:
        """How many leases it knows of, those that ended a while ago among them."""
        return len(self._held)

    async def take(self, lane: str, limit: int, lease: float, *, urgent: bool = False) -> list[Lease]:
        """See `queue.contract.Queue.take`."""
        with_urgent = urgent or self._may_have_urgent(lane)
        if with_urgent:
            self._asked_for_urgent[lane] = steady()
        kinds = [kind for kind, wanted in ((True, with_urgent), (False, not urgent)) if wanted]
        pullers = [await self._puller(lane, lease, urgent=each) for each in kinds]
        pulled = await self._pull(pullers, limit)
        if not any(pulled):
            return []
        self._forget_lost()
        try:
            leases = (self._leased(each.message, each.since + lease) for each in chain.from_iterable(pulled))
            return await together(leases)
        except BaseException:
            for puller, some in zip(pullers, pulled, strict=True):
                puller.give_back(some)
            raise

    async def await_urgent(self, lanes: Sequence[str]) -> Sequence[str]:
        """See `queue.contract.Queue.await_urgent`: when it is told, and a few times a second where it is not, for those
        that become ready again."""
        await self._bell.wait()
        return lanes

    def _may_have_urgent(self, lane: str) -> bool:
        """Whether nobody here has asked lately for a lane's urgent tasks; else it is soon told that there are more."""
        return lane != PLAN and steady() >= self._asked_for_urgent.get(lane, -math.inf) + 2 * LOOK

    async def _puller(self, lane: str, lease: float, *, urgent: bool) -> Puller:
        """From a lane's consumer, or from that of its urgent tasks."""
        consumer = await self._streams.consumer(lane, lease, urgent=urgent)
        found = self._pullers.get((lane, urgent))
        if found is None:
            found = Puller(self._nats, self._streams.stream_of(lane), consumer, lease)
            self._pullers[lane, urgent] = found
        return found

    async def _pull(self, pullers: Sequence[Puller], limit: int) -> list[list[Pulled]]:
        """What each of these has, all together up to `limit`, from the first on."""
        found = await asyncio.gather(*(puller.pull(limit) for puller in pullers), return_exceptions=True)
        failed = next((each for each in found if isinstance(each, BaseException)), None)
        kept: list[list[Pulled]] = []
        for puller, pulled in zip(pullers, found, strict=True):
            some = [] if isinstance(pulled, BaseException) else pulled
            room = 0 if failed else limit - sum(map(len, kept))
            kept.append(some[:room])
            puller.give_back(some[room:])
        if isinstance(failed, StreamGone):
            self._streams.forget()
        if failed is not None:
            raise failed
        return kept

    async def withdraw(self, campaign_id: str, limit: int, lease: float) -> list[Lease]:
        """See `queue.contract.Queue.withdraw`: gives none, and has what waits delivered now, to whoever takes it."""
        await self._notes.hasten(campaign_id)
        return []

    async def settle(
        self,
        change: Change | None = None,
        *,
        put: Iterable[Task] = (),
        ack: Iterable[Lease] = (),
        release: Iterable[tuple[Lease, float]] = (),
        put_back: Iterable[tuple[Lease, float]] = (),
        bury: Iterable[tuple[Lease, str]] = (),
    ) -> None:
        """See `queue.contract.Queue.settle`. One after the other, not all or nothing: each may be done again."""
        if tasks := sorted(put, key=lambda task: task.id):
            await self._patiently(lambda: self._put(tasks))
        if change is not None:
            await self._database.write(change)
        done = {lease.token: lease for lease in ack if self._holds(lease)}
        given_back = [(lease, delay, 0) for lease, delay in release]
        given_back += [(lease, delay, int(lease.deliveries > 1)) for lease, delay in put_back]
        for lease, reason in bury:
            if lease.token not in done and self._holds(lease):
                await self._bury(lease, reason)
                done[lease.token] = lease
        if done:
            await self._patiently(lambda: self._ack(done.values()))
        await together(
            self._give_back(lease, delay, None, deaths)
            for lease, delay, deaths in given_back
            if lease.token not in done
        )

    async def release(self, lease: Lease, delay: float, left: bytes) -> None:
        """See `queue.contract.NotingQueue.release`."""
        await self._give_back(lease, delay, left, deaths=0)

    async def remember(self, lease: Lease, left: bytes) -> None:
        """See `queue.contract.NotingQueue.remember`."""
        held = self._held.get(lease.token)
        if held is None:
            raise LeaseLost(lease.id)
        await self._notes.leave(FLYING, _address(lease), held, Note(held.delivered - lease.deliveries, left))

    async def extend(self, leases: Sequence[Lease], lease: float) -> list[Lease]:
        """See `queue.contract.Queue.extend`."""
        holding = [each for each in leases if self._holds(each)]
        until = steady() + lease
        await self._nats.confirm((each.token, IN_PROGRESS) for each in holding)
        kept = [each for each in holding if self._holds(each)]  # else the server may have heard of it too late
        for each in kept:
            self._held[each.token].until = until
        return [replace(each, until=until) for each in kept]

    async def depths(self, lanes: Iterable[str]) -> Mapping[str, Depth]:
        """See `queue.contract.Queue.depths`. What was released and is held again counts as delayed."""
        wanted = list(lanes)
        async with self._streams.use() as jetstream:
            found = await together(self._depth(jetstream, lane) for lane in wanted)
        return dict(zip(wanted, found, strict=True))

    async def queued(self, campaign_id: str) -> AbstractSet[str]:
        """See `queue.contract.Queue.queued`."""
        try:
            return await self._queued(campaign_id)
        except StreamGone:  # it is made again: nothing is queued there
            return await self._queued(campaign_id)

    async def _queued(self, campaign_id: str) -> AbstractSet[str]:
        async with self._streams.use():
            filters = self._streams.of_campaign("batch", campaign_id)
            subjects = await subjects_of(self._nats, self._streams.batches, filters)
        return {self._streams.address(subject).id for subject in subjects}

    async def dead_letters(self, campaign_id: str | None = None) -> list[DeadLetter]:
        """See `queue.contract.Queue.dead_letters`."""
        return await self._database.ask(lambda connection: latest_letters(connection, campaign_id))

    # -- parts ------------------------------------------------------------------------------------------------------

    async def _patiently(self, do: Callable[[], Awaitable[None]]) -> None:
        """Do what may be done twice, and again for a while where it fails: whoever settles has done its work."""
        until = time.monotonic() + PATIENCE
        pause = 0.05
        while True:
            try:
                await do()
                return
            except QueueUnavailable:
                if time.monotonic() + pause > until:
                    raise
            await asyncio.sleep(pause)
            pause = min(1.0, pause * 2)

    async def _put(self, tasks: Sequence[Task]) -> None:
        async with self._streams.use() as jetstream:
            await together(self._publish(jetstream, task) for task in tasks)
        if any(task.urgent for task in tasks):
            await self._bell.ring()

    async def _publish(self, jetstream: JetStreamContext, task: Task) -> None:
        subject = self._streams.subject(Address(task.id, task.lane, task.campaign_id, task.edition, urgent=task.urgent))
        headers = {"Nats-Msg-Id": f"{task.id}#{task.edition}", **({AGAIN: "1"} if task.again else {})}
        stream = self._streams.stream_of(task.lane)
        try:
            await jetstream.publish(subject, task.payload, stream=stream, headers=headers)
        except APIError as error:  # the code alone says that it could not be stored, for whatever reason
            if error.err_code != NOT_STORED or "per subject" not in str(error.description):
                raise

    async def _leased(self, message: Msg, until: float) -> Lease:
        """The lease of a message, held until then by the steady clock."""
        address = self._streams.address(message.subject)
        delivered = message.metadata.num_delivered
        again = AGAIN in (message.headers or {})
        found = f"{message.metadata.sequence.stream} of {message.metadata.timestamp.isoformat()}"
        held = self._held[message.reply] = Holding(until, message.reply, delivered, found)
        notes = await self._notes.take_over(address, held) if delivered > 1 or again else []
        released = max((note.deliveries for note in notes if note.message == held.message), default=0)
        return Lease(
            id=address.id,
            lane=address.lane,
            campaign_id=address.campaign_id,
            payload=message.data,
            deliveries=max(1, delivered - released),
            token=message.reply,
            until=until,
            edition=address.edition,
            again=again,
            urgent=address.urgent,
            notes=tuple(note.left for note in notes),
        )

    async def _ack(self, leases: Iterable[Lease]) -> None:
        leases = list(leases)
        try:
            await self._nats.confirm((lease.token, ACK) for lease in leases)
        except QueueUnavailable:
            known = await self._still_known(leases)
            if len(known) == len(leases):
                raise
            await self._nats.confirm((lease.token, ACK) for lease in known)
        held = {lease.token: self._held.get(lease.token) for lease in leases}
        noted = [lease for lease in leases if (each := held[lease.token]) is None or each.notes]
        await together(self._notes.forget(_address(lease)) for lease in noted)
        for lease in leases:
            self._held.pop(lease.token, None)

    async def _still_known(self, leases: Sequence[Lease]) -> list[Lease]:
        """Those that the server can have done with. Where a stream was lost and made anew it never answers to what it
        has not delivered yet, and whoever held that would wait for ever."""
        of = {(lease.lane, lease.urgent) for lease in leases}
        last = {each: await self._last_delivered(*each) for each in of}
        client = await self._nats.client()
        numbers = [Msg(client, reply=lease.token).metadata.sequence.stream for lease in leases]
        return [
            lease for lease, number in zip(leases, numbers, strict=True) if number <= last[lease.lane, lease.urgent]
        ]

    async def _last_delivered(self, lane: str, urgent: bool) -> int:
        """The sequence number of the latest message that was taken from a lane, or of its urgent ones; 0 where its
        consumer is gone."""
        async with self._streams.use() as jetstream:
            try:
                name = consumer_name(lane, urgent=urgent)
                info = await jetstream.consumer_info(self._streams.stream_of(lane), name)
            except NotFoundError:
                return 0
        return info.delivered.stream_seq if info.delivered is not None else 0

    async def _bury(self, lease: Lease, reason: str) -> None:
        letter = {
            "id": lease.id,
            "lane": lease.lane,
            "campaign_id": lease.campaign_id,
            "payload": lease.payload,
            "reason": reason,
            "deliveries": lease.deliveries,
            "at": self._clock(),
        }

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(delete(dead_letters).where(dead_letters.c.id == lease.id))
            await connection.execute(insert(dead_letters), letter)

        async with self._streams.use() as jetstream:
            subject = self._streams.dead_subject(_address(lease))
            headers = {
                "Stentor-Reason": as_header(reason),
                "Stentor-Deliveries": str(lease.deliveries),
            }
            await jetstream.publish(subject, lease.payload, stream=self._streams.dead, headers=headers)
        await self._database.write(change)

    async def _depth(self, jetstream: JetStreamContext, lane: str) -> Depth:
        kinds = (False,) if lane == PLAN else (False, True)
        counted = await together(self._counted(jetstream, lane, urgent) for urgent in kinds)
        ready, taken = (sum(each) for each in zip(*counted, strict=True))
        delayed = min(taken, await self._notes.given_back(lane)) if taken else 0
        return Depth(ready=ready, delayed=delayed, leased=taken - delayed)

    async def _counted(self, jetstream: JetStreamContext, lane: str, urgent: bool) -> tuple[int, int]:
        """How many tasks of a lane are ready, and how many were taken and aren't done: the urgent, or the others."""
        stream = self._streams.stream_of(lane)
        try:
            info = await jetstream.consumer_info(stream, consumer_name(lane, urgent=urgent))
        except NotFoundError:  # nobody took anything from it yet
            filters = f"{self._streams.lane_subject(lane, urgent=urgent)}.>"
            return await number_of_subjects(self._nats, stream, filters), 0
        return info.num_pending or 0, info.num_ack_pending or 0

    async def _give_back(self, lease: Lease, delay: float, left: bytes | None, deaths: int) -> None:
        """Have a task taken again after `delay` seconds, with a note for whoever takes it. A lost lease is left alone.

        Args:
            left: None: what was there when it was taken.
            deaths: how often it was taken and not given back before.
        """
        held = self._held.get(lease.token)
        if held is None or not held.holds:
            return
        left = held.left if left is None else left
        note = Note(held.delivered - deaths, left, lease.token, max(0.0, delay))
        with suppress(LeaseLost):
            await self._notes.leave(WAITING, _address(lease), held, note)
            how = b'-NAK {"delay": %d}' % int(delay * 1e9) if delay > 0 else NAK
            await self._nats.confirm([(lease.token, how)])
        self._held.pop(lease.token, None)

    # -- leases -----------------------------------------------------------------------------------------------------

    def _holds(self, lease: Lease) -> bool:
        held = self._held.get(lease.token)
        return held is not None and held.holds

    def _forget_lost(self) -> None:
        now = steady()
        for each in [each for each, held in self._held.items() if held.until < now - 600]:
            del self._held[each]


def as_header(reason: str) -> str:
    """A reason as a header can hold it: one line, without what is no text."""
    return storable(" ".join(reason.split()))[:LONGEST_REASON]


def _address(lease: Lease) -> Address:
    return Address(lease.id, lease.lane, lease.campaign_id, lease.edition, urgent=lease.urgent)
