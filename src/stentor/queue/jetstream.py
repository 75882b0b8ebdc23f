"""The queue on NATS JetStream, for many machines: a work-queue stream, and a durable pull consumer a lane.

A lease is the consumer's ack wait; a release is a NAK with a delay, and leaves a note in a bucket: how often the task
had been delivered until then, and what its holder knew. A note is also the fence: whoever takes a task that another
didn't give back leaves one first, and each holder names the note that must be the last when it leaves the next. So one
that lost its lease unaware leaves none any more. Rules: nothing counts that the server hasn't confirmed; a lease's end
is told by the steady clock of whoever holds it, so clocks of machines are never compared; a dead letter is in a stream
of its own and in the store.

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
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import msgspec
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import APIError, KeyNotFoundError, NotFoundError
from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.clock import steady
from stentor.errors import LeaseLost, QueueUnavailable
from stentor.queue.contract import Change, Depth, Lease, Task
from stentor.queue.nats import WRONG_LAST, Nats, StreamGone, together
from stentor.queue.pulling import Puller
from stentor.queue.streams import Address, Streams, consumer_name, token
from stentor.queue.subjects import number_of_subjects, subjects_of
from stentor.store.database import Database
from stentor.store.letters import DeadLetter, latest_letters
from stentor.store.tables import dead_letters

ACK, NAK, IN_PROGRESS = b"+ACK", b"-NAK", b"+WPI"
NOT_STORED = 10077
"""Error code: a message could not be stored, as there is one of its subject, for instance."""
PATIENCE = 5.0
"""Seconds for which what is to be settled is tried again while NATS is away."""
SOON = 1.0
"""Seconds before the end of a delay from which nothing is hastened any more: it may be delivered any moment."""
LONGEST_REASON = 1000
"""Characters of a dead letter's reason that its headers have; the store has all of it."""
FLYING, WAITING = KINDS = "f", "w"
"""Kinds of notes: of a task that somebody holds or held, and of one that was given back."""
AGAIN = "Stentor-Again"
"""The header of a task that was put again, as it had been lost."""


class Note(msgspec.Struct, frozen=True, array_like=True):
    """What a holder of a task left."""

    deliveries: int
    """How often the server had delivered it when it was released last: those don't count any more."""
    left: bytes
    """For the next holder, whatever it means."""
    reply: str = ""
    """Where to ask that it be delivered at once."""
    delay: float = 0.0
    """Seconds for which it isn't delivered."""
    holder: str = ""
    """The token of the lease of whoever left it."""
    delivered: int = 0
    """How often the server had delivered it when that one took it: who took it later has a higher number."""
    message: str = ""
    """Which message that was: a task that was lost and put again is another one, whose deliveries begin anew."""


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
            return await together(self._leased(each.message, each.since + lease) for each in pulled)
        except BaseException:
            puller.give_back(pulled)
            raise

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
        if held is None or not self._holds(lease):
            raise LeaseLost(lease.id)
        note = Note(held.delivered - lease.deliveries, left)
        await self._leave(FLYING, lease, held, note)

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

    async def _publish(self, jetstream: JetStreamContext, task: Task) -> None:
        subject = self._streams.subject(Address(task.id, task.lane, task.campaign_id, task.edition))
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
        held = self._held[message.reply] = _Held(until, delivered, found)
        notes = await self._take_over(address, held, message.reply) if delivered > 1 or again else []
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

    async def _give_back(self, lease: Lease, delay: float, left: bytes | None, deaths: int) -> None:
        """Have a task taken again after `delay` seconds, with a note for whoever takes it. A lost lease is left alone.

        Args:
            left: None: what was there when it was taken.
            deaths: how often it was taken and not given back before.
        """
        held = self._held.get(lease.token)
        if held is None or not self._holds(lease):
            return
        left = held.left if left is None else left
        note = Note(held.delivered - deaths, left, lease.token, max(0.0, delay))
        with suppress(LeaseLost):
            await self._leave(WAITING, lease, held, note)
            how = b'-NAK {"delay": %d}' % int(delay * 1e9) if delay > 0 else NAK
            await self._nats.confirm([(lease.token, how)])
        self._held.pop(lease.token, None)

    async def _leave(self, kind: str, lease: Lease, held: _Held, note: Note) -> None:
        """Leave a note, unless somebody took the task later. Raises: LeaseLost."""
        address, payload = _address(lease), msgspec.msgpack.encode(held.sign(note, lease.token))
        while self._holds(lease):
            with suppress(_Overtaken):
                held.notes[kind] = await self._publish_note(kind, address, payload, held.notes.get(kind, 0))
                return
            found = await self._note_at(kind, address)
            if found is not None and not (found.note and held.came_after(found.note, lease.token)):
                held.until = 0.0
                break
            held.notes[kind] = 0 if found is None else found.sequence
        raise LeaseLost(lease.id)

    async def _publish_note(self, kind: str, address: Address, payload: bytes, last: int) -> int:
        """Returns the note's sequence number. Raises: _Overtaken: another than `last` is the last one."""
        async with self._streams.use() as jetstream:
            headers = {"Nats-Expected-Last-Subject-Sequence": str(last)}
            subject = f"$KV.{self._streams.notes}.{kind}.{address.key}"
            try:
                return (await jetstream.publish(subject, payload, stream=self._notes, headers=headers)).seq
            except APIError as error:
                if error.err_code in WRONG_LAST:
                    raise _Overtaken from None
                raise

    async def _take_over(self, address: Address, held: _Held, token: str) -> list[Note]:
        """What was left of a task that somebody had before. Unless the last one gave it back, a note says from now on
        that it is ours, so that no earlier holder leaves any."""
        while True:
            found = dict(zip(KINDS, await together(self._note_at(kind, address) for kind in KINDS), strict=True))
            there = {kind: each for kind, each in found.items() if each is not None}
            held.notes = {kind: each.sequence for kind, each in there.items()}
            notes = {kind: each.note for kind, each in there.items() if each.note is not None}
            held.left = notes[WAITING].left if WAITING in notes else b""
            if len(notes) < len(there):  # a newer Stentor's counts as a release just now that says nothing
                return [Note(held.delivered - 1, b"", message=held.message)]
            if _was_given_back(notes, held):
                return list(notes.values())
            before = notes.get(FLYING) or Note(0, b"")
            claim = held.sign(before if before.message == held.message else Note(0, before.left), token)
            with suppress(_Overtaken):
                encoded = msgspec.msgpack.encode(claim)
                held.notes[FLYING] = await self._publish_note(FLYING, address, encoded, held.notes.get(FLYING, 0))
                return list(notes.values())

    async def _note_at(self, kind: str, address: Address) -> _Found | None:
        """From the stream's leader, so that it is the last one."""
        subject = f"$KV.{self._streams.notes}.{kind}.{address.key}"
        async with self._streams.use() as jetstream:
            try:
                message = await jetstream.get_last_msg(self._notes, subject)
            except (KeyNotFoundError, NotFoundError):
                return None
        try:
            note = _NOTE.decode(message.data or b"")
        except msgspec.DecodeError:
            note = None
        return _Found(note, message.seq or 0)

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
            if error.err_code in WRONG_LAST:
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
        return held is not None and steady() < held.until

    def _forget_lost(self) -> None:
        now = steady()
        for each in [each for each, held in self._held.items() if held.until < now - 600]:
            del self._held[each]


class _Held(msgspec.Struct):
    """A lease, as only its holder knows it."""

    until: float
    """When it ends, by the steady clock."""
    delivered: int
    """The server's count."""
    message: str
    """See `Note.message`."""
    notes: dict[str, int] = {}
    """By kind, the sequence number of the note of its task that is the last one."""
    left: bytes = b""
    """What was left by the one who gave it back last."""

    def sign(self, note: Note, token: str) -> Note:
        """As a note of its holder's, whose token is given."""
        return msgspec.structs.replace(note, holder=token, delivered=self.delivered, message=self.message)

    def came_after(self, note: Note, token: str) -> bool:
        """Whether a note is our own, of which we weren't told that it had arrived, or one of an earlier holder."""
        return note.holder == token or (note.message == self.message and note.delivered < self.delivered)


def _was_given_back(notes: Mapping[str, Note], held: _Held) -> bool:
    """Whether the one who had a task before its holder now gave it back."""
    left, flying = notes.get(WAITING), notes.get(FLYING)
    if left is None or left.message != held.message or left.delivered != held.delivered - 1:
        return False
    return flying is None or flying.delivered < left.delivered or flying.holder == left.holder


class _Found(msgspec.Struct, frozen=True):
    """A note as the bucket has it; None where it cannot be read."""

    note: Note | None
    sequence: int


class _Overtaken(Exception):
    """There is another note than was expected."""


def _address(lease: Lease) -> Address:
    return Address(lease.id, lease.lane, lease.campaign_id, lease.edition)
