"""Notes that holders of a task leave for the next one, in a bucket of NATS: what they knew, and a fence.

There are two of a task at most: one of whoever holds it, or held it last, and one of whoever gave it back last. Rules:
each is left by compare-and-swap, so that nobody leaves one who doesn't know the last; whoever takes a task that the one
before didn't give back leaves one first, so that no earlier holder leaves any more; what is left is never looked into
here. A note is forgotten when its task is done.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final

import msgspec
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, KeyNotFoundError, NotFoundError

from stentor.clock import steady
from stentor.errors import LeaseLost
from stentor.queue.nats import WRONG_LAST, Nats, together
from stentor.queue.pulling import Puller
from stentor.queue.streams import Address, Streams, token
from stentor.queue.subjects import number_of_subjects

FLYING, WAITING = KINDS = "f", "w"
"""Kinds of notes: of a task that somebody holds or held, and of one that was given back."""
NAK = b"-NAK"
SOON = 1.0
"""Seconds before the end of a delay from which nothing is hastened any more: it may be delivered any moment."""
AT_ONCE = 256
"""Notes that are read at a time, and tasks that are hastened: each request has only so long to be answered, also while
others are before it."""
READ_WITHIN = 60.0
"""Seconds after which the server forgets somebody who reads notes and asks for no more."""


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


class Holding(msgspec.Struct):
    """A lease, as only its holder knows it."""

    until: float
    """When it ends, by the steady clock."""
    token: str
    delivered: int
    """The server's count."""
    message: str
    """See `Note.message`."""
    notes: dict[str, int] = {}
    """By kind, the sequence number of the note of its task that is the last one."""
    left: bytes = b""
    """What was left by the one who gave it back last."""

    @property
    def holds(self) -> bool:
        """Whether its time isn't over."""
        return steady() < self.until

    def sign(self, note: Note) -> Note:
        """As a note of this holder's."""
        return msgspec.structs.replace(note, holder=self.token, delivered=self.delivered, message=self.message)

    def came_after(self, note: Note) -> bool:
        """Whether a note is our own, of which we weren't told that it had arrived, or one of an earlier holder."""
        return note.holder == self.token or (note.message == self.message and note.delivered < self.delivered)


class Notes:
    """Those of one `[queue]`."""

    def __init__(self, nats: Nats, streams: Streams) -> None:
        self._nats: Final = nats
        self._streams: Final = streams
        self._stream: Final = f"KV_{streams.notes}"

    def __repr__(self) -> str:
        return f"<Notes in {self._stream}>"

    async def leave(self, kind: str, address: Address, held: Holding, note: Note) -> None:
        """Leave a note, unless somebody took the task later.

        Raises: LeaseLost: somebody did, or the lease's time is over. QueueUnavailable: it may have been left.
        """
        payload = msgspec.msgpack.encode(held.sign(note))
        while held.holds:
            with suppress(_Overtaken):
                held.notes[kind] = await self._publish(kind, address, payload, held.notes.get(kind, 0))
                return
            found = await self._find(kind, address)
            if found is not None and not (found.note and held.came_after(found.note)):
                held.until = 0.0
                break
            held.notes[kind] = 0 if found is None else found.sequence
        raise LeaseLost(address.id)

    async def take_over(self, address: Address, held: Holding) -> list[Note]:
        """What was left of a task that somebody had before. Unless the last one gave it back, a note says from now on
        that it is ours, so that no earlier holder leaves any."""
        while True:
            found = dict(zip(KINDS, await together(self._find(kind, address) for kind in KINDS), strict=True))
            there = {kind: each for kind, each in found.items() if each is not None}
            held.notes = {kind: each.sequence for kind, each in there.items()}
            notes = {kind: each.note for kind, each in there.items() if each.note is not None}
            held.left = notes[WAITING].left if WAITING in notes else b""
            if len(notes) < len(there):  # a newer Stentor's counts as a release just now that says nothing
                return [Note(held.delivered - 1, b"", message=held.message)]
            if _was_given_back(notes, held):
                return list(notes.values())
            before = notes.get(FLYING) or Note(0, b"")
            claim = held.sign(before if before.message == held.message else Note(0, before.left))
            with suppress(_Overtaken):
                encoded = msgspec.msgpack.encode(claim)
                held.notes[FLYING] = await self._publish(FLYING, address, encoded, held.notes.get(FLYING, 0))
                return list(notes.values())

    async def forget(self, address: Address) -> None:
        """Its task is done."""
        async with self._streams.use() as jetstream:
            await jetstream.purge_stream(self._stream, subject=self._subject("*", address.key))

    async def given_back(self, lane: str) -> int:
        """How many tasks of a lane have a note of having been given back."""
        return await number_of_subjects(self._nats, self._stream, self._subject(WAITING, f"{token(lane)}.>"))

    async def hasten(self, campaign_id: str) -> None:
        """Have what was given back of a campaign delivered now. What is given back meanwhile may be left out."""
        async with self._streams.use() as jetstream, self._reading(f"*.{token(campaign_id)}.>") as (puller, there):
            seen = 0
            while seen < there and (pulled := await puller.pull(min(there - seen, AT_ONCE))):
                seen += len(pulled)
                said = json.loads(await self._nats.request(f"$JS.API.STREAM.INFO.{self._stream}"))
                now = datetime.fromisoformat(said["ts"])
                await together(self._hasten(jetstream, each.message, now) for each in pulled)

    @asynccontextmanager
    async def _reading(self, keys: str) -> AsyncIterator[tuple[Puller, int]]:
        """Where to pull notes of having been given back from, and how many there are: to ask for one after the other
        would take a request for each."""
        config = api.ConsumerConfig(
            durable_name=f"reader_{secrets.token_hex(8)}",
            filter_subject=self._subject(WAITING, keys),
            ack_policy=api.AckPolicy.NONE,
            inactive_threshold=READ_WITHIN,
            mem_storage=True,
            num_replicas=1,
        )
        async with self._streams.use() as jetstream:
            reader = await jetstream.add_consumer(self._stream, config)
        puller = Puller(self._nats, self._stream, reader.name, READ_WITHIN)
        try:
            yield puller, reader.num_pending or 0
        finally:
            await puller.aclose()

    def _subject(self, kind: str, key: str) -> str:
        return f"$KV.{self._streams.notes}.{kind}.{key}"

    async def _publish(self, kind: str, address: Address, payload: bytes, last: int) -> int:
        """Returns the note's sequence number. Raises: _Overtaken: another than `last` is the last one."""
        async with self._streams.use() as jetstream:
            headers = {"Nats-Expected-Last-Subject-Sequence": str(last)}
            subject = self._subject(kind, address.key)
            try:
                return (await jetstream.publish(subject, payload, stream=self._stream, headers=headers)).seq
            except APIError as error:
                if error.err_code in WRONG_LAST:
                    raise _Overtaken from None
                raise

    async def _find(self, kind: str, address: Address) -> _Found | None:
        """From the stream's leader, so that it is the last one."""
        async with self._streams.use() as jetstream:
            try:
                message = await jetstream.get_last_msg(self._stream, self._subject(kind, address.key))
            except (KeyNotFoundError, NotFoundError):
                return None
        try:
            note = _NOTE.decode(message.data or b"")
        except msgspec.DecodeError:
            note = None
        return _Found(note, message.seq or 0)

    async def _hasten(self, jetstream: JetStreamContext, message: Msg, now: datetime) -> None:
        """Have a task delivered that was released and waits. Its note is replaced by one that says so, by one only of
        those who try: what was hastened may be held by somebody, and would be taken from them."""
        try:
            note = _NOTE.decode(message.data)
        except msgspec.DecodeError:
            return
        waited = now - message.metadata.timestamp  # both by the server's clock
        if note.delay - waited.total_seconds() < SOON:
            return
        headers = {"Nats-Expected-Last-Subject-Sequence": str(message.metadata.sequence.stream)}
        hastened = msgspec.msgpack.encode(msgspec.structs.replace(note, delay=0.0))
        try:
            await jetstream.publish(message.subject, hastened, stream=self._stream, headers=headers)
        except APIError as error:
            if error.err_code in WRONG_LAST:
                return
            raise
        await self._nats.confirm([(note.reply, NAK)])


def _was_given_back(notes: Mapping[str, Note], held: Holding) -> bool:
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
