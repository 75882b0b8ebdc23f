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
import base64
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Final

import msgspec
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import APIError, KeyNotFoundError, NotFoundError
from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import QueueUnavailable
from stentor.queue.contract import Change, Depth, Lease, Task
from stentor.queue.nats import Nats, StreamGone, together
from stentor.queue.pulling import Puller
from stentor.queue.streams import Address, Streams, consumer_name, token
from stentor.queue.subjects import number_of_subjects, subjects_of
from stentor.store.database import Database
from stentor.store.letters import DeadLetter, latest_letters
from stentor.store.tables import dead_letters

ACK, NAK, IN_PROGRESS = b"+ACK", b"-NAK", b"+WPI"
NOT_STORED, WRONG_LAST = 10077, 10071
"""Error codes: a message could not be stored, as there is one of its subject, for instance; the last one of its subject
is another than was expected."""
PATIENCE = 5.0
"""Seconds for which what is to be settled is tried again while NATS is away."""
SOON = 1.0
"""Seconds before the end of a delay from which nothing is hastened any more: it may be delivered any moment."""
LONGEST_REASON = 1000
"""Characters of a dead letter's reason that its headers have; the store has all of it."""
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
    delay: float = 0.0
    """Seconds for which it isn't delivered."""


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

    @property
    def held(self) -> int:
        """How many leases it knows of, those that ended a while ago among them."""
        return len(self._held)

    async def take(self, lane: str, limit: int, lease: float) -> list[Lease]:
        """See `queue.contract.Queue.take`."""
        consumer = await self._streams.consumer(lane, lease)
        puller = self._pullers.get(lane)
        if puller is None:
            puller = self._pullers[lane] = Puller(self._nats, self._streams.stream_of(lane), consumer, lease)
        try:
            pulled = await puller.pull(limit)
        except StreamGone:
            self._streams.forget()
            raise
        if not pulled:
            return []
        self._forget_lost()
        try:
            leases = await together(self._leased(each.message) for each in pulled)
        except BaseException:
            puller.give_back(pulled)
            raise
        for found, each in zip(leases, pulled, strict=True):
            delivered = each.message.metadata.num_delivered
            self._held[found.token] = _Held(each.since + lease, delivered, found.note is not None)
        return leases

    async def withdraw(self, campaign_id: str, limit: int, lease: float) -> list[Lease]:
        """See `queue.contract.Queue.withdraw`: gives none, and has what waits delivered now, to whoever takes it."""
        async with self._streams.use() as jetstream:
            filters = f"$KV.{self._streams.notes}.{WAITING}.*.{token(campaign_id)}.>"
            subjects = await subjects_of(self._nats, self._notes, filters)
            notes = await together(self._stored(subject) for subject in subjects)
            said = json.loads(await self._nats.request(f"$JS.API.STREAM.INFO.{self._notes}"))
            now = datetime.fromisoformat(said["ts"])
            await together(self._hasten(jetstream, note, now) for note in notes if note is not None)
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
            await self._patiently(lambda: self._put(tasks))
        if change is not None:
            await self._database.write(change)
        acked = {lease.token: lease for lease in ack}
        released = [(lease, delay) for lease, delay in release if lease.token not in acked and self._holds(lease)]
        for lease, reason in bury:
            if lease.token not in acked and self._holds(lease):
                await self._bury(lease, reason)
                acked[lease.token] = lease
        if acked:
            await self._patiently(lambda: self._ack(acked.values()))
        if released:
            await together(self.release(lease, delay, lease.note or b"") for lease, delay in released)

    async def release(self, lease: Lease, delay: float, left: bytes) -> None:
        """Give a task back, to be taken again after `delay` seconds, with a note for whoever takes it."""
        held = self._held.get(lease.token)
        if held is None or not self._holds(lease):
            return
        note = Note(held.deliveries, left, lease.token, max(0.0, delay))
        await self._leave(WAITING, lease, note)
        how = b'-NAK {"delay": %d}' % int(delay * 1e9) if delay > 0 else NAK
        await self._nats.confirm([(lease.token, how)])
        self._held.pop(lease.token, None)

    async def remember(self, lease: Lease, left: bytes) -> bool:
        """See `queue.contract.NotingQueue.remember`."""
        held = self._held.get(lease.token)
        if held is None or not self._holds(lease):
            return False
        held.noted = True
        await self._leave(FLYING, lease, Note(held.deliveries - lease.deliveries, left))
        return True

    async def extend(self, leases: Sequence[Lease], lease: float) -> None:
        """See `queue.contract.Queue.extend`."""
        holding = [each for each in leases if self._holds(each)]
        until = time.monotonic() + lease
        await self._nats.confirm((each.token, IN_PROGRESS) for each in holding)
        for each in holding:
            if self._holds(each):  # else it was done meanwhile, or may have ended before the server heard of it
                self._held[each.token].until = until

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

    async def _publish(self, jetstream: JetStreamContext, task: Task) -> None:
        subject = self._streams.subject(Address(task.id, task.lane, task.campaign_id, task.edition))
        headers = {"Nats-Msg-Id": f"{task.id}#{task.edition}"}
        stream = self._streams.stream_of(task.lane)
        try:
            await jetstream.publish(subject, task.payload, stream=stream, headers=headers)
        except APIError as error:  # the code alone says that it could not be stored, for whatever reason
            if error.err_code != NOT_STORED or "per subject" not in str(error.description):
                raise

    async def _leased(self, message: Msg) -> Lease:
        address = self._streams.address(message.subject)
        delivered = message.metadata.num_delivered
        note = await self._note(address, delivered) if delivered > 1 else None
        return Lease(
            id=address.id,
            lane=address.lane,
            campaign_id=address.campaign_id,
            payload=message.data,
            deliveries=delivered if note is None else max(1, delivered - note.deliveries),
            token=message.reply,
            edition=address.edition,
            note=None if note is None else note.left,
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
        noted = [lease for lease in leases if (each := held[lease.token]) is None or each.noted]
        await together(self._forget(lease) for lease in noted)
        for lease in leases:
            self._held.pop(lease.token, None)

    async def _still_known(self, leases: Sequence[Lease]) -> list[Lease]:
        """Those that the server can have done with. Where a stream was lost and made anew it never answers to what it
        has not delivered yet, and whoever held that would wait for ever."""
        last = {lane: await self._last_delivered(lane) for lane in {lease.lane for lease in leases}}
        client = await self._nats.client()
        numbers = [Msg(client, reply=lease.token).metadata.sequence.stream for lease in leases]
        return [lease for lease, number in zip(leases, numbers, strict=True) if number <= last[lease.lane]]

    async def _last_delivered(self, lane: str) -> int:
        """The sequence number of the latest message that was taken from a lane; 0 where its consumer is gone."""
        async with self._streams.use() as jetstream:
            try:
                info = await jetstream.consumer_info(self._streams.stream_of(lane), consumer_name(lane))
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
                "Stentor-Reason": " ".join(reason.split())[:LONGEST_REASON],
                "Stentor-Deliveries": str(lease.deliveries),
            }
            await jetstream.publish(subject, lease.payload, stream=self._streams.dead, headers=headers)
        await self._database.write(change)

    async def _depth(self, jetstream: JetStreamContext, lane: str) -> Depth:
        try:
            info = await jetstream.consumer_info(self._streams.stream_of(lane), consumer_name(lane))
        except NotFoundError:  # nobody took anything from it yet
            filters = f"*.*.{token(lane)}.>"
            return Depth(ready=await number_of_subjects(self._nats, self._streams.stream_of(lane), filters))
        taken = info.num_ack_pending or 0
        delayed = 0
        if taken:
            filters = f"$KV.{self._streams.notes}.{WAITING}.{token(lane)}.>"
            delayed = min(taken, await number_of_subjects(self._nats, self._notes, filters))
        return Depth(ready=info.num_pending or 0, delayed=delayed, leased=taken - delayed)

    # -- notes ------------------------------------------------------------------------------------------------------

    @property
    def _notes(self) -> str:
        return f"KV_{self._streams.notes}"

    async def _leave(self, kind: str, lease: Lease, note: Note) -> None:
        async with self._streams.use() as jetstream:
            subject = f"$KV.{self._streams.notes}.{kind}.{_address(lease).key}"
            await jetstream.publish(subject, msgspec.msgpack.encode(note), stream=self._notes)

    async def _note(self, address: Address, delivered: int) -> Note:
        """The later of what was left: deliveries only ever grow, and of a task that was taken again both are there. One
        that a newer Stentor left, and that cannot be read, counts as a release just now that says nothing."""
        async with self._streams.use() as jetstream:
            subjects = (f"$KV.{self._streams.notes}.{kind}.{address.key}" for kind in (FLYING, WAITING))
            found = await together(self._note_at(jetstream, subject) for subject in subjects)
        try:
            notes = [_NOTE.decode(payload) for payload in found if payload is not None]
        except msgspec.DecodeError:
            return Note(delivered - 1, b"")
        return max(notes, key=lambda note: note.deliveries, default=Note(0, b""))

    async def _note_at(self, jetstream: JetStreamContext, subject: str) -> bytes | None:
        """From the stream's leader, so that it is the last one."""
        try:
            return (await jetstream.get_last_msg(self._notes, subject)).data or b""
        except (KeyNotFoundError, NotFoundError):
            return None

    async def _stored(self, subject: str) -> dict[str, Any] | None:
        """A note as the server tells of it."""
        asked = json.dumps({"last_by_subj": subject}).encode()
        answer = json.loads(await self._nats.request(f"$JS.API.STREAM.MSG.GET.{self._notes}", asked))
        message: dict[str, Any] | None = answer.get("message")
        return message

    async def _hasten(self, jetstream: JetStreamContext, message: Mapping[str, Any], now: datetime) -> None:
        """Have a task delivered that was released and waits. Its note is replaced by one that says so, by one only of
        those who try: what was hastened may be held by somebody, and would be taken from them."""
        try:
            note = _NOTE.decode(base64.b64decode(message["data"]))
        except msgspec.DecodeError:
            return
        waited = now - datetime.fromisoformat(message["time"])  # both by the server's clock
        if note.delay - waited.total_seconds() < SOON:
            return
        headers = {"Nats-Expected-Last-Subject-Sequence": str(message["seq"])}
        hastened = msgspec.msgpack.encode(msgspec.structs.replace(note, delay=0.0))
        try:
            await jetstream.publish(message["subject"], hastened, stream=self._notes, headers=headers)
        except APIError as error:
            if error.err_code == WRONG_LAST:
                return
            raise
        await self._nats.confirm([(note.reply, NAK)])

    async def _forget(self, lease: Lease) -> None:
        async with self._streams.use() as jetstream:
            filters = f"$KV.{self._streams.notes}.*.{_address(lease).key}"
            await jetstream.purge_stream(self._notes, subject=filters)

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
