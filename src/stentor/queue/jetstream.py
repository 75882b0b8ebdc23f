"""The queue on NATS JetStream, for many machines: a work-queue stream, and a durable pull consumer a lane.

A lease is the consumer's ack wait; a release is a NAK with a delay, and leaves a note in a bucket: how often the task
had been delivered until then, and what its holder knew. Rules: nothing counts that the server hasn't confirmed; a
lease's end is told by the monotonic clock of whoever holds it, so clocks of machines are never compared; a dead letter
is in a stream of its own and in the store.

What differs from a queue on the store's database (the suite names the tests): what is put is there before the store's
change is committed; a lease that ended is lost even if nobody else took the task; a task that is done cannot be put
again within `streams.DUPLICATES` seconds; nobody can take the tasks of one campaign alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import APIError, KeyNotFoundError, NotFoundError
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import QueueUnavailable
from stentor.queue.contract import Change, DeadLetter, Depth, Lease, Task
from stentor.queue.nats import Nats
from stentor.queue.pulling import Puller
from stentor.queue.streams import Address, Streams, token
from stentor.store.database import Database
from stentor.store.tables import dead_letters

ACK, NAK, IN_PROGRESS = b"+ACK", b"-NAK", b"+WPI"
SUBJECT_TAKEN = 10077
"""Error code: there is a message of that subject already."""
WAITING, FLYING = "w", "f"
"""Kinds of notes: of a task that was released, and of one that somebody holds or held."""


class Note(msgspec.Struct, frozen=True, array_like=True):
    """What a holder of a task left."""

    deliveries: int
    """How often the server had delivered it when it was released last."""
    left: bytes
    """For the next holder, whatever it means."""
    reply: str = ""
    """Where to ask that it be delivered at once."""
    until: float = 0.0
    """Epoch seconds before which it isn't delivered."""


_NOTE = msgspec.msgpack.Decoder(Note)


class JetStreamQueue:
    """`queue.contract.Queue` on JetStream; the store's changes are made by `database`."""

    def __init__(
        self, nats: Nats, streams: Streams, database: Database, clock: Callable[[], float] = time.time
    ) -> None:
        self._nats: Final = nats
        self._streams: Final = streams
        self._database: Final = database
        self._clock: Final = clock
        self._pullers: dict[str, Puller] = {}
        self._held: dict[str, _Held] = {}  # by lease token

    def __repr__(self) -> str:
        return f"<JetStreamQueue on {self._nats.name}>"

    async def take(self, lane: str, limit: int, lease: float) -> list[Lease]:
        """See `queue.contract.Queue.take`."""
        puller = self._pullers.get(lane)
        if puller is None:
            consumer = await self._streams.consumer(lane, lease)
            puller = self._pullers[lane] = Puller(self._nats, self._streams.stream_of(lane), consumer)
        try:
            messages = await puller.pull(limit)
        except QueueUnavailable:
            self._pullers.clear()
            self._streams.forget()
            raise
        until = time.monotonic() + lease
        if not messages:
            return []
        self._forget_lost()
        async with self._nats.trouble():
            leases = await asyncio.gather(*(self._leased(message) for message in messages))
        for found, message in zip(leases, messages, strict=True):
            self._held[found.token] = _Held(until, message.metadata.num_delivered, found.note is not None)
        return list(leases)

    async def withdraw(self, campaign_id: str, limit: int, lease: float) -> list[Lease]:
        """See `queue.contract.Queue.withdraw`: gives none, and has what waits delivered now, to whoever takes it."""
        await self._streams.ready()
        async with self._nats.trouble():
            jetstream = await self._nats.jetstream()
            filters = f"$KV.{self._streams.notes}.{WAITING}.*.{token(campaign_id)}.>"
            subjects = await _subjects(jetstream, f"KV_{self._streams.notes}", filters)
            notes = await asyncio.gather(*(self._note_at(jetstream, subject) for subject in subjects))
        now = self._clock()
        await self._nats.confirm((note.reply, NAK) for note in notes if note and note.until > now + 1)
        return []

    async def settle(
        self,
        change: Change | None = None,
        *,
        put: Iterable[Task] = (),
        ack: Iterable[Lease] = (),
        release: Iterable[tuple[Lease, float]] = (),
        bury: Iterable[tuple[Lease, str]] = (),
    ) -> None:
        """See `queue.contract.Queue.settle`. One after the other, not all or nothing: each may be done again."""
        if tasks := sorted(put, key=lambda task: task.id):
            await self._put(tasks)
        if change is not None:
            await self._database.write(change)
        acked = {lease.token: lease for lease in ack}
        released = [(lease, delay) for lease, delay in release if lease.token not in acked and self._holds(lease)]
        for lease, reason in bury:
            if lease.token not in acked and self._holds(lease):
                await self._bury(lease, reason)
                acked[lease.token] = lease
        if acked:
            await self._ack(acked.values())
        if released:
            await asyncio.gather(*(self.release(lease, delay, lease.note or b"") for lease, delay in released))

    async def release(self, lease: Lease, delay: float, left: bytes) -> None:
        """Give a task back, to be taken again after `delay` seconds, with a note for whoever takes it."""
        held = self._held.get(lease.token)
        if held is None or not self._holds(lease):
            return
        note = Note(held.deliveries, left, lease.token, self._clock() + delay)
        await self._leave(WAITING, lease, note)
        how = b'-NAK {"delay": %d}' % int(delay * 1e9) if delay > 0 else NAK
        await self._nats.confirm([(lease.token, how)])
        self._held.pop(lease.token, None)

    async def remember(self, lease: Lease, left: bytes) -> None:
        """Leave a note of a task that is still held, in case its holder dies."""
        held = self._held.get(lease.token)
        if held is not None and self._holds(lease):
            await self._leave(FLYING, lease, Note(held.deliveries - lease.deliveries, left))
            held.noted = True

    async def extend(self, leases: Sequence[Lease], lease: float) -> None:
        """See `queue.contract.Queue.extend`."""
        holding = [each for each in leases if self._holds(each)]
        until = time.monotonic() + lease
        await self._nats.confirm((each.token, IN_PROGRESS) for each in holding)
        for each in holding:
            self._held[each.token].until = until

    async def depths(self, lanes: Iterable[str]) -> Mapping[str, Depth]:
        """See `queue.contract.Queue.depths`. What was released and is held again counts as delayed."""
        wanted = list(lanes)
        await self._streams.ready()
        async with self._nats.trouble():
            jetstream = await self._nats.jetstream()
            found = await asyncio.gather(*(self._depth(jetstream, lane) for lane in wanted))
        return dict(zip(wanted, found, strict=True))

    async def queued(self, campaign_id: str) -> AbstractSet[str]:
        """See `queue.contract.Queue.queued`."""
        await self._streams.ready()
        async with self._nats.trouble():
            jetstream = await self._nats.jetstream()
            filters = self._streams.of_campaign("batch", campaign_id)
            subjects = await _subjects(jetstream, self._streams.batches, filters)
        return {self._streams.address(subject).id for subject in subjects}

    async def dead_letters(self, campaign_id: str | None = None) -> list[DeadLetter]:
        """See `queue.contract.Queue.dead_letters`."""
        columns = [dead_letters.c[name] for name in ("id", "lane", "campaign_id", "reason", "deliveries", "at")]
        query = select(*columns).order_by(dead_letters.c.at.desc(), dead_letters.c.id)
        if campaign_id is not None:
            query = query.where(dead_letters.c.campaign_id == campaign_id)
        return [DeadLetter(**row._mapping) for row in await self._database.rows(query)]

    # -- parts ------------------------------------------------------------------------------------------------------

    async def _put(self, tasks: Sequence[Task]) -> None:
        await self._streams.ready()
        async with self._nats.trouble():
            jetstream = await self._nats.jetstream()
            await asyncio.gather(*(self._publish(jetstream, task) for task in tasks))

    async def _publish(self, jetstream: JetStreamContext, task: Task) -> None:
        subject = self._streams.subject(Address(task.id, task.lane, task.campaign_id, task.edition))
        headers = {"Nats-Msg-Id": f"{task.id}#{task.edition}"}
        stream = self._streams.stream_of(task.lane)
        try:
            await jetstream.publish(subject, task.payload, stream=stream, headers=headers)
        except APIError as error:
            if error.err_code != SUBJECT_TAKEN:
                raise

    async def _leased(self, message: Msg) -> Lease:
        address = self._streams.address(message.subject)
        delivered = message.metadata.num_delivered
        note = await self._note(address) if delivered > 1 else None
        return Lease(
            id=address.id,
            lane=address.lane,
            campaign_id=address.campaign_id,
            payload=message.data,
            deliveries=max(1, delivered - (note.deliveries if note else 0)),
            token=message.reply,
            edition=address.edition,
            note=note.left if note else (b"" if delivered > 1 else None),
        )

    async def _ack(self, leases: Iterable[Lease]) -> None:
        leases = list(leases)
        await self._nats.confirm((lease.token, ACK) for lease in leases)
        for lease in leases:
            held = self._held.pop(lease.token, None)
            if held is None or held.noted:
                await self._forget(lease)

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

        async with self._nats.trouble():
            jetstream = await self._nats.jetstream()
            subject = self._streams.dead_subject(_address(lease))
            headers = {"Stentor-Reason": " ".join(reason.split()), "Stentor-Deliveries": str(lease.deliveries)}
            await jetstream.publish(subject, lease.payload, stream=self._streams.dead, headers=headers)
        await self._database.write(change)

    async def _depth(self, jetstream: JetStreamContext, lane: str) -> Depth:
        try:
            consumer = token(lane).replace("/", "_")
            info = await jetstream.consumer_info(self._streams.stream_of(lane), consumer)
        except NotFoundError:  # nobody took anything from it yet
            subjects = f"*.*.{token(lane)}.>"
            stream = await jetstream.stream_info(self._streams.stream_of(lane), subjects_filter=subjects)
            return Depth(ready=len(stream.state.subjects or {}))
        taken = info.num_ack_pending or 0
        delayed = 0
        if taken:
            filters = f"$KV.{self._streams.notes}.{WAITING}.{token(lane)}.>"
            delayed = min(taken, len(await _subjects(jetstream, f"KV_{self._streams.notes}", filters)))
        return Depth(ready=info.num_pending or 0, delayed=delayed, leased=taken - delayed)

    # -- notes ------------------------------------------------------------------------------------------------------

    async def _leave(self, kind: str, lease: Lease, note: Note) -> None:
        async with self._nats.trouble():
            jetstream = await self._nats.jetstream()
            subject = f"$KV.{self._streams.notes}.{kind}.{_address(lease).key}"
            await jetstream.publish(subject, msgspec.msgpack.encode(note), stream=f"KV_{self._streams.notes}")

    async def _note(self, address: Address) -> Note | None:
        """The later of what was left: deliveries only ever grow, and of a task that was taken again both are there."""
        jetstream = await self._nats.jetstream()
        subjects = (f"$KV.{self._streams.notes}.{kind}.{address.key}" for kind in (FLYING, WAITING))
        notes = await asyncio.gather(*(self._note_at(jetstream, subject) for subject in subjects))
        return max((note for note in notes if note), key=lambda note: note.deliveries, default=None)

    async def _note_at(self, jetstream: JetStreamContext, subject: str) -> Note | None:
        """From the stream's leader, so that it is the last one."""
        try:
            message = await jetstream.get_last_msg(f"KV_{self._streams.notes}", subject)
        except (KeyNotFoundError, NotFoundError):
            return None
        return _NOTE.decode(message.data or b"")

    async def _forget(self, lease: Lease) -> None:
        async with self._nats.trouble():
            jetstream = await self._nats.jetstream()
            filters = f"$KV.{self._streams.notes}.*.{_address(lease).key}"
            await jetstream.purge_stream(f"KV_{self._streams.notes}", subject=filters)

    # -- leases -----------------------------------------------------------------------------------------------------

    def _holds(self, lease: Lease) -> bool:
        held = self._held.get(lease.token)
        return held is not None and time.monotonic() < held.until

    def _forget_lost(self) -> None:
        now = time.monotonic()
        for each in [each for each, held in self._held.items() if held.until < now - 600]:
            del self._held[each]


class _Held(msgspec.Struct):
    """A lease, as only its holder knows it."""

    until: float
    """When it ends, by the monotonic clock."""
    deliveries: int
    """The server's count."""
    noted: bool
    """Whether there is a note of its task."""


def _address(lease: Lease) -> Address:
    return Address(lease.id, lease.lane, lease.campaign_id, lease.edition)


async def _subjects(jetstream: JetStreamContext, stream: str, filters: str) -> list[str]:
    """The subjects of a stream that match, in order."""
    info = await jetstream.stream_info(stream, subjects_filter=filters)
    return sorted(info.state.subjects or {})
