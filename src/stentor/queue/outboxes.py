"""The outcomes' stream on JetStream: from senders to recorders, and readable by batch until it is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from stentor.queue.contract import Lease
from stentor.queue.jetstream import ACK, IN_PROGRESS, as_header
from stentor.queue.nats import Nats, StreamGone, together
from stentor.queue.pulling import Puller
from stentor.queue.streams import Address, Streams
from stentor.queue.subjects import subjects_of

DELIVERIES = "Stentor-Deliveries"
"""The header with the deliveries that a message had before it was sent anew."""


class JetStreamOutbox:
    """`queue.contract.Outbox` on JetStream."""

    def __init__(self, nats: Nats, streams: Streams) -> None:
        self._nats: Final = nats
        self._streams: Final = streams
        self._puller: Puller | None = None

    def __repr__(self) -> str:
        return f"<JetStreamOutbox on {self._nats.name}>"

    async def send(self, about: Lease, messages: Sequence[bytes]) -> None:
        """See `queue.contract.Outbox.send`."""
        subject = self._streams.outcome_subject(_address(about))
        async with self._streams.use() as jetstream:
            await together(jetstream.publish(subject, each, stream=self._streams.outcomes) for each in messages)

    async def take(self, limit: int, lease: float) -> list[Lease]:
        """See `queue.contract.Outbox.take`."""
        consumer = await self._streams.recorders(lease)
        if self._puller is None:
            self._puller = Puller(self._nats, self._streams.outcomes, consumer, lease)
        try:
            pulled = await self._puller.pull(limit)
        except StreamGone:
            self._streams.forget()
            raise
        leases = []
        for each in pulled:
            message = each.message
            task = self._streams.address(message.subject)
            leases.append(
                Lease(
                    id=task.id,
                    lane=task.lane,
                    campaign_id=task.campaign_id,
                    payload=message.data,
                    deliveries=message.metadata.num_delivered + int((message.headers or {}).get(DELIVERIES, 0)),
                    token=message.reply,
                    until=each.since + lease,
                )
            )
        return leases

    async def extend(self, leases: Sequence[Lease]) -> None:
        """See `queue.contract.Outbox.extend`."""
        await self._nats.confirm((lease.token, IN_PROGRESS) for lease in leases)

    async def ack(self, leases: Sequence[Lease]) -> None:
        """See `queue.contract.Outbox.ack`."""
        await self._nats.confirm((lease.token, ACK) for lease in leases)

    async def put_back(self, leases: Sequence[Lease]) -> None:
        """See `queue.contract.Outbox.put_back`. Each is sent anew with the deliveries it had; the server would count
        this one."""
        async with self._streams.use() as jetstream:
            await together(
                jetstream.publish(
                    self._streams.outcome_subject(_address(lease)),
                    lease.payload,
                    stream=self._streams.outcomes,
                    headers={DELIVERIES: str(lease.deliveries - 1)},
                )
                for lease in leases
            )
        await self.ack(leases)

    async def bury(self, lease: Lease, reason: str) -> None:
        """See `queue.contract.Outbox.bury`."""
        async with self._streams.use() as jetstream:
            subject = f"{self._streams.dead_subject(_address(lease))}.outcomes"
            headers = {"Stentor-Reason": as_header(reason)}
            await jetstream.publish(subject, lease.payload, stream=self._streams.dead, headers=headers)
        await self.ack([lease])

    async def about(self, task: Lease) -> list[bytes]:
        """See `queue.contract.Outbox.about`."""
        subject = self._streams.outcome_subject(_address(task))
        found: list[bytes] = []
        async with self._streams.use() as jetstream:
            after = 0
            while (message := await self._next(jetstream, subject, after + 1)) is not None:
                after, payload = message
                found.append(payload)
        return found

    async def tasks(self, campaign_id: str) -> AbstractSet[str]:
        """See `queue.contract.Outbox.tasks`."""
        async with self._streams.use():
            filters = self._streams.of_campaign("outcome", campaign_id)
            subjects = await subjects_of(self._nats, self._streams.outcomes, filters)
        return {self._streams.address(subject).id for subject in subjects}

    async def waiting(self) -> int:
        """See `queue.contract.Outbox.waiting`."""
        await self._streams.ready()
        async with self._nats.trouble():
            jetstream = await self._nats.jetstream()
            return (await jetstream.stream_info(self._streams.outcomes)).state.messages

    async def _next(self, jetstream: JetStreamContext, subject: str, at: int) -> tuple[int, bytes] | None:
        try:
            message = await jetstream.get_msg(self._streams.outcomes, at, subject=subject, next=True)
        except NotFoundError:
            return None
        return message.seq or at, message.data or b""


def _address(lease: Lease) -> Address:
    return Address(lease.id, lease.lane, lease.campaign_id)
