"""Pulling from a JetStream consumer: up to so many messages, and no wait where there are none.

The client library's own `fetch` waits for its timeout wherever a consumer has fewer messages than are asked for; a
sender with several lanes can't. Rules: one pull at a time; what arrives after its pull was given up goes to the next,
unless the time for which it is held is half over; that time counts from when it was asked for, as nothing says when it
was delivered.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from stentor.clock import steady
from stentor.queue.nats import ANSWER_WITHIN, Nats, StreamGone


@dataclass(frozen=True, slots=True)
class Pulled:
    """A message, and since when it is held at most, by the steady clock."""

    message: Msg
    since: float


@dataclass(slots=True, eq=False)
class _Inbox:
    """Where the messages of one pull after the other arrive, each in full before the next is asked for."""

    client: Client
    subject: str
    subscription: Subscription | None = None
    since: float = 0.0
    """When the pull under way was asked for, or the last one."""
    missing: int = 0
    ended: asyncio.Future[str] | None = None
    """The status with which the pull under way ended; empty: it brought all that was asked for."""


class Puller:
    """Pulls from one consumer of a stream."""

    def __init__(self, nats: Nats, stream: str, consumer: str, lease: float) -> None:
        self._nats = nats
        self._api = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._lease = lease
        self._turn = asyncio.Lock()
        self._inbox: _Inbox | None = None
        self._given_up: list[_Inbox] = []
        self._arrived: list[Pulled] = []

    def __repr__(self) -> str:
        return f"<Puller from {self._api}>"

    async def pull(self, limit: int) -> list[Pulled]:
        """Up to `limit` messages that are ready now.

        Raises: StreamGone: there is no such consumer, or nobody leads it. QueueUnavailable, InvalidConfiguration.
        """
        async with self._turn:
            self._arrived = [each for each in self._arrived if not self._is_late(each.since)]
            if (wanted := limit - len(self._arrived)) > 0:
                await self._ask(wanted)
            found, self._arrived = self._arrived[:limit], self._arrived[limit:]
            return found

    def give_back(self, pulled: Iterable[Pulled]) -> None:
        """Nothing could be done with these; the next pull brings them again."""
        self._arrived[:0] = pulled

    async def aclose(self) -> None:
        """Let nothing more arrive."""
        inboxes, self._given_up = [*self._given_up, *([self._inbox] if self._inbox else [])], []
        self._inbox = None
        for each in inboxes:
            await self._close(each)

    def _is_late(self, since: float) -> bool:
        return steady() >= since + self._lease / 2

    async def _ask(self, wanted: int) -> None:
        async with self._nats.trouble():
            inbox = await self._open()
            inbox.missing, inbox.since = wanted, steady()
            ended = inbox.ended = asyncio.get_running_loop().create_future()
            request = json.dumps({"batch": wanted, "no_wait": True}).encode()
            try:
                async with asyncio.timeout(ANSWER_WITHIN):
                    await inbox.client.publish(self._api, request, reply=inbox.subject)
                    status = await ended
            except BaseException as error:
                self._inbox = None
                self._given_up.append(inbox)  # what it still brings goes to the next pull
                if isinstance(error, TimeoutError) and self._arrived:
                    return
                raise
            finally:
                inbox.ended = None
        if status.startswith(("409", "503")) and not self._arrived:  # 404: it has nothing
            raise StreamGone(f"{self._nats.name} says of a consumer: {status}.")

    async def _open(self) -> _Inbox:
        """Where the next pull's messages arrive; those that were given up are closed when nothing of them is of use."""
        for each in [each for each in self._given_up if self._is_late(each.since)]:
            self._given_up.remove(each)
            await self._close(each)
        client = await self._nats.client()
        if self._inbox is not None and self._inbox.client is client:
            return self._inbox
        inbox = _Inbox(client, client.new_inbox())

        async def receive(message: Msg) -> None:
            self._receive(inbox, message)

        inbox.subscription = await client.subscribe(inbox.subject, cb=receive)
        self._inbox = inbox
        return inbox

    @staticmethod
    async def _close(inbox: _Inbox) -> None:
        if inbox.subscription is not None:
            with suppress(errors.Error):  # its connection is closed
                await inbox.subscription.unsubscribe()

    def _receive(self, inbox: _Inbox, message: Msg) -> None:
        ended = inbox.ended
        under_way = ended is not None and not ended.done()
        if not message.reply:  # a status
            headers = message.headers or {}
            if under_way and ended is not None and headers.get("Status") != "100":
                said = f"{headers.get('Status', '')} {headers.get('Description', '')}"
                ended.set_result(said.partition("\n")[0].strip())  # the client takes what follows it for a part of it
            return
        self._arrived.append(Pulled(message, inbox.since))
        inbox.missing -= 1
        if under_way and ended is not None and inbox.missing <= 0:
            ended.set_result("")
