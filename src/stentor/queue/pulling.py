"""Pulling from a JetStream consumer: up to so many messages, and no wait where there are none.

The client library's own `fetch` waits for its timeout wherever a consumer has fewer messages than are asked for; a
sender with several lanes can't. Rules: one pull at a time; what arrives after its pull was given up goes to the next.
"""

from __future__ import annotations

import asyncio
import json

from nats.aio.client import Client
from nats.aio.msg import Msg

from stentor.errors import QueueUnavailable
from stentor.queue.nats import ANSWER_WITHIN, Nats

GONE = ("404", "409", "503")
"""Statuses that may mean there is no such consumer (any more); 404 also means that it has nothing."""


class Puller:
    """Pulls from one consumer of a stream."""

    def __init__(self, nats: Nats, stream: str, consumer: str) -> None:
        self._nats = nats
        self._api = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._turn = asyncio.Lock()
        self._client: Client | None = None
        self._inbox = ""
        self._number = 0
        self._arrived: list[Msg] = []
        self._wanted = 0
        self._ended: asyncio.Future[str] | None = None

    def __repr__(self) -> str:
        return f"<Puller from {self._api}>"

    async def pull(self, limit: int) -> list[Msg]:
        """Up to `limit` messages that are ready now.

        Raises: QueueUnavailable, InvalidConfiguration.
        """
        async with self._turn, self._nats.trouble():
            client = await self._subscribe()
            self._number += 1
            self._wanted = limit
            if len(self._arrived) < limit:
                ended = self._ended = asyncio.get_running_loop().create_future()
                request = json.dumps({"batch": limit - len(self._arrived), "no_wait": True}).encode()
                await client.publish(self._api, request, reply=f"{self._inbox}.{self._number}")
                try:
                    async with asyncio.timeout(ANSWER_WITHIN):
                        status = await ended
                except TimeoutError:
                    if not self._arrived:
                        raise
                    status = ""
                finally:
                    self._ended = None
                if status.startswith("503") or (status.startswith("409") and not self._arrived):
                    raise QueueUnavailable(f"{self._nats.name} says of a consumer: {status}.")
            found, self._arrived = self._arrived[:limit], self._arrived[limit:]
            return found

    async def _subscribe(self) -> Client:
        client = await self._nats.client()
        if client is not self._client:
            self._inbox = client.new_inbox()
            await client.subscribe(f"{self._inbox}.*", cb=self._receive)
            self._client, self._arrived = client, []
        return client

    async def _receive(self, message: Msg) -> None:
        ended = self._ended
        if not message.reply:  # a status: to this pull, or to one that was given up
            headers = message.headers or {}
            current = message.subject == f"{self._inbox}.{self._number}"
            if current and ended is not None and not ended.done() and headers.get("Status") != "100":
                ended.set_result(f"{headers.get('Status', '')} {headers.get('Description', '')}".strip())
            return
        self._arrived.append(message)
        if ended is not None and not ended.done() and len(self._arrived) >= self._wanted:
            ended.set_result("")
